import { expect } from 'chai';
import { mayBePinnedAs, pinnedSource } from './pinned.js';

const [commit, other] = ['0123456789'.repeat(4), 'abcdef0123'.repeat(4)];

describe('sources that mean the same for good', () => {
  it('have the commit, where they are of the hub', () => {
    const folder = `/cache/models--a--b/snapshots/${commit}`;
    for (const revision of ['', '@main', '@v1.0', `@${commit}`]) {
      expect(pinnedSource(`hf:a/b${revision}`, folder)).to.equal(`hf:a/b@${commit}`);
    }
    expect(pinnedSource('pypi:model@1.0', folder)).to.equal('pypi:model@1.0');
    expect(pinnedSource(folder, folder)).to.equal(folder);
  });

  it('are what others may have become that name no other commit', () => {
    const pinned = `hf:a/b@${commit}`;
    for (const source of ['hf:a/b', 'hf:a/b@main', pinned]) expect(mayBePinnedAs(source, pinned), source).to.be.true;
    for (const source of [`hf:a/b@${other}`, 'hf:a/c', './b', 'pypi:b@1.0']) {
      expect(mayBePinnedAs(source, pinned), source).to.be.false;
    }
    expect(mayBePinnedAs('hf:a/b', 'hf:a/b@main')).to.be.false;
    expect(mayBePinnedAs('./b', './b')).to.be.true;
  });
});
