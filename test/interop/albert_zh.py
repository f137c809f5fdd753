"""Writes the variables of an ALBERT of albert_zh's first format as TensorFlow 1 writes a checkpoint, with
the graph of brightmart/albert_zh in variable scopes, and prints what that graph computes.

Reads {"prefix", "config", "weights", "inputs"} from stdin: weights by name as {"shape", "values"}, inputs as rows under
BERT's names. Prints {"states", "pooled", "words"}, each {"shape", "values"}, in float32.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def dense(x, width, name, activation=None):
    with v1.variable_scope(name):
        kernel = v1.get_variable("kernel", [x.shape[-1], width])
        bias = v1.get_variable("bias", [width])
    y = tf.einsum("...i,io->...o", x, kernel) + bias
    return y if activation is None else activation(y)


def layer_norm(x, epsilon):
    with v1.variable_scope("LayerNorm"):
        beta = v1.get_variable("beta", [x.shape[-1]])
        gamma = v1.get_variable("gamma", [x.shape[-1]])
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def layer(x, mask, config):
    hidden, heads, epsilon = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]
    batch, length = mask.shape

    def split(y):
        return tf.transpose(tf.reshape(y, [batch, length, heads, hidden // heads]), [0, 2, 1, 3])

    with v1.variable_scope("attention"):
        with v1.variable_scope("self"):
            query, key, value = (split(dense(x, hidden, name)) for name in ("query", "key", "value"))
            scores = tf.matmul(query, key, transpose_b=True) / np.sqrt(hidden / heads).astype(np.float32)
            scores += (1.0 - tf.cast(mask[:, None, None, :], tf.float32)) * -10000.0
            context = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), [0, 2, 1, 3])
        with v1.variable_scope("output"):
            context = tf.reshape(context, [batch, length, hidden])
            attended = layer_norm(dense(context, hidden, "dense") + x, epsilon)
    with v1.variable_scope("intermediate"):
        wide = dense(attended, config["intermediate_size"], "dense", lambda y: tf.nn.gelu(y, approximate=True))
    with v1.variable_scope("output"):
        return layer_norm(dense(wide, hidden, "dense") + attended, epsilon)


def model(inputs, config):
    ids, types, mask = (np.asarray(inputs[name]) for name in ("input_ids", "token_type_ids", "attention_mask"))
    hidden, narrow, epsilon = config["hidden_size"], config["embedding_size"], config["layer_norm_eps"]
    with v1.variable_scope("bert"):
        with v1.variable_scope("embeddings"):
            words = v1.get_variable("word_embeddings", [config["vocab_size"], narrow])
            projection = v1.get_variable("word_embeddings_2", [narrow, hidden])
            segments = v1.get_variable("token_type_embeddings", [config["type_vocab_size"], hidden])
            positions = v1.get_variable("position_embeddings", [config["max_position_embeddings"], hidden])
            embedded = tf.einsum("...e,eh->...h", tf.gather(words, ids), projection)
            embedded += tf.gather(segments, types) + positions[: ids.shape[1]]
            states = layer_norm(embedded, epsilon)
        with v1.variable_scope("encoder"):
            for _ in range(config["num_hidden_layers"]):
                with v1.variable_scope("layer_shared", reuse=v1.AUTO_REUSE):
                    states = layer(states, mask, config)
        with v1.variable_scope("pooler"):
            pooled = dense(states[:, 0], hidden, "dense", tf.tanh)
    with v1.variable_scope("cls/predictions"):
        with v1.variable_scope("transform"):
            guess = dense(states, hidden, "dense", lambda y: tf.nn.gelu(y, approximate=True))
            guess = layer_norm(guess, epsilon)
        bias = v1.get_variable("output_bias", [config["vocab_size"]])
        logits = tf.einsum("...h,eh,ve->...v", guess, projection, words) + bias
    return {"states": states, "pooled": pooled, "words": logits}


def main():
    request = json.load(sys.stdin)
    with tf.Graph().as_default(), v1.Session() as session:
        outputs = model(request["inputs"], request["config"])
        for variable in v1.global_variables():
            weight = request["weights"][variable.op.name]
            variable.load(np.array(weight["values"], np.float32).reshape(weight["shape"]), session)
        v1.train.Saver().save(session, request["prefix"], write_meta_graph=False)
        answer = session.run(outputs)
    print(json.dumps({key: {"shape": value.shape, "values": value.ravel().tolist()} for key, value in answer.items()}))


main()
