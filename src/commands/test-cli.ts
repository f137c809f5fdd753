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
import { splits, testFormats, type TestOptions } from './options.js';

const flags = {
  checkpoint: checkpointFlag,
  split: { choices: splits, requiresArg: true, default: 'test', describe: "Which of the task's files" },
  data: { type: 'string', requiresArg: true, describe: "A labelled file to test on; default: the task's own" },
  output: {
    type: 'string',
    requiresArg: true,
    describe: 'The folder for test.json and predictions.jsonl; default: the checkpoint folder',
  },
  compare: {
    type: 'string',
    requiresArg: true,
    describe: "A tested run or folder to compare with on the same data (McNemar's test); default: none",
  },
  format: {
    choices: testFormats,
    requiresArg: true,
    describe: "What --data is; default: as in training, else as the file's name ends",
  },
  'text-column': textColumnFlag,
  'pair-column': pairColumnFlag,
  'label-column': {
    type: 'string',
    requiresArg: true,
    describe: "The label's column; default: the model's own, or label",
  },
  precision: precisionFlag,
  device: deviceFlag,
  json: jsonFlag,
  quiet: quietFlag,
} as const;

export const addTest: AddCommand = (parser, line) =>
  parser.command(
    'test',
    'Measure a fine-tuned model: report, confusion matrix, speed',
    (command) =>
      command
        .options(flags)
        .example('t4 test --checkpoint runs/demo-20260101-120000', 'the test file of the run')
        .example('t4 test --checkpoint runs/my-run --split dev --json | jq .accuracy', 'one number for a script')
        .example('t4 test --checkpoint runs/my-run --data more.tsv', 'another labelled file, same columns')
        .example('t4 test --checkpoint hf:OWNER/NAME --data my.csv --output .', 'a model that others fine-tuned'),
    (argv) => {
      line.check(argv, flags);
      if (argv.checkpoint === undefined) {
        throw new UserError('usage', '--checkpoint is missing', 'name a run folder: t4 test --checkpoint runs/...');
      }
      const options: TestOptions = {
        checkpoint: argv.checkpoint,
        split: argv.split,
        data: argv.data,
        compare: argv.compare,
        output: argv.output,
        format: argv.format,
        textColumn: argv['text-column'],
        pairColumn: argv['pair-column'],
        labelColumn: argv['label-column'],
        precision: argv.precision,
        device: argv.device,
      };
      line.choose(
        withReporter(argv, async (ui) => {
          const { test } = await import('./test.js');
          return test(options, ui);
        }),
      );
    },
  );
