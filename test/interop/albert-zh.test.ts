import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { planLoad } from '../../src/checkpoints/checkpoint.js';
import { writeJson } from '../../src/checkpoints/json.js';
import { openCheckpoint } from '../../src/checkpoints/open.js';
import { buildProgram, dimension, openSession, type FunctionSpec, type TensorSpec } from '../../src/graph/index.js';
import { floats, largestDifference } from '../../src/graph/testing.js';
import { noDropout } from '../../src/models/dropout.js';
import { maskedLanguageModel, modelOf } from '../../src/models/network.js';
import { arraySchema, askPython } from './python.js';
import { tokenInputs } from './tiny-model.js';

const rows = z.array(z.array(z.number()));
const fixture = z
  .object({
    config: z.looseObject({}),
    weights: z.record(z.string(), arraySchema),
    inputs: z.object({ input_ids: rows, token_type_ids: rows, attention_mask: rows }),
  })
  .parse(JSON.parse(readFileSync('test/fixtures/models/families/albert_zh.json', 'utf8')));

const answerSchema = z.object({ states: arraySchema, pooled: arraySchema, words: arraySchema });
const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };

describe("an ALBERT of albert_zh's first format compared with Python's TensorFlow", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-albert-zh-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('gives what the graph that wrote the checkpoint gives', () => {
    const answer = askPython('albert_zh.py', { prefix: join(folder, 'albert_model.ckpt'), ...fixture }, answerSchema);
    writeJson(join(folder, 'albert_config_tiny.json'), {
      ...fixture.config,
      model_type: undefined,
      hidden_act: 'gelu',
    });
    const checkpoint = openCheckpoint(folder);
    const { config } = checkpoint;
    expect(config.model_type).to.equal('albert_zh');
    const [model, words] = [modelOf(config), maskedLanguageModel(config)];
    const specs = [...words.variables, ...model.poolerVariables];
    const plan = planLoad(checkpoint, specs, true);
    expect([plan.fresh, plan.unused]).to.deep.equal([[], []]);
    const predict: FunctionSpec = {
      inputs: { inputIds: tokens, tokenTypeIds: tokens, attentionMask: tokens },
      build(inputs, variables) {
        const pass = { weights: variables.read.bind(variables), dropout: noDropout };
        const given = {
          inputIds: inputs.inputIds!,
          tokenTypeIds: inputs.tokenTypeIds!,
          attentionMask: inputs.attentionMask!,
        };
        return {
          states: model.hiddenStates(pass, given),
          pooled: model.pooled(pass, given),
          words: words.logits(pass, given),
        };
      },
    };
    const session = openSession(
      buildProgram({
        variables: specs.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const })),
        functions: { predict },
        accessible: specs.map(({ name }) => name),
      }),
    );
    for (const { spec, read } of plan.loaded) {
      session.run(`assign/${spec.name}`, { value: { shape: spec.shape, data: read() } });
    }
    const got = session.run('predict', tokenInputs(fixture.inputs));
    session.dispose();
    checkpoint.close();
    for (const [name, { values }] of Object.entries(answer)) {
      const output = got[name]!;
      expect(largestDifference(output, floats(output.shape, values)), name).to.be.below(1e-5);
    }
  });
});
