import { UserError } from '../errors.js';
import { type AddCommand, withReporter } from './command.js';
import { dataFolderFlag, jsonFlag, modelFlag, quietFlag, setFlag, taskFlag } from './flags.js';
import { splits } from './options.js';

const common = {
  task: taskFlag,
  model: modelFlag,
  data: dataFolderFlag,
  set: setFlag,
} as const;

const checkFlags = {
  ...common,
  strict: { type: 'boolean', default: false, describe: 'Warnings, too, make the exit code 3' },
  json: jsonFlag,
  quiet: quietFlag,
} as const;

const showFlags = {
  ...common,
  n: { type: 'number', requiresArg: true, default: 5, describe: 'How many examples' },
  split: { choices: splits, requiresArg: true, default: 'train', describe: 'Which file of the task' },
  json: jsonFlag,
  quiet: quietFlag,
} as const;

export const addData: AddCommand = (parser, line) =>
  parser.command('data', 'Check the data of a task, or show what the model sees of it', (data) =>
    data
      .usage('$0 data <check|show>')
      .command(
        'check',
        'Find what is wrong with the data of a task: bad lines, labels, repeated and leaked texts, lengths, encoding',
        (command) =>
          command
            .options(checkFlags)
            .example('t4 data check --task my.yaml', 'before it costs an hour')
            .example('t4 data check --task my.yaml --strict', 'fails where there is anything to warn of')
            .epilogue('Exit codes: 0 no errors, 3 errors (with --strict: warnings). Nothing is downloaded.'),
        (argv) => {
          line.check(argv, checkFlags, 2);
          const { model, data: folder, set, strict } = argv;
          const options = { task: taskOf(argv.task, 'check'), model, data: folder, set, strict };
          line.choose(
            withReporter(argv, async (ui) => {
              const { dataCheck } = await import('./data-check.js');
              return dataCheck(options, ui);
            }),
          );
        },
      )
      .command(
        'show',
        'What the model sees: tokens, ids, segments and labels of some examples, and what is cut',
        (command) =>
          command
            .options(showFlags)
            .example('t4 data show --task demo', 'the first examples of train')
            .example('t4 data show -n 1 --split dev --task my.yaml --json', 'one of dev, for a program'),
        (argv) => {
          line.check(argv, showFlags, 2);
          const { model, data: folder, set, split, n: most } = argv;
          if (!Number.isInteger(most) || most < 1) {
            throw new UserError('usage', `-n: got ${most}, expected a whole number, at least 1`);
          }
          const task = taskOf(argv.task, 'show');
          line.choose((io) =>
            withReporter(argv, async (ui) => {
              const { dataShow } = await import('./data-show.js');
              return dataShow({ task, model, data: folder, set, split, most, width: widthOf(io.stdout) }, ui);
            })(io),
          );
        },
      ),
  );

function taskOf(task: string | undefined, command: string): string {
  if (task !== undefined) return task;
  throw new UserError('usage', '--task is missing', `try: t4 data ${command} --task demo`);
}

const defaultWidth = 100;

/** Columns of the terminal; what is written to a file is no wider than a page. */
const widthOf = (stdout: NodeJS.WritableStream): number =>
  'columns' in stdout && typeof stdout.columns === 'number' && stdout.columns > 0 ? stdout.columns : defaultWidth;
