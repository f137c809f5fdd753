/** Exit codes of the command line; the same numbers are documented in the README. */
export const exitCodes = {
  ok: 0,
  bug: 1,
  usage: 2,
  data: 3,
  environment: 4,
  outOfMemory: 5,
  nonFinite: 6,
  files: 7,
} as const;

export type FailureKind = Exclude<keyof typeof exitCodes, 'ok' | 'bug'>;

/**
 * A failure the user can mend: printed without a stack, with its own exit code.
 * The message says where, what was got and what was expected; `hint` says what to do.
 * Anything else that is thrown is a bug of ours and keeps its stack.
 */
export class UserError extends Error {
  readonly kind: FailureKind;
  readonly hint: string | undefined;

  constructor(kind: FailureKind, message: string, hint?: string) {
    super(message);
    this.name = 'UserError';
    this.kind = kind;
    this.hint = hint;
  }

  get exitCode(): number {
    return exitCodes[this.kind];
  }
}
