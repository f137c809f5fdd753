import { UserError } from '../errors.js';
import type { VariableSpec } from '../models/variables.js';
import { didYouMean } from '../nearest.js';
import type { TrainingConfig } from '../task/schema.js';

type Specs = readonly Pick<VariableSpec, 'name' | 'part'>[];

/**
 * The names of the variables that `training.freeze` says are not trained: no gradient is computed for them.
 *
 * @throws UserError 'usage' for a pattern that is nobody's, and where nothing is left to train
 */
export function frozenVariables(specs: Specs, { freeze = [] }: Pick<TrainingConfig, 'freeze'>): Set<string> {
  const frozen = new Set(freeze.flatMap((pattern) => matching(specs, pattern, 'training.freeze')));
  if (frozen.size < specs.length) return frozen;
  throw new UserError('usage', 'training.freeze: all variables are frozen, so there is nothing to train');
}

/**
 * What the learning rate of each variable is multiplied by, where that is not 1.
 *
 * - `training.layer_decay` d (Howard and Ruder 2018, arXiv:1801.06146; depths as ELECTRA's `optimization.py` counts them):
 *   d^(n + 2 - depth) in a model of n layers, where the depth of the embeddings is 0, of layer k (from 0) k + 1, and of
 *   pooler and head n + 2. Layers that share their weights are one layer.
 * - `training.rate_factors`: the factor of each pattern that fits the name, multiplied together (bert4keras'
 *   `extend_with_parameter_wise_lr`)
 *
 * @throws UserError 'usage' for a pattern that is nobody's
 */
export function rateFactorsOf(
  specs: Specs,
  { layer_decay: decay, rate_factors: factors = {} }: Pick<TrainingConfig, 'layer_decay' | 'rate_factors'>,
): Map<string, number> {
  const layers = Math.max(0, ...specs.map(({ name }) => (layerOf(name) ?? -1) + 1));
  const result = new Map(
    specs.map((spec) => [spec.name, decay ** (layers + 2 - depthOf(spec, layers))]), // prettier-ignore
  );
  for (const [pattern, factor] of Object.entries(factors)) {
    for (const name of matching(specs, pattern, 'training.rate_factors')) result.set(name, result.get(name)! * factor);
  }
  return new Map([...result].filter(([, factor]) => factor !== 1));
}

function depthOf({ name, part }: Specs[number], layers: number): number {
  if (part === 'pooler' || part === 'head') return layers + 2;
  const layer = layerOf(name);
  return layer === undefined ? 0 : layer + 1;
}

/** The number of a layer that a variable belongs to; ALBERT's layers are groups that share their weights, or one. */
function layerOf(name: string): number | undefined {
  const number = /\/(?:layer|group)_(\d+|shared)\//.exec(name)?.[1];
  if (number === undefined) return undefined;
  return number === 'shared' ? 0 : Number(number);
}

/** The names that a pattern stands for; `*` is any text. */
function matching(specs: Specs, pattern: string, key: string): string[] {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const expression = new RegExp(`^${parts.join('.*')}$`);
  const names = specs.map(({ name }) => name);
  const found = names.filter((name) => expression.test(name));
  if (found.length > 0) return found;
  throw new UserError(
    'usage',
    `${key}: got "${pattern}", expected a variable's name${didYouMean(pattern, names)}, or a pattern with * that fits some`,
    `Names are ${names[0]!} ... ${names.at(-1)!}; */embeddings/* are those of the embeddings, */layer_0/* of the first layer.`,
  );
}
