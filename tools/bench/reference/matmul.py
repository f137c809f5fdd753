"""The speed of matrix products on this machine.

argv[1] is {"library": "torch" or "tensorflow", "device", "shapes": [[m, k, n]], "seconds"}. Prints, for fp32 and bf16,
the floating-point operations a second of the fastest of many runs of each shape. A machine of its own for each library:
both in one process would share threads.
"""

import json
import sys
import time

settings = json.loads(sys.argv[1])
on_gpu = settings["device"] == "gpu"


def torch_product(m, k, n, precision):
    import torch

    device = "cuda" if on_gpu else "cpu"
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    a, b = (torch.randn(shape, device=device).to(dtype) for shape in ((m, k), (k, n)))
    out = torch.empty((m, n), device=device, dtype=dtype)

    def run(times):
        for _ in range(times):
            torch.matmul(a, b, out=out)
        if on_gpu:
            torch.cuda.synchronize()

    return run


def tensorflow_product(m, k, n, precision):
    import tensorflow as tf

    dtype = tf.float32 if precision == "fp32" else tf.bfloat16
    a, b = (tf.cast(tf.random.normal(shape), dtype) for shape in ((m, k), (k, n)))
    product = tf.function(lambda: tf.matmul(a, b))

    def run(times):
        for _ in range(times):
            result = product()
        if on_gpu:
            result[0, 0].numpy()

    return run


def flops(run, operations):
    times = 50 if on_gpu else 1
    run(times)
    run(times)
    fastest = float("inf")
    end = time.perf_counter() + settings["seconds"]
    while time.perf_counter() < end:
        began = time.perf_counter()
        run(times)
        fastest = min(fastest, (time.perf_counter() - began) / times)
    return operations / fastest


def main():
    make = torch_product if settings["library"] == "torch" else tensorflow_product
    answer = {
        precision: [flops(make(m, k, n, precision), 2 * m * k * n) for m, k, n in settings["shapes"]]
        for precision in ("fp32", "bf16")
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
