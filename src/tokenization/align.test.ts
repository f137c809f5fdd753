import { expect } from 'chai';
import { alignCharacters, type SourceCharacter } from './align.js';

/** Characters one after the other. */
const source = (text: string): SourceCharacter[] =>
  Array.from(text, (character, i) => ({ character, start: i, end: i + 1 }));
const pieces = (...texts: string[]): string[][] => texts.map((text) => Array.from(text));

describe('alignCharacters', () => {
  it('follows pieces through a text', () => {
    expect(alignCharacters(source('abcdef'), pieces('ab', 'c', '', 'def'))).to.deep.equal([
      { start: 0, end: 2 },
      { start: 2, end: 3 },
      undefined,
      { start: 3, end: 6 },
    ]);
  });

  it('takes characters that were replaced for what replaced them', () => {
    expect(alignCharacters(source("ab``cd''ef"), pieces('ab', '"', 'cd', '"', 'ef'))).to.deep.equal([
      { start: 0, end: 2 },
      { start: 2, end: 4 },
      { start: 4, end: 6 },
      { start: 6, end: 8 },
      { start: 8, end: 10 },
    ]);
  });

  it('says of what stands nowhere in the text that it is not there', () => {
    expect(alignCharacters(source('abc'), pieces('abc', 'xyz'))).to.deep.equal([{ start: 0, end: 3 }, undefined]);
  });
});
