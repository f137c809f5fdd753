import { expect } from 'chai';
import type { ModelCard } from '../checkpoints/model-folder.js';
import { createRandom } from '../data/random.js';
import { createBatcher, type BatchSettings } from './batcher.js';
import { joinedTensors, paddedRows, pieceOfRow, piecesOfTensors, splitOutputs, type Piece } from './pieces.js';
import { isFull, planBatch } from './plan-batch.js';
import { invalid } from './rest-error.js';
import type { TextModel } from './served-export.js';
import type { Tensors } from './tensors-in.js';

const piece = (length: number, kind = 'texts', rows = 1): Piece => ({
  signature: 's',
  tensors: {},
  rows,
  length,
  kind,
  padTokenId: 0,
});

const alone: Piece = { ...piece(8), kind: undefined };

const ofLengths = (...lengths: number[]): Piece[] => lengths.map((length) => piece(length));

describe('planBatch', () => {
  const limits = { budget: 64, callCost: 0 };

  it('takes the oldest as they came, as many as fit, and what is larger alone', () => {
    expect(planBatch(ofLengths(16, 16, 16, 16, 16), limits)).to.deep.equal([[0, 1, 2, 3]]);
    expect(planBatch(ofLengths(16, 48, 8), limits)).to.deep.equal([[0], [1]]);
    expect(planBatch(ofLengths(8, 16, 48, 8), limits)).to.deep.equal([[0], [1]]);
    expect(planBatch(ofLengths(100, 100), limits)).to.deep.equal([[0]]);
    expect(planBatch([piece(8, 'a', 3), piece(8, 'a', 4), piece(8, 'a', 2)], limits)).to.deep.equal([[0, 1]]);
  });

  it('computes it in calls of like length, where padding would cost more than a call', () => {
    const waiting = ofLengths(8, 32, 8, 8, 32, 8);
    const plan = (callCost: number): number[][] => planBatch(waiting, { budget: 96, callCost });
    expect(plan(0)).to.deep.equal([
      [0, 2, 3, 5],
      [1, 4],
    ]);
    // Six rows of 32 would be more than the budget.
    expect(plan(1000)).to.deep.equal(plan(0));
    const roomy = (callCost: number): number[][] => planBatch(waiting, { budget: 1000, callCost });
    expect(roomy(95)).to.deep.equal(plan(0));
    expect(roomy(97)).to.deep.equal([[0, 1, 2, 3, 4, 5]]);
  });

  it('finds the cheapest of all cuts', () => {
    const random = createRandom(1);
    for (let trial = 0; trial < 200; trial++) {
      const waiting = ofLengths(...Array.from({ length: 1 + random(12) }, () => 8 * (1 + random(5))));
      const [budget, callCost] = [40 + random(200), random(100)];
      const calls = planBatch(waiting, { budget, callCost });
      const costOf = (call: readonly number[]): number => {
        const width = Math.max(...call.map((i) => waiting[i]!.length));
        if (call.length > 1 && call.length * width > budget) return Infinity;
        return callCost + width * paddedRows(call.length, Math.floor(budget / width));
      };
      const costs = (some: readonly (readonly number[])[]): number => some.reduce((sum, call) => sum + costOf(call), 0);
      const batch = calls.flat().sort((a, b) => waiting[a]!.length - waiting[b]!.length || a - b);
      const lengths = [...new Set(batch.map((i) => waiting[i]!.length))];
      const all = Array.from({ length: 2 ** (lengths.length - 1) }, (_, cuts) => {
        const partOf = (length: number): number =>
          lengths.slice(0, lengths.indexOf(length)).filter((_, i) => (cuts >> i) % 2 === 1).length;
        return lengths.map((_, part) => batch.filter((i) => partOf(waiting[i]!.length) === part));
      });
      const cheapest = Math.min(...all.map((parts) => costs(parts.filter((part) => part.length > 0))));
      expect(costs(calls)).to.equal(cheapest);
    }
  });

  it('joins pieces of one kind only, and those without a kind with none', () => {
    expect(planBatch([piece(8, 'a'), piece(8, 'b'), piece(8, 'a')], limits)).to.deep.equal([[0, 2]]);
    expect(planBatch([alone, alone], limits)).to.deep.equal([[0]]);
    expect(planBatch([], limits)).to.deep.equal([]);
  });

  it('knows a full batch, for which nothing is waited', () => {
    expect(isFull([piece(8), piece(8)], 24)).to.equal(false);
    expect(isFull([piece(8), piece(8, 'b'), piece(8)], 24)).to.equal(false);
    expect(isFull([piece(8), piece(8), piece(8)], 24)).to.equal(true);
    expect(isFull([alone], 24)).to.equal(true);
  });
});

describe('pieces', () => {
  const signature = { inputs: { input_ids: port(), attention_mask: port() }, outputs: {} };
  const card: ModelCard = { version: 1, task: 'classification', labels: ['a', 'b'], maxLength: 20, precision: 'fp32' };
  const text: TextModel = { assets: '', card, signature };

  function port() {
    return { tensor: 't', dtype: 'int32', shape: [-1, -1] } as const;
  }

  it('of texts are padded to a length that others have, and the last is repeated to such a number of rows', () => {
    const rows = [[5], [6, 7], [8, 9, 10], [1], [2]];
    const pieces = rows.map((ids) => pieceOfRow({ inputIds: Int32Array.from(ids), firstLength: 1 }, text, 99));
    const { input_ids: ids, attention_mask: mask } = joinedTensors(pieces, 1024);
    expect(ids!.shape).to.deep.equal([6, 8]);
    const row = (data: ArrayLike<unknown>, i: number): unknown[] => Array.from(data).slice(8 * i, 8 * i + 8);
    expect(row(ids!.data, 2)).to.deep.equal([8, 9, 10, 99, 99, 99, 99, 99]);
    expect(row(mask!.data, 2)).to.deep.equal([1, 1, 1, 0, 0, 0, 0, 0]);
    expect(row(ids!.data, 5)).to.deep.equal(row(ids!.data, 4));
    const answers = splitOutputs({ y: { shape: [6, 1], data: Float32Array.of(1, 2, 3, 4, 5, 6) } }, pieces);
    expect(answers.map(({ y }) => y!.data[0])).to.deep.equal([1, 2, 3, 4, 5]);
  });

  it('have one of few lengths, none beyond the model', () => {
    const lengths = (maxLength: number, tokens: number): number =>
      pieceOfRow({ inputIds: new Int32Array(tokens), firstLength: 1 }, { ...text, card: { ...card, maxLength } }, 0)
        .length;
    expect([1, 8, 9, 64, 65, 128, 129, 300].map((tokens) => lengths(512, tokens))).to.deep.equal([
      8, 8, 16, 64, 80, 128, 160, 320,
    ]);
    expect(lengths(20, 17)).to.equal(20);
    expect(Array.from({ length: 13 }, (_, i) => paddedRows(i + 1, 12))).to.deep.equal([
      1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 12, 12, 13,
    ]);
  });

  it('of tensors are cut to the budget, unless their first sizes differ', () => {
    const tensor = (shape: number[]) => ({ shape, data: new Int32Array(shape.reduce((a, b) => a * b, 1)) });
    const cut = piecesOfTensors('s', { a: tensor([5, 4]), b: tensor([5, 4]) }, 8, 1);
    expect(cut.map(({ rows }) => rows)).to.deep.equal([2, 2, 1]);
    expect(cut[2]!.tensors.b!.shape).to.deep.equal([1, 4]);
    const texts = piecesOfTensors('s', { text: { shape: [3], data: ['a', 'b', 'c'] } }, 32, 16);
    expect(texts.map(({ rows }) => rows)).to.deep.equal([2, 1]);
    const whole = piecesOfTensors('s', { a: tensor([5, 4]), b: tensor([1, 4]) }, 8, 1);
    expect(whole.map(({ kind }) => kind)).to.deep.equal([undefined]);
  });
});

describe('createBatcher', () => {
  const signal = new AbortController().signal;
  /** A batch begins when it is full, however slow the machine is. */
  const untilFull = (budget: number): BatchSettings => ({ budget, callCost: 0, timeoutMs: 60_000, mostWaiting: 9 });
  const numbered = (value: number): Piece => ({
    ...piece(1),
    padTokenId: undefined,
    tensors: { x: { shape: [1, 1], data: Int32Array.of(value) } },
  });

  it('tries each piece of a batch that fails by itself, so that one bad one fails alone', async () => {
    const sizes: number[] = [];
    const run = (_: string, { x }: Tensors): Promise<{ outputs: Tensors; seconds: number }> => {
      sizes.push(x!.shape[0]!);
      if (Array.from<unknown>(x!.data).includes(13)) return Promise.reject(invalid('13 is not in [0, 13)'));
      return Promise.resolve({ outputs: { y: x! }, seconds: 1 });
    };
    const batcher = createBatcher(run, untilFull(3), () => undefined);
    const answers = await Promise.allSettled([1, 13, 2].map((value) => batcher.submit([numbered(value)], signal)));
    expect(sizes).to.deep.equal([3, 1, 1, 1]);
    expect(answers.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled']);
    expect(batcher.waiting).to.equal(0);
  });

  it('answers a batch of several calls, and reports it once', async () => {
    const run = (_: string, { input_ids: x }: Tensors): Promise<{ outputs: Tensors; seconds: number }> =>
      Promise.resolve({ outputs: { y: { shape: [x!.shape[0]!], data: x!.data.slice(0, x!.shape[0]) } }, seconds: 1 });
    const reports: unknown[] = [];
    const batcher = createBatcher(run, untilFull(40), ({ rows, tokens, seconds }) =>
      reports.push({ rows, tokens, seconds }),
    );
    const long = (length: number): Piece => ({
      ...piece(length),
      tensors: { input_ids: { shape: [1, length], data: new Int32Array(length).fill(length) } },
    });
    const answers = await Promise.all([16, 8, 16].map((length) => batcher.submit([long(length)], signal)));
    expect(answers.map(([tensors]) => Array.from<unknown>(tensors!.y!.data))).to.deep.equal([[16], [8], [16]]);
    expect(reports).to.deep.equal([{ rows: 3, tokens: 40, seconds: 2 }]);
  });

  it('leaves out what nobody waits for any more', async () => {
    const ran: unknown[] = [];
    const run = (_: string, { x }: Tensors): Promise<{ outputs: Tensors; seconds: number }> => {
      ran.push(...Array.from<unknown>(x!.data));
      return Promise.resolve({ outputs: { y: x! }, seconds: 1 });
    };
    const batcher = createBatcher(run, untilFull(2), () => undefined);
    const gone = new AbortController();
    const left = batcher.submit([numbered(1)], gone.signal);
    gone.abort();
    await Promise.all([2, 3].map((value) => batcher.submit([numbered(value)], signal)));
    expect(ran).to.deep.equal([2, 3]);
    expect(await left.catch((error: unknown) => String(error))).to.contain('The client has gone');
  });
});
