import { expect } from 'chai';
import { createTextIndex, normalized } from './text-index.js';

describe('normalized', () => {
  it('leaves out case, width, ligatures and white space, and nothing else', () => {
    expect(normalized(' Ｇｏｏｄ\u3000 film,\tﬁne')).to.equal(normalized('good FILM ， fine'));
    expect(normalized('e\u0301')).to.equal(normalized('\u00E9'));
    expect(normalized('é')).not.to.equal(normalized('e'));
    expect(normalized('a.')).not.to.equal(normalized('a'));
  });
});

describe('createTextIndex', () => {
  it('finds the first line of a repeated text, exact ones before others', () => {
    const index = createTextIndex();
    expect(index.add(0, 1, ['Good'], 'x')).to.include({ repeated: undefined, isFirst: true });
    expect(index.add(0, 2, ['good'], 'x').repeated).to.deep.equal({ file: 0, line: 1, exact: false });
    expect(index.add(0, 3, ['good'], 'x').repeated).to.deep.equal({ file: 0, line: 2, exact: true });
    expect(index.add(0, 4, ['Good'], 'x').repeated).to.deep.equal({ file: 0, line: 1, exact: true });
  });

  it('finds each earlier file that has the text', () => {
    const index = createTextIndex();
    index.add(0, 5, ['a'], 'x');
    index.add(1, 6, ['A'], 'x');
    const first = index.add(2, 7, ['a'], 'x');
    expect(first.leaks).to.deep.equal([
      { file: 0, line: 5, exact: true },
      { file: 1, line: 6, exact: false },
    ]);
    expect(first).to.include({ repeated: undefined, isFirst: true });
    expect(index.add(2, 8, ['a'], 'x')).to.deep.include({
      isFirst: false,
      repeated: { file: 2, line: 7, exact: true },
    });
  });

  it('finds another label of the same text, wherever it stands', () => {
    const index = createTextIndex();
    index.add(0, 1, ['a'], undefined);
    expect(index.add(0, 2, ['a'], 'x').conflict).to.equal(undefined);
    expect(index.add(0, 3, ['A'], 'y').conflict).to.include({ file: 0, line: 1, label: 'x', exact: false });
    expect(index.add(1, 4, ['a'], 'z').conflict).to.include({ label: 'y' });
    expect(index.add(1, 5, ['a'], undefined).conflict).to.equal(undefined);
  });

  it('does not take two texts for one, however they are cut', () => {
    const index = createTextIndex();
    index.add(0, 1, ['ab', 'c'], 'x');
    for (const parts of [['a', 'bc'], ['abc'], ['c', 'ab']]) {
      expect(index.add(0, 2, parts, 'y').repeated, parts.join('|')).to.equal(undefined);
    }
  });
});
