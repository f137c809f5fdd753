"""As tools/bench/t4-step.ts, with PyTorch and Transformers: BERT-base on a fixed batch.

argv[1] is {"precision", "batch", "length", "device", "model"}. Prints the seconds of the first step, then answers each
line {"steps": n} on stdin with the seconds of n steps. The optimizer is what Transformers' Trainer takes by default:
fused AdamW, no decay on biases and LayerNorm, gradients clipped to 1.
"""

import contextlib
import json
import sys
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

settings = json.loads(sys.argv[1])
sizes = settings["model"]
device = torch.device("cuda" if settings["device"] == "gpu" else "cpu")


def make_model():
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=sizes["vocabulary"],
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["intermediate"],
        num_labels=sizes["labels"],
        attn_implementation="sdpa",
    )
    return BertForSequenceClassification(config).to(device).train()


def make_optimizer(model):
    plain = {name for name, _ in model.named_parameters() if name.endswith("bias") or "LayerNorm" in name}
    groups = [
        {"params": [p for n, p in model.named_parameters() if n not in plain], "weight_decay": 0.01},
        {"params": [p for n, p in model.named_parameters() if n in plain], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=2e-5, fused=True)


def make_batch():
    shape = (settings["batch"], settings["length"])
    return {
        "input_ids": torch.randint(1, sizes["vocabulary"], shape, device=device),
        "token_type_ids": torch.zeros(shape, dtype=torch.long, device=device),
        "attention_mask": torch.ones(shape, dtype=torch.long, device=device),
        "labels": torch.arange(settings["batch"], device=device) % sizes["labels"],
    }


def precision():
    if settings["precision"] == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def run_steps(model, optimizer, batch, count):
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        with precision():
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        value = loss.item()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "loss": value}


def main():
    model = make_model()
    optimizer = make_optimizer(model)
    batch = make_batch()
    print(json.dumps(run_steps(model, optimizer, batch, 1)), flush=True)
    for line in sys.stdin:
        print(json.dumps(run_steps(model, optimizer, batch, json.loads(line)["steps"])), flush=True)


if __name__ == "__main__":
    main()
