"""Losses and their gradients with respect to the logits, as PyTorch computes them.

Reads a list of {"kind", "logits", "labels", ...} from stdin and prints one {"loss", "gradient"} for each:
  "cross-entropy": "weights" (or null), "smoothing"; labels of -1 are ignored
  "focal": "weights" (or null), "gamma": Lin et al. 2017, where alpha is the weight of the class
  "binary": labels are rows of 0 and 1
"""

import json
import sys

import torch
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from torch.nn.functional import cross_entropy


def cross_entropy_loss(case, logits):
    loss = CrossEntropyLoss(weight=weights_of(case), label_smoothing=case["smoothing"], ignore_index=-1)
    return loss(logits, torch.tensor(case["labels"]))


def focal_loss(case, logits):
    labels = torch.tensor(case["labels"])
    alpha = weights_of(case)[labels] if case["weights"] else torch.ones(len(labels))
    entropy = cross_entropy(logits, labels, reduction="none")
    right = torch.exp(-entropy)
    return (alpha * (1 - right) ** case["gamma"] * entropy).sum() / alpha.sum()


def binary_loss(case, logits):
    return BCEWithLogitsLoss()(logits, torch.tensor(case["labels"], dtype=torch.float32))


def weights_of(case):
    return torch.tensor(case["weights"]) if case["weights"] else None


losses = {"cross-entropy": cross_entropy_loss, "focal": focal_loss, "binary": binary_loss}


def measure(case):
    logits = torch.tensor(case["logits"], requires_grad=True)
    loss = losses[case["kind"]](case, logits)
    loss.backward()
    gradient = {"shape": list(logits.shape), "values": logits.grad.flatten().tolist()}
    return {"loss": loss.item(), "gradient": gradient}


json.dump([measure(case) for case in json.load(sys.stdin)], sys.stdout)
