import { UserError } from '../errors.js';
import { type AddCommand, withReporter } from './command.js';
import { jsonFlag, quietFlag } from './flags.js';
import type { ConvertOptions } from './convert.js';

const flags = {
  from: {
    choices: ['auto', 'fairseq', 'huggingface', 'tensorflow'],
    requiresArg: true,
    default: 'auto',
    describe: 'The format of SOURCE; auto: by its files',
  },
  to: { choices: ['tensorflow', 'huggingface'], requiresArg: true, describe: 'The format to write' },
  output: {
    type: 'string',
    requiresArg: true,
    describe: 'The folder to write; default: SOURCE-FORMAT in the current folder; an existing one must be empty',
  },
  verify: {
    type: 'boolean',
    default: false,
    describe: 'Also run both models on a few texts, and fail where they differ by more than 1e-5',
  },
  json: jsonFlag,
  quiet: quietFlag,
} as const;

const source = {
  type: 'string',
  describe: 'A folder (fairseq, Hugging Face, TensorFlow), a run folder, or hf:OWNER/NAME',
} as const;

export const addConvert: AddCommand = (parser, line) =>
  parser.command(
    'convert [source]',
    'Convert a pretrained model from one format to another',
    (command) =>
      command
        .positional('source', source)
        .options(flags)
        .example('t4 convert --to huggingface ./roberta.base', "fairseq's model.pt, for Transformers and for t4")
        .example('t4 convert --to tensorflow hf:google-bert/bert-base-chinese', "Google's format")
        .example('t4 convert --to huggingface ./uncased_L-12 --verify --json', 'checked, for a script')
        .epilogue(
          'Tensors are converted one at a time, and nothing of the weights is lost but what has no name in the\n' +
            'other format; whatever that is, is listed. Python is not needed.',
        ),
    (argv) => {
      // An empty one comes from a shell's variable that is not set.
      line.check({ ...argv, source: argv.source === '' ? undefined : argv.source }, { ...flags, source });
      const { to } = argv;
      if (argv.source === undefined || argv.source === '') {
        throw new UserError('usage', 'SOURCE is missing', 'name a folder: t4 convert --to huggingface ./roberta.base');
      }
      if (to === undefined) {
        throw new UserError('usage', '--to is missing', 'expected --to huggingface or --to tensorflow');
      }
      const options: ConvertOptions = {
        source: argv.source,
        from: argv.from,
        to,
        output: argv.output,
        verify: argv.verify,
      };
      line.choose(
        withReporter(argv, async (ui) => {
          const { convert } = await import('./convert.js');
          return convert(options, ui);
        }),
      );
    },
  );
