import { type AddCommand, withReporter } from './command.js';
import { jsonFlag } from './flags.js';

const flags = { json: jsonFlag } as const;

export const addDoctor: AddCommand = (parser, line) =>
  parser.command(
    'doctor',
    'Check Node, the native library, the GPU, memory and disk',
    (command) => command.options(flags).example('t4 doctor', 'what works here, and what to do about the rest'),
    (argv) => {
      line.check(argv, flags);
      line.choose(
        withReporter({ json: argv.json, quiet: false }, async (ui) => {
          const { doctor } = await import('./doctor.js');
          return doctor(ui);
        }),
      );
    },
  );
