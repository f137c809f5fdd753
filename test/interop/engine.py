"""What Python's TensorFlow reads of what the graph engine writes.

Reads {"model", "checkpoint", "inputs"} from stdin: the folder of a SavedModel, the prefix of a checkpoint, the inputs
{name: {"dtype", "shape", "values"}} of the signature `predict`. Prints
{"signatures", "outputs" of predict after `restore/weights`, "variables" of the checkpoint}.
"""

import json
import sys

import numpy as np
import tensorflow as tf


def array(values):
    return {"shape": list(values.shape), "values": np.asarray(values, np.float64).flatten().tolist()}


def main():
    request = json.load(sys.stdin)
    model = tf.saved_model.load(request["model"])
    model.signatures["restore/weights"](path=tf.constant(request["checkpoint"]))
    inputs = {
        name: tf.constant(np.array(value["values"]).reshape(value["shape"]), value["dtype"])
        for name, value in request["inputs"].items()
    }
    outputs = model.signatures["predict"](**inputs)
    variables = {
        name: array(tf.train.load_variable(request["checkpoint"], name))
        for name, _ in tf.train.list_variables(request["checkpoint"])
    }
    answer = {
        "signatures": sorted(model.signatures),
        "outputs": {name: array(value.numpy()) for name, value in outputs.items()},
        "variables": variables,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
