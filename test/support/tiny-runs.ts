import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { lazy } from '../../src/lazy.js';
import { t4 } from './t4.js';
import { sentences, writeTinyTask } from './tiny-task.js';

/** A run of each task, trained for a step or two: once for all tests of a process, which leave it as it is. */

export const tinyKinds = ['classification', 'pairs', 'sets', 'ner', 'crf', 'spans'] as const;
export type TinyKind = (typeof tinyKinds)[number];

/** Texts of several lengths. */
export const rows = sentences(40, 4);
/** One after the other what `of` makes of each text. */
export const lines = (of: (text: string, i: number) => string): string =>
  rows.map(({ text }, i) => of(text, i)).join('');

/** The files of a task: enough to train a step or two, with texts of several lengths. */
const data: Readonly<Record<Exclude<TinyKind, 'classification'>, { name: string; text: string; settings: object }>> = {
  pairs: {
    name: 'data.tsv',
    text: `text\tother\tlabel\n${lines((text, i) => `${text}\t${rows[(i * 7) % 40]!.text}\t${'abc'.charAt(i % 3)}\n`)}`,
    settings: { columns: { text: 'text', pair: 'other', label: 'label' } },
  },
  sets: {
    name: 'data.tsv',
    text: `text\tlabel\n${lines((text, i) => `${text}\t${['x', 'x;y', '', 'z'][i % 4]!}\n`)}`,
    settings: { columns: { text: 'text', label: 'label' }, label_separator: ';' },
  },
  ner: { name: 'data.conll', text: tagged(), settings: { columns: undefined } },
  crf: { name: 'data.conll', text: tagged(), settings: { columns: undefined } },
  spans: { name: 'data.jsonl', text: lines(withEntities), settings: { columns: undefined } },
};

/** Every fourth word begins an entity of one or two words. */
function tagged(): string {
  const tags = ['O', 'B-X', 'I-X', 'O', 'B-Y', 'O'];
  return rows
    .map(({ text }) =>
      text
        .split(' ')
        .map((word, i) => `${word} ${tags[i % tags.length]!}\n`)
        .join(''),
    )
    .join('\n');
}

/** Texts without blanks around their dots, in which every second word is an entity. */
function withEntities(text: string): string {
  const joined = text.replaceAll(' .', '.');
  const entities = Array.from(joined.matchAll(/\w+/g), ({ 0: word, index }) => ({
    start: index,
    end: index + word.length,
    label: 'XY'.charAt(word.length % 2),
  })).filter((_, i) => i % 2 === 0);
  return `${JSON.stringify({ text: joined, entities })}\n`;
}

const taskOf = {
  classification: 'classification',
  pairs: 'pair-classification',
  sets: 'multi-label-classification',
  ner: 'ner',
  crf: 'ner',
  spans: 'ner',
} as const;

/** What the tests of a process share; it goes with the process. */
export const sharedFolder = lazy(() => {
  const folder = mkdtempSync(join(tmpdir(), 't4-shared-'));
  process.once('exit', () => {
    rmSync(folder, { recursive: true });
  });
  return folder;
});

const trained = new Map<TinyKind, Promise<string>>();

/** The folder of a run, called as its kind. Not to be changed. */
export function tinyRun(kind: TinyKind): Promise<string> {
  const known = trained.get(kind);
  if (known !== undefined) return known;
  const run = train(sharedFolder(), kind);
  trained.set(kind, run);
  return run;
}

async function train(folder: string, kind: TinyKind): Promise<string> {
  const files = kind === 'classification' ? undefined : data[kind];
  const split = files && { train: files.name, dev: files.name, test: undefined };
  const task = writeTinyTask(join(folder, 'tasks', kind), {
    task: taskOf[kind],
    data: { ...split, ...files?.settings },
    model: kind === 'crf' ? { crf: true } : {},
    training: { max_steps: 4 },
  });
  if (files !== undefined) writeFileSync(join(task.folder, files.name), files.text);
  const run = join(folder, 'runs', kind);
  const { code, stderr } = await t4('finetune', '--task', task.file, '--output', run);
  expect(code, stderr).to.equal(0);
  return run;
}
