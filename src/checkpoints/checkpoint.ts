import { basename } from 'node:path';
import { UserError } from '../errors.js';
import type { ModelConfig } from '../models/model-config.js';
import type { VariableSpec } from '../models/variables.js';
import type { StoredTensor } from './stored-tensor.js';
import { transpose } from './transpose.js';

/** How a format stores a variable. */
export interface StoredAs {
  /** The spellings it is found under; the first is the one it is written with. */
  readonly names: readonly string[];
  /** Whether the matrix is stored the other way round: PyTorch's Linear keeps [out, in], our kernels are [in, out]. */
  readonly transposed: boolean;
}

/** A model on disk in whichever format, opened: tensors are read one by one. */
export interface Checkpoint {
  readonly format: 'huggingface' | 'tensorflow' | 'fairseq';
  readonly folder: string;
  /** The file that `config` was read from. */
  readonly configPath: string;
  readonly config: ModelConfig;
  /** Label names by id; undefined where the file has none, or placeholders. */
  readonly labels: readonly string[] | undefined;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** How each variable is stored, by its name. */
  readonly storedAs: ReadonlyMap<string, StoredAs>;
  close(): void;
}

/** How the variables of a model are found in a checkpoint. */
export interface LoadPlan {
  readonly loaded: readonly { readonly spec: VariableSpec; readonly read: () => Float32Array }[];
  /** Variables that the checkpoint lacks and may lack: pooler, head, and those whose initial value is meant. */
  readonly fresh: readonly string[];
  /** Tensors of the checkpoint that the model does not use. */
  readonly unused: readonly string[];
}

/**
 * Finds every variable of a model in the checkpoint.
 *
 * @param takeHead whether the checkpoint's head may be taken, too; it is where it fits
 * @throws UserError 'files' naming each missing encoder weight and each wrong shape
 */
export function planLoad(checkpoint: Checkpoint, specs: readonly VariableSpec[], takeHead: boolean): LoadPlan {
  const loaded: { spec: VariableSpec; read: () => Float32Array }[] = [];
  const fresh: string[] = [];
  const used = new Set<string>();
  const problems: string[] = [];
  for (const spec of specs) {
    const stored = checkpoint.storedAs.get(spec.name);
    const found = stored === undefined || (spec.part === 'head' && !takeHead) ? undefined : find(checkpoint, stored);
    if (stored === undefined || found === undefined) {
      if (spec.part === 'encoder') problems.push(`${stored?.names[0] ?? spec.name} is missing`);
      else fresh.push(spec.name);
      continue;
    }
    used.add(found.name);
    const expected = stored.transposed ? [...spec.shape].reverse() : spec.shape;
    if (found.shape.join() === expected.join()) {
      loaded.push({ spec, read: () => valuesOf(found, stored) });
    } else {
      problems.push(`${found.name} is [${found.shape.join(', ')}], expected [${expected.join(', ')}]`);
    }
  }
  if (problems.length > 0) throw loadError(checkpoint, problems);
  return { loaded, fresh, unused: [...checkpoint.tensors.keys()].filter((name) => !used.has(name)) };
}

function find({ tensors }: Checkpoint, { names }: StoredAs): StoredTensor | undefined {
  for (const name of names) {
    const tensor = tensors.get(name);
    if (tensor !== undefined) return tensor;
  }
  return undefined;
}

function valuesOf(tensor: StoredTensor, { transposed }: StoredAs): Float32Array {
  const values = tensor.read();
  return transposed ? transpose(values, tensor.shape[0]!, tensor.shape[1]!) : values;
}

const mostShown = 20;

function loadError({ folder, configPath }: Checkpoint, problems: readonly string[]): UserError {
  const shown = problems.slice(0, mostShown).map((problem) => `  ${problem}`);
  const more = problems.length > mostShown ? [`  ... and ${problems.length - mostShown} more`] : [];
  return new UserError(
    'files',
    [`${folder}: the weights do not fit ${basename(configPath)}:`, ...shown, ...more].join('\n'),
    'Check that the configuration and the weights belong to one model.',
  );
}
