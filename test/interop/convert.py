"""The reference for t4 convert: PyTorch's Transformers, and Python's TensorFlow.

Reads a request from stdin and prints the answer, both JSON:

{"make": FOLDER}  makes checkpoints in every format below FOLDER; answers a list of {name, batch, outputs}: what
                  Transformers computes with the same weights
{"load": [...]}   each {folder, batch}: loads the folder with the class that its config.json names; answers {outputs,
                  problems}, where problems are all keys that Transformers misses, does not expect or finds of another
                  shape, and everything that it warns of
{"google": [...]} each {folder, batch}: computes the masked words' logits of a TensorFlow checkpoint as Google's code
                  does, with NumPy; answers {outputs, variables: [[name, shape]]}
{"tokenize": [...], "texts": [...]}  each a folder: the ids of each text with the tokenizer that Transformers chooses
"""

import json
import logging
import math
import os
import sys
import warnings
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent.parent / "fixtures" / "pytorch"))

# All sizes differ, so that a swapped axis shows.
SIZES = {"vocab_size": 37, "max_position_embeddings": 19, "initializer_range": 0.02}
BERT = {**SIZES, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 11, "type_vocab_size": 3}
CONFIGS = {
    "bert": BERT,
    "roberta": {**BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "electra": {**BERT, "embedding_size": 6},
    "albert": {**BERT, "embedding_size": 6, "num_hidden_groups": 2, "inner_group_num": 2},
    "distilbert": {**SIZES, "dim": 8, "n_layers": 3, "n_heads": 2, "hidden_dim": 11},
}  # fmt: skip
PREFIXES = {"bert": "Bert", "roberta": "Roberta", "electra": "Electra", "albert": "Albert", "distilbert": "DistilBert"}


def batch_of(family):
    pad = 1 if family == "roberta" else 0
    rows = [[2, 30, 11, 7, 19, 36, 3], [5, 29, 3, 33, pad, pad, pad], [17, pad, pad, pad, pad, pad, pad]]
    types = [[0, 0, 1, 1, 2, 2, 1], [0, 2, 2, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]]
    batch = {"input_ids": rows, "attention_mask": [[int(i != pad) for i in row] for row in rows]}
    if family != "distilbert":
        batch["token_type_ids"] = [[0] * 7] * 3 if family == "roberta" else types
    return batch


def model_of(family, suffix, **settings):
    name = PREFIXES[family] + suffix
    config = getattr(transformers, PREFIXES[family] + "Config")(**{**CONFIGS[family], **settings})
    torch.manual_seed(len(name))
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        # Far from their initial values: LayerNorm and biases count.
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    return model


def outputs_of(model, batch):
    with torch.no_grad():
        result = model(**{name: torch.tensor(rows) for name, rows in batch.items()})
    arrays = {name: value for name, value in result.items() if isinstance(value, torch.Tensor)}
    return {name: {"shape": list(v.shape), "values": v.double().flatten().tolist()} for name, v in arrays.items()}


class Maker:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.cases = []

    def add(self, name, family, reference):
        """A folder for a source, and what Transformers makes of the same weights."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        batch = batch_of(family)
        self.cases.append({"name": name, "batch": batch, "outputs": outputs_of(reference, batch)})
        return folder


# Hugging Face


def make_huggingface(maker):
    main = [
        ("bert", "ForPreTraining", {}),
        ("bert", "ForPreTraining", {"hidden_act": "gelu_new"}),
        ("bert", "ForPreTraining", {"hidden_act": "relu"}),
        ("bert", "ForPreTraining", {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3}),
        ("bert", "ForMaskedLM", {}),
        ("bert", "ForMaskedLM", {"tie_word_embeddings": False}),
        ("bert", "ForSequenceClassification", {"num_labels": 5}),
        ("bert", "ForTokenClassification", {"num_labels": 4}),
        ("bert", "ForQuestionAnswering", {}),
        ("bert", "ForNextSentencePrediction", {}),
        ("bert", "Model", {}),
        ("roberta", "ForMaskedLM", {}),
        ("roberta", "ForMaskedLM", {"tie_word_embeddings": False}),
        ("roberta", "ForSequenceClassification", {"num_labels": 5}),
        ("roberta", "ForTokenClassification", {"num_labels": 5}),
        ("roberta", "Model", {}),
        ("electra", "ForPreTraining", {"hidden_act": "gelu_new"}),
        ("electra", "ForPreTraining", {"embedding_size": 8}),
        ("electra", "ForMaskedLM", {}),
        ("electra", "ForSequenceClassification", {}),
        ("electra", "Model", {}),
        ("albert", "ForPreTraining", {}),
        ("albert", "ForPreTraining", {"hidden_act": "gelu"}),
        ("albert", "ForPreTraining", {"num_hidden_groups": 5}),
        ("albert", "ForMaskedLM", {"tie_word_embeddings": False}),
        ("albert", "ForSequenceClassification", {}),
        ("albert", "Model", {}),
        ("distilbert", "ForMaskedLM", {}),
        ("distilbert", "ForMaskedLM", {"activation": "gelu_new", "tie_word_embeddings": False}),
        ("distilbert", "ForSequenceClassification", {"num_labels": 3}),
        ("distilbert", "ForTokenClassification", {"num_labels": 3}),
        ("distilbert", "Model", {}),
    ]
    for family, suffix, settings in main:
        model = model_of(family, suffix, **settings)
        words = "".join(f"-{key}-{value}" for key, value in settings.items())
        model.save_pretrained(maker.add(f"huggingface/{family}-{suffix}{words}", family, model))
    for dtype in ["float16", "bfloat16"]:
        model = model_of("bert", "ForPreTraining").to(getattr(torch, dtype))
        folder = maker.add(f"huggingface/{dtype}", "bert", model_of("bert", "ForPreTraining").to(model.dtype).float())
        model.save_pretrained(folder)
    model = model_of("bert", "ForPreTraining")
    model.save_pretrained(maker.add("huggingface/shards", "bert", model), max_shard_size="2KB")
    for layout in ["zip", "legacy"]:
        folder = maker.add(f"huggingface/bin-{layout}", "bert", model)
        model.config.save_pretrained(folder)
        # As in 2019: every decoder, buffer and old spelling of LayerNorm's parameters is there.
        state = {k.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): v for k, v in model.state_dict().items()}
        state["bert.embeddings.position_ids"] = torch.arange(19)
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=layout == "zip")


# fairseq


def fairseq_state(model, joint, old, untied):
    """Transformers' RoBERTa under fairseq's names (convert_roberta_original_pytorch_checkpoint_to_pytorch.py, backwards)."""
    state = model.state_dict()
    root = "decoder" if old else "encoder"
    prefix = f"{root}.sentence_encoder"
    result = OrderedDict()
    embeddings = "roberta.embeddings."
    result[f"{prefix}.embed_tokens.weight"] = state[embeddings + "word_embeddings.weight"]
    result[f"{prefix}.embed_positions.weight"] = state[embeddings + "position_embeddings.weight"]
    for layer in range(CONFIGS["roberta"]["num_hidden_layers"]):
        for kind in ["weight", "bias"]:
            theirs, ours = f"roberta.encoder.layer.{layer}", f"{prefix}.layers.{layer}"
            parts = [state[f"{theirs}.attention.self.{part}.{kind}"] for part in ["query", "key", "value"]]
            if joint:
                result[f"{ours}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            else:
                for name, part in zip("qkv", parts):
                    result[f"{ours}.self_attn.{name}_proj.{kind}"] = part
            for here, there in [
                ("self_attn.out_proj", "attention.output.dense"), ("self_attn_layer_norm", "attention.output.LayerNorm"),
                ("fc1", "intermediate.dense"), ("fc2", "output.dense"), ("final_layer_norm", "output.LayerNorm"),
            ]:  # fmt: skip
                result[f"{ours}.{here}.{kind}"] = state[f"{theirs}.{there}.{kind}"]
    norm = "emb_layer_norm" if old else "layernorm_embedding"
    for kind in ["weight", "bias"]:
        result[f"{prefix}.{norm}.{kind}"] = state[f"{embeddings}LayerNorm.{kind}"]
    if not old:
        result[f"{prefix}.version"] = torch.tensor([3.0])
    if "lm_head.bias" in state:
        words = result[f"{prefix}.embed_tokens.weight"]
        result[f"{root}.lm_head.weight"] = state["lm_head.decoder.weight"] if untied else words
        result[f"{root}.lm_head.bias"] = state["lm_head.decoder.bias"]
        for name in ["dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias"]:
            result[f"{root}.lm_head.{name}"] = state[f"lm_head.{name}"]
    for name in [name for name in state if name.startswith("classifier.")]:
        result[f"classification_heads.sentence_classification_head.{name.removeprefix('classifier.')}"] = state[name]
    return result


def fairseq_arguments(untied):
    sizes = CONFIGS["roberta"]
    return {
        "arch": "roberta_base", "encoder_layers": sizes["num_hidden_layers"], "encoder_embed_dim": sizes["hidden_size"],
        "encoder_ffn_embed_dim": sizes["intermediate_size"], "encoder_attention_heads": sizes["num_attention_heads"],
        "max_positions": 17, "activation_fn": "gelu", "pooler_activation_fn": "tanh", "dropout": 0.1,
        "attention_dropout": 0.1, "activation_dropout": 0.0, "pooler_dropout": 0.0, "untie_weights_roberta": untied,
    }  # fmt: skip


def make_fairseq(maker):
    from make import config as omegaconf_config

    for name, legacy, joint, old, half, newer, suffix, untied in [
        ("2019", True, True, True, False, False, "ForMaskedLM", False),
        ("2019-half", True, True, True, True, False, "ForMaskedLM", False),
        ("2020", True, False, True, False, False, "ForMaskedLM", False),
        ("zip", False, False, False, False, False, "ForMaskedLM", False),
        ("cfg", False, False, False, True, True, "ForMaskedLM", False),
        ("untied", False, False, False, False, True, "ForMaskedLM", True),
        ("classifier", False, False, False, False, False, "ForSequenceClassification", False),
        ("encoder", False, True, False, False, False, "Model", False),
    ]:
        settings = {"tie_word_embeddings": not untied, **({"num_labels": 3} if "Classification" in suffix else {})}
        model = model_of("roberta", suffix, **settings) if suffix != "Model" else model_of("roberta", "ForMaskedLM")
        with torch.no_grad():
            base = model.roberta
            base.embeddings.token_type_embeddings.weight.zero_()
        if half:
            model = model.half().float()
        state = fairseq_state(model, joint, old, untied)
        if suffix == "Model":
            state = OrderedDict((key, value) for key, value in state.items() if "lm_head" not in key)
        if half:
            state = OrderedDict((key, value.half()) for key, value in state.items())
        arguments = fairseq_arguments(untied)
        content = {"args": None if newer else Namespace(**arguments), "model": state, "last_optimizer_state": None}
        if newer:
            content["cfg"] = omegaconf_config({"_name": None, "model": {"_name": "roberta", **arguments}})
        folder = maker.add(f"fairseq/{name}", "roberta", base if suffix == "Model" else model)
        torch.save(content, folder / "model.pt", _use_new_zipfile_serialization=not legacy)


# Google


def google_names(model, family):
    """A state dict under Google's names, kernels [in, out]."""
    result = {}
    for name, value in model.named_parameters():
        array = value.detach().numpy()
        name = name.removesuffix(".weight") if name.endswith("embeddings.weight") else name
        if name.endswith("LayerNorm.weight") or name.endswith("layer_norm.weight"):
            name = name.removesuffix("weight") + "gamma"
        elif name.endswith("LayerNorm.bias") or name.endswith("layer_norm.bias"):
            name = name.removesuffix("bias") + "beta"
        elif name.endswith(".weight") and "seq_relationship" not in name and "sop_classifier" not in name:
            name, array = name.removesuffix("weight") + "kernel", array.T
        for here, there in [
            ("cls.seq_relationship.weight", "cls.seq_relationship.output_weights"),
            ("cls.seq_relationship.bias", "cls.seq_relationship.output_bias"),
            ("sop_classifier.classifier.weight", "cls.seq_relationship.output_weights"),
            ("sop_classifier.classifier.bias", "cls.seq_relationship.output_bias"),
            ("cls.predictions.bias", "cls.predictions.output_bias"),
            ("discriminator_predictions.dense_prediction", "discriminator_predictions.dense_1"),
            ("encoder.layer.", "encoder.layer_"),
        ]:  # fmt: skip
            name = name.replace(here, there)
        if family == "albert":
            for here, there in [
                ("albert_layer_groups.", "transformer.group_"), ("albert_layers.", "inner_group_"),
                ("full_layer_layer_norm", "LayerNorm_1"), ("attention.LayerNorm", "LayerNorm"),
                ("attention.query", "attention_1.self.query"), ("attention.key", "attention_1.self.key"),
                ("attention.value", "attention_1.self.value"), ("attention.dense", "attention_1.output.dense"),
                ("ffn_output", "ffn_1.intermediate.output.dense"), ("ffn.", "ffn_1.intermediate.dense."),
                ("pooler.", "pooler.dense."), ("albert.", "bert."),
            ]:  # fmt: skip
                name = name.replace(here, there)
            if name.startswith("predictions."):
                name = name.replace("predictions.", "cls.predictions." if name == "predictions.bias" else "cls.predictions.transform.")
                name = name.replace("predictions.bias", "predictions.output_bias")
        result[name.replace(".", "/")] = array
    return result


def save_bundle(prefix, arrays):
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {name: tf.compat.v1.Variable(array, name="v") for name, array in arrays.items()}
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(prefix), write_meta_graph=False)


def make_google(maker):
    for family, suffix, extra in [
        ("bert", "ForPreTraining", {"directionality": "bidi", "pooler_type": "first_token_transform"}),
        ("albert", "ForPreTraining", {"net_structure_type": 0, "gap_size": 0, "down_scale_factor": 1}),
        ("electra", "ForPreTraining", {}),
    ]:
        model = model_of(family, suffix, hidden_act="gelu_new")
        arrays = google_names(model, family)
        if family == "electra":
            # Its generator lies in the same checkpoint, with layers of another width.
            for name, shape in [
                ("generator/embeddings_project/kernel", [6, 4]), ("generator/encoder/layer_0/intermediate/dense/bias", [5]),
                ("generator_predictions/dense/kernel", [4, 6]), ("generator_predictions/dense/bias", [6]),
                ("generator_predictions/LayerNorm/gamma", [6]), ("generator_predictions/LayerNorm/beta", [6]),
                ("generator_predictions/output_bias", [37]),
            ]:  # fmt: skip
                arrays[name] = np.ones(shape, np.float32)
        for name in list(arrays):
            arrays[name + "/adam_m"] = arrays[name + "/adam_v"] = np.zeros_like(arrays[name])
        arrays["global_step"] = np.array(1000, np.int64)
        folder = maker.add(f"tensorflow/{family}", family, model)
        save_bundle(folder / "bert_model.ckpt", arrays)
        config = {**CONFIGS[family], **extra, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
        (folder / "bert_config.json").write_text(json.dumps(config))


# What t4 has written


class Messages(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def load(folder, batch):
    messages = Messages()
    logger = logging.getLogger("transformers")
    logger.addHandler(messages)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name = json.loads((Path(folder) / "config.json").read_text())["architectures"][0]
        model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    logger.removeHandler(messages)
    problems = [f"{kind}: {key}" for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[kind]]
    problems += messages.lines + [str(each.message) for each in caught]
    return {"outputs": outputs_of(model.eval(), batch), "problems": problems, "architecture": name}


def google(folder, batch):
    """google-research/bert modeling.py, albert modeling.py and RoBERTa4Keras, in NumPy."""
    import tensorflow as tf

    prefix = f"{folder}/bert_model.ckpt"
    config = json.loads((Path(folder) / "bert_config.json").read_text())
    get = lambda name: tf.train.load_variable(prefix, name).astype(np.float64)
    variables = [[name, list(shape)] for name, shape in tf.train.list_variables(prefix)]
    names = {name for name, _ in variables}
    tanh_gelu = lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    erf_gelu = lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    # Without model_type the words are Google's, and its gelu is the tanh form.
    is_erf = config["hidden_act"] == "gelu" and "model_type" in config
    act = erf_gelu if is_erf else {"relu": lambda x: np.maximum(x, 0)}.get(config["hidden_act"], tanh_gelu)
    epsilon = config["layer_norm_eps"] if "model_type" in config else 1e-12
    dense = lambda x, scope: x @ get(scope + "/kernel") + get(scope + "/bias")

    def norm(x, scope):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * get(scope + "/gamma") + get(scope + "/beta")

    ids, mask = np.array(batch["input_ids"]), np.array(batch["attention_mask"])
    is_roberta = config.get("model_type") == "roberta"
    positions = np.where(mask == 1, 1 + np.cumsum(mask, 1), 1) if is_roberta else np.arange(ids.shape[1])[None]
    words = get("bert/embeddings/word_embeddings")
    x = words[ids] + get("bert/embeddings/position_embeddings")[positions]
    if "bert/embeddings/token_type_embeddings" in names:
        x = x + get("bert/embeddings/token_type_embeddings")[np.array(batch["token_type_ids"])]
    x = norm(x, "bert/embeddings/LayerNorm")
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]

    def block(x, attention, attention_norm, inner, outer, outer_norm):
        split = lambda part: dense(x, f"{attention}/self/{part}").reshape(*ids.shape, heads, -1).transpose(0, 2, 1, 3)
        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1]) - 10000.0 * (1 - mask[:, None, None])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = (weights / weights.sum(-1, keepdims=True)) @ value
        x = norm(x + dense(context.transpose(0, 2, 1, 3).reshape(x.shape), f"{attention}/output/dense"), attention_norm)
        return norm(x + dense(act(dense(x, inner)), outer), outer_norm)

    if "num_hidden_groups" in config:
        x = dense(x, "bert/encoder/embedding_hidden_mapping_in")
        for layer in range(layers):
            for inner in range(config["inner_group_num"]):
                scope = f"bert/encoder/transformer/group_{int(layer / layers * config['num_hidden_groups'])}/inner_group_{inner}"
                x = block(x, f"{scope}/attention_1", f"{scope}/LayerNorm", f"{scope}/ffn_1/intermediate/dense",
                          f"{scope}/ffn_1/intermediate/output/dense", f"{scope}/LayerNorm_1")  # fmt: skip
    else:
        for layer in range(layers):
            scope = f"bert/encoder/layer_{layer}"
            x = block(x, f"{scope}/attention", f"{scope}/attention/output/LayerNorm", f"{scope}/intermediate/dense",
                      f"{scope}/output/dense", f"{scope}/output/LayerNorm")  # fmt: skip
    head_act = erf_gelu if is_roberta else act
    x = norm(head_act(dense(x, "cls/predictions/transform/dense")), "cls/predictions/transform/LayerNorm")
    logits = x @ words.T + get("cls/predictions/output_bias")
    return {"outputs": {"words": {"shape": list(logits.shape), "values": logits.flatten().tolist()}}, "variables": variables}


def main():
    request = json.load(sys.stdin)
    transformers.utils.logging.disable_progress_bar()
    if "make" in request:
        transformers.utils.logging.set_verbosity_warning()
        maker = Maker(request["make"])
        for make in (make_huggingface, make_fairseq, make_google):
            make(maker)
        answer = maker.cases
    elif "load" in request:
        answer = [load(**each) for each in request["load"]]
    elif "tokenize" in request:
        tokenizers = [transformers.AutoTokenizer.from_pretrained(folder) for folder in request["tokenize"]]
        answer = [[tokenizer(text)["input_ids"] for text in request["texts"]] for tokenizer in tokenizers]
    else:
        answer = [google(**each) for each in request["google"]]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
