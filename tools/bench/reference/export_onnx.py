"""Makes ONNX models of a classifier of Transformers': as PyTorch exports it, and what ONNX Runtime's optimizer for
transformers makes of that.

argv[1] is {"model": folder, "exported": file, "optimized": file, "heads", "hidden"}. Batch and sequence are dynamic.
"""

import json
import sys

import torch
from onnxruntime.transformers.optimizer import optimize_model
from transformers import AutoModelForSequenceClassification

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(**dict(zip(INPUTS, inputs)), return_dict=False)[0]


settings = json.loads(sys.argv[1])
# The exporter of TorchScript and written-out attention: the optimizer finds all of BERT's fusions in this graph, and
# none of attention or embeddings in that of the newer exporter or of sdpa.
model = AutoModelForSequenceClassification.from_pretrained(settings["model"], attn_implementation="eager").eval()
example = torch.ones((2, 16), dtype=torch.long)
torch.onnx.export(
    Logits(model),
    (example, example, torch.zeros_like(example)),
    settings["exported"],
    input_names=INPUTS,
    output_names=["logits"],
    dynamic_axes={**{name: {0: "batch", 1: "sequence"} for name in INPUTS}, "logits": {0: "batch"}},
    opset_version=17,
    dynamo=False,
)
optimized = optimize_model(
    settings["exported"], model_type="bert", num_heads=settings["heads"], hidden_size=settings["hidden"]
)
missing = [name for name in ("EmbedLayerNormalization", "Attention") if optimized.get_fused_operator_statistics()[name] == 0]
if missing:
    sys.exit(f"the optimizer of ONNX Runtime left out {', '.join(missing)}: what would be measured is not its best")
optimized.save_model_to_file(settings["optimized"])
