import { writeModelHead, writeModelWeights, type ModelCard } from '../../src/checkpoints/model-folder.js';
import { createRandom } from '../../src/data/random.js';
import type { ModelConfig } from '../../src/models/model-config.js';
import type { Network } from '../../src/models/network.js';
import { loadTokenizer } from '../../src/tokenization/load.js';

export interface RandomModel {
  readonly config: ModelConfig;
  readonly network: Network;
  readonly card: ModelCard;
}

/**
 * Writes a model as t4 finetune leaves it, with random weights up to 1000 / divisor; gamma around 1.
 *
 * @param tokenizer the folder of the tokenizer that it gets
 */
export function writeRandomModel(
  folder: string,
  { config, network, card }: RandomModel,
  tokenizer: string,
  divisor: number,
): void {
  writeModelHead(folder, config, card, loadTokenizer(tokenizer).files);
  const random = createRandom(5);
  writeModelWeights(folder, config, network.variables, (name) => {
    const { shape } = network.variables.find((spec) => spec.name === name)!;
    const around = name.endsWith('/gamma') ? 1 : 0;
    const size = shape.reduce((product, dim) => product * dim, 1);
    return Float32Array.from({ length: size }, () => around + (random(2001) - 1000) / divisor);
  });
}
