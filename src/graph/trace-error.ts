import { findSourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A function that cannot be staged into a graph. The message names the op and the place in the model's code. */
export class TraceError extends Error {
  constructor(message: string, op: string | undefined, place: string | undefined) {
    super(`${op === undefined ? '' : `${op}: `}${message}${place === undefined ? '' : `\n    at ${place}`}`);
    this.name = 'TraceError';
  }
}

const engineFolder = new URL('.', import.meta.url).href;

/**
 * The innermost stack frame that is neither the engine's nor a package's: the line of model code that
 * asked for the op, in the TypeScript source where source maps are on. Undefined where there is none.
 */
export function currentPlace(): string | undefined {
  const frame = callSites().find((site) => isModelCode(site.getFileName() ?? 'node:native'));
  return frame && describe(frame);
}

/** The stack as it runs. Its text would not do: source maps move a package's frames out of node_modules. */
function callSites(): NodeJS.CallSite[] {
  const limit = Error.stackTraceLimit;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- put back below, never called
  const formatter = Error.prepareStackTrace;
  Error.stackTraceLimit = 60;
  Error.prepareStackTrace = (_error, sites) => sites;
  const sites = new Error().stack as unknown as NodeJS.CallSite[]; // what prepareStackTrace returned
  Error.stackTraceLimit = limit;
  Error.prepareStackTrace = formatter;
  return sites;
}

function isModelCode(file: string): boolean {
  const isEngine = file.startsWith(engineFolder) && !file.includes('.test.');
  return !isEngine && !file.startsWith('node:') && !/[/\\]node_modules[/\\]/.test(file);
}

/** `function (file:line:column)`, as in a stack. */
function describe(site: NodeJS.CallSite): string {
  const file = site.getFileName() ?? '';
  const [line, column] = [site.getLineNumber() ?? 0, site.getColumnNumber() ?? 0];
  const origin = findSourceMap(file)?.findOrigin(line, column);
  const place =
    origin !== undefined && 'fileName' in origin
      ? { file: origin.fileName, line: origin.lineNumber, column: origin.columnNumber }
      : { file, line, column };
  const path = place.file.startsWith('file:') ? fileURLToPath(place.file) : place.file;
  const text = `${path}:${place.line}:${place.column}`;
  const name = site.getFunctionName();
  return name === null ? text : `${name} (${text})`;
}
