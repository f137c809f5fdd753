import { attr, type GraphNode } from '../../graph/node.js';
import type { SavedModelInit } from '../../graph/saved-model.js';
import type { Port, Signature } from '../../graph/signature.js';
import { textWords } from '../../data/text-words.js';
import type { WordKind } from '../../data/word-splitter.js';
import type { AddedToken } from '../../tokenization/added-tokens.js';
import type { LoadedTokenizer, TokenizationSteps } from '../../tokenization/tokenizer.js';
import { characterRules, type CharacterRules } from './characters.js';
import { elementsOf, type Elements } from './elements.js';
import { layOut } from './layout.js';
import { createNodeBuilder, type NodeBuilder, type Value } from './node-builder.js';
import { splitWords } from './split-words.js';
import { vocabularyFile, vocabularyTable, type VocabularyFile } from './vocabulary.js';
import { wordPieceTokens } from './word-piece.js';

/** The tokenizer in the graph: strings in, what the model is fed out. */
export interface TextInputs {
  readonly nodes: readonly GraphNode[];
  /** `text`, and `pair` where the model takes pairs: UTF-8, [B]. */
  readonly inputs: Signature['inputs'];
  /** `input_ids`, `token_type_ids` and `attention_mask`, where tokens are labelled `word_mask` too, int32 [B, S]. */
  readonly outputs: Signature['outputs'];
  /**
   * Where tokens are labelled: `word_mask` again, and the code points of the text at which each token begins and ends,
   * `starts` and `ends`, -1 where there is no token of a text: int32 [B, S].
   */
  readonly places: Signature['outputs'];
  readonly init: SavedModelInit;
  /** What `init` reads from `assets/`. */
  readonly vocabulary: VocabularyFile;
}

export interface TextSettings {
  readonly isPair: boolean;
  readonly maxLength: number;
  /** What a label belongs to, where tokens are labelled: the tokenizer's words, or what a wordSplitter splits texts into. */
  readonly words?: WordKind | undefined;
}

/**
 * A tokenizer as a graph of TensorFlow's core ops, so that every server of TensorFlow runs it. What each code point becomes,
 * and the vocabulary, are asked of the tokenizer.
 *
 * @returns why there is no such graph, in words, where the tokenizer is of another kind than BERT's WordPiece
 */
export function textInputs(tokenizer: LoadedTokenizer, settings: TextSettings): TextInputs | string {
  const { isPair, maxLength, words } = settings;
  const { steps } = tokenizer;
  const isSplit = words !== undefined && words !== 'words';
  const problem = problemOf(steps);
  if (problem !== undefined) return problem;
  const vocabulary = vocabularyFile(steps.tokenIds, tokenizer.files);
  if (vocabulary === undefined) return 'its vocabulary has two tokens of one id, or one with a line break';
  const alphabet = alphabetOf(steps);
  if (hasOrder(steps, alphabet)) return 'its vocabulary has marks whose order the normalizer changes';
  const g = createNodeBuilder('text');
  const names = isPair ? ['text', 'pair'] : ['text'];
  const texts = names.map((name) =>
    g.add('Placeholder', [], { dtype: attr.type('string'), shape: attr.shape([-1]) }, 'string', `text/input_${name}`),
  );
  const characters = characterRules(steps.normalize, steps.preTokenize, alphabet, unknownCharacter(alphabet));
  if (isSplit && !isOfWords(steps, characters, words)) return 'one of its added tokens may stand within a word';
  const elements = elementsOf(g, isPair ? g.concat(...texts) : texts[0]!, isSplit ? [] : rawTokens(steps), characters);
  const isNew = isSplit ? beginsOf(g, elements, words) : undefined;
  const table = vocabularyTable(g, vocabulary);
  const pieces = {
    unknownId: tokenizer.unkTokenId,
    continuation: steps.continuation,
    mostCharacters: steps.mostCharacters,
    longestToken: longestToken(steps),
  };
  // How pairs are cut depends on which text has more tokens, of those that are cut off too.
  const tokens = wordPieceTokens(g, elements, table, pieces, isPair ? undefined : maxLength, isNew);
  const { padTokenId } = tokenizer;
  const inputs = layOut(g, tokens, { template: steps.template, isPair, padTokenId, maxLength });
  const port = ({ name, dtype }: Value, shape: readonly number[]): Port => ({ tensor: `${name}:0`, dtype, shape });
  return {
    nodes: g.nodes,
    inputs: Object.fromEntries(
      names.map((name, i) => [name, { ...port(texts[i]!, [-1]), symbols: ['batch'] }] as const),
    ),
    outputs: {
      input_ids: port(inputs.inputIds, [-1, -1]),
      token_type_ids: port(inputs.tokenTypeIds, [-1, -1]),
      attention_mask: port(inputs.attentionMask, [-1, -1]),
      ...(words === undefined ? {} : { word_mask: port(inputs.wordMask, [-1, -1]) }),
    },
    places:
      words === undefined
        ? {}
        : {
            word_mask: port(inputs.wordMask, [-1, -1]),
            starts: port(inputs.begins, [-1, -1]),
            ends: port(inputs.ends, [-1, -1]),
          },
    init: table.init,
    vocabulary,
  };
}

type SplitKind = Exclude<WordKind, 'words'>;

const isNormalized = ({ special, normalized }: AddedToken): boolean => normalized ?? special !== true;

/** Those that are found before the text is normalized. */
const rawTokens = ({ addedTokens }: TokenizationSteps): AddedToken[] =>
  addedTokens.filter((token) => !isNormalized(token));

function problemOf(steps: TokenizationSteps): string | undefined {
  const { model, normalizer, preTokenizer, cleansText, addedTokens } = steps;
  if (model !== 'WordPiece') return `its tokenizer is ${model}, not WordPiece`;
  if (normalizer !== 'BertNormalizer' || !cleansText) return "its normalizer is not BERT's";
  if (preTokenizer !== 'BertPreTokenizer') return "its pre-tokenizer is not BERT's";
  if (addedTokens.some(isNormalized)) return 'it has added tokens that are found in normalized text';
  return undefined;
}

/** Where the words that a wordSplitter finds begin, bool [M]. */
function beginsOf(g: NodeBuilder, elements: Elements, words: SplitKind): Value {
  const { sources } = elements;
  const numbers = words === 'characters' ? sources : g.gather(splitWords(g, elements), sources);
  return g.not(g.isEqual(numbers, g.slice(g.concat(g.ints([-1]), numbers), 0, -1)));
}

/** Whether no word has an added token in it, and no character becomes several words with blanks between. */
function isOfWords(steps: TokenizationSteps, { others }: CharacterRules, words: SplitKind): boolean {
  const fitsInWord = ({ content }: AddedToken): boolean =>
    (words === 'characters' ? Array.from(content) : textWords(content)).length === 1;
  const hasBlank = others.some((form) => form.length > 1 && form.some(({ kind }) => kind === 'blank'));
  return !rawTokens(steps).some(fitsInWord) && !hasBlank;
}

/** The characters of the tokens. */
function alphabetOf({ tokenIds, continuation }: TokenizationSteps): Set<number> {
  const alphabet = new Set<number>();
  for (const token of tokenIds.keys()) {
    for (const character of withoutContinuation(token, continuation)) alphabet.add(character.codePointAt(0)!);
  }
  return alphabet;
}

const withoutContinuation = (token: string, continuation: string): string =>
  token.startsWith(continuation) ? token.slice(continuation.length) : token;

/** A character that no token has: one for private use. */
function unknownCharacter(alphabet: ReadonlySet<number>): number {
  let codePoint = 0xe000;
  while (alphabet.has(codePoint)) codePoint++;
  return codePoint;
}

const longestToken = ({ tokenIds, continuation }: TokenizationSteps): number => {
  let longest = 1;
  for (const token of tokenIds.keys()) {
    longest = Math.max(longest, Array.from(withoutContinuation(token, continuation)).length);
  }
  return longest;
};

/**
 * Whether a normalizer puts characters of the vocabulary into another order: NFD sorts marks by their class, those that are
 * not stripped (spacing ones, of few scripts) too. What is not in the vocabulary makes its word unknown in any order.
 */
function hasOrder({ normalize }: TokenizationSteps, alphabet: ReadonlySet<number>): boolean {
  const marks = Array.from(alphabet, (codePoint) => String.fromCodePoint(codePoint)).filter((text) =>
    /\p{M}/u.test(text),
  );
  return marks.some((a) => marks.some((b) => normalize(a + b) !== normalize(a) + normalize(b)));
}
