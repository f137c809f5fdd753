"""Hugging Face BERT classifiers with random weights, and what PyTorch computes with them.

Reads {"models": [{"folder", "config", "files"}], "batch"} from stdin, writes each model to its folder and prints a list
of {"logits", "loss", "gradients"}. `files` says how the weights are stored:
  "dtype": float32, float16 or bfloat16
  "shards": true for several small files and an index
  "oldNames": true for LayerNorm.gamma and .beta, as in checkpoints before 2019
  "prefix": false for an encoder's names without `bert.`, as BertModel writes them
"""

import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

torch.set_num_threads(2)


def random_model(config):
    torch.manual_seed(7)
    model = BertForSequenceClassification(BertConfig(**config))
    with torch.no_grad():
        # Transformers starts biases at 0 and LayerNorm at 1, where many a mistake changes nothing.
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.3)
    return model


def rename(name, files):
    if files["oldNames"]:
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return name if files["prefix"] else name.removeprefix("bert.")


def save(model, folder, files):
    dtype = getattr(torch, files["dtype"])
    with torch.no_grad():
        for parameter in model.parameters():  # what is computed with is what is stored
            parameter.copy_(parameter.to(dtype))
    model.save_pretrained(folder, max_shard_size="3KB" if files["shards"] else "5GB")
    shards = [file for file in os.listdir(folder) if file.endswith(".safetensors")]
    assert (len(shards) > 1) if files["shards"] else shards == ["model.safetensors"], shards
    for shard in shards:
        path = os.path.join(folder, shard)
        tensors = {rename(name, files): tensor.to(dtype) for name, tensor in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})
    index = os.path.join(folder, "model.safetensors.index.json")
    if files["shards"]:
        with open(index) as file:
            content = json.load(file)
        content["weight_map"] = {rename(name, files): shard for name, shard in content["weight_map"].items()}
        with open(index, "w") as file:
            json.dump(content, file)


def array(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}


def answer(request, batch):
    model = random_model(request["config"])
    save(model, request["folder"], request["files"])
    model.eval()
    output = model(**batch)
    output.loss.backward()
    gradients = {name: array(parameter.grad) for name, parameter in model.named_parameters()}
    return {"logits": array(output.logits), "loss": output.loss.item(), "gradients": gradients}


def main():
    request = json.load(sys.stdin)
    batch = {name: torch.tensor(rows) for name, rows in request["batch"].items()}
    json.dump([answer(model, batch) for model in request["models"]], sys.stdout)


if __name__ == "__main__":
    main()
