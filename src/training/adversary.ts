import { tf, type Tensor } from '../graph/index.js';
import { globalNorm } from './optimizer.js';

/**
 * FGM, adversarial training of the word embeddings (Miyato, Dai and Goodfellow 2017, arXiv:1605.07725, with the table
 * itself in the place of each text's embeddings: kexue.fm/archives/7234, bert4keras, bert4pytorch). The table E moves by
 * epsilon in the direction in which the loss grows fastest,
 *
 *   r = epsilon * g / ||g||,   g = d loss / d E,   || || over the whole table,
 *
 * the loss is differentiated once more at E + r, and the sum of both gradients is what the optimizer gets (bert4pytorch;
 * bert4keras takes the second alone). A gradient of 0 moves nothing.
 */
export const perturbation = (gradient: Tensor, epsilon: number): Tensor =>
  tf.mul(gradient, tf.div(epsilon, tf.maximum(globalNorm([gradient]), smallest)));

/** Keeps a division by the norm of a gradient of 0 finite. */
const smallest = 1e-30;

/** Whether a variable is the table of word embeddings, in every family of models. */
export const isWordTable = (name: string): boolean => name.endsWith('/embeddings/word_embeddings');
