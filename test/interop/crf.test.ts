import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import {
  buildProgram,
  dimension,
  openSession,
  tf,
  writeSavedModel,
  type HostTensor,
  type NamedTensors,
  type Program,
  type Tensor,
  type TensorSpec,
} from '../../src/graph/index.js';
import { dtypeOf, floats, integers, numbersOf } from '../../src/graph/testing.js';
import { crfNegativeLogLikelihood, viterbi, type CrfReduction } from '../../src/models/crf.js';
import { transitionRules, type TransitionRules } from '../../src/models/crf-rules.js';
import { arraySchema, askPython } from './python.js';

const reductions = ['sum', 'mean', 'token_mean'] as const satisfies CrfReduction[];

/** B batch, W words, L labels. */
interface Case {
  labels: number;
  batch: number;
  words: number;
  reduction: (typeof reductions)[number];
  emissions: number[];
  tags: number[];
  mask: number[];
  transitions: number[];
  start: number[];
  end: number[];
  rules: TransitionRules | undefined;
}

type Random = (n: number) => number;

/** `O`, and B- and I- of as many types as there is room for. */
const labelNames = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => (i === 0 ? 'O' : `${'BI'[(i + 1) % 2]!}-${Math.ceil(i / 2)}`));

/** Those that the batches have, with and without rules and every reduction. */
const labelCounts = [2, 3, 4, 5, 7, 9, 10, 14, 19, 24, 30];

const reductionOf = (labels: number): (typeof reductions)[number] => reductions[labelCounts.indexOf(labels) % 3]!;

const rulesOf = (labels: number): TransitionRules | undefined =>
  labels % 2 === 1 ? transitionRules(labelNames(labels), 'IOB2') : undefined;

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

/** Tags of one row that keep to the rules; behind its last word anything that is a label. */
function randomTags(random: Random, labels: number, words: number, rules: TransitionRules | undefined): number[] {
  const tags: number[] = [];
  for (let t = 0; t < words; t++) {
    const penalties = t === 0 ? rules?.start : rules?.transitions.slice(tags[t - 1]! * labels).slice(0, labels);
    const allowed = times(labels, (label) => label).filter((label) => (penalties?.[label] ?? 0) === 0);
    tags.push(allowed[random(allowed.length)]!);
  }
  return tags;
}

function randomCase(labels: number, number: number): Case {
  const random = createRandom(31, labels, number);
  const [batch, words] = [1 + random(6), 1 + random(24)];
  // Few whole numbers: many paths are equally good.
  const hasTies = number % 3 === 2;
  const scale = 1 + random(8);
  const value = (): number => Math.fround(hasTies ? random(3) : scale * (random(2 ** 24) / 2 ** 23 - 1));
  const rules = rulesOf(labels);
  const lengths = times(batch, () => 1 + random(words));
  return {
    labels,
    batch,
    words,
    reduction: reductionOf(labels),
    emissions: times(batch * words * labels, value),
    tags: lengths.flatMap(() => randomTags(random, labels, words, rules)),
    mask: lengths.flatMap((length) => times(words, (t) => Number(t < length))),
    transitions: times(labels * labels, value),
    start: times(labels, value),
    end: times(labels, value),
    rules,
  };
}

function inputsOf(one: Case): Record<string, HostTensor> {
  const { labels, batch, words } = one;
  return {
    emissions: floats([batch, words, labels], one.emissions),
    mask: integers([batch, words], one.mask),
    transitions: floats([labels, labels], one.transitions),
    start: floats([labels], one.start),
    end: floats([labels], one.end),
  };
}

const tagsOf = ({ batch, words, tags }: Case): HostTensor => integers([batch, words], tags);

const withoutRules = (labels: number): TransitionRules => ({
  transitions: times(labels * labels, () => 0),
  start: times(labels, () => 0),
  end: times(labels, () => 0),
});

const weightsOf = ({ transitions, start, end }: NamedTensors) => ({
  transitions: transitions!,
  startTransitions: start!,
  endTransitions: end!,
});

/** `loss` with the gradients, and `viterbi`. */
function program(labels: number): Program {
  const [batch, words] = [dimension('batch'), dimension('words')];
  const rules = rulesOf(labels);
  const numbers: TensorSpec = { dtype: 'int32', shape: [batch, words] };
  const inputs: Record<string, TensorSpec> = {
    emissions: { dtype: 'float32', shape: [batch, words, labels] },
    mask: numbers,
    transitions: { dtype: 'float32', shape: [labels, labels] },
    start: { dtype: 'float32', shape: [labels] },
    end: { dtype: 'float32', shape: [labels] },
  };
  return buildProgram({
    variables: [],
    functions: {
      loss: {
        inputs: { ...inputs, tags: numbers },
        build(given) {
          const lossOf = (emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor): Tensor =>
            crfNegativeLogLikelihood(
              { emissions, tags: given.tags!, mask: given.mask! },
              weightsOf({ transitions, start, end }),
              rules,
              reductionOf(labels),
            );
          const differentiated = [given.emissions!, given.transitions!, given.start!, given.end!];
          const { value, grads } = tf.valueAndGrads(lossOf)(differentiated);
          return { loss: value, ...Object.fromEntries(grads.map((gradient, i) => [`gradient_${i}`, gradient])) };
        },
      },
      viterbi: {
        inputs,
        build: (given) => ({
          tags: viterbi({ emissions: given.emissions!, mask: given.mask! }, weightsOf(given), rules),
        }),
      },
    },
  });
}

const answerSchema = z.object({
  cases: z.array(
    z.object({
      loss: z.number(),
      gradients: z.array(z.array(z.number())),
      paths: z.array(z.array(z.number())),
    }),
  ),
  outputs: z.array(z.record(z.string(), arraySchema)),
});

type Outputs = z.infer<typeof answerSchema>['outputs'][number];

const portable = (inputs: Readonly<Record<string, HostTensor>>) =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [
      name,
      { dtype: dtypeOf(tensor), shape: tensor.shape, values: numbersOf(tensor) },
    ]),
  );

/** Largest difference, relative to the larger of 1 and the expected number. */
function difference(got: readonly number[], expected: readonly number[]): number {
  expect(got).to.have.length(expected.length);
  return Math.max(...expected.map((value, i) => Math.abs(got[i]! - value) / Math.max(1, Math.abs(value))));
}

describe('a conditional random field beside pytorch-crf', () => {
  const root = mkdtempSync(join(tmpdir(), 't4-crf-'));
  after(() => {
    rmSync(root, { recursive: true });
  });

  it('has its loss, gradients and paths for random batches; Python runs its program', () => {
    const cases = labelCounts.flatMap((labels) => times(6, (number) => randomCase(labels, number)));
    const inPython = cases.filter(({ labels }) => labels === 7);
    writeSavedModel(program(7), root);

    const answer = askPython(
      'crf.py',
      {
        cases: cases.map(({ rules, ...one }) => ({ ...one, penalties: rules ?? withoutRules(one.labels) })),
        model: root,
        calls: inPython.flatMap((one) => [
          { signature: 'loss', inputs: portable({ ...inputsOf(one), tags: tagsOf(one) }) },
          { signature: 'viterbi', inputs: portable(inputsOf(one)) },
        ]),
      },
      answerSchema,
    );

    let ranInPython = 0;
    for (const labels of labelCounts) {
      const session = openSession(program(labels));
      cases.forEach((one, i) => {
        if (one.labels !== labels) return;
        const expected = answer.cases[i]!;
        const what = `${labels} labels, [${one.batch}, ${one.words}], ${one.reduction}`;
        const inputs = inputsOf(one);
        const { loss, ...gradients } = session.run('loss', { ...inputs, tags: tagsOf(one) });
        expect(difference(numbersOf(loss!), [expected.loss]), `loss of ${what}`).to.be.at.most(1e-5);
        Object.values(gradients).forEach((gradient, k) => {
          const distance = difference(numbersOf(gradient), expected.gradients[k]!);
          expect(distance, `gradient ${k} of ${what}`).to.be.at.most(1e-5);
        });
        const found = numbersOf(session.run('viterbi', inputs).tags!);
        const paths = expected.paths.flatMap((path) => times(one.words, (t) => path[t] ?? 0));
        expect(found, `paths of ${what}`).to.deep.equal(paths);

        const place = inPython.indexOf(one);
        if (place < 0) return;
        ranInPython++;
        const [lossInPython, pathInPython] = answer.outputs.slice(2 * place) as [Outputs, Outputs];
        for (const [name, tensor] of Object.entries({ loss: loss!, ...gradients })) {
          expect(lossInPython[name]!.shape).to.deep.equal(tensor.shape);
          expect(difference(lossInPython[name]!.values, numbersOf(tensor)), `${name} in Python`).to.be.at.most(1e-6);
        }
        expect(pathInPython.tags).to.deep.equal({ shape: [one.batch, one.words], values: found });
      });
      session.dispose();
    }
    expect(ranInPython).to.equal(6);
  });
});
