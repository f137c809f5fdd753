import { UserError } from '../errors.js';
import { damagedFile, printable } from './file-bytes.js';
import type { PickleEnvironment } from './pickle.js';
import { describeValue, isKind, qualifiedName } from './pickle-values.js';
import type { PickleGlobal, PickleObject, PickleStorage, PickleTensor, PickleValue } from './pickle-values.js';
import { isElementType, viewOf } from './pytorch-tensors.js';

/**
 * The classes and functions that a PyTorch file may name. A name is only ever looked up here: those that make tensors
 * and containers do, the others that checkpoints of fairseq name become records, and any further one is refused.
 */

type Arguments = readonly PickleValue[];
type Spend = (elements: number) => void;

/** Classes that become records of what they were called with. */
const inert = new Set([
  'argparse.Namespace',
  'builtins.bool',
  'builtins.bytes',
  'builtins.complex',
  'builtins.float',
  'builtins.int',
  'builtins.object',
  'builtins.str',
  'numpy.dtype',
  'numpy.ndarray',
  'numpy.core.multiarray._reconstruct',
  'numpy.core.multiarray.scalar',
  'numpy._core.multiarray._reconstruct',
  'numpy._core.multiarray.scalar',
  'torch.device',
]);

/** The same, by module: the settings and meters of fairseq, the configurations it keeps, types in their schemas. */
const inertModules = ['fairseq', 'omegaconf', 'torch.optim', 'typing'];

const isInert = (global: PickleGlobal): boolean =>
  inert.has(qualifiedName(global)) ||
  inertModules.some((module) => global.module === module || global.module.startsWith(`${module}.`));

// Python 2's names, which files of protocol 2 have up to today. Lib/_compat_pickle.py
const modulesOfPython2: ReadonlyMap<string, string> = new Map([
  ['__builtin__', 'builtins'],
  ['copy_reg', 'copyreg'],
]);
const builtinsOfPython2: ReadonlyMap<string, string> = new Map([
  ['long', 'int'],
  ['unicode', 'str'],
]);

function modernName(module: string, name: string): PickleGlobal {
  const builtin = module === '__builtin__' ? builtinsOfPython2.get(name) : undefined;
  return { kind: 'global', module: modulesOfPython2.get(module) ?? module, name: builtin ?? name };
}

/** The names of a file at `path`, whose storages `load` finds. */
export function pytorchEnvironment(path: string, load: (id: PickleValue) => PickleStorage): PickleEnvironment {
  const functions = new Map([...containers(path), ...tensorFunctions(path)]);
  return {
    load,
    find: (module, name) => {
      const global = modernName(module, name);
      const known = qualifiedName(global);
      if (functions.has(known) || isElementType(known) || isInert(global)) return global;
      throw forbidden(path, known);
    },
    call: (callee, args, spend) => {
      const known = functions.get(qualifiedName(callee));
      if (known !== undefined) return known(args, spend);
      if (!isInert(callee)) throw damagedFile(path, `${qualifiedName(callee)} is called`);
      return instance(callee, args);
    },
  };
}

function forbidden(path: string, name: string): UserError {
  return new UserError(
    'files',
    `${path}: the file asks to run code: ${printable(name)}. Only tensors and plain containers are read`,
    'Where you trust its source, load it in Python and save the tensors alone: torch.save(model.state_dict(), path).',
  );
}

const instance = ({ module, name }: PickleGlobal, args: Arguments): PickleObject => ({
  kind: 'object',
  module,
  name,
  args,
  state: undefined,
  entries: undefined,
  elements: undefined,
});

/** Python's containers, and functions through which some values of Python are pickled. */
function containers(path: string): [string, (args: Arguments, spend: Spend) => PickleValue][] {
  const wrong = (what: string): UserError => damagedFile(path, `the arguments of ${what}`);

  /** `dict(pairs)` or `dict(mapping)`. */
  const dict = (source: PickleValue | undefined, spend: Spend): PickleValue => {
    if (source === undefined) return new Map();
    const pairs = source instanceof Map ? [...source] : source;
    if (!Array.isArray(pairs)) throw wrong('a dict');
    spend(pairs.length);
    const result = new Map<PickleValue, PickleValue>();
    for (const pair of pairs) {
      if (!Array.isArray(pair) || pair.length !== 2) throw wrong('a dict');
      result.set(pair[0]!, pair[1]!);
    }
    return result;
  };

  /** `list(values)`, `set(values)` and the like. */
  const elements = (source: PickleValue | undefined, spend: Spend): PickleValue[] => {
    if (source === undefined) return [];
    if (!Array.isArray(source)) throw wrong('a list');
    spend(source.length);
    return [...source];
  };

  return [
    ['builtins.dict', ([source], spend) => dict(source, spend)],
    ['collections.OrderedDict', ([source], spend) => dict(source, spend)],
    ['collections.Counter', ([source], spend) => dict(source, spend)],
    // Its first argument makes the values that are missing.
    ['collections.defaultdict', ([, source], spend) => dict(source, spend)],
    ['builtins.list', ([source], spend) => elements(source, spend)],
    ['builtins.tuple', ([source], spend) => elements(source, spend)],
    ['torch.Size', ([source], spend) => elements(source, spend)],
    ['builtins.set', ([source], spend) => new Set(elements(source, spend))],
    ['builtins.frozenset', ([source], spend) => new Set(elements(source, spend))],
    [
      // bytes in protocol 2, as text of the same code points
      '_codecs.encode',
      ([text], spend) => {
        if (typeof text !== 'string') throw wrong('_codecs.encode');
        spend(Math.ceil(text.length / 8));
        return new Uint8Array(Buffer.from(text, 'latin1'));
      },
    ],
    [
      // an object of a class without a __reduce__ of its own, in protocols 0 and 1
      'copyreg._reconstructor',
      ([type]) => {
        if (!isKind(type, 'global') || !isInert(type)) throw wrong('copyreg._reconstructor');
        return instance(type, []);
      },
    ],
    [
      // a member of an enumeration by its name, as Python 3.11 has it
      'builtins.getattr',
      ([type, name]) => {
        if (!isKind(type, 'global') || !isInert(type) || typeof name !== 'string')
          throw forbidden(path, 'builtins.getattr');
        return instance(type, [name]);
      },
    ],
    [
      // List[int] in the schema of a configuration
      '_operator.getitem',
      ([type, parameters]) => {
        if (!isKind(type, 'global') || type.module !== 'typing') throw wrong('_operator.getitem');
        return instance(type, [parameters ?? null]);
      },
    ],
    [
      // NoneType in the schema of a configuration
      'builtins.type',
      ([value, ...more]) => {
        if (value !== null || more.length > 0) throw forbidden(path, 'builtins.type');
        return instance({ kind: 'global', module: 'builtins', name: 'NoneType' }, []);
      },
    ],
  ];
}

/** torch/_utils.py's functions that make dense tensors, and those that wrap them. */
function tensorFunctions(path: string): [string, (args: Arguments) => PickleValue][] {
  const tensor = (value: PickleValue | undefined): PickleTensor => {
    if (!isKind(value, 'tensor')) throw damagedFile(path, `a parameter of ${printable(describeValue(value))}`);
    return value;
  };
  const parameter = ([data]: Arguments): PickleTensor => tensor(data);
  const simple: [string, (args: Arguments) => PickleTensor][] = [
    ['torch._utils._rebuild_tensor', (args) => viewOf(path, args)],
    ['torch._utils._rebuild_tensor_v2', (args) => plain(path, viewOf(path, args), args[6])],
    ['torch._utils._rebuild_tensor_v3', (args) => plain(path, viewOf(path, args, args[6] ?? null), args[7])],
    ['torch._utils._rebuild_parameter', parameter],
    ['torch._utils._rebuild_parameter_with_state', parameter],
    ['torch.nn.parameter.Parameter', parameter],
    ['torch.nn.parameter.Buffer', parameter],
    ['torch.Tensor', parameter],
  ];
  const byName = new Map(simple);
  /** A tensor with attributes or of a derived class: (function, class, its arguments, attributes). */
  const derived = ([func, , args]: Arguments): PickleTensor => {
    const rebuild = isKind(func, 'global') ? byName.get(qualifiedName(func)) : undefined;
    if (rebuild === undefined || !Array.isArray(args)) throw damagedFile(path, 'a tensor of a derived class');
    return rebuild(args);
  };
  return [...simple, ['torch._tensor._rebuild_from_type', derived], ['torch._tensor._rebuild_from_type_v2', derived]];
}

/** Refuses views whose values are not the stored ones: `metadata` may say that they are negated or conjugated. */
function plain(path: string, tensor: PickleTensor, metadata: PickleValue | undefined): PickleTensor {
  if (metadata instanceof Map && [...metadata.values()].includes(true)) {
    throw new UserError('files', `${path}: a tensor is stored as a negated or conjugated view`, 'Save a clone of it.');
  }
  return tensor;
}
