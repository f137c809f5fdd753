"""Fine-tunes a random BERT for entities with PyTorch and Transformers, and measures it with seqeval.

Reads {"folder", "config", "labels", "settings", "batches", "windows", "gold"} from stdin: writes the random model to
`folder`, trains it on the batches in their order (see training.py), and reads each of `windows`, {"text", "ids", "words":
[[word, position]]}. Prints {"losses", "f1"}: the micro F1 of the labels of `gold`, a list of labels for each text.
"""

import json
import sys

import torch
from seqeval.metrics import f1_score
from training import train
from transformers import BertConfig, BertForTokenClassification

ROWS = 32


def predict(model, windows, gold, labels):
    """The label of each word of each text."""
    predicted = [["O"] * len(tags) for tags in gold]
    model.eval()
    windows = sorted(windows, key=lambda window: len(window["ids"]))
    for start in range(0, len(windows), ROWS):
        rows = windows[start : start + ROWS]
        length = max(len(row["ids"]) for row in rows)
        ids = torch.tensor([row["ids"] + [0] * (length - len(row["ids"])) for row in rows])
        mask = torch.tensor([[1] * len(row["ids"]) + [0] * (length - len(row["ids"])) for row in rows])
        with torch.no_grad():
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1).tolist()
        for row, found in zip(rows, best):
            for word, position in row["words"]:
                predicted[row["text"]][word] = labels[found[position]]
    return predicted


def main():
    request = json.load(sys.stdin)
    labels = request["labels"]
    torch.manual_seed(11)
    config = BertConfig(**request["config"], num_labels=len(labels))
    # t4 takes a head over where it answers with the labels of the task.
    config.id2label = dict(enumerate(labels))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    BertForTokenClassification(config).save_pretrained(request["folder"])
    model = BertForTokenClassification.from_pretrained(request["folder"])
    losses = train(model, "token", request["settings"], request["batches"])["losses"]
    predicted = predict(model, request["windows"], request["gold"], labels)
    json.dump({"losses": losses, "f1": float(f1_score(request["gold"], predicted, zero_division=0))}, sys.stdout)


if __name__ == "__main__":
    main()
