"""Labels texts with Transformers' pipeline and batching, as its documentation shows it.

argv[1] is {"model": folder, "texts": file with a text a line, "precision", "device", "batch"}. Prints {"seconds",
"answers": [[label, probability] ...]}; the seconds are those of the pipeline alone, without imports and loading.
"""

import json
import sys
import time

import torch
from transformers import pipeline

settings = json.loads(sys.argv[1])
with open(settings["texts"], encoding="utf-8", newline="\n") as file:
    texts = file.read().rstrip("\n").split("\n")
label = pipeline(
    "text-classification",
    model=settings["model"],
    device=0 if settings["device"] == "gpu" else -1,
    dtype=torch.float32 if settings["precision"] == "fp32" else torch.bfloat16,
    batch_size=settings["batch"],
)
label(texts[: settings["batch"]], truncation=True)
began = time.perf_counter()
answers = label(texts, truncation=True)
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "answers": [[answer["label"], answer["score"]] for answer in answers]}))
