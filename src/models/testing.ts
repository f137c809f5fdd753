import { floats, integers, numbersOf, runEagerly } from '../graph/testing.js';
import {
  dimension,
  type FunctionSpec,
  type HostTensor,
  type NamedTensors,
  type TensorSpec,
  type VariableScope,
} from '../graph/index.js';
import { noDropout } from './dropout.js';
import type { Pass } from './layers.js';
import type { EncoderInputs } from './transformer.js';

/** For tests of models: inputs of any shape, and the same function run eagerly. */

const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };

export const inputSpecs = { inputIds: tokens, tokenTypeIds: tokens, attentionMask: tokens };

export const encoderInputs = ({ inputIds, tokenTypeIds, attentionMask }: NamedTensors): EncoderInputs => ({
  inputIds: inputIds!,
  tokenTypeIds: tokenTypeIds!,
  attentionMask: attentionMask!,
});

/** A pass without dropout. */
export const passOf = (variables: Pick<VariableScope, 'read'>): Pass => ({
  weights: (name) => variables.read(name),
  dropout: noDropout,
});

export const halved = (tensor: HostTensor): HostTensor =>
  floats(
    tensor.shape,
    numbersOf(tensor).map((value) => value / 2),
  );

/** int32 [size, length] */
export const table = (size: number, length: number, value: (row: number, column: number) => number): HostTensor =>
  integers(
    [size, length],
    Array.from({ length: size * length }, (_, i) => value(Math.floor(i / length), i % length)),
  );

/** int32 [rows, longer]: each row of `tensor` [rows, length] and `filling` behind it. */
export function lengthened(tensor: HostTensor, longer: number, filling: number): HostTensor {
  const [rows, length] = tensor.shape as [number, number];
  const values = numbersOf(tensor);
  return table(rows, longer, (row, column) => (column < length ? values[row * length + column]! : filling));
}

export const only = (inputs: Readonly<Record<string, HostTensor>>, names: object): Record<string, HostTensor> =>
  Object.fromEntries(Object.keys(names).map((name) => [name, inputs[name]!]));

/** Runs a function of named tensors and weights on tfjs-node's own backend. */
export function eagerly(
  definition: FunctionSpec,
  inputs: Readonly<Record<string, HostTensor>>,
  weights: ReadonlyMap<string, HostTensor>,
): Record<string, HostTensor> {
  const names = Object.keys(definition.inputs);
  let outputNames: string[] = [];
  const tensors = [...names.map((name) => inputs[name]!), ...weights.values()];
  const results = runEagerly(tensors, (...given) => {
    const byName = new Map([...names, ...weights.keys()].map((name, i) => [name, given[i]!]));
    const refuse = (): never => {
      throw new Error('no variable is changed here');
    };
    const outputs = definition.build(Object.fromEntries(byName), {
      read: (name) => byName.get(name)!,
      assign: refuse,
      replace: refuse,
      update: refuse,
      inTurn: (body) => body(),
      onlyIf: refuse,
    });
    outputNames = Object.keys(outputs);
    return Object.values(outputs);
  });
  return Object.fromEntries(outputNames.map((name, i) => [name, results[i]!]));
}
