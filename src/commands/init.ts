import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError, exitCodes } from '../errors.js';
import { chooseTask, type Choices } from '../init/choose.js';
import { spread } from '../init/columns.js';
import { readDataSet, type DataSet } from '../init/data-set.js';
import { detectLanguage } from '../init/language.js';
import type { Sample } from '../init/lengths.js';
import { chooseModel, namedModel } from '../init/model.js';
import { taskText } from '../init/task-text.js';
import { checkTask } from '../task/check.js';
import { editorSchema } from '../task/schema.js';
import { parseYaml } from '../task/yaml.js';
import { isMapping } from '../task/overrides.js';
import type { Ask } from '../ui/questions.js';
import type { Reporter } from '../ui/reporter.js';
import { formatTable } from '../ui/table.js';
import { commandLine } from './command-line.js';

export interface InitOptions {
  /** the labelled data, or the folder with a file named train; undefined: asked for */
  readonly file: string | undefined;
  /** the task file */
  readonly output: string;
  /** a model source instead of the one that fits the language */
  readonly model: string | undefined;
  readonly textColumn: string | undefined;
  readonly pairColumn: string | undefined;
  readonly labelColumn: string | undefined;
  /** overwrite `output` */
  readonly force: boolean;
}

/** The user ended the questions with Ctrl-C or Ctrl-D. */
const leftCode = 130;

class Left extends Error {}

/**
 * `t4 init`: writes a task file for a user's own data. Resolves to the exit code.
 *
 * @param ask undefined: there is nobody to ask
 */
export async function init(options: InitOptions, ui: Reporter, ask?: Ask): Promise<number> {
  const question: Ask | undefined =
    ask &&
    (async (text, preset) => {
      const answer = await ask(text, preset);
      if (answer === undefined) throw new Left();
      return answer;
    });
  try {
    return await run(options, ui, question);
  } catch (error) {
    if (!(error instanceof Left)) throw error;
    ui.info('nothing is written');
    return leftCode;
  }
}

type Question = (text: string, preset: string) => Promise<string | undefined>;

async function run(options: InitOptions, ui: Reporter, ask: Question | undefined): Promise<number> {
  const file = dataFileOf(options.file ?? (await ask?.('File with labelled data', '')));
  await refuseOutput(options, ask);
  let data = readDataSet(file, {
    text: options.textColumn,
    pair: options.pairColumn,
    label: options.labelColumn,
  });
  if (ask !== undefined && data.columns !== undefined) data = await confirmColumns(file, data, data.columns.value, ask);
  const language = detectLanguage(spread(data.files[0]?.samples ?? [], 2000).map(textOf));
  const fitting = options.model === undefined ? chooseModel(language) : namedModel(options.model);
  const source = (await ask?.('Model', fitting.source)) ?? fitting.source;
  const choices = chooseTask(data, language, source === fitting.source ? fitting : namedModel(source));
  const { output } = options;
  write(choices, output);
  for (const note of data.notes) ui.info(note);
  ui.json({ task: output, choices, notes: data.notes });
  ui.result(summary(choices, output));
  return exitCodes.ok;
}

const textOf = (sample: Sample): string =>
  'words' in sample ? sample.words.join(' ') : `${sample.text} ${sample.pair ?? ''}`;

/** A folder stands for its training file. */
function dataFileOf(file: string | undefined): string {
  if (file === undefined || file === '') {
    throw new UserError('usage', 'the file is missing', 'name your labelled data: t4 init train.csv');
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() !== true) return file;
  const names = readdirSync(file)
    .filter((name) => !name.startsWith('.') && statSync(join(file, name)).isFile())
    .sort();
  const trains = names.filter((name) => /(?<![a-z])train(ing)?(?![a-z])/i.test(name));
  const candidates = trains.length > 0 ? trains : names;
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return join(file, only);
  const found = candidates.length === 0 ? 'nothing' : candidates.slice(0, 10).join(', ');
  throw new UserError('usage', `${file}: got a folder with ${found}, expected one file to train on`, 'Name the file.');
}

/** Before anything is read: whatever it costs would be in vain. */
async function refuseOutput({ output, force }: InitOptions, ask: Question | undefined): Promise<void> {
  if (!/\.ya?ml$/.test(output)) {
    throw new UserError('usage', `--output: got ${output}, expected a name that ends in .yaml`);
  }
  const found = statSync(output, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isFile()) throw new UserError('usage', `--output: ${output} is a folder, expected a file`);
  if (force) return;
  const answer = await ask?.(`${output} is there already. Overwrite it? (yes or no)`, 'no');
  if (answer !== undefined && /^y(es)?$/i.test(answer)) return;
  throw new UserError('usage', `${output} is there already`, 'Name another --output, or add --force to overwrite it.');
}

/** What was found is the preset of each question; other answers are looked at anew. */
async function confirmColumns(
  file: string,
  data: DataSet,
  found: Readonly<Record<string, string | number>>,
  ask: Question,
): Promise<DataSet> {
  const preset = (what: string): string => String(found[what] ?? '');
  const none = 'none';
  const text = await ask('Column of the text', preset('text'));
  const pair = await ask('Column of a second text', preset('pair') || none);
  const label = await ask('Column of the label', preset('label'));
  const isSame = text === preset('text') && pair === (preset('pair') || none) && label === preset('label');
  return isSame ? data : readDataSet(file, { text, pair: pair === none ? undefined : pair, label });
}

/** As beside the tasks that come with t4. */
const schemaName = 'task.schema.json';

/** Both files beside and renamed; the task file last, because it names the other. */
function write(choices: Choices, output: string): void {
  const folder = dirname(output);
  const schema = isOurs(join(folder, schemaName)) ? schemaName : undefined;
  const text = taskText(choices, output, schema);
  const { value, origins, problems } = parseYaml(text, output);
  const checked = checkTask(value, origins);
  // What was written here must be readable: anything else is a bug, and must not be found by the user's next command.
  if (problems.length > 0 || 'problems' in checked) throw new Error(`t4 init composed a task that is none:\n${text}`);
  try {
    mkdirSync(folder, { recursive: true });
    if (schema !== undefined) {
      writeBeside(join(folder, schema), `${JSON.stringify(editorSchema(), null, 2)}\n`);
    }
    writeBeside(output, text);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new UserError('files', `--output: ${error.message}`, 'Name a file in a folder that can be written to.');
  }
}

/** Whether the name is free, or holds what t4 wrote there before: then it is written anew. */
function isOurs(path: string): boolean {
  if (!existsSync(path)) return true;
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isMapping(found) && found.title === editorSchema().title;
  } catch {
    return false;
  }
}

function writeBeside(path: string, text: string): void {
  writeFileSync(`${path}.partial`, text);
  renameSync(`${path}.partial`, path);
}

function summary(choices: Choices, output: string): string {
  const {
    task,
    language,
    train,
    dev,
    test,
    columns,
    dev_fraction: fraction,
    labels,
    source,
    max_length: length,
  } = choices;
  const held = fraction === undefined || fraction.value === 0 ? 'none' : `${100 * fraction.value} % of train`;
  const rows = [
    ['task', task.value],
    ['language', language.value ?? 'unknown'],
    ['train', train.value],
    ['dev', dev.value ?? held],
    ['test', test.value ?? 'none'],
    ...(columns === undefined
      ? []
      : [
          [
            'columns',
            Object.entries(columns.value)
              .map((pair) => pair.join(' '))
              .join(', '),
          ],
        ]),
    ['labels', labels?.value.join(', ') ?? 'those of train'],
    ['model', source.value],
    ['tokens', `${length.value} at most`],
    ['written', `${output}, with the reason for each choice`],
    ['next', commandLine('finetune', '--task', output, '--dry-run')],
    ['', commandLine('data', 'check', '--task', output)],
  ];
  return formatTable(rows, ['left', 'left']);
}
