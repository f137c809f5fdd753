import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { copyFixture, toShards, toTorchFile } from './support/formats.js';
import { t4 } from './support/t4.js';
import { writeTinyTask, type TinyTask } from './support/tiny-task.js';

describe('t4 finetune from a model in any format', () => {
  let folder: string;
  let task: TinyTask;
  const at = (name: string): string => join(folder, name);
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-any-'));
    task = writeTinyTask(at('task'), { model: { max_length: 13 }, training: { max_steps: 2 } });
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const models: [string, (at: string) => void][] = [
    [
      "Google's TensorFlow checkpoint",
      (path) => {
        copyFixture('tensorflow', path);
      },
    ],
    [
      "fairseq's model.pt",
      (path) => {
        copyFixture('fairseq', path);
      },
    ],
    [
      'pytorch_model.bin',
      (path) => {
        copyFixture('huggingface', path);
        toTorchFile(path, 'zip');
      },
    ],
    [
      'shards',
      (path) => {
        copyFixture('huggingface', path);
        toShards(path);
      },
    ],
  ];
  for (const [what, make] of models) {
    it(`trains, tests and labels; what comes of it is converted and trained again: ${what}`, async () => {
      const [model, run, converted] = [at(what), at(`${what}, run`), at(`${what}, converted`)];
      make(model);
      const trained = await t4('finetune', '--task', task.file, '--model', model, '--output', run);
      expect(trained.code, trained.stderr).to.equal(0);
      expect(trained.stderr).to.match(/weights: \d+ tensors loaded; freshly initialized: .*classifier/);
      const tested = await t4('test', '--checkpoint', run);
      expect(tested.code, tested.stderr).to.equal(0);
      const labelled = await t4('predict', '--checkpoint', run, '--text', 'paris is ab');
      expect(labelled.stdout).to.match(/^\{"label":"(pos|neg)"/);

      expect(await t4('convert', run, '--to', 'tensorflow', '--output', converted)).to.include({ code: 0 });
      const again = await t4('finetune', '--task', task.file, '--model', converted, '--dry-run');
      expect(again.code, again.stderr).to.equal(0);
      // The labels are the same: the head goes along.
      expect(again.stderr).to.match(/weights: \d+ tensors loaded$/m);
      const asBefore = await t4('predict', '--checkpoint', converted, '--text', 'paris is ab', '--precision', 'fp32');
      const before = await t4('predict', '--checkpoint', run, '--text', 'paris is ab', '--precision', 'fp32');
      expect(asBefore.stdout, asBefore.stderr).to.equal(before.stdout);
    });
  }
});
