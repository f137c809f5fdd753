import { createPlaces, counted, findingOf, type Finding, type Places } from './findings.js';

/** What is looked for in the texts of one file. */
export interface EncodingCheck {
  /** Looks at one text. @param allowsBreaks whether tabs and line breaks may stand in it (CSV, JSONL) */
  look(line: number, text: string, allowsBreaks: boolean): void;
  readonly findings: () => Finding[];
  /** Texts in which letters and their accents are apart. */
  readonly apart: Places;
  /** The first line with a letter and its accent in one. */
  readonly composedAt: () => number | undefined;
}

const [newline, carriageReturn] = [0x0a, 0x0d];

/** What the bytes of a file show: a byte order mark, and line ends of Windows. */
export function byteFindings(bytes: Uint8Array, file: string): Finding[] {
  return [...byteOrderMark(bytes, file), ...carriageReturns(bytes, file)];
}

function byteOrderMark(bytes: Uint8Array, file: string): Finding[] {
  if (bytes[0] !== 0xef || bytes[1] !== 0xbb || bytes[2] !== 0xbf) return [];
  const places = createPlaces();
  places.add(1, () => 'the bytes EF BB BF before the first character');
  const message = 'the file begins with a byte order mark: t4 leaves it out, other programs may not';
  return findingOf('warning', 'byte-order-mark', file, places, message);
}

function carriageReturns(bytes: Uint8Array, file: string): Finding[] {
  if (!bytes.includes(carriageReturn)) return [];
  const places = createPlaces();
  let line = 1;
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, end + 1)) {
    if (bytes[end - 1] === carriageReturn) places.add(line, () => 'ends with CR LF');
    line++;
  }
  if (bytes.at(-1) === carriageReturn) places.add(line, () => 'ends with CR');
  const others = places.count < line - 1 ? ', the others with LF alone' : '';
  const lines = counted(places.count, 'line ends', 'lines end');
  const message = `${lines} with CR LF${others}: t4 leaves the CR out, other programs may not`;
  return findingOf('warning', 'carriage-return', file, places, message);
}

const control = /\p{Cc}/u;
const controlWithoutBreaks = /[^\P{Cc}\t\r\n]/u;

export function createEncodingCheck(file: string): EncodingCheck {
  const replaced = createPlaces();
  const controls = createPlaces();
  const apart = createPlaces();
  let composedAt: number | undefined;
  return {
    look(line, text, allowsBreaks) {
      const lost = text.indexOf('\uFFFD');
      if (lost >= 0) replaced.add(line, () => `U+FFFD in ${around(text, lost)}`);
      const found = (allowsBreaks ? controlWithoutBreaks : control).exec(text);
      if (found !== null) controls.add(line, () => `${codePoint(found[0])} in ${around(text, found.index)}`);
      if (!mayBeNormalized.test(text)) return;
      const joined = text.normalize('NFC');
      if (joined !== text) apart.add(line, () => differenceOf(text, joined));
      else if (composedAt === undefined && text.normalize('NFD') !== text) composedAt = line;
    },
    findings: () => [
      ...findingOf('warning', 'replacement-character', file, replaced, lostText(replaced.count)),
      ...findingOf(
        'warning',
        'control-character',
        file,
        controls,
        `${counted(controls.count, 'text has', 'texts have')} control characters, which tokenizers drop`,
      ),
    ],
    apart,
    composedAt: () => composedAt,
  };
}

const lostText = (count: number): string =>
  `${counted(count, 'text has', 'texts have')} U+FFFD, which stands for what was lost in a conversion`;

/** Letters with accents, kana, Hangul, compatibility ideographs: most texts have none, and asking costs less. */
const mayBeNormalized = /[\u00C0-\u1FFF\u2126-\u212B\u3040-\u30FF\uAC00-\uD7A3\uD800-\uDBFF\uF900-\uFAFF\uFB1D-\uFB4E]/;

/**
 * Texts that are not in normal form C: the same word then has two spellings, and most vocabularies know the other one.
 * @param composed a place, in this file or else in another, where a letter and its accent are one
 */
export function normalFormFindings(file: string, apart: Places, composed: string | undefined): Finding[] {
  const beside = composed === undefined ? '' : `, as others are (${composed})`;
  const texts = counted(apart.count, 'text is', 'texts are');
  const message = `${texts} not in Unicode's normal form C${beside}: most vocabularies know no other`;
  return findingOf('warning', 'mixed-normal-forms', file, apart, message);
}

/** The first place where a text is not what it is in normal form C. */
function differenceOf(text: string, joined: string): string {
  let at = 0;
  while (text[at] === joined[at]) at++;
  const got = /^[^]\p{M}*/u.exec(text.slice(at))?.[0] ?? '';
  const [expected = ''] = joined.slice(at);
  return `${Array.from(got, codePoint).join(' ')} for ${codePoint(expected)} in ${around(text, at)}`;
}

/** U+0085 */
export const codePoint = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

const mostAround = 10;

/** Some characters on both sides of a place in a text, quoted, those that cannot be seen spelled out. */
function around(text: string, at: number): string {
  const before = Array.from(text.slice(Math.max(0, at - 2 * mostAround), at)).slice(-mostAround);
  const after = Array.from(text.slice(at, at + 2 * mostAround)).slice(0, mostAround);
  return `"${visible([...before, ...after].join(''))}"`;
}

/** With what cannot be seen, or would move the cursor, spelled out. */
export const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\uFFFD]/gu, (character) => `<${codePoint(character)}>`);
