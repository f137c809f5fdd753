"""The losses of a fine-tuning in PyTorch and Transformers, on given batches.

Reads {"source", "config", "head", "folder", "numLabels", "settings", "batches"} from stdin. With `source`, the encoder of
that folder and a new head are written to `folder` first; with `config` (BertConfig's settings), a random model; training
starts from `folder`. `head` is "sequence", "token" or "label-set" (any number of labels a sequence). Prints {"losses", "gradNorms"}, one a batch.
"""

import json
import sys

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    get_linear_schedule_with_warmup,
)

CLASSES = {
    "sequence": BertForSequenceClassification,
    "token": BertForTokenClassification,
    "label-set": BertForSequenceClassification,
}

torch.set_num_threads(2)


def parameter_groups(model, weight_decay):
    """Transformers' Trainer: no decay on biases and LayerNorm."""
    plain = {name for name, _ in model.named_parameters() if name.endswith("bias") or "LayerNorm" in name}
    return [
        {"params": [p for n, p in model.named_parameters() if n not in plain], "weight_decay": weight_decay},
        {"params": [p for n, p in model.named_parameters() if n in plain], "weight_decay": 0.0},
    ]


def tensors(batch, head):
    size, length = batch["size"], batch["length"]
    rows = {name: torch.tensor(batch[name]).view(size, length) for name in ("input_ids", "token_type_ids")}
    mask = torch.tensor(batch["attention_mask"]).view(size, length)
    labels = torch.tensor(batch["labels"])
    if head == "label-set":
        labels = labels.view(size, -1).float()
    if head == "token":
        # PyTorch leaves out -100, t4 -1.
        labels = labels.view(size, length).masked_fill(labels.view(size, length) < 0, -100)
    return {**rows, "attention_mask": mask, "labels": labels}


def train(model, head, settings, batches):
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings["weightDecay"]),
        lr=settings["learningRate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
    )
    schedule = get_linear_schedule_with_warmup(optimizer, settings["warmupSteps"], settings["totalSteps"])
    losses, norms = [], []
    model.train()
    for batch in batches:
        loss = model(**tensors(batch, head)).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), settings["maxGradNorm"]).item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return {"losses": losses, "gradNorms": norms}


def main():
    request = json.load(sys.stdin)
    kind = CLASSES[request["head"]]
    torch.manual_seed(11)
    if request["config"]:
        kind(BertConfig(**request["config"], num_labels=request["numLabels"])).save_pretrained(request["folder"])
    if request["source"]:
        model = kind.from_pretrained(request["source"], num_labels=request["numLabels"])
        with torch.no_grad():
            model.classifier.weight.normal_(0.0, 0.2)
            model.classifier.bias.normal_(0.0, 0.2)
        model.save_pretrained(request["folder"])
    model = kind.from_pretrained(
        request["folder"],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        classifier_dropout=0.0,
        problem_type="multi_label_classification" if request["head"] == "label-set" else None,
    )
    json.dump(train(model, request["head"], request["settings"], request["batches"]), sys.stdout)


if __name__ == "__main__":
    main()
