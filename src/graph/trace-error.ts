import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const engineFolder = dirname(fileURLToPath(import.meta.url)).replace(/dist\/src\/graph$/, '');

/** A function that cannot be staged into a graph. The message names the op and the place in the model's code. */
export class TraceError extends Error {
  constructor(message: string, op: string | undefined, place: string | undefined) {
    super(`${op === undefined ? '' : `${op}: `}${message}${place === undefined ? '' : `\n    at ${place}`}`);
    this.name = 'TraceError';
  }
}

const isEngineFrame = (line: string): boolean =>
  line.includes(`${sep}src${sep}graph${sep}`) && line.includes(engineFolder) && !line.includes('.test.');

/**
 * The innermost stack frame that is neither the engine's nor a package's: the line of model code that
 * asked for the op. Undefined where there is none.
 */
export function currentPlace(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = limit;
  const frames = stack.split('\n').filter((line) => line.trimStart().startsWith('at '));
  const frame = frames.find(
    (line) => !line.includes(`${sep}node_modules${sep}`) && !line.includes('node:internal') && !isEngineFrame(line),
  );
  return frame?.trim().replace(/^at /, '');
}
