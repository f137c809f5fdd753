import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { writeSavedModel } from '../../graph/saved-model.js';
import { loadSession, type HostTensor } from '../../graph/session.js';
import { wordSplitter } from '../../data/word-splitter.js';
import type { LoadedTokenizer, Word } from '../../tokenization/tokenizer.js';
import { textInputs, type TextSettings } from './text-inputs.js';

/** UTF-8, also what is none. */
export type TestText = string | Uint8Array;

/** The tokenizer's graph alone, for tests. */
export interface TextModel {
  /** What the model would be fed, row by row. */
  run(texts: readonly TestText[], pairs?: readonly TestText[]): Record<string, HostTensor>;
  dispose(): void;
}

/** Writes a SavedModel whose one signature, `tokenize`, makes tokens of texts, and loads it with TensorFlow's own loader. */
export function openTextModel(folder: string, tokenizer: LoadedTokenizer, settings: TextSettings): TextModel {
  const made = textInputs(tokenizer, settings);
  if (typeof made === 'string') throw new Error(made);
  const assets = join(folder, 'assets');
  mkdirSync(assets, { recursive: true });
  const { name, text } = made.vocabulary;
  if (text !== undefined) writeFileSync(join(assets, name), text);
  else copyFileSync(join(dirname(tokenizer.files[0]!), basename(name)), join(assets, name));
  const signatures = { tokenize: { inputs: made.inputs, outputs: { ...made.outputs, ...made.places } } };
  writeSavedModel({ nodes: made.nodes, signatures }, folder, undefined, made.init);
  const session = loadSession(folder, signatures);
  // tfjs takes bytes for strings, where all of them are bytes.
  const strings = (texts: readonly TestText[]): HostTensor => {
    const bytes: unknown[] = texts.map((text) => (typeof text === 'string' ? new TextEncoder().encode(text) : text));
    return { shape: [texts.length], data: bytes as string[] };
  };
  return {
    run: (texts, pairs) =>
      session.run('tokenize', { text: strings(texts), ...(pairs === undefined ? {} : { pair: strings(pairs) }) }),
    dispose: () => {
      session.dispose();
    },
  };
}

/** What the tokenizer itself makes of the same texts, padded to the longest. */
export function ownInputs(
  tokenizer: LoadedTokenizer,
  { maxLength, words }: TextSettings,
  texts: readonly TestText[],
  pairs?: readonly TestText[],
): Record<string, HostTensor> {
  const decoded = (text: TestText): string =>
    typeof text === 'string' ? text : new TextDecoder('utf-8', { ignoreBOM: true }).decode(text);
  const encodings = texts.map((text, i): Encoding => {
    if (words !== undefined) return encodedWords(tokenizer, wordSplitter(words, tokenizer)(decoded(text)), maxLength);
    const pair = pairs?.[i];
    return tokenizer.encode(decoded(text), pair === undefined ? undefined : decoded(pair), maxLength);
  });
  const longest = encodings.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 0);
  const tensor = (valueAt: (encoding: Encoding, place: number) => number, padding: number): HostTensor => ({
    shape: [texts.length, longest],
    data: Int32Array.from({ length: texts.length * longest }, (_, i) => {
      const [encoding, place] = [encodings[Math.floor(i / longest)]!, i % longest];
      return place < encoding.inputIds.length ? valueAt(encoding, place) : padding;
    }),
  });
  return {
    input_ids: tensor(({ inputIds }, place) => inputIds[place]!, tokenizer.padTokenId),
    token_type_ids: tensor(({ firstLength }, place) => Number(place >= firstLength), 0),
    attention_mask: tensor(() => 1, 0),
    ...(words === undefined ? {} : { word_mask: tensor(({ wordMask }, place) => wordMask![place]!, 0) }),
  };
}

interface Encoding {
  readonly inputIds: ArrayLike<number>;
  readonly firstLength: number;
  /** 1 where a word begins. */
  readonly wordMask?: readonly number[];
}

function encodedWords(tokenizer: LoadedTokenizer, words: readonly Word[], maxLength: number): Encoding {
  const { before, after } = tokenizer.single;
  const cut = (of: (ids: readonly number[]) => readonly number[]): number[] =>
    words.flatMap(({ ids }) => of(ids)).slice(0, tokenizer.roomFor(maxLength));
  const inputIds = [...before, ...cut((ids) => ids), ...after];
  const isFirst = cut((ids) => ids.map((_, i) => Number(i === 0)));
  const wordMask = [...before.map(() => 0), ...isFirst, ...after.map(() => 0)];
  return { inputIds, firstLength: inputIds.length, wordMask };
}
