import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { etagOf, startHubServer, text, weights, type HostedFile, type HubServer } from './support/hub-server.js';
import { startChild, t4, writeLauncher, type Ran } from './support/t4.js';
import { writeTinyTask, type TinyTask } from './support/tiny-task.js';

const commit = '0123456789abcdef0123456789abcdef01234567';
/** What the machine may have set of its own. */
const variables = [
  ...['HF_ENDPOINT', 'HF_HOME', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'],
  ...['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_TOKEN_PATH', 'HF_HUB_DISABLE_SYMLINKS'],
];

describe('t4 finetune --model hf:', () => {
  let folder: string;
  let task: TinyTask;
  let server: HubServer;
  let files: Record<string, HostedFile>;
  const before = new Map<string, string | undefined>();
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-hub-command-'));
    task = writeTinyTask(join(folder, 'task'));
    server = await startHubServer();
    const read = (name: string): Buffer => readFileSync(join(task.model, name));
    files = {
      'README.md': text('# tiny'),
      'config.json': { content: read('config.json'), lfs: false },
      'vocab.txt': { content: read('vocab.txt'), lfs: false },
      'model.safetensors': weights(read('model.safetensors')),
    };
    server.models.set('owner/tiny', { files, commit, refs: ['main'] });
    for (const name of variables) before.set(name, process.env[name]);
    for (const name of variables) Reflect.deleteProperty(process.env, name);
    Object.assign(process.env, { HF_ENDPOINT: server.url, HF_HOME: join(folder, 'hf') });
  });
  afterEach(async () => {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
    await server.close();
    rmSync(folder, { recursive: true });
  });

  const argv = (run: string, model: string, ...rest: string[]): string[] => [
    ...['finetune', '--task', task.file, '--output', join(folder, run), '--model', model],
    ...rest,
  ];
  const finetune = (model: string, ...rest: string[]): Promise<Ran> => t4(...argv('run', model, ...rest));
  const blobs = (): string => join(folder, 'hf', 'hub', 'models--owner--tiny', 'blobs');

  it('downloads the model, trains, and needs the network no more', async () => {
    const ran = await finetune('hf:owner/tiny', '--set', 'training.epochs=1');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.match(/^downloading owner\/tiny \(KiB\) {2}[\d.]+\/[\d.]+ {2}100 %/m);
    expect(ran.stderr).to.contain(`hf:owner/tiny: `).and.contain(join('snapshots', commit));
    expect(readFileSync(join(folder, 'run', 'task.yaml'), 'utf8')).to.contain(`source: hf:owner/tiny@${commit}\n`);
    expect(readdirSync(join(folder, 'run', 'model'))).to.include.members(['model.safetensors', 'vocab.txt']);
    process.env.HF_HUB_OFFLINE = '1';
    server.seen.length = 0;
    const again = await t4(...argv('run2', 'hf:owner/tiny', '--dry-run'));
    expect(again.code, again.stderr).to.equal(0);
    expect(again.stderr).not.to.contain('downloading');
    expect(server.seen).to.deep.equal([]);
  });

  it('continues a run with the weights that it began with, whatever the hub has now', async () => {
    const ran = await finetune('hf:owner/tiny', '--set', 'training.epochs=1');
    expect(ran.code, ran.stderr).to.equal(0);
    const moved = 'f'.repeat(40);
    const wider = text(files['config.json']!.content.toString().replace('"hidden_size": 16', '"hidden_size": 32'));
    server.models.set('owner/tiny', { files: { ...files, 'config.json': wider }, commit: moved, refs: ['main'] });
    server.seen.length = 0;
    for (const model of ['hf:owner/tiny', 'hf:owner/tiny@main', `hf:owner/tiny@${commit}`]) {
      const resumed = await finetune(model, '--set', 'training.epochs=1', '--resume');
      expect(resumed.code, resumed.stderr).to.equal(0);
    }
    const alone = await t4('finetune', '--output', join(folder, 'run'), '--resume');
    expect(alone.code, alone.stderr).to.equal(0);
    expect(server.seen).to.deep.equal([]);
    for (const model of [`hf:owner/tiny@${moved}`, 'hf:owner/other']) {
      const other = await finetune(model, '--set', 'training.epochs=1', '--resume');
      expect(other.code).to.equal(2);
      expect(other.stderr).to.contain('task.yaml differ in model.source');
    }
  });

  it("fetches fairseq's files, and they are a model", async () => {
    const [model, tokenizer] = [join('test/fixtures/checkpoints/fairseq'), join('test/fixtures/tokenization/fairseq')];
    const small = (name: string): HostedFile => ({ content: readFileSync(join(tokenizer, name)), lfs: false });
    const theirs = {
      NOTE: text('of Meta AI'),
      'model.pt': weights(readFileSync(join(model, 'model.pt'))),
      'dict.txt': small('dict.txt'),
      'encoder.json': small('encoder.json'),
      'vocab.bpe': small('vocab.bpe'),
    };
    server.models.set('owner/roberta.tiny', { files: theirs, commit, refs: ['main'] });
    const output = join(folder, 'converted');
    const ran = await t4('convert', '--to', 'huggingface', 'hf:owner/roberta.tiny', '--output', output);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(readdirSync(output)).to.include.members(['config.json', 'model.safetensors', 'vocab.json', 'merges.txt']);
  });

  it('takes a source of the task file, with a revision', async () => {
    const other = writeTinyTask(join(folder, 'other'), { model: { source: 'hf:owner/tiny@main' } });
    const ran = await t4('finetune', '--task', other.file, '--output', join(folder, 'run'), '--dry-run', '--json');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(JSON.parse(ran.stdout)).to.have.property('labels').that.deep.equals(['neg', 'pos']);
  });

  it('says nothing of the download with --quiet', async () => {
    const ran = await finetune('hf:owner/tiny', '--dry-run', '--quiet');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.equal('');
  });

  it('ends with the exit code of what went wrong', async () => {
    const cases: [model: string, code: number, message: string][] = [
      ['hf:owner/nix', 2, 't4: hf:owner/nix does not exist (404)'],
      ['hf:owner/tiny@nix', 2, 't4: hf:owner/tiny has no revision nix'],
      ['hf:bert-base-uncased', 2, 'did you mean hf:google-bert/bert-base-uncased?'],
    ];
    for (const [model, code, message] of cases) {
      const ran = await finetune(model, '--dry-run');
      expect(ran.stderr, model).to.contain(message);
      expect(ran.code, model).to.equal(code);
    }
    server.faults.answers = [{ path: '/api/', status: 401, headers: { 'X-Error-Code': 'GatedRepo' } }];
    const gated = await finetune('hf:owner/tiny', '--dry-run');
    expect(gated.stderr).to.contain('is gated').and.contain('HF_TOKEN');
    expect(gated.code).to.equal(4);
    server.faults.lies = { 'model.safetensors': Buffer.from(files['model.safetensors']!.content).fill(1, 100, 200) };
    const wrong = await finetune('hf:owner/tiny', '--dry-run');
    expect(wrong.stderr).to.contain('model.safetensors has the sha256');
    expect(wrong.code).to.equal(7);
    process.env.HF_HUB_OFFLINE = '1';
    const offline = await finetune('hf:owner/tiny', '--dry-run');
    expect(offline.stderr).to.contain('HF_HUB_OFFLINE is set');
    expect(offline.code).to.equal(4);
    expect(readdirSync(folder)).not.to.include('run');
  });

  it('goes on after Ctrl-C where it was', async () => {
    server.faults.hangs = [5000];
    mkdirSync(join(folder, 'bin'));
    const launcher = writeLauncher(join(folder, 'bin'));
    const child = startChild(process.execPath, [launcher, ...argv('run', 'hf:owner/tiny', '--dry-run')], folder);
    const etag = etagOf(files['model.safetensors']!);
    for (;;) {
      const partial = statSync(blobs(), { throwIfNoEntry: false })?.isDirectory()
        ? readdirSync(blobs()).find((name) => name.startsWith(etag))
        : undefined;
      if (partial !== undefined && statSync(join(blobs(), partial)).size === 5000) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.process.kill('SIGINT');
    expect((await child.ended).code).not.to.equal(0);
    const ran = await finetune('hf:owner/tiny', '--dry-run');
    expect(ran.code, ran.stderr).to.equal(0);
    const ranges = server.seen.filter(({ origin }) => origin === 'cdn').map(({ range }) => range);
    expect(ranges).to.deep.equal([undefined, 'bytes=5000-']);
    expect(readdirSync(blobs()).filter((name) => name.endsWith('.incomplete'))).to.deep.equal([]);
  });

  it('downloads once when two are started at the same time', async () => {
    mkdirSync(join(folder, 'bin'));
    const launcher = writeLauncher(join(folder, 'bin'));
    let open = (): void => undefined;
    server.faults.gate = new Promise((resolve) => (open = resolve));
    const [first, second] = ['a', 'b'].map((run) =>
      startChild(process.execPath, [launcher, ...argv(run, 'hf:owner/tiny', '--dry-run')], folder),
    );
    // Whichever comes second sees that the other is at work.
    await Promise.any([first, second].map((child) => child!.says(/is downloading model\.safetensors: waiting for it/)));
    open();
    for (const child of [first!, second!]) {
      const ran = await child.ended;
      expect(ran.code, ran.stderr).to.equal(0);
    }
    expect(server.seen.filter(({ origin }) => origin === 'cdn')).to.have.length(1);
  });
});
