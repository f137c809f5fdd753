/** The same numbers as src/errors.ts, which is TypeScript and not built yet when this runs. */
export const exitCodes = { sources: 1, usage: 2, environment: 4, files: 7 };

/** A failure the user can mend: the first line says what is wrong, the hints say why it matters and what to do. */
export class SetupError extends Error {
  /**
   * @param {keyof typeof exitCodes} kind
   * @param {string} message
   * @param {string[]} hints one a line
   */
  constructor(kind, message, hints = []) {
    super(message);
    this.exitCode = exitCodes[kind];
    this.hints = hints;
  }
}

/** Ctrl-C and its relatives: not a failure, and nothing to explain. */
export class Interrupted extends Error {
  /** @param {number} exitCode 128 + the number of the signal */
  constructor(exitCode) {
    super('interrupted');
    this.exitCode = exitCode;
  }
}

const fullDisk = new Set(['ENOSPC', 'EDQUOT']);
const notWritable = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EMFILE', 'EIO', 'EXDEV']);

/** Whether a tool's output says that it found no room to write. */
export function saysDiskFull(output) {
  return /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT|Errno 28/.test(output);
}

export function diskFullError(folder) {
  return new SetupError('files', `no space is left on the disk of ${folder}.`, [
    'Free some space (or set XDG_CACHE_HOME to a folder on a larger disk) and run the command again:',
    'it goes on where it stopped.',
  ]);
}

/** Any error as lines to print and an exit code; never a stack. */
export function explain(error) {
  if (error instanceof Interrupted) return { lines: ['interrupted.'], exitCode: error.exitCode };
  if (error instanceof SetupError) return { lines: [error.message, ...error.hints], exitCode: error.exitCode };
  const { code, path, dest, message } = error;
  if (fullDisk.has(code)) return explain(diskFullError(path ?? dest ?? 'the cache or of the checkout'));
  if (notWritable.has(code)) {
    return { lines: [`cannot write ${dest ?? path ?? 'a file'} (${message}).`], exitCode: exitCodes.files };
  }
  return { lines: [`unexpected failure: ${message ?? error}`], exitCode: exitCodes.files };
}
