import { UserError } from '../errors.js';
import { type AddCommand, withReporter } from './command.js';
import {
  checkpointFlag,
  deviceFlag,
  jsonFlag,
  pairColumnFlag,
  precisionFlag,
  quietFlag,
  textColumnFlag,
} from './flags.js';
import { inputFormats, type PredictOptions } from './options.js';

const flags = {
  checkpoint: checkpointFlag,
  task: {
    choices: ['fill-mask'],
    requiresArg: true,
    describe: 'fill-mask: the likeliest words for each mask; default: what the model was fine-tuned for',
  },
  input: {
    type: 'string',
    requiresArg: true,
    default: '-',
    defaultDescription: '-, stdin',
    describe: 'The file with the texts',
  },
  text: { type: 'string', requiresArg: true, describe: 'One text instead of an input; default: none' },
  output: {
    type: 'string',
    requiresArg: true,
    default: '-',
    defaultDescription: '-, stdout',
    describe: 'The file for the results: one JSON object a line, in the order of the input',
  },
  format: {
    choices: inputFormats,
    requiresArg: true,
    describe: 'What the input is; default: as its name ends, lines for stdin and .txt',
  },
  'text-column': textColumnFlag,
  'pair-column': pairColumnFlag,
  'skip-bad': {
    type: 'boolean',
    default: false,
    describe: 'Pass bad lines over: each gets {"error": {"line", "message"}} in its place',
  },
  top: { type: 'number', requiresArg: true, default: 5, describe: 'Candidates for each mask' },
  precision: precisionFlag,
  device: deviceFlag,
  json: {
    ...jsonFlag,
    describe: 'Write one JSON document to stdout: { predictions: [...], examples, ... }, or the summary with --output',
  },
  quiet: quietFlag,
} as const;

export const addPredict: AddCommand = (parser, line) =>
  parser.command(
    'predict',
    'Label new texts with a fine-tuned model, or fill masks',
    (command) =>
      command
        .options(flags)
        .example('t4 predict --checkpoint runs/my-run --input new.tsv --output labels.jsonl', 'a file, same columns')
        .example('cat lines.txt | t4 predict --checkpoint runs/my-run | jq -r .label', 'one text a line')
        .example('t4 predict --checkpoint hf:OWNER/NAME --text "well done"', 'a model that others fine-tuned')
        .example(
          't4 predict --task fill-mask --checkpoint hf:google-bert/bert-base-uncased --text "Paris is a [MASK]."',
          'a pretrained model',
        )
        .epilogue(
          [
            'Lines: one text a line; where the model takes pairs, two with a tab between them.',
            'Results, in the order of the input:',
            '  {"label", "probability", "probabilities"} of texts and pairs',
            '  {"entities": [{"start", "end", "label", "text"}]} from a model that labels tokens',
            '  {"text", "masks": [{"position", "candidates": [{"token", "id", "probability", "text"}]}]}',
            '  {"error": {"line", "message"}} in place of a bad line, with --skip-bad; without it, nothing is answered',
            '  of a file with bad lines',
            'start, end and position count the characters (code points) of the text from 0.',
            'A word has the label of its first token (aggregation_strategy "first" in Transformers).',
          ].join('\n'),
        ),
    (argv) => {
      line.check(argv, flags);
      if (argv.checkpoint === undefined) {
        throw new UserError('usage', '--checkpoint is missing', 'name a run folder: t4 predict --checkpoint runs/...');
      }
      const options: PredictOptions = {
        checkpoint: argv.checkpoint,
        task: argv.task === 'fill-mask' ? argv.task : undefined,
        input: argv.input,
        text: argv.text,
        output: argv.output,
        format: argv.format,
        textColumn: argv['text-column'],
        pairColumn: argv['pair-column'],
        skipBad: argv['skip-bad'],
        top: argv.top,
        precision: argv.precision,
        device: argv.device,
        json: argv.json,
      };
      checkPredict(options);
      line.choose((io) =>
        withReporter(argv, async (ui) => {
          const { predict } = await import('./predict.js');
          return predict(options, ui, io.stdout);
        })(io),
      );
    },
  );

function checkPredict({ text, input, top, task, pairColumn }: PredictOptions): void {
  if (text !== undefined && input !== '-') throw new UserError('usage', '--text and --input exclude each other');
  if (!Number.isInteger(top) || top < 1) {
    throw new UserError('usage', `--top: got ${top}, expected a whole number, at least 1`);
  }
  if (task === 'fill-mask' && pairColumn !== undefined) {
    throw new UserError('usage', '--pair-column: masks are filled in single texts');
  }
}
