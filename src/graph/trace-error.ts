import { sep } from 'node:path';

const framesOf = (stack = ''): string[] => stack.split('\n').filter((line) => line.trimStart().startsWith('at '));

/** The engine's folder as stack frames spell it: of the sources where source maps are on, of the build where not. */
const engineFolder = /([^( ]*[/\\])[^/\\]+:\d+:\d+\)?$/.exec(framesOf(new Error().stack)[0] ?? '')?.[1];

/** A function that cannot be staged into a graph. The message names the op and the place in the model's code. */
export class TraceError extends Error {
  constructor(message: string, op: string | undefined, place: string | undefined) {
    super(`${op === undefined ? '' : `${op}: `}${message}${place === undefined ? '' : `\n    at ${place}`}`);
    this.name = 'TraceError';
  }
}

const isEngineFrame = (line: string): boolean =>
  engineFolder !== undefined && line.includes(engineFolder) && !line.includes('.test.');

/** Frames of Node and of JavaScript itself, such as `at Array.map (<anonymous>)`. */
const isNativeFrame = (line: string): boolean => line.includes('node:internal') || line.includes('<anonymous>)');

/**
 * The innermost stack frame that is neither the engine's nor a package's: the line of model code that
 * asked for the op. Undefined where there is none.
 */
export function currentPlace(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  const frame = framesOf(stack).find(
    (line) => !line.includes(`${sep}node_modules${sep}`) && !isNativeFrame(line) && !isEngineFrame(line),
  );
  return frame?.trim().replace(/^at /, '');
}
