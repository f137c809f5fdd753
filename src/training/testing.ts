import { floats } from '../graph/testing.js';
import { buildProgram, openSession, tf, type FunctionSpec, type HostTensor, type Program } from '../graph/index.js';
import { clipFactor, factorInput, globalNorm, type Optimizer } from './optimizer.js';

/** Steps of an optimizer on given gradients, for tests. */

export type Numbers = Readonly<Record<string, readonly number[]>>;

export interface OptimizerSteps {
  readonly optimizer: Optimizer;
  readonly shapes: Numbers;
  readonly decayed: (name: string) => boolean;
  /** The first weights. */
  readonly start: Numbers;
  /** Of each step. */
  readonly gradients: readonly Numbers[];
  /** The learning rate of each step. */
  readonly rates: readonly number[];
  /** 0: gradients are not clipped. */
  readonly maxNorm: number;
  /** Whether the program may use the ops of graph/fused-ops.ts; absent: no. */
  readonly fused?: boolean;
}

const scalar = { dtype: 'float32', shape: [] } as const;

function programOf({ optimizer, shapes, decayed, maxNorm, fused = false }: OptimizerSteps): Program {
  const names = Object.keys(shapes);
  const weights = names.map((name) => ({ name, shape: shapes[name]!, dtype: 'float32' as const }));
  const kept = weights.flatMap((weight) => optimizer.state(weight));
  const step: FunctionSpec = {
    inputs: {
      ...Object.fromEntries(optimizer.factorNames.map((name) => [factorInput(name), scalar])),
      ...Object.fromEntries(names.map((name) => [name, { dtype: 'float32', shape: shapes[name]! }])),
    },
    build(inputs, variables) {
      const gradients = names.map((name) => inputs[name]!);
      const norm = globalNorm(gradients);
      optimizer.apply(
        variables,
        names.map((name, i) => ({ name, gradient: gradients[i]!, decayed: decayed(name) })),
        Object.fromEntries(optimizer.factorNames.map((name) => [name, inputs[factorInput(name)]!])),
        maxNorm > 0 ? clipFactor(norm, maxNorm) : tf.scalar(1),
      );
      return { norm };
    },
  };
  const variables = [...weights, ...kept];
  return buildProgram({ variables, fused, functions: { step }, accessible: variables.map(({ name }) => name) });
}

/** Takes the steps; returns the weights and the norm of the gradients after each. */
export function takeSteps(steps: OptimizerSteps): { weights: Record<string, HostTensor>; norm: number }[] {
  const { optimizer, shapes, start, gradients, rates } = steps;
  const names = Object.keys(shapes);
  const program = programOf(steps);
  const session = openSession(program);
  try {
    for (const { name, shape } of program.variables) {
      const size = shape.reduce((product, length) => product * length, 1);
      session.run(`assign/${name}`, { value: floats(shape, start[name] ?? new Array<number>(size).fill(0)) });
    }
    return gradients.map((ofStep, step) => {
      const factors = Object.entries(optimizer.factors(rates[step]!, step + 1));
      const { norm } = session.run('step', {
        ...Object.fromEntries(factors.map(([name, value]) => [factorInput(name), floats([], [value])])),
        ...Object.fromEntries(names.map((name) => [name, floats(shapes[name]!, ofStep[name]!)])),
      });
      const weights = names.map((name) => [name, session.run(`fetch/${name}`, {}).value!]);
      return { norm: Number(norm!.data[0]), weights: Object.fromEntries(weights) as Record<string, HostTensor> };
    });
  } finally {
    session.dispose();
  }
}
