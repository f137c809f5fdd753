import type { Check } from '../doctor/check.js';
import { checkGpu } from '../doctor/gpu.js';
import { checkCpu, checkDemoModel, checkDisks, checkMemory, checkNode, checkPlatform } from '../doctor/machine.js';
import { checkNative } from '../doctor/native.js';
import { exitCodes } from '../errors.js';
import { packageVersion } from '../package-root.js';
import type { Reporter } from '../ui/reporter.js';
import { formatTable } from '../ui/table.js';

/** `t4 doctor`: what works here, and what to do about the rest. */
export async function doctor(ui: Reporter): Promise<number> {
  const native = await checkNative();
  const checks: Check[] = [
    checkNode(),
    checkPlatform(),
    ...native.checks,
    await checkGpu(native),
    checkCpu(),
    checkMemory(),
    ...checkDisks(),
    checkDemoModel(),
  ];
  const usable = checks.every(({ status }) => status !== 'fail');
  ui.result(doctorText(checks, usable));
  ui.json({ version: packageVersion(), usable, checks });
  return usable ? exitCodes.ok : exitCodes.environment;
}

export function doctorText(checks: readonly Check[], usable: boolean): string {
  const rows = checks.flatMap(({ name, status, detail, fix }) => [
    [status, name, detail],
    ...(fix === undefined ? [] : [['', '', `-> ${fix}`]]),
  ]);
  const verdict = usable
    ? 't4 can train and test here.'
    : 't4 cannot train or test here yet: see the lines marked fail.';
  return `${formatTable(rows, ['left', 'left', 'left'])}\n\n${verdict}`;
}
