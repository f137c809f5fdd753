import { UserError } from '../errors.js';
import { type AddCommand, withReporter } from './command.js';
import { dataFolderFlag, jsonFlag, modelFlag, setFlag, taskFlag } from './flags.js';

const showFlags = {
  task: taskFlag,
  model: modelFlag,
  data: dataFolderFlag,
  set: setFlag,
  json: jsonFlag,
} as const;

export const addConfig: AddCommand = (parser, line) =>
  parser.command('config', 'Show a task with all its defaults, or the schema of task files', (config) =>
    config
      .usage('$0 config <show|schema>')
      .command(
        'show',
        'The resolved task, all defaults filled in, as YAML',
        (command) =>
          command
            .options(showFlags)
            .example('t4 config show --task demo', 'every key with its value')
            .example('t4 config show --task my.yaml --set training.epochs=2', 'check an override'),
        (argv) => {
          line.check(argv, showFlags, 2);
          const { task, model, data, set } = argv;
          if (task === undefined) throw new UserError('usage', '--task is missing', 'try: t4 config show --task demo');
          line.choose(
            withReporter({ json: argv.json, quiet: false }, async (ui) => {
              const { configShow } = await import('./config.js');
              return configShow({ task, model, data, set }, ui);
            }),
          );
        },
      )
      .command(
        'schema',
        'The JSON Schema (draft 2020-12) of task files',
        (command) => command.example('t4 config schema > t4.schema.json', 'for completion in an editor'),
        (argv) => {
          line.check(argv, {}, 2);
          line.choose(async (io) => {
            const [{ configSchema }, { createReporter }] = await Promise.all([
              import('./config.js'),
              import('../ui/reporter.js'),
            ]);
            return configSchema(createReporter({ json: true }, io));
          });
        },
      ),
  );
