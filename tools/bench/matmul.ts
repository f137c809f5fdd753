import { z } from 'zod';
import { pythonCommand, runToEnd } from './child.js';
import { bertBase } from './flops.js';
import type { BenchOptions, Precision } from './options.js';

const speedsSchema = z.object({ fp32: z.array(z.number()), bf16: z.array(z.number()) });

export interface MatmulSpeeds {
  /** Floating-point operations a second, by library and shape. */
  readonly libraries: Readonly<Record<string, z.infer<typeof speedsSchema>>>;
  readonly shapes: readonly (readonly number[])[];
  /** The largest of all. */
  readonly best: Readonly<Record<Precision, number>>;
}

/** How fast this machine multiplies matrices of the model's sizes: the larger of what PyTorch and TensorFlow reach. */
export async function measureMatmul({ device, batch, length }: BenchOptions): Promise<MatmulSpeeds> {
  const { hidden, intermediate } = bertBase;
  const tokens = batch * length;
  const shapes = [
    [tokens, hidden, hidden],
    [tokens, hidden, intermediate],
    [tokens, intermediate, hidden],
    [hidden, tokens, intermediate], // the gradient of a kernel
  ];
  const libraries: Record<string, z.infer<typeof speedsSchema>> = {};
  // On a GPU PyTorch alone: both call cuBLAS, and Python's TensorFlow is there for the CPU only.
  for (const library of device === 'gpu' ? ['torch'] : ['torch', 'tensorflow']) {
    const { stdout } = await runToEnd(pythonCommand('matmul.py', { library, device, shapes, seconds: 1.5 }), device);
    libraries[library] = speedsSchema.parse(JSON.parse(stdout));
  }
  const best = (precision: Precision): number =>
    Math.max(...Object.values(libraries).flatMap((speeds) => speeds[precision]));
  return { libraries, shapes, best: { fp32: best('fp32'), bf16: best('bf16') } };
}
