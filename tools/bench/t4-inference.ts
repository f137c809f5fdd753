// A process that answers with a classifier of a Hugging Face folder, as t4 predict does. It prints a line when the model
// is loaded; a line {"inputIds": a list for each text, "runs": n} on stdin is answered by the seconds of each of n runs
// and the logits of the last one.
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { openCheckpoint } from '../../src/checkpoints/open.js';
import { sequenceClassifier } from '../../src/models/network.js';
import { readAllWeights } from '../../src/training/finished-model.js';
import { inferenceProgram } from '../../src/training/program.js';
import { openModel } from '../../src/training/trainer.js';
import { bertBase } from './flops.js';

const { model: folder, precision } = z
  .object({ model: z.string(), precision: z.enum(['fp32', 'bf16']) })
  .parse(JSON.parse(process.argv[2]!));

const checkpoint = openCheckpoint(folder);
const network = sequenceClassifier(checkpoint.config, bertBase.labels);
const model = openModel(inferenceProgram(network, precision));
model.load(readAllWeights(checkpoint, network));
checkpoint.close();

const answer = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

const requestSchema = z.object({ inputIds: z.array(z.array(z.int())), runs: z.int() });

answer({});
for await (const line of createInterface({ input: process.stdin })) {
  const { inputIds, runs } = requestSchema.parse(JSON.parse(line));
  const [size, length] = [inputIds.length, inputIds[0]!.length];
  const tokens = size * length;
  const batch = {
    size,
    length,
    inputIds: Int32Array.from(inputIds.flat()),
    tokenTypeIds: new Int32Array(tokens),
    attentionMask: new Int32Array(tokens).fill(1),
    labels: new Int32Array(size),
    labelled: 'example' as const,
    indices: new Int32Array(size),
    tokens,
  };
  const seconds: number[] = [];
  let logits: Float32Array = new Float32Array();
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    ({ logits } = model.predict(batch));
    seconds.push((performance.now() - began) / 1000);
  }
  answer({ seconds, logits: Array.from(logits) });
}
