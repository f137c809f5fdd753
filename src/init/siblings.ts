import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export type SplitName = 'train' | 'dev' | 'test';

const spellings: Readonly<Record<SplitName, readonly string[]>> = {
  train: ['train', 'training'],
  dev: ['dev', 'valid', 'validation', 'val', 'eval', 'devel'],
  test: ['test', 'testing'],
};

/** The word in a file's name that says which split it is: `train.tsv`, `my-dev.csv`, `example.test`, `eng.train`. */
const splitWord = /(?<![a-z])(training|train|validation|valid|devel|dev|eval|val|testing|test)(?![a-z])/gi;

export interface Siblings {
  /** What the file's own name says that it is. */
  readonly own: SplitName | undefined;
  /** Files of the same name but for that word, as paths; those that are there. */
  readonly found: Readonly<Partial<Record<SplitName, string>>>;
}

/** The other splits that lie beside a file. */
export function findSiblings(path: string): Siblings {
  const name = basename(path);
  const match = [...name.matchAll(splitWord)].at(-1);
  if (match === undefined) return { own: undefined, found: {} };
  const own = splitNames.find((split) => spellings[split].includes(match[0].toLowerCase()));
  const found: Partial<Record<SplitName, string>> = {};
  for (const split of splitNames) {
    if (split === own) continue;
    const paths = spellings[split].map((word) => {
      const spelled = name.slice(0, match.index) + asCased(word, match[0]) + name.slice(match.index + match[0].length);
      return join(dirname(path), spelled);
    });
    const there = paths.find((one) => existsSync(one));
    if (there !== undefined) found[split] = there;
  }
  return { own, found };
}

const splitNames = ['train', 'dev', 'test'] as const;

/** TRAIN has TEST beside it, Train has Test. */
function asCased(word: string, like: string): string {
  if (like === like.toUpperCase()) return word.toUpperCase();
  return like.startsWith(like.slice(0, 1).toLowerCase()) ? word : word.slice(0, 1).toUpperCase() + word.slice(1);
}
