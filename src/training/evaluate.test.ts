import { expect } from 'chai';
import type { Batch } from '../data/batches.js';
import type { EncodedDataset } from '../data/encode.js';
import { idsInMemory } from '../data/token-ids.js';
import { predictDataset } from './evaluate.js';
import type { Outputs } from './trainer.js';
import { labelledExamples } from './label-evaluation.js';

/** Examples of the given numbers of tokens; the first token of example i is i. */
function dataset(lengths: readonly number[], labels: readonly number[]): EncodedDataset {
  const starts = Float64Array.from(lengths, (_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
  const ids = Uint16Array.from(lengths.flatMap((length, i) => Array.from({ length }, () => i)));
  const firstLength = Uint16Array.from(lengths);
  return {
    size: lengths.length,
    ids: idsInMemory(ids),
    starts,
    lengths: firstLength,
    firstLength,
    labels: Int32Array.from(labels),
    labelled: 'example',
    maxLength: 64,
    truncatedCount: 0,
  };
}

const settings = { numLabels: 3, padTokenId: 0 };

/** Says class (first token mod 3), with a logit of 2 against 0. */
const byFirstToken = (batch: Batch): Outputs => {
  const logits = new Float32Array(batch.size * 3);
  for (let row = 0; row < batch.size; row++) logits[row * 3 + (batch.inputIds[row * batch.length]! % 3)] = 2;
  return { logits, field: undefined };
};

describe('evaluation', () => {
  const lengths = Array.from({ length: 70 }, (_, i) => 1 + ((i * 37) % 60));
  const data = dataset(
    lengths,
    lengths.map((_, i) => i % 3),
  );

  it('runs the longest first and gives its answers in the order of the file', async () => {
    const shapes: [number, number][] = [];
    const predictions = await predictDataset(
      (batch) => {
        shapes.push([batch.size, batch.length]);
        return byFirstToken(batch);
      },
      data,
      settings,
    );
    expect(shapes.map(([size]) => size)).to.deep.equal([32, 51]);
    expect(shapes.map(([, length]) => length)).to.deep.equal(
      [...shapes.map(([, length]) => length)].sort((a, b) => b - a),
    );
    expect(shapes.every(([, length]) => length % 8 === 0)).to.be.true;
    expect([...predictions!.classes]).to.deep.equal(lengths.map((_, i) => i % 3));
    const high = Math.exp(2) / (Math.exp(2) + 2);
    expect(predictions!.probabilities[3 * 4 + 1]).to.be.closeTo(high, 1e-6);
    expect(predictions!.loss).to.be.closeTo(-Math.log(high), 1e-9);
  });

  it('measures only what has a label, and is NaN where nothing has', async () => {
    const half = dataset([3, 3, 3], [0, -1, 0]);
    const predictions = await predictDataset(byFirstToken, half, settings);
    const [right, wrong] = [Math.log(Math.exp(2) + 2) - 2, Math.log(Math.exp(2) + 2)];
    expect(predictions!.loss).to.be.closeTo((right + wrong) / 2, 1e-9);
    expect((await predictDataset(byFirstToken, dataset([2], [-1]), settings))!.loss).to.be.NaN;
  });

  it('takes the first of equal scores, and logits of any size', async () => {
    const logits = Float32Array.of(1e30, 1e30, -1e30);
    const predictions = await predictDataset(() => ({ logits, field: undefined }), dataset([2], [1]), settings);
    expect(predictions!.classes[0]).to.equal(0);
    expect([...predictions!.probabilities]).to.deep.equal([0.5, 0.5, 0]);
  });

  it('tells of its progress, and ends where it is told to', async () => {
    const told: number[] = [];
    const set = labelledExamples(data, ['a', 'b', 'c'], 0);
    const whole = await set.evaluate(byFirstToken, (done) => told.push(done) > 0);
    expect(told).to.deep.equal([32, 70]);
    expect(whole?.scores.accuracy).to.equal(1);
    expect(await set.evaluate(byFirstToken, (done) => done < 32)).to.equal(undefined);
  });
});
