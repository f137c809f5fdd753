import { expect } from 'chai';
import { sumInLayerNorms } from './layer-norm-sums.js';
import type { GraphNode } from './node.js';

const node = (name: string, op: string, inputs: readonly string[]): GraphNode => ({ name, op, inputs, attrs: {} });
const product = node('product', 'MatMul', ['x', 'w']);
const above = node('above', 'T4LayerNormGrad', ['dy', 'n1', 'i1', 'g1']);
const below = (dy: string): GraphNode => node('below', 'T4LayerNormGrad', [dy, 'n2', 'i2', 'g2']);
const add = (...inputs: string[]): GraphNode => node('sum', 'Add', inputs);

describe('the gradients of a LayerNorm whose output went two ways', () => {
  for (const inputs of [
    ['above', 'product'],
    ['product', 'above:0'],
  ]) {
    it(`are summed in the op itself: ${inputs.join(' + ')}`, () => {
      const past = inputs.find((input) => input.startsWith('above'))!;
      expect(sumInLayerNorms([product, above, add(...inputs), below('sum')])).to.deep.equal([
        product,
        above,
        node('below', 'T4LayerNormGradOfSum', [past, 'product', 'n2', 'i2', 'g2']),
      ]);
    });
  }

  for (const [title, nodes] of [
    ['a sum that another op reads', [product, above, add('above', 'product'), below('sum'), node('y', 'Neg', ['sum'])]],
    ['a sum that another op waits for', [product, above, add('above', 'product'), below('sum'), node('y', 'Neg', ['z', '^sum'])]], // prettier-ignore
    ['the gradient of gamma', [product, above, add('above:1', 'product'), below('sum')]],
    ['two products', [product, node('other', 'MatMul', ['x', 'w']), add('product', 'other'), below('sum')]],
    ['no sum', [product, above, below('above')]],
  ] as const) {
    it(`stay as they are: ${title}`, () => {
      expect(sumInLayerNorms(nodes)).to.deep.equal(nodes);
    });
  }
});
