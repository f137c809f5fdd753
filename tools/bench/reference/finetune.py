"""A default fine-tuning with PyTorch and Transformers, as a user would write it: dynamic padding to the longest of a
shuffled batch, AdamW with linear warmup, clipping at 1, dev accuracy each epoch, test accuracy at the end.

argv[1] is {"model": folder, "data": folder, "precision", "device", "epochs", "batch", "learningRate", "warmup",
"maxLength", "seed"}. Prints {"dev": [accuracy an epoch], "test", "epochSeconds"}.
"""

import contextlib
import json
import math
import os
import sys
import time

import torch
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    get_linear_schedule_with_warmup,
    set_seed,
)

settings = json.loads(sys.argv[1])
device = torch.device("cuda" if settings["device"] == "gpu" else "cpu")


def read(split, tokenizer):
    with open(os.path.join(settings["data"], f"{split}.tsv"), encoding="utf-8-sig") as file:
        next(file)
        rows = [line.rstrip("\r\n").split("\t") for line in file]
    encoded = tokenizer([text for _, text in rows], truncation=True, max_length=settings["maxLength"])
    return [
        {**{name: values[i] for name, values in encoded.items()}, "label": int(label)}
        for i, (label, _) in enumerate(rows)
    ]


def precision():
    if settings["precision"] == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def accuracy(model, loader):
    model.eval()
    right = count = 0
    with torch.no_grad():
        for batch in loader:
            batch = {name: value.to(device) for name, value in batch.items()}
            with precision():
                logits = model(**batch).logits
            right += (logits.argmax(-1) == batch["labels"]).sum().item()
            count += len(batch["labels"])
    model.train()
    return right / count


def main():
    set_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    splits = {split: read(split, tokenizer) for split in ("train", "dev", "test")}
    collate = DataCollatorWithPadding(tokenizer)
    loaders = {
        split: DataLoader(rows, batch_size=settings["batch"], shuffle=split == "train", collate_fn=collate)
        for split, rows in splits.items()
    }
    model = AutoModelForSequenceClassification.from_pretrained(
        settings["model"], num_labels=2, attn_implementation="sdpa"
    ).to(device)
    plain = {name for name, _ in model.named_parameters() if name.endswith("bias") or "LayerNorm" in name}
    groups = [
        {"params": [p for n, p in model.named_parameters() if n not in plain], "weight_decay": 0.01},
        {"params": [p for n, p in model.named_parameters() if n in plain], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings["learningRate"], fused=True)
    steps = settings["epochs"] * len(loaders["train"])
    schedule = get_linear_schedule_with_warmup(optimizer, math.ceil(settings["warmup"] * steps), steps)
    dev, seconds = [], []
    model.train()
    for _ in range(settings["epochs"]):
        began = time.perf_counter()
        for batch in loaders["train"]:
            batch = {name: value.to(device) for name, value in batch.items()}
            with precision():
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        dev.append(accuracy(model, loaders["dev"]))
    print(json.dumps({"dev": dev, "test": accuracy(model, loaders["test"]), "epochSeconds": seconds}))


if __name__ == "__main__":
    main()
