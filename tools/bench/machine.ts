import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { z } from 'zod';
import { packageVersion } from '../../src/package-root.js';
import { nodeCommand, python } from './child.js';

const versionsSchema = z.record(z.string(), z.string());

const versionsScript = `
import json, sys
from importlib.metadata import version
packages = ["torch", "transformers", "onnxruntime"]
print(json.dumps({"python": sys.version.split()[0], **{name: version(name) for name in packages}}))
`;

/** What was measured, on what. */
export function describeMachine(device: 'cpu' | 'gpu'): Record<string, unknown> {
  const reference = versionsSchema.parse(
    JSON.parse(execFileSync(python, ['-c', versionsScript], { encoding: 'utf8' })),
  );
  const { program, args } = nodeCommand('t4-version.js', {});
  const tensorflow = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return {
    date: new Date().toISOString(),
    device,
    gpu: device === 'gpu' ? gpuName() : undefined,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory_bytes: totalmem(),
    kernel: release(),
    versions: { t4: packageVersion(), commit: commit(), node: process.versions.node, tensorflow, ...reference },
  };
}

function gpuName(): string {
  const args = ['--query-gpu=name,driver_version', '--format=csv,noheader'];
  return execFileSync('nvidia-smi', args, { encoding: 'utf8' }).trim();
}

/** Undefined outside of a git checkout. */
function commit(): string | undefined {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}
