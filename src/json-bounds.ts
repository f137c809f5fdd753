// Real files have ten levels; what works through a value recursively ends at some thousands.
const maxDepth = 100;
// A tokenizer of half a million merges has as many; each takes some 50 bytes of memory for 3 bytes of text.
const maxContainers = 2 ** 21;

/** What a JSON text has too much of to be parsed, in words; undefined: nothing. It need not be JSON at all. */
export function jsonExcess(text: string): string | undefined {
  let [depth, containers] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // "
        for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > maxDepth) return `lists and objects more than ${maxDepth} deep in each other`;
        if (++containers > maxContainers) return `more than ${maxContainers} lists and objects`;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
    }
  }
  return undefined;
}
