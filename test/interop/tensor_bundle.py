"""Reads checkpoints with TensorFlow's own means, and writes one.

Reads from stdin {"read", "write", "shapes"}. Answers with what each of TensorFlow's readers makes of
the checkpoint `read`: its listing, and the float32 bits of every tensor as a hex string. Then writes tensors of those
names and shapes, value i of a tensor being its index plus i / 1024, to `write`.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def bits(array):
    assert array.dtype == np.float32, array.dtype
    return array.tobytes().hex()


def restored(prefix, shapes):
    """Restores into variables of a graph, as run_classifier.py does."""
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {
            name: v1.get_variable(f"v{i}", shape=shape, dtype=tf.float32, use_resource=False)
            for i, (name, shape) in enumerate(shapes.items())
        }
        v1.train.Saver(variables).restore(session, prefix)
        return {name: bits(value) for name, value in session.run(variables).items()}


def main():
    request = json.load(sys.stdin)
    prefix, shapes = request["read"], request["shapes"]
    reader = v1.train.NewCheckpointReader(prefix)
    answer = {
        "listed": [[name, list(shape)] for name, shape in tf.train.list_variables(prefix)],
        "loaded": {name: bits(np.asarray(tf.train.load_variable(prefix, name))) for name in list(shapes)[:5]},
        "read": {name: bits(np.asarray(reader.get_tensor(name))) for name in shapes},
        "restored": restored(prefix, shapes),
    }
    tensors = [
        (np.arange(np.prod(shape, dtype=int), dtype=np.float32) / 1024 + i).astype(np.float32).reshape(shape)
        for i, shape in enumerate(shapes.values())
    ]
    tf.raw_ops.SaveV2(
        prefix=request["write"],
        tensor_names=list(shapes),
        shape_and_slices=[""] * len(shapes),
        tensors=[tf.constant(tensor) for tensor in tensors],
    )
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
