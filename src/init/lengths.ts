import { percentile } from '../metrics/percentile.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import { formatCount } from '../ui/format.js';
import { spread } from './columns.js';

/** A text, a pair of them, or a sentence in words. */
export type Sample =
  { readonly text: string; readonly pair?: string | undefined } | { readonly words: readonly string[] };

/** The examples of one file. */
export interface SampleFile {
  /** For the reader of the task. */
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** How long the examples of a file are, in tokens with the special ones. */
export interface Lengths {
  readonly file: string;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** Whether they were counted with a tokenizer; false: estimated from characters. */
  readonly counted: boolean;
}

export interface MaxLength {
  readonly value: number;
  readonly why: string;
  /** Of the file that needs the most. */
  readonly lengths: Lengths;
}

/** So many texts say how long the others are. */
const sampleSize = 10_000;

/** Fewer lengths that TensorFlow has to prepare for, and multiples of 8, as batches are padded. */
const steps = [32, 48, 64, 96, 128, 192, 256, 384, 512];

/**
 * The most tokens of an example, so that few are cut; long ones cost more than they are worth.
 *
 * @param files those that are trained and measured on: texts to measure on may be longer than those to train on
 * @param most what the model takes
 */
export function chooseMaxLength(
  files: readonly SampleFile[],
  tokenizer: Tokenizer | undefined,
  most: number,
): MaxLength {
  const measured = files.map((file) => measure(file, tokenizer));
  const { lengths, sorted } = measured.reduce((a, b) => (wantedBy(b.lengths) > wantedBy(a.lengths) ? b : a));
  const wanted = wantedBy(lengths);
  const value = Math.min(steps.find((step) => step >= wanted) ?? most, most);
  const over = sorted.filter((length) => length > value).length / sorted.length;
  const inWords = files.some(({ samples }) => samples.some((sample) => 'words' in sample));
  const cut = inWords ? 'read in several windows' : 'cut';
  const limit = value < wanted ? ', the most that the model takes' : '';
  const why =
    `${tokenizer === undefined ? 'Estimated from characters: of' : 'Of'} the ${inWords ? 'sentences' : 'texts'} in ` +
    `${lengths.file} half have at most ${formatCount(lengths.p50)} tokens, 95 % at most ${formatCount(lengths.p95)}, ` +
    `the longest ${formatCount(lengths.max)}; ` +
    (over === 0 ? `none is ${cut}.` : `${shareText(over)} are longer than this${limit}, and ${cut}.`);
  return { value, why, lengths };
}

const wantedBy = ({ p95, p99 }: Lengths): number => (p99 <= 128 ? p99 : p95);

function measure({ name, samples }: SampleFile, tokenizer: Tokenizer | undefined) {
  const lengthOf = tokenizer === undefined ? estimatedLength : counterOf(tokenizer);
  const sorted = Float64Array.from(spread(samples, sampleSize), lengthOf).sort();
  const at = (percent: number): number => Math.ceil(percentile(sorted, percent));
  const lengths: Lengths = {
    file: name,
    p50: at(50),
    p95: at(95),
    p99: at(99),
    max: at(100),
    counted: tokenizer !== undefined,
  };
  return { lengths, sorted };
}

const shareText = (share: number): string => (share < 0.001 ? 'less than 0.1 %' : `${(100 * share).toFixed(1)} %`);

const unlimited = 1 << 20;

function counterOf(tokenizer: Tokenizer): (sample: Sample) => number {
  const specials = tokenizer.single.before.length + tokenizer.single.after.length;
  return (sample) =>
    'words' in sample
      ? tokenizer.wordIds(sample.words).reduce((sum, ids) => sum + ids.length, specials)
      : tokenizer.encode(sample.text, sample.pair, unlimited).inputIds.length;
}

/** A token for each character of a script without blanks, and for four letters of the others: rather too many. */
function estimatedLength(sample: Sample): number {
  const text = 'words' in sample ? sample.words.join(' ') : `${sample.text} ${sample.pair ?? ''}`;
  const single = text.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/gu)?.length ?? 0;
  const characters = text.replaceAll(/\s/g, '').length;
  return single + Math.ceil((characters - single) / 3) + ('words' in sample || sample.pair === undefined ? 2 : 3);
}
