import { expect } from 'chai';
import { didYouMean, nearest } from './nearest.js';

describe('nearest name', () => {
  const known = ['epochs', 'batch_size', 'learning_rate', 'pair'];

  it('finds a slip of the finger', () => {
    expect(nearest('epoch', known)).to.equal('epochs');
    expect(nearest('batchsize', known)).to.equal('batch_size');
    expect(nearest('Learning_Rate', known)).to.equal('learning_rate');
    expect(nearest('pear', known)).to.equal('pair');
  });

  it('offers nothing for something else', () => {
    expect(nearest('foo', known)).to.equal(undefined);
    expect(nearest('temperature', known)).to.equal(undefined);
    expect(didYouMean('foo', [])).to.equal('');
    expect(didYouMean('epoch', known)).to.equal(' (did you mean epochs?)');
  });
});
