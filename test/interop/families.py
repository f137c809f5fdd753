"""Random models of every family, written as Hugging Face folders, and what Transformers computes with them.

Reads {"models": [{"folder", "head", "config", "files", "batches", "labels"}]} from stdin, writes each model to its folder
and prints a list of {"outputs", "gradients", "flops"}: for each batch the outputs by name; with `labels` the gradients of the loss
of the first batch by parameter, else none, and as `flops` what PyTorch counts of that pass and of the way back. `head` is base, sequence, token or words (masked language model). What is
computed is computed in float64 with the weights as they are stored. `files` says how that is:
  "dtype": float32, float16 or bfloat16
  "shards": true for several small files and an index
  "oldNames": true for LayerNorm.gamma and .beta, as in checkpoints before 2019
  "prefix": false for an encoder's names without the model's prefix
  "oldTensors": true for what older versions of Transformers stored besides: position_ids, and tied tensors twice
"""

import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

torch.set_num_threads(2)

CLASSES = {
    "base": AutoModel,
    "sequence": AutoModelForSequenceClassification,
    "token": AutoModelForTokenClassification,
    "words": AutoModelForMaskedLM,
}


def random_model(head, config):
    torch.manual_seed(7)
    model = CLASSES[head].from_config(AutoConfig.for_model(**config))
    with torch.no_grad():
        # Transformers starts biases at 0 and LayerNorm at 1, where many a mistake changes nothing.
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if name.lower().endswith("norm.weight") else 0.0, 0.3)
    return model.eval()


def rename(name, model, files):
    if files["oldNames"]:
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return name if files["prefix"] else name.removeprefix(f"{model.base_model_prefix}.")


def old_tensors(model):
    """Buffers, and parameters under their second name."""
    own = {name for name, _ in model.named_parameters()}
    doubled = {name: value for name, value in model.named_parameters(remove_duplicate=False) if name not in own}
    buffers = {name: value for name, value in model.named_buffers() if name.endswith("position_ids")}
    assert buffers
    return {name: value.detach().clone() for name, value in {**doubled, **buffers}.items()}


def save(model, folder, files):
    dtype = getattr(torch, files["dtype"])
    with torch.no_grad():
        for parameter in model.parameters():  # what is computed with is what is stored
            parameter.copy_(parameter.to(dtype))
    model.save_pretrained(folder, max_shard_size="3KB" if files["shards"] else "5GB")
    shards = [file for file in os.listdir(folder) if file.endswith(".safetensors")]
    assert (len(shards) > 1) if files["shards"] else shards == ["model.safetensors"], shards
    extra = old_tensors(model) if files["oldTensors"] else {}
    for shard in shards:
        path = os.path.join(folder, shard)
        stored = {**load_file(path), **extra}
        extra = {}
        cast = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
        save_file({rename(name, model, files): tensor for name, tensor in cast.items()}, path, {"format": "pt"})
    index = os.path.join(folder, "model.safetensors.index.json")
    if files["shards"]:
        with open(index) as file:
            content = json.load(file)
        content["weight_map"] = {rename(name, model, files): shard for name, shard in content["weight_map"].items()}
        with open(index, "w") as file:
            json.dump(content, file)


def array(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}


def arguments(model, batch):
    given = {name: torch.tensor(rows) for name, rows in batch.items()}
    if model.config.model_type == "distilbert":
        del given["token_type_ids"]
    return given


def outputs(model, head, batch):
    with torch.no_grad():
        result = model(**arguments(model, batch))
    if head != "base":
        return {"logits": array(result.logits)}
    states = result.last_hidden_state
    pooled = result.get("pooler_output")
    return {"states": array(states), "pooled": array(states[:, 0] if pooled is None else pooled)}


def answer(request):
    model = random_model(request["head"], request["config"])
    save(model, request["folder"], request["files"])
    model.double()
    gradients, flops = {}, 0
    if request["labels"] is not None:
        labels = torch.tensor(request["labels"])
        # Attention as two products: the one op that PyTorch has for it computes the scores again on the way back.
        model.set_attn_implementation("eager")
        with FlopCounterMode(display=False) as counter:
            model(**arguments(model, request["batches"][0]), labels=labels).loss.backward()
        flops = counter.get_total_flops()
        gradients = {name: array(parameter.grad) for name, parameter in model.named_parameters()}
    return {
        "outputs": [outputs(model, request["head"], batch) for batch in request["batches"]],
        "gradients": gradients,
        "flops": flops,
    }


def main():
    json.dump([answer(model) for model in json.load(sys.stdin)["models"]], sys.stdout)


if __name__ == "__main__":
    main()
