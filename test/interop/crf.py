"""What pytorch-crf says of batches of sentences, and what Python's TensorFlow computes with a program of the graph engine.

Reads {"cases", "model", "calls"} from stdin. A case has "labels", "words", "reduction", and row-major "emissions"
[batch, words, labels], "tags" and "mask" [batch, words], "transitions" [labels, labels], "start" and "end" [labels], and
"penalties" for the last three. For each case: the loss and its gradients in float64, and the best paths in float32.
"model" is the folder of a SavedModel, "calls" are a signature and the inputs {name: {"dtype", "shape", "values"}} each.
Prints {"cases": [{"loss", "gradients", "paths"}], "outputs": [{name: {"shape", "values"}}]}.
"""

import json
import sys

import numpy as np
import tensorflow as tf
import torch
from torchcrf import CRF

WEIGHTS = {"transitions": "transitions", "start": "start_transitions", "end": "end_transitions"}


def field(case, dtype):
    """The case's CRF, its weights with the penalties added."""
    crf = CRF(case["labels"], batch_first=True).to(dtype)
    for key, name in WEIGHTS.items():
        # Each as t4 has it in float32, so that equal scores stay equal and others keep their order.
        weights = torch.tensor(case[key], dtype=torch.float32).to(dtype)
        penalties = torch.tensor(case["penalties"][key], dtype=torch.float32).to(dtype)
        parameter = getattr(crf, name)
        parameter.data = (weights + penalties).reshape(parameter.shape)
    return crf


def answer(case):
    size = (-1, case["words"])
    tags = torch.tensor(case["tags"]).reshape(size)
    mask = torch.tensor(case["mask"]).reshape(size).bool()
    emissions = torch.tensor(case["emissions"], dtype=torch.float32).reshape(*size, case["labels"])

    crf = field(case, torch.float64)
    given = emissions.double().requires_grad_()
    loss = -crf(given, tags, mask, reduction=case["reduction"])
    loss.backward()
    parameters = [getattr(crf, name) for name in WEIGHTS.values()]
    # A batch of single words has no transitions, and they no gradient.
    gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in (given, *parameters)]
    return {
        "loss": loss.item(),
        "gradients": [gradient.flatten().tolist() for gradient in gradients],
        "paths": field(case, torch.float32).decode(emissions, mask),
    }


def call(model, signature, inputs):
    tensors = {
        name: tf.constant(np.array(value["values"]).reshape(value["shape"]), value["dtype"])
        for name, value in inputs.items()
    }
    outputs = model.signatures[signature](**tensors)
    return {
        name: {"shape": list(value.shape), "values": value.numpy().astype(np.float64).flatten().tolist()}
        for name, value in outputs.items()
    }


def main():
    request = json.load(sys.stdin)
    torch.set_num_threads(1)
    model = tf.saved_model.load(request["model"])
    response = {
        "cases": [answer(case) for case in request["cases"]],
        "outputs": [call(model, one["signature"], one["inputs"]) for one in request["calls"]],
    }
    json.dump(response, sys.stdout)


if __name__ == "__main__":
    main()
