import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { modelTypes } from '../models/model-config.js';
import { describeConfig, describeSettings, fairseqSettings, plainSettings, settingsSchema } from './describe-config.js';
import type { ConfigDescription, Settings } from './describe-config.js';
import { describeRun, isRun, type RunDescription } from './describe-run.js';
import { describeSavedModel, findSavedModel, type SavedModelDescription } from './describe-saved-model.js';
import { checkTensors, countParameters, headsOf, type HeadKind, type ParameterCounts } from './describe-tensors.js';
import { describeTokenizer, type TokenizerDescription } from './describe-tokenizer.js';
import { printable } from './file-bytes.js';
import { bundlePrefix, findWeights, type FoundWeights, type WeightFormat } from './find-weights.js';
import { readJson } from './json.js';
import { unknownFormat } from './open.js';
import { findConfig } from './tensorflow.js';

/** What is in a model's files, without TensorFlow and without reading a weight. */

export interface ModelDescription {
  readonly path: string;
  /** undefined: a configuration without weights. */
  readonly format: WeightFormat | 'saved-model' | undefined;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly model_type: string | undefined;
  /** Transformers' class, where the configuration names one. */
  readonly architecture: string | undefined;
  readonly heads: readonly HeadKind[];
  /** Whether t4 can train it. */
  readonly trainable: boolean;
  /** What is missing, wrong, or not supported. */
  readonly problems: readonly string[];
  /** Whether a file that is there could not be read. */
  readonly damaged: boolean;
  readonly config: (ConfigDescription & { readonly file: string | undefined }) | undefined;
  /** Other keys of a configuration that t4 does not know. */
  readonly further_config: Readonly<Record<string, string | number | boolean>> | undefined;
  readonly parameters: ParameterCounts | undefined;
  /** Encoder weights that are missing. */
  readonly missing: readonly string[] | undefined;
  /** Tensors that t4 has no use for. */
  readonly unused: readonly string[] | undefined;
  readonly tokenizer: TokenizerDescription | undefined;
  /** Names by label id. */
  readonly labels: readonly string[] | undefined;
  readonly tensors: readonly TensorDescription[];
}

export interface TensorDescription {
  readonly name: string;
  /** As the file's format spells it. */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** The model; of a run and of an export, that too. */
export interface Description {
  readonly kind: 'model' | 'run' | 'export';
  readonly run: RunDescription | undefined;
  readonly export: SavedModelDescription | undefined;
  /** undefined: a run that has none yet. */
  readonly model: ModelDescription | undefined;
}

/**
 * Describes whatever lies at a path: a run, an export, a model's folder, a file of weights.
 *
 * @throws UserError 'files' where it is nothing that t4 knows, or the weights are damaged
 */
export function describe(path: string): Description {
  const nothing = { run: undefined, export: undefined };
  if (bundlePrefix(path) !== undefined) return { kind: 'model', ...nothing, model: describeModel(path) };
  const saved = findSavedModel(path);
  if (saved !== undefined) {
    const description = describeSavedModel(saved.folder, saved.versions);
    return { kind: 'export', run: undefined, export: description, model: describeExport(saved.folder, path) };
  }
  if (!statSync(path).isDirectory() || !isRun(path)) {
    return { kind: 'model', ...nothing, model: describeModel(path) };
  }
  const model = join(path, 'model');
  return {
    kind: 'run',
    run: describeRun(path),
    export: undefined,
    model: existsSync(model) ? describeModel(model) : undefined,
  };
}

function describeModel(path: string): ModelDescription {
  const weights = findWeights(path);
  if (weights !== undefined) {
    try {
      return describeWeights(path, weights);
    } finally {
      weights.close();
    }
  }
  if (!statSync(path).isDirectory()) {
    throw new UserError(
      'files',
      `${path} is not a file of weights`,
      'Expected a folder, *.safetensors, *.bin, *.pt, saved_model.pb, or the prefix of a TensorFlow checkpoint.',
    );
  }
  const absent = unknownFormat(path);
  const description = describeFolder(path, undefined, absent);
  if (description.config === undefined && description.tokenizer === undefined) throw absent;
  return description;
}

function describeWeights(path: string, weights: FoundWeights): ModelDescription {
  const isModelsOwn = weights.format !== 'safetensors' && weights.format !== 'pytorch';
  // The configuration of a folder may be of another of its files.
  const description = describeFolder(isModelsOwn ? weights.folder : undefined, weights, weights.refusal);
  return { ...description, path };
}

/** The variables of an export; what else tells of the model lies in its folder, or in the one of its versions. */
function describeExport(folder: string, path: string): ModelDescription {
  const weights = existsSync(join(folder, 'variables', 'variables.index'))
    ? findWeights(join(folder, 'variables', 'variables'))
    : undefined;
  try {
    const places = [folder, join(folder, 'assets.extra'), join(folder, 'assets'), path];
    const home = places.find((place) => existsSync(join(place, 'config.json')));
    const description = describeFolder(home ?? folder, weights, undefined);
    return { ...description, path: folder, format: 'saved-model', trainable: false };
  } finally {
    weights?.close();
  }
}

/**
 * @param folder where configuration and tokenizer lie; undefined: nowhere
 * @param refusal why training would refuse it
 */
function describeFolder(
  folder: string | undefined,
  weights: FoundWeights | undefined,
  refusal: UserError | undefined,
): ModelDescription {
  const problems = refusal === undefined ? [] : [refusal.message];
  const stated = weights?.checkpoint === undefined ? readStated(folder, weights, problems) : acceptedBy(weights);
  const names = weights === undefined ? [] : [...weights.tensors.keys()];
  const checked = weights?.checkpoint === undefined ? undefined : checkTensors(weights.checkpoint);
  if (checked !== undefined && checked.missing.length > 0) {
    problems.push(`${checked.missing.length} weights of the encoder are missing: ${shorten(checked.missing)}`);
  }
  if (checked !== undefined && checked.misfits.length > 0) {
    problems.push(`${checked.misfits.length} weights do not fit the configuration: ${shorten(checked.misfits)}`);
  }
  const known = problems.length;
  const tokenizer = readTokenizer(folder, problems);
  if (weights?.checkpoint !== undefined && tokenizer === undefined && problems.length === known) {
    problems.push('there is no tokenizer');
  }
  const rows = stated.config?.vocabulary;
  if (tokenizer !== undefined && rows !== undefined && tokenizer.vocabulary > rows) {
    problems.push(`the tokenizer has ids up to ${tokenizer.vocabulary - 1}, the vocabulary ends at ${rows - 1}`);
  }
  return {
    path: folder ?? '',
    format: weights?.format,
    files: (weights?.files ?? []).map((file) => ({ name: basename(file), bytes: statSync(file).size })),
    model_type: stated.modelType,
    architecture: stated.architecture,
    heads: headsOf(names, stated.architecture),
    trainable: weights?.checkpoint !== undefined && problems.length === 0,
    problems,
    damaged: stated.damaged,
    config: stated.config === undefined ? undefined : { file: stated.file, ...stated.config },
    further_config: stated.further,
    parameters: weights === undefined ? undefined : countParameters(weights.tensors.values(), stated.tied),
    missing: checked?.missing,
    unused: checked?.unused,
    tokenizer,
    labels: stated.labels,
    tensors: [...(weights?.tensors.values() ?? [])].map(({ name, dtype, shape }) => ({
      name: printable(name),
      dtype: printable(dtype),
      shape,
    })),
  };
}

const mostListed = 5;

const shorten = (names: readonly string[]): string =>
  [...names.slice(0, mostListed).map(printable), ...(names.length > mostListed ? ['...'] : [])].join(', ');

/** What a configuration says. */
interface Stated {
  readonly file: string | undefined;
  readonly modelType: string | undefined;
  readonly architecture: string | undefined;
  readonly config: ConfigDescription | undefined;
  readonly further: ModelDescription['further_config'];
  readonly labels: readonly string[] | undefined;
  readonly tied: boolean;
  readonly damaged: boolean;
}

const nothingStated: Stated = {
  file: undefined,
  modelType: undefined,
  architecture: undefined,
  config: undefined,
  further: undefined,
  labels: undefined,
  tied: true,
  damaged: false,
};

/** Of a model that t4 can open. */
function acceptedBy({ checkpoint, format }: FoundWeights): Stated {
  if (checkpoint === undefined) return nothingStated;
  const { config, configPath, labels } = checkpoint;
  const settings = format === 'fairseq' ? {} : settingsSchema.parse(readJson(configPath, `${configPath} is gone`));
  return {
    ...nothingStated,
    file: basename(configPath),
    modelType: config.model_type,
    architecture: architectureOf(settings),
    config: describeConfig(config),
    labels,
    tied: config.tie_word_embeddings !== false,
  };
}

const architecturesSchema = z.array(z.string()).min(1);

function architectureOf(settings: Settings): string | undefined {
  const parsed = architecturesSchema.safeParse(settings.architectures);
  return parsed.success ? printable(parsed.data[0]!) : undefined;
}

/** Of a model that t4 refuses: its configuration as far as it can be read. */
function readStated(folder: string | undefined, weights: FoundWeights | undefined, problems: string[]): Stated {
  if (weights?.settings !== undefined) {
    const settings = fairseqSettings(weights.settings);
    const config = describeSettings(settings, 'huggingface');
    return { ...nothingStated, file: basename(weights.files[0]!), config, further: plainSettings(settings) };
  }
  const path = folder === undefined ? undefined : configIn(folder);
  if (path === undefined) return nothingStated;
  const damaged = (message: string): Stated => {
    if (!problems.includes(message)) problems.push(message);
    return { ...nothingStated, file: basename(path), damaged: true };
  };
  try {
    const parsed = settingsSchema.safeParse(readJson(path, `${path} does not exist`));
    return parsed.success ? statedIn(path, parsed.data, weights?.format) : damaged(`${path}: not a JSON object`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return damaged(error.message);
  }
}

function configIn(folder: string): string | undefined {
  try {
    return findConfig(folder);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return undefined;
  }
}

function statedIn(path: string, settings: Settings, format: WeightFormat | undefined): Stated {
  const modelType = typeof settings.model_type === 'string' ? printable(settings.model_type) : undefined;
  const isGoogles = modelType === undefined && (format === 'tensorflow' || basename(path) !== 'config.json');
  const isKnown = modelTypes.some((known) => known === modelType);
  return {
    file: basename(path),
    modelType,
    architecture: architectureOf(settings),
    config: describeSettings(settings, isGoogles ? 'google' : 'huggingface'),
    further: isKnown ? undefined : plainSettings(settings),
    labels: labelsIn(settings),
    tied: settings.tie_word_embeddings !== false,
    damaged: false,
  };
}

const labelsSchema = z.record(z.string(), z.string());

function labelsIn(settings: Settings): string[] | undefined {
  const parsed = labelsSchema.safeParse(settings.id2label);
  return parsed.success ? Object.values(parsed.data).map(printable) : undefined;
}

function readTokenizer(folder: string | undefined, problems: string[]): TokenizerDescription | undefined {
  if (folder === undefined) return undefined;
  try {
    return describeTokenizer(folder);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problems.push(error.message);
    return undefined;
  }
}
