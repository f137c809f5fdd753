import { expect } from 'chai';
import { regularSentences } from './regular-tags.js';

function regular(tags: readonly string[], labels: readonly string[]) {
  const sentence = { words: tags.map(() => 'x'), labels: tags.map((tag) => labels.indexOf(tag)), line: 1 };
  const { sentences, isRegular } = regularSentences([sentence], labels);
  return { tags: sentences[0]!.labels.map((id) => labels[id]), isRegular };
}

const bio = ['O', 'B-A', 'I-A', 'B-B', 'I-B'];

describe('regular tags', () => {
  it('stay as they are', () => {
    const tags = ['O', 'B-A', 'I-A', 'B-A', 'B-B', 'I-B', 'O'];
    expect(regular(tags, bio)).to.deep.equal({ tags, isRegular: true });
  });

  it('are made of those that begin in the middle, and of IOB1', () => {
    expect(regular(['I-A', 'I-A', 'B-A', 'I-B', 'O', 'I-B'], bio)).to.deep.equal({
      tags: ['B-A', 'I-A', 'B-A', 'B-B', 'O', 'B-B'],
      isRegular: true,
    });
  });

  it('are spelled by the scheme of the labels', () => {
    const labels = ['O', 'B-A', 'I-A', 'E-A', 'S-A'];
    expect(regular(['B-A', 'O', 'B-A', 'I-A', 'I-A', 'S-A', 'E-A'], labels)).to.deep.equal({
      tags: ['S-A', 'O', 'B-A', 'I-A', 'E-A', 'S-A', 'S-A'],
      isRegular: true,
    });
  });

  it('are not to be had without the labels that they need, or without a scheme', () => {
    const labels = ['O', 'B-A', 'I-A', 'I-B'];
    const tags = ['O', 'I-B', 'I-B'];
    expect(regular(tags, labels)).to.deep.equal({ tags, isRegular: false });
    expect(regular(['noun', 'verb'], ['noun', 'verb'])).to.deep.equal({ tags: ['noun', 'verb'], isRegular: false });
  });
});
