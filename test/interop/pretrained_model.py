"""What Transformers makes of a model's folder.

Reads {"folder", "batch"} from stdin; prints {"logits", "labels", "missing"}: `missing` are the weights that the folder
lacks, has too many, or of another shape.
"""

import json
import sys

import torch
from transformers import BertForSequenceClassification


def main():
    request = json.load(sys.stdin)
    model, info = BertForSequenceClassification.from_pretrained(request["folder"], output_loading_info=True)
    batch = {name: torch.tensor(rows) for name, rows in request["batch"].items()}
    with torch.no_grad():
        logits = model.eval()(**batch).logits
    problems = [str(name) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in info[kind]]
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    values = {"shape": list(logits.shape), "values": logits.double().flatten().tolist()}
    json.dump({"logits": values, "labels": labels, "missing": problems}, sys.stdout)


if __name__ == "__main__":
    main()
