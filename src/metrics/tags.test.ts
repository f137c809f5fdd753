import { expect } from 'chai';
import { isTag, lenientEntities, schemeOf, strictEntities } from './tags.js';

describe('tags', () => {
  it('without a mark are joined to one entity of their type', () => {
    expect(lenientEntities(['PER', 'PER', 'O', 'PER', 'LOC'])).to.deep.equal([
      { type: 'PER', start: 0, end: 2 },
      { type: 'PER', start: 3, end: 4 },
      { type: 'LOC', start: 4, end: 5 },
    ]);
  });

  it('that break the rules are no entity in strict mode', () => {
    expect(strictEntities(['I-PER', 'B-LOC', 'I-PER'], 'IOB2')).to.deep.equal([{ type: 'LOC', start: 1, end: 2 }]);
    expect(strictEntities(['B-LOC', 'E-PER', 'S-PER', 'E-PER'], 'IOBES')).to.deep.equal([
      { type: 'PER', start: 2, end: 3 },
    ]);
  });

  it('tell their scheme', () => {
    expect(schemeOf(['O', 'B-PER', 'I-PER'])).to.equal('IOB2');
    expect(schemeOf(['B-PER', 'I-PER', 'E-PER', 'S-PER', 'O'])).to.equal('IOBES');
    expect(schemeOf(['O', 'B-PER', 'I-PER', 'L-PER', 'U-PER'])).to.equal('BILOU');
    for (const labels of [['O', 'I-PER'], ['O', 'B-PER', 'LOC'], ['O', 'B-X', 'S-X', 'U-X'], ['NOUN', 'VERB'], []]) {
      expect(schemeOf(labels), labels.join()).to.equal(undefined);
    }
  });

  it('are told from other labels', () => {
    for (const tag of ['O', 'B-PER', 'I-地名', 'S-a-b', 'U-\u2028x', 'B']) expect(isTag(tag), tag).to.equal(true);
    for (const label of ['', 'o', 'PER', 'B-', 'B_PER', 'X-PER', 'PER-B', '0', 'BPER']) {
      expect(isTag(label), label).to.equal(false);
    }
  });
});
