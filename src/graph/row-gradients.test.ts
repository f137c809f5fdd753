import { expect } from 'chai';
import { attr, type Attrs, type GraphNode } from './node.js';
import { useRowGradients } from './row-gradients.js';

const node = (name: string, op: string, inputs: string[], attrs: Attrs = {}): GraphNode => ({
  name,
  op,
  inputs,
  attrs,
});

const rowsOf = (count: number): GraphNode =>
  node('rows', 'Const', [], { value: attr.tensor('int32', [], Int32Array.of(count)) });
const sum = (inputs = ['dy', 'ids', 'rows']): GraphNode =>
  node('sum', 'UnsortedSegmentSum', inputs, { T: attr.type('float32') });
const norm = node('norm', 'T4L2Loss', ['sum', '^x']);
const betas = { beta1: attr.float(0.9), beta2: attr.float(0.99) };
const adamW = (inputs = ['w', 'm', 'v', 'sum:0', 'f', 's', 'e', 'd', '^norm']): GraphNode =>
  node('step', 'T4AdamW', inputs, betas);

describe('the gradient of a table', () => {
  it('is not summed where the norm and AdamW can take the rows of the tokens', () => {
    const dense = [rowsOf(4096), sum(['dy', 'ids', 'rows', '^y']), norm, adamW()];
    expect(useRowGradients(dense)).to.deep.equal([
      rowsOf(4096),
      node('norm', 'T4RowsL2Loss', ['dy', 'ids', 'rows', '^x', '^y']),
      node('step', 'T4AdamWRows', ['w', 'm', 'v', 'dy', 'ids', 'f', 's', 'e', 'd', '^norm', '^y'], betas),
    ]);
  });

  const denseCases: readonly [why: string, nodes: readonly GraphNode[]][] = [
    ['the table has few rows', [rowsOf(4095), sum(), norm, adamW()]],
    ['the number of rows is not known', [node('rows', 'Placeholder', []), sum(), norm, adamW()]],
    ['something else takes it', [rowsOf(5000), sum(), norm, adamW(), node('scaled', 'Mul', ['sum', 'f'])]],
    ['it is a weight', [rowsOf(5000), sum(), adamW(['sum', 'm', 'v', 'g', 'f', 's', 'e', 'd'])]],
    ['something waits for it', [rowsOf(5000), sum(), norm, adamW(), node('late', 'Identity', ['x', '^sum'])]],
    ['it is returned', [rowsOf(5000), sum(), norm, adamW(), node('f/output_gradient', 'Identity', ['sum'])]],
  ];
  for (const [why, nodes] of denseCases) {
    it(`is dense where ${why}`, () => {
      expect(useRowGradients(nodes)).to.deep.equal(nodes);
    });
  }
});
