import { expect } from 'chai';
import { modelConfigSchema } from '../models/model-config.js';
import { sequenceClassifier } from '../models/network.js';
import { adamW } from './adamw.js';
import { trainingProgram } from './program.js';
import { openTrainer } from './trainer.js';

const deviation = 0.02;
const network = sequenceClassifier(
  modelConfigSchema.parse({
    vocab_size: 4000,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 24,
    initializer_range: deviation,
  }),
  3,
);
const optimizer = adamW({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });

/** The first values of every variable, by name. */
function firstValues(seed: number): Map<string, Float32Array> {
  const program = trainingProgram({ network, precision: 'fp32', optimizer, maxGradNorm: 1 });
  const trainer = openTrainer(program, { optimizer, seed: 1 });
  try {
    trainer.initialize(seed);
    const read = trainer.weightReader();
    return new Map(network.variables.map(({ name }) => [name, read(name)]));
  } finally {
    trainer.dispose();
  }
}

describe('the first weights', () => {
  const values = firstValues(42);
  const words = values.get('bert/embeddings/word_embeddings')!; // 64,000 of them

  it('of a table are normal numbers, cut at two standard deviations', () => {
    const sorted = Float64Array.from(words, (value) => value / deviation).sort();
    // Quantiles of the normal distribution, cut at 2: scipy.stats.truncnorm.ppf(q, -2, 2).
    for (const [share, quantile] of [
      [0.01, -1.8481],
      [0.1, -1.184],
      [0.25, -0.6391],
      [0.5, 0],
      [0.75, 0.6391],
      [0.9, 1.184],
      [0.99, 1.8481],
    ] as const) {
      expect(sorted[Math.floor(share * sorted.length)], `quantile ${share}`).to.be.closeTo(quantile, 0.03);
    }
    expect(sorted[0]).to.be.within(-2, -1.95);
    expect(sorted.at(-1)).to.be.within(1.95, 2);
  });

  it('are ones for gamma and zeros for biases', () => {
    expect(new Set(values.get('bert/embeddings/LayerNorm/gamma'))).to.deep.equal(new Set([1]));
    expect(new Set(values.get('classifier/bias'))).to.deep.equal(new Set([0]));
  });

  it('repeat with the seed, and differ with it and between variables', () => {
    expect(firstValues(42)).to.deep.equal(values);
    expect(firstValues(43).get('classifier/kernel')).not.to.deep.equal(values.get('classifier/kernel'));
    const [query, key] = ['query', 'key'].map((part) =>
      values.get(`bert/encoder/layer_0/attention/self/${part}/kernel`),
    );
    expect(query).not.to.deep.equal(key);
  });
});

describe('a training step', () => {
  it('has no sum whose order is a matter of threads', () => {
    const { nodes } = trainingProgram({ network, precision: 'bf16', optimizer, maxGradNorm: 1 });
    const ops = new Set(nodes.map(({ op }) => op));
    expect(ops).to.include('Sum').and.not.include('AddN');
  });
});
