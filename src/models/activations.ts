import * as fused from '../graph/fused-ops.js';
import { differentiable, opaque } from '../graph/ops.js';
import { tf, type Tensor } from '../graph/index.js';
import type { ActivationName } from './activation-names.js';

/**
 * The one activation table. Keys are Hugging Face's names (transformers/activations.py); there "gelu" is the
 * exact form with erf, while Google's TensorFlow code means the tanh form by the same word: whoever reads a
 * Google configuration maps "gelu" to "gelu_new" before it comes here.
 */
export const activations: Readonly<Record<ActivationName, (x: Tensor) => Tensor>> = {
  gelu: geluErf,
  gelu_python: geluErf,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_fast: geluTanh,
  relu: (x) => tf.relu(x),
  silu: swish,
  swish,
  tanh: (x) => tf.tanh(x),
};

/** x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, arXiv:1606.08415). Any shape, float32. */
function geluErf(x: Tensor): Tensor {
  if (fused.isFusing()) return fusedGelu(x, false);
  return differentiable(
    [x],
    (save) => {
      const u = tf.mul(x, Math.SQRT1_2);
      const cdf = tf.add(tf.mul(tf.erf(u), 0.5), 0.5);
      // The slope is taken here and not in the backward pass: it is one tensor to keep instead of two (x and cdf), of
      // the widest that a layer has. Where no gradient is asked for, nothing uses it and it is left out of the graph.
      // x times the density exp(-x^2 / 2) / sqrt(2 pi) is u exp(-u^2 - log(pi) / 2): few passes over the memory.
      const slope = tf.mul(u, tf.exp(tf.sub(-0.5 * Math.log(Math.PI), tf.square(u))));
      save([tf.add(slope, cdf)]);
      return tf.mul(x, cdf);
    },
    (dy, [slope]) => [tf.mul(dy, slope!)],
  );
}

const fusedGelu = (x: Tensor, tanh: boolean): Tensor =>
  differentiable(
    [x],
    (save) => {
      save([x]);
      return fused.gelu(x, tanh);
    },
    (dy, [input]) => [fused.geluGrad(dy, input!, tanh)],
  );

const tanhScale = Math.sqrt(2 / Math.PI);
const cubicTerm = 0.044715;

/** 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): google-research/bert `gelu`. Any shape, float32. */
function geluTanh(x: Tensor): Tensor {
  if (fused.isFusing()) return fusedGelu(x, true);
  return differentiable(
    [x],
    (save) => {
      const squared = tf.mul(tf.square(x), cubicTerm);
      const t = tf.tanh(tf.mul(tf.mul(x, tanhScale), tf.add(squared, 1)));
      const half = tf.mul(x, 0.5);
      // y' = 0.5 (1 + t) + 0.5 x (1 - t^2) sqrt(2/pi) (1 + 3 * 0.044715 x^2)
      const inner = tf.add(tf.mul(squared, 3 * tanhScale), tanhScale);
      const curved = tf.mul(tf.mul(half, tf.sub(1, tf.square(t))), inner);
      save([tf.add(tf.mul(tf.add(t, 1), 0.5), curved)]);
      return tf.mul(half, tf.add(t, 1));
    },
    (dy, [slope]) => [tf.mul(dy, slope!)],
  );
}

/** x * sigmoid(x) (Ramachandran et al., arXiv:1710.05941). Any shape, float32. */
function swish(x: Tensor): Tensor {
  return differentiable(
    [x],
    (save) => {
      const gate = tf.sigmoid(x);
      save([x, gate]);
      // TensorFlow fuses the two where nothing else needs `gate`, and rounds differently (layerNorm in layers.ts).
      return tf.mul(x, opaque(gate));
    },
    (dy, [input, gate]) => [tf.mul(dy, tf.mul(gate!, tf.add(tf.mul(input!, tf.sub(1, gate!)), 1)))],
  );
}
