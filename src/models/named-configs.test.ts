import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { packageRoot } from '../package-root.js';
import { modelConfigSchema } from './model-config.js';
import { modelOf } from './network.js';

/** Encoder and pooler, as Transformers' AutoModel counts them for these files; the published sizes where there are some. */
const parameterCounts: Readonly<Record<string, number>> = {
  'albert-base': 11_683_584,
  'albert-base-zh': 10_547_968,
  'albert-large': 17_683_968,
  'albert-large-zh': 16_548_352,
  'albert-small-zh': 4_742_272,
  'albert-tiny-zh': 4_080_520,
  'albert-xlarge': 58_724_864,
  'albert-xlarge-zh': 57_589_248,
  'albert-xxlarge': 222_595_584,
  'albert-xxlarge-zh': 221_459_968,
  'bert-base': 109_482_240,
  'bert-base-zh': 102_267_648,
  'bert-large': 335_141_888,
  'bert-large-zh': 325_522_432,
  'bert-medium': 41_373_184,
  'bert-mini': 11_170_560,
  'bert-small': 28_763_648,
  'bert-tiny': 4_385_920,
  'bert-tiny-zh': 3_183_488,
  'distilbert-base': 66_362_880,
  'electra-base': 108_891_648,
  'electra-base-zh': 101_677_056,
  'electra-large': 334_092_288,
  'electra-large-zh': 324_472_832,
  'electra-small': 13_483_008,
  'electra-small-zh': 12_280_576,
  'roberta-base': 124_645_632,
  'roberta-large': 355_359_744,
};

const folder = join(packageRoot(), 'configs');

// Keys of t4's own besides the configuration's.
const fileSchema = z.looseObject({ vocab: z.string().optional() });

const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));

describe('a configuration in configs/', () => {
  it('is known to these tests, each one', () => {
    const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
    expect(names).to.have.members(Object.keys(parameterCounts).map((name) => `${name}.json`));
  });

  for (const [name, count] of Object.entries(parameterCounts)) {
    it(`${name} has the parameters of the model it is named after`, () => {
      const config = modelConfigSchema.parse(read(name));
      const model = modelOf(config);
      const sizes = [...model.variables, ...model.poolerVariables].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
      expect(sizes.reduce((a, b) => a + b, 0)).to.equal(count);
      expect(name.startsWith(`${config.model_type}-`)).to.equal(true);
    });

    it(`${name} says every key that its family has a default for, so that it reads as it is`, () => {
      const { vocab, ...keys } = fileSchema.parse(read(name));
      expect(modelConfigSchema.parse(keys)).to.deep.equal({
        ...keys,
        ...(keys.model_type === 'distilbert' ? { sinusoidal_pos_embds: false } : {}),
      });
      if (vocab === undefined) return;
      const lines = readFileSync(join(folder, 'vocab', vocab, 'vocab.txt'), 'utf8')
        .trimEnd()
        .split('\n');
      expect(lines).to.have.length(modelConfigSchema.parse(keys).vocab_size);
    });
  }
});
