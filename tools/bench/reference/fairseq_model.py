"""Makes a RoBERTa-base as fairseq released it in 2019: torch.save's older layout, query, key and value in one matrix.

argv[1] is {"path"}. The weights are random, in float32.
"""

import json
import sys
from argparse import Namespace

import torch

LAYERS, HIDDEN, INTERMEDIATE, VOCABULARY, POSITIONS = 12, 768, 3072, 50265, 514


def tensors():
    encoder = "decoder.sentence_encoder."
    shapes = {encoder + "embed_tokens.weight": (VOCABULARY, HIDDEN), encoder + "embed_positions.weight": (POSITIONS, HIDDEN)}

    def dense(name, inputs, outputs):
        shapes.update({name + ".weight": (outputs, inputs), name + ".bias": (outputs,)})

    def norm(name):
        shapes.update({name + ".weight": (HIDDEN,), name + ".bias": (HIDDEN,)})

    norm(encoder + "emb_layer_norm")
    for n in range(LAYERS):
        layer = f"{encoder}layers.{n}."
        shapes.update({layer + "self_attn.in_proj_weight": (3 * HIDDEN, HIDDEN), layer + "self_attn.in_proj_bias": (3 * HIDDEN,)})
        dense(layer + "self_attn.out_proj", HIDDEN, HIDDEN)
        dense(layer + "fc1", HIDDEN, INTERMEDIATE)
        dense(layer + "fc2", INTERMEDIATE, HIDDEN)
        norm(layer + "self_attn_layer_norm")
        norm(layer + "final_layer_norm")
    dense("decoder.lm_head.dense", HIDDEN, HIDDEN)
    norm("decoder.lm_head.layer_norm")
    shapes["decoder.lm_head.bias"] = (VOCABULARY,)
    torch.manual_seed(1)
    weights = {name: torch.randn(shape) * 0.02 + ("norm.weight" in name) for name, shape in shapes.items()}
    return {**weights, "decoder.lm_head.weight": weights[encoder + "embed_tokens.weight"]}


settings = Namespace(
    arch="roberta_base",
    encoder_layers=LAYERS,
    encoder_embed_dim=HIDDEN,
    encoder_ffn_embed_dim=INTERMEDIATE,
    encoder_attention_heads=12,
    max_positions=512,
    activation_fn="gelu",
    pooler_activation_fn="tanh",
    dropout=0.1,
    attention_dropout=0.1,
    pooler_dropout=0.0,
)
content = {"args": settings, "model": tensors()}
torch.save(content, json.loads(sys.argv[1])["path"], _use_new_zipfile_serialization=False)
