import { expect } from 'chai';
import { brokenTags, rulesOf, type TagRules } from './tag-rules.js';

const tagsOf = (text: string): string[] => text.split(' ');
const rules = (...sentences: string[]): TagRules => {
  const tags = sentences.map(tagsOf);
  return rulesOf([...new Set(tags.flat())], tags);
};

describe('rulesOf', () => {
  it('tells the schemes apart', () => {
    expect(rules('O B-PER I-PER', 'O')).to.equal('begin');
    expect(rules('O B-PER E-PER S-LOC')).to.equal('begin-and-end');
    expect(rules('O B-PER L-PER U-LOC')).to.equal('begin-and-end');
    expect(rules('O I-PER I-PER', 'I-LOC')).to.equal('inside');
  });

  it('takes B- behind an entity of its type only for IOB1', () => {
    expect(rules('O I-PER B-PER I-PER', 'I-LOC O')).to.equal('inside');
    expect(rules('O I-PER B-LOC I-LOC')).to.equal('begin');
    expect(rules('B-PER O')).to.equal('begin');
  });
});

describe('brokenTags', () => {
  const broken = (text: string, by: TagRules): string[] =>
    brokenTags(tagsOf(text), by).map(({ word, message }) => `${word} ${message}`);

  it('finds none where the rules are obeyed', () => {
    expect(broken('B-PER I-PER I-PER B-PER O B-LOC I-LOC', 'begin')).to.deep.equal([]);
    expect(broken('B-PER I-PER E-PER S-LOC O B-LOC E-LOC', 'begin-and-end')).to.deep.equal([]);
    expect(broken('B-PER L-PER U-LOC', 'begin-and-end')).to.deep.equal([]);
    expect(broken('I-PER I-PER B-PER O I-LOC I-PER', 'inside')).to.deep.equal([]);
  });

  it('finds an entity that does not begin, once', () => {
    expect(broken('I-PER I-PER O', 'begin')).to.deep.equal(['0 I-PER at the start of the sentence, expected B-PER']);
    expect(broken('O B-PER I-LOC I-LOC', 'begin')).to.deep.equal(['2 I-LOC after B-PER, expected B-LOC']);
    expect(broken('S-PER I-PER E-PER O E-LOC', 'begin-and-end')).to.deep.equal([
      '1 I-PER after S-PER, expected B-PER',
      '4 E-LOC after O, expected B-LOC',
    ]);
    expect(broken('B E B I', 'begin-and-end')).to.deep.equal([
      '3 the end of the sentence after I, expected more of the entity',
    ]);
  });

  it('finds an entity that does not end', () => {
    expect(broken('B-PER I-PER O B-LOC B-LOC E-LOC B-PER', 'begin-and-end')).to.deep.equal([
      '2 O after I-PER, expected more of PER',
      '4 B-LOC after B-LOC, expected more of LOC',
      '6 the end of the sentence after B-PER, expected more of PER',
    ]);
  });
});
