/**
 * GPT-2's split of a text into pieces, before BPE: contractions, and runs of letters, numbers or other characters with
 * one space before them; a run of blanks leaves its last one to the word after it.
 *
 * Blanks are \p{White_Space} as in the Rust library; JavaScript's \s lacks U+0085 and has U+FEFF.
 */
const piecePattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

export const byteLevelPieces = (text: string): string[] => text.match(piecePattern) ?? [];

/** The 256 characters that stand for bytes: themselves where printable, the other 68 from U+0100 on, in order. */
const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

const bytesByCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** A piece with each byte of its UTF-8 written as one printable character: " world" is "Ġworld". */
export const toByteCharacters = (piece: string): string => piece.replace(/[^!-~]/gu, charactersOf);

const charactersOf = (character: string): string =>
  Array.from(Buffer.from(character, 'utf8'), (byte) => byteCharacters[byte]!).join('');

/**
 * The text of a token of byte-level BPE. A token may end within a character: such bytes become U+FFFD.
 *
 * A token that is not made of those 256 characters is its own text (a special token of a foreign vocabulary).
 */
export function fromByteCharacters(token: string): string {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = bytesByCharacter.get(character);
    if (byte === undefined) return token;
    bytes.push(byte);
  }
  return Buffer.from(bytes).toString('utf8');
}
