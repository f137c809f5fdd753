/** Names that columns of labels and of texts usually have. */

/** The better of two names comes first. */
export const labelNames = [
  ...['label', 'labels', 'gold_label', 'gold', 'class', 'category', 'target', 'sentiment', 'polarity', 'intent'],
  ...['emotion', 'topic', 'stance', 'relation', 'is_duplicate', 'tag', 'y', 'rating', 'stars', 'score'],
  ...['标签', '类别', '分类', '情感', '类'],
];

export const textNames = [
  ...['text', 'sentence', 'content', 'review', 'review_body', 'comment', 'body', 'message', 'tweet', 'utterance'],
  ...['document', 'phrase', 'question', 'query', 'premise', 'headline', 'title', 'input'],
  ...['文本', '内容', '句子', '评论', '正文', '标题'],
];

/** What the second of two texts is called where the first has this name; text1 and text2, text_a and text_b besides. */
export const secondNames: Readonly<Record<string, readonly string[]>> = {
  premise: ['hypothesis'],
  query: ['document', 'passage', 'title', 'response', 'answer'],
  question: ['answer', 'passage', 'sentence', 'context'],
  text: ['pair', 'text_pair'],
  utterance: ['response'],
};

const otherNames = ['id', 'idx', 'index', 'guid', 'user', 'date', 'source', 'url', 'split', 'name', 'lang', 'language'];

/** As the lists above spell it. */
export const plainName = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '_');

/** The stem of `text_a`, `sentence1` and the like, and which of the two it is. */
export function numbered(name: string): { stem: string; second: boolean } | undefined {
  const [, stem, mark] = /^(.*?)_?([12ab])$/.exec(plainName(name)) ?? [];
  if (stem === undefined || stem === '' || mark === undefined) return undefined;
  // "data" and "a" end in a letter that is no mark.
  if (/[ab]/.test(mark) && !/_[ab]$/.test(plainName(name))) return undefined;
  return { stem, second: mark === '2' || mark === 'b' };
}

function isKnown(name: string): boolean {
  const plain = plainName(name);
  const stem = numbered(name)?.stem;
  const lists = [...labelNames, ...textNames, ...otherNames];
  const seconds = Object.values(secondNames).flat();
  const stems = [...textNames, 'sent', 's', 'q'];
  return lists.includes(plain) || seconds.includes(plain) || (stem !== undefined && stems.includes(stem));
}

const longestName = 40;
const sampleSize = 5000;

/**
 * Whether the first row is a header: it has usual names that do not come again in their columns, or it is short where
 * other rows have a few labels again and again, of which it has none.
 */
export function isHeader(rows: readonly (readonly string[])[]): boolean {
  const [first, ...others] = rows.slice(0, sampleSize);
  if (first === undefined || others.length === 0) return false;
  const isNames = first.every((name) => name.length <= longestName) && new Set(first).size === first.length;
  if (!isNames) return false;
  const valuesOf = (column: number): string[] => others.map((fields) => fields[column]!);
  const columns = first.map((name, column) => ({ name, isKnown: isKnown(name), column }));
  if (columns.some((one) => one.isKnown && !valuesOf(one.column).includes(one.name))) return true;
  return first.every(isIdentifier) && columns.some(({ name, column }) => isAboveLabels(name, valuesOf(column)));
}

const isIdentifier = (name: string): boolean =>
  /^[\p{L}_][\p{L}\p{N}_ .-]*$/u.test(name) && name.split(' ').length <= 3;

/** Whether a column has few values that come often, and the name is none of them; or numbers under a word. */
function isAboveLabels(name: string, values: readonly string[]): boolean {
  const distinct = new Set(values);
  if (distinct.has(name)) return false;
  if (values.every((value) => /^-?\d+(\.\d+)?$/.test(value))) return true;
  return distinct.size >= 2 && distinct.size <= values.length / 10;
}
