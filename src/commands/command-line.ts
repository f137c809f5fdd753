import { basename, relative } from 'node:path';

/** A command that the user can paste: `t4 ...`, or `node bin/t4.mjs ...` where t4 was started that way. */
export function commandLine(...words: readonly string[]): string {
  const script = process.argv[1];
  const installed = script === undefined || basename(script) === 't4';
  const program = installed ? ['t4'] : ['node', relative(process.cwd(), script)];
  return [...program, ...words].map(quoted).join(' ');
}

/** A word as a shell takes it. */
export const quoted = (word: string): string =>
  /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
