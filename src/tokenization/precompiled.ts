/**
 * SentencePiece's `precompiled_charsmap`: a double-array trie (darts-clone) of what is to be replaced, and the
 * replacements, each ended by a NUL.
 *
 * Follows the Rust library's `Precompiled` (spm_precompiled), its oddities included: a grapheme of less than 6 bytes is
 * looked up as a whole, but replaced by the entry of its *shortest* prefix; else its characters are looked up one by
 * one.
 *
 * @param charsmap u32 size of the trie in bytes, the trie as u32 units (little-endian), the replacements
 * @throws Error when the sizes in it do not fit
 */
export function createPrecompiled(charsmap: Buffer): (text: string) => string {
  const { units, replacements } = parse(charsmap);
  const transform = (chunk: string): string | undefined => {
    const start = shortestPrefix(units, Buffer.from(chunk, 'utf8'));
    if (start === undefined) return undefined;
    const end = replacements.indexOf(0, start);
    return replacements.toString('utf8', start, end < 0 ? replacements.length : end);
  };
  const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
  const segment = (text: string): string => {
    let normalized = '';
    for (const { segment: grapheme } of graphemes.segment(text)) {
      const whole = Buffer.byteLength(grapheme) < 6 ? transform(grapheme) : undefined;
      if (whole === undefined) for (const character of grapheme) normalized += transform(character) ?? character;
      else normalized += whole;
    }
    return normalized;
  };
  const plain = asciiPrintable.every((character) => transform(character) === undefined);
  return plain ? (text) => text.replace(notPlain, segment) : segment;
}

const asciiPrintable = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i));

// Graphemes are slow to find, and a printable ASCII character beside another is one. Those next to others are taken along.
const notPlain = /[ -~]?[^ -~]+(?:[ -~][^ -~]+)*[ -~]?/gu;

function parse(charsmap: Buffer): { units: Uint32Array; replacements: Buffer } {
  const size = charsmap.length < 4 ? 0 : charsmap.readUInt32LE(0);
  if (size === 0 || size % 4 !== 0 || 4 + size > charsmap.length) {
    throw new Error(`the precompiled_charsmap is damaged: ${charsmap.length} bytes, of which the trie has ${size}`);
  }
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => charsmap.readUInt32LE(4 + 4 * i));
  return { units, replacements: charsmap.subarray(4 + size) };
}

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/** Where the replacement of the shortest entry begins that `key` begins with; undefined where there is none. */
function shortestPrefix(units: Uint32Array, key: Uint8Array): number | undefined {
  let position = offsetOf(units[0]!);
  for (const byte of key) {
    if (byte === 0) return undefined;
    position ^= byte;
    const unit = units[position];
    // The label of a unit that is a value has its highest bit set, so it equals no byte.
    if (unit === undefined || (unit & 0x800000ff) !== byte) return undefined;
    position ^= offsetOf(unit);
    if ((unit & 0x100) !== 0) return units[position]! & 0x7fffffff;
  }
  return undefined;
}
