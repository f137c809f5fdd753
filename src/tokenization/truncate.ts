/**
 * How many tokens of a pair to keep, as Transformers' fast tokenizers do it for `longest_first`.
 *
 * Only the longer text is cut while the other fits in half of the room; otherwise each gets half. An odd token goes to
 * the text that was longer, and to the second where both were equal (`truncate_encodings` in huggingface/tokenizers).
 *
 * @param first, second lengths in tokens, without special tokens
 * @param room most tokens of both together
 */
export function longestFirst(first: number, second: number, room: number): [first: number, second: number] {
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second);
  const half = Math.floor(room / 2);
  const kept = shorter <= half ? [shorter, room - shorter] : [half, room - half];
  return first > second ? [kept[1]!, kept[0]!] : [kept[0]!, kept[1]!];
}
