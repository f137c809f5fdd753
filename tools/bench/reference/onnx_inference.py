"""As tools/bench/t4-inference.ts, with ONNX Runtime, in fp32: its provider for x86 processors has no products in bf16
(`mlas.enable_gemm_fastmath_arm64_bfloat16` is for ARM).

argv[1] is {"model": file, "threads"}. Prints a line when the model is loaded, then answers each line {"inputIds": a list
for each text, "runs"} on stdin with the seconds of each run and the logits of the last one.
"""

import json
import sys
import time

import numpy
import onnxruntime

settings = json.loads(sys.argv[1])
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
options.intra_op_num_threads = settings["threads"]
session = onnxruntime.InferenceSession(settings["model"], options, providers=["CPUExecutionProvider"])
print("{}", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    ids = numpy.array(request["inputIds"], dtype=numpy.int64)
    inputs = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
    seconds = []
    for _ in range(request["runs"]):
        began = time.perf_counter()
        (logits,) = session.run(["logits"], inputs)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "logits": logits.flatten().tolist()}), flush=True)
