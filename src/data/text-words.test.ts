import { expect } from 'chai';
import { textWords } from './text-words.js';

const words = (text: string): string[] => textWords(text).map(({ start, end }) => text.slice(start, end));

describe('words of a text', () => {
  it('are characters of Chinese and its like, symbols, and runs of other letters and digits', () => {
    expect(words('王安在IBM工作2年。')).to.deep.equal(['王', '安', '在', 'IBM', '工', '作', '2', '年', '。']);
    expect(words("Anna-Lena's 3.5 €, naïve Łódź")).to.deep.equal([
      ...['Anna', '-', 'Lena', "'", 's', '3', '.', '5', '€', ',', 'naïve', 'Łódź'],
    ]);
    expect(words('東京タワー 서울에서')).to.deep.equal(Array.from('東京タワー서울에서'));
  });

  it('are not white space of any kind', () => {
    expect(words(' \t\u3000\u00a0\n')).to.deep.equal([]);
    expect(words('a\u3000b\u2028c')).to.deep.equal(['a', 'b', 'c']);
  });

  it('keep marks with what they stand on, and characters of two units whole', () => {
    expect(words('e\u0301t\u00e9 👍🏽 ❤\uFE0F 𠮷野')).to.deep.equal(['e\u0301té', '👍', '🏽', '❤\uFE0F', '𠮷', '野']);
    expect(words('\u0301a')).to.deep.equal(['\u0301a']);
  });
});
