import { differentiable } from '../graph/ops.js';
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
  return differentiable(
    [x],
    (save) => {
      const cdf = tf.add(tf.mul(tf.erf(tf.mul(x, Math.SQRT1_2)), 0.5), 0.5);
      save([x, cdf]);
      return tf.mul(x, cdf);
    },
    (dy, [input, cdf]) => {
      const exponent = tf.mul(tf.square(input!), -0.5);
      const density = tf.mul(tf.exp(exponent), 1 / Math.sqrt(2 * Math.PI));
      return [tf.mul(dy, tf.add(cdf!, tf.mul(input!, density)))];
    },
  );
}

const tanhScale = Math.sqrt(2 / Math.PI);
const cubicTerm = 0.044715;

/** 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): google-research/bert `gelu`. Any shape, float32. */
function geluTanh(x: Tensor): Tensor {
  return differentiable(
    [x],
    (save) => {
      const inner = tf.mul(tf.mul(x, tanhScale), tf.add(tf.mul(tf.square(x), cubicTerm), 1));
      const t = tf.tanh(inner);
      save([x, t]);
      return tf.mul(tf.mul(x, 0.5), tf.add(t, 1));
    },
    (dy, [input, t]) => {
      // y' = 0.5 (1 + t) + 0.5 x (1 - t^2) sqrt(2/pi) (1 + 3 * 0.044715 x^2)
      const left = tf.mul(tf.add(t!, 1), 0.5);
      const slope = tf.add(tf.mul(tf.square(input!), 3 * cubicTerm * tanhScale), tanhScale);
      const right = tf.mul(tf.mul(tf.mul(input!, 0.5), tf.sub(1, tf.square(t!))), slope);
      return [tf.mul(dy, tf.add(left, right))];
    },
  );
}

/** x * sigmoid(x) (Ramachandran et al., arXiv:1710.05941). Any shape, float32. */
function swish(x: Tensor): Tensor {
  return differentiable(
    [x],
    (save) => {
      const gate = tf.sigmoid(x);
      save([x, gate]);
      return tf.mul(x, gate);
    },
    (dy, [input, gate]) => [tf.mul(dy, tf.mul(gate!, tf.add(tf.mul(input!, tf.sub(1, gate!)), 1)))],
  );
}
