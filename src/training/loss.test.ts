import { expect } from 'chai';
import { UserError } from '../errors.js';
import { balancedWeights, classWeightsOf } from './loss.js';

describe('class weights', () => {
  it('of auto are inverse to how often a label stands, as scikit-learn has them', () => {
    // compute_class_weight('balanced', classes=[0, 1, 2], y=[0, 0, 0, 1, 1, 2])
    const expected = [2 / 3, 1, 2];
    balancedWeights([0, 0, 0, 1, 1, 2], 3).forEach((weight, id) => {
      expect(weight).to.be.closeTo(expected[id]!, 1e-12);
    });
  });

  it('of auto count neither what has no label nor labels without examples', () => {
    expect(balancedWeights([-1, 0, -1, 2, 2, 2, -1], 4)).to.deep.equal([2, 0, 4 / 6, 0]);
  });

  it('by name are 1 where none is given', () => {
    const weights = classWeightsOf({ class_weights: { b: 2.5 } }, ['a', 'b', 'constructor'], []);
    expect(weights).to.deep.equal([1, 2.5, 1]);
    expect(classWeightsOf({ class_weights: undefined }, ['a', 'b'], [0, 1])).to.equal(undefined);
  });

  it('of a label that there is not are refused, with the nearest', () => {
    expect(() => classWeightsOf({ class_weights: { positiv: 2 } }, ['negative', 'positive'], []))
      .to.throw(UserError)
      .with.property(
        'message',
        'training.class_weights: got the label "positiv", expected negative, positive (did you mean positive?)',
      );
  });
});
