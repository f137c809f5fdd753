import { expect } from 'chai';
import { productFlops } from '../graph/index.js';
import { bertConfigSchema } from '../models/bert-config.js';
import { fieldTokenClassifier, sequenceClassifier, type Network } from '../models/network.js';
import { adamW } from './adamw.js';
import { fgm } from './adversary.js';
import { trainingProgram } from './program.js';
import { plainStep, type Techniques } from './techniques.js';

const [hidden, layers, intermediate, labels] = [16, 3, 26, 5];
const config = bertConfigSchema.parse({
  vocab_size: 31,
  hidden_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: 2,
  intermediate_size: intermediate,
});
const optimizer = adamW({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });
const [size, length] = [3, 7];

function flopsOf(network: Network, techniques: Partial<Techniques>, name = 'train'): number {
  const program = trainingProgram({
    network,
    precision: 'fp32',
    optimizer,
    maxGradNorm: 1,
    techniques: { ...plainStep, ...techniques },
  });
  return productFlops(program, name)!({ batch: size, sequence: length });
}

/** Of one layer, forward, for `queries` tokens of each sequence. */
function layer(queries: number): number {
  const keysAndValues = 2 * size * length * 2 * hidden * hidden;
  const queriesAndRest = 2 * size * queries * (2 * hidden * hidden + 2 * hidden * intermediate);
  const attention = 2 * 2 * size * queries * length * hidden;
  return keysAndValues + queriesAndRest + attention;
}

describe('the floating-point operations of a training step', () => {
  const network = sequenceClassifier(config, labels);
  const whole = (layers - 1) * layer(length);
  const forward = whole + layer(1) + 2 * size * (hidden * hidden + hidden * labels);

  it('are those of the forward pass and twice as many for the way back, of the last layer for the first tokens', () => {
    expect(flopsOf(network, {}, 'predict')).to.equal(forward);
    expect(flopsOf(network, {})).to.equal(3 * forward);
  });

  const passes: [title: string, techniques: Partial<Techniques>, expected: number][] = [
    ['of two passes with FGM', { adversary: fgm(1) }, 2 * 3 * forward],
    ['of two passes with R-Drop', { rDrop: 1 }, 2 * 3 * forward],
    ['of all layers but the last once more where they are computed again', { recompute: true }, 3 * forward + whole],
    ['of each batch where several make a step', { gradientAccumulation: 2 }, 3 * forward],
  ];
  for (const [title, techniques, expected] of passes) {
    it(`are those ${title}`, () => {
      expect(flopsOf(network, techniques)).to.equal(expected);
    });
  }

  it('are known with a CRF, too, whose loop is no product of matrices', () => {
    const forwardOfTokens = layers * layer(length) + 2 * size * length * hidden * labels;
    expect(flopsOf(fieldTokenClassifier(config, labels, undefined), {})).to.equal(3 * forwardOfTokens);
  });
});
