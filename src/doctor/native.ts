import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { packageRoot } from '../package-root.js';
import { type Check, type Finished, runProgram } from './check.js';

/** What the set-up leaves beside the binding (tools/setup/native.mjs). */
const stampSchema = z.object({ tensorflow: z.string(), variant: z.enum(['cpu', 'gpu']), library: z.string() });
export type Stamp = z.infer<typeof stampSchema>;

const setup = 'npm run setup';

interface Places {
  readonly binding: string;
  readonly stamp: string;
  readonly library: string;
}

/** Undefined where the npm package is not installed. */
export function nativePlaces(): Places | undefined {
  try {
    const resolved = createRequire(join(packageRoot(), 'package.json')).resolve(
      '@tensorflow/tfjs-node-gpu/package.json',
    );
    const folder = dirname(resolved);
    const binding = join(folder, 'lib', 'napi-v8', 'tfjs_binding.node');
    return {
      binding,
      stamp: join(dirname(binding), 't4-setup.json'),
      library: join(folder, 'deps', 'lib', 'libtensorflow_framework.so.2'),
    };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

export function readStamp(file: string): Stamp | undefined {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8');
  try {
    return stampSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // a damaged stamp counts as none: the set-up makes it anew
  }
}

export interface NativeState {
  readonly checks: readonly Check[];
  readonly stamp: Stamp | undefined;
  /** undefined where the binding does not load */
  readonly usesGpu: boolean | undefined;
  /** libraries that TensorFlow looked for on the GPU's behalf and did not find */
  readonly missing: readonly string[];
}

/** Library and binding; the binding is loaded in another process, which may not survive the try. */
export async function checkNative(places: Places | undefined = nativePlaces()): Promise<NativeState> {
  const nothing = { stamp: undefined, usesGpu: undefined, missing: [] };
  if (places === undefined) {
    const check: Check = {
      name: 'Native library',
      status: 'fail',
      detail: 'the npm packages are not installed',
      fix: setup,
    };
    return { ...nothing, checks: [check] };
  }
  const stamp = readStamp(places.stamp);
  const library = checkLibrary(places, stamp);
  if (!existsSync(places.binding)) {
    const check: Check = { name: 'Binding', status: 'fail', detail: `${places.binding} does not exist`, fix: setup };
    return { ...nothing, stamp, checks: [library, check] };
  }
  const { check, usesGpu, missing } = readLoad(await loadBinding(places.binding));
  return { checks: [library, check], stamp, usesGpu, missing };
}

function checkLibrary(places: Places, stamp: Stamp | undefined): Check {
  const name = 'Native library';
  if (!existsSync(places.library))
    return { name, status: 'fail', detail: `${places.library} does not exist`, fix: setup };
  if (stamp === undefined) {
    return { name, status: 'warn', detail: `${places.library}, not put there by the set-up`, fix: setup };
  }
  return { name, status: 'ok', detail: `TensorFlow ${stamp.tensorflow}, ${stamp.variant}, ${stamp.library}` };
}

const script = `
const binding = require(process.argv[1]);
process.stdout.write(JSON.stringify({ version: binding.TF_Version, usesGpu: binding.isUsingGpuDevice() }));
`;

function loadBinding(file: string): Promise<Finished> {
  // Level 0: TensorFlow then names the CUDA libraries that it looked for in vain.
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0', TF_FORCE_GPU_ALLOW_GROWTH: 'true' };
  return runProgram(process.execPath, ['-e', script, file], { env });
}

const loadSchema = z.object({ version: z.string(), usesGpu: z.boolean() });

export function readLoad(run: Finished): { check: Check; usesGpu: boolean | undefined; missing: string[] } {
  const name = 'Binding';
  const missing = missingLibraries(run.stderr);
  if (run.code === 0) {
    const { version, usesGpu } = loadSchema.parse(JSON.parse(run.stdout));
    return { check: { name, status: 'ok', detail: `loads TensorFlow ${version}` }, usesGpu, missing };
  }
  const fail = (detail: string, fix: string) => ({
    check: { name, status: 'fail', detail, fix } as const,
    usesGpu: undefined,
    missing,
  });
  if (run.signal === 'SIGILL') {
    return fail('this processor lacks instructions that the native library needs (AVX)', 'use another machine');
  }
  if (missing.length > 0) {
    const cuda = missing.some((library) => /^lib(cu|nv|nccl)/.test(library));
    return fail(`missing: ${missing.join(', ')}`, cuda ? `${setup} -- --gpu (brings CUDA), or -- --cpu` : setup);
  }
  const version = /version `([^']+)' not found/.exec(run.stderr)?.[1];
  if (version !== undefined) {
    return fail(
      `a system library is older than ${version}`,
      `delete node_modules and ~/.cache/t4/addons, then ${setup}`,
    );
  }
  const line =
    run.stderr.split('\n').find((text) => text.includes('Error')) ??
    run.failure ??
    `ended by ${run.signal ?? 'an error'}`;
  return fail(line.slice(0, 300), setup);
}

/** The names in the dynamic loader's complaints: "libcudart.so.12: cannot open shared object file". */
export function missingLibraries(stderr: string): string[] {
  const found = stderr.matchAll(/([\w.+-]+\.so[.\d]*): cannot open shared object file|load dynamic library '([^']+)'/g);
  return [...new Set([...found].map(([, opened, loaded]) => opened ?? loaded ?? ''))];
}
