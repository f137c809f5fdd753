// A process that loads a model's folder for inference and prints the seconds that the parts of it took, and the memory.
import { z } from 'zod';
import { peakBytesOf } from './child.js';

const { folder } = z.object({ folder: z.string() }).parse(JSON.parse(process.argv[2]!));
// Loaded here, so that its time is part of what is measured.
const { openCheckpoint } = await import('../../src/checkpoints/open.js');
const { planLoad } = await import('../../src/checkpoints/checkpoint.js');
const { modelOf } = await import('../../src/models/network.js');
const { inferenceProgram } = await import('../../src/training/program.js');
const { openModel } = await import('../../src/training/trainer.js');

const checkpoint = openCheckpoint(folder);
const { variables, hiddenStates } = modelOf(checkpoint.config);
const model = openModel(inferenceProgram({ variables, logits: hiddenStates }, 'fp32'));
const readyBytes = process.memoryUsage.rss();
const began = performance.now();
const { loaded } = planLoad(checkpoint, variables, true);
model.load(loaded.map(({ spec, read }) => ({ ...spec, read })));
const seconds = (performance.now() - began) / 1000;
const loadedBytes = process.memoryUsage.rss();
process.stdout.write(
  `${JSON.stringify({
    seconds,
    sinceStart: performance.now() / 1000,
    modelBytes: 4 * variables.reduce((sum, { shape }) => sum + shape.reduce((count, size) => count * size, 1), 0),
    readyBytes,
    loadedBytes,
    peakBytes: peakBytesOf(process.pid),
  })}\n`,
);
