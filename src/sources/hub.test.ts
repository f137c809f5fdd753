import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { etagOf, sha256, startHubServer, text, weights, type HubServer } from '../../test/support/hub-server.js';
import { UserError, type FailureKind } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';
import type { HubTiming } from './hub-client.js';
import { resolveHubModel } from './hub.js';

const timing: HubTiming = { retryDelays: [1, 1, 1], silence: 5000, longestWait: 2000, poll: 5 };
const repository = 'owner/tiny';
const commit = '0123456789abcdef0123456789abcdef01234567';
const token = 'hf_secret';

/** 300 kB that do not repeat. */
const content = Buffer.concat(
  Array.from({ length: 10_000 }, (_, i) => createHash('sha256').update(String(i)).digest().subarray(0, 30)),
);
const model = weights(content);
const files = {
  'README.md': text('# tiny'),
  'config.json': text('{"model_type":"bert"}\n'),
  'vocab.txt': text('[PAD]\n'),
  'model.safetensors': model,
  'pytorch_model.bin': weights(Buffer.from('never fetched')),
};
const needed = ['config.json', 'model.safetensors', 'vocab.txt'];

interface Listener extends Reporter {
  readonly lines: string[];
  /** All that the bars were told. */
  readonly progress: number[];
}

function listen(): Listener {
  const lines: string[] = [];
  const progress: number[] = [];
  const note = (line: string): void => {
    lines.push(line);
  };
  return {
    lines,
    progress,
    info: note,
    warn: note,
    result: note,
    json: () => undefined,
    spinner: () => ({ succeed: note, fail: note, stop: () => undefined }),
    bar: (_total, label, start = 0) => {
      note(label);
      progress.push(start);
      return { update: (done) => progress.push(done), stop: () => undefined };
    },
  };
}

describe('models of the hub', () => {
  let server: HubServer;
  let home: string;
  let env: Record<string, string>;
  let reporter: Listener;
  beforeEach(async () => {
    server = await startHubServer();
    server.models.set(repository, { files, commit, refs: ['main', 'v1', 'refs/pr/1'] });
    home = mkdtempSync(join(tmpdir(), 't4-hub-'));
    env = { HF_HOME: home, HF_ENDPOINT: server.url };
    reporter = listen();
  });
  afterEach(async () => {
    await server.close();
    rmSync(home, { recursive: true });
  });

  const folder = (): string => join(home, 'hub', 'models--owner--tiny');
  const blobs = (): string[] => readdirSync(join(folder(), 'blobs'));
  const resolveModel = (revision?: string, name = repository): Promise<string> =>
    resolveHubModel({ repository: name, revision }, { env, timing, reporter });

  async function failure(kind: FailureKind, ...parts: string[]): Promise<UserError> {
    const error: unknown = await resolveModel().then(
      () => 'no error',
      (reason: unknown) => reason,
    );
    if (!(error instanceof UserError)) throw error;
    const said = `${error.message}\n${error.hint ?? ''}`;
    expect(error.kind, said).to.equal(kind);
    for (const part of parts) expect(said).to.contain(part);
    expect(said).not.to.contain(token);
    return error;
  }

  function expectWhole(snapshot: string): void {
    expect(readdirSync(snapshot).sort()).to.deep.equal(needed);
    expect(readFileSync(join(snapshot, 'model.safetensors')).equals(content)).to.equal(true);
    expect(readFileSync(join(snapshot, 'vocab.txt'), 'utf8')).to.equal('[PAD]\n');
    expect(blobs().sort()).to.deep.equal(
      [etagOf(files['config.json']), etagOf(files['vocab.txt']), etagOf(model)].sort(),
    );
  }

  describe('download', () => {
    it('fetches the needed files into the cache of the Python library', async () => {
      const snapshot = await resolveModel();
      expect(snapshot).to.equal(join(folder(), 'snapshots', commit));
      expectWhole(snapshot);
      for (const name of needed) {
        expect(readlinkSync(join(snapshot, name))).to.equal(`../../blobs/${etagOf(files[name as keyof typeof files])}`);
      }
      expect(readFileSync(join(folder(), 'refs', 'main'), 'utf8')).to.equal(commit);
      expect(reporter.lines[0]).to.equal('downloading owner/tiny (KiB)');
      expect(reporter.progress.at(-1)).to.equal(Math.round(((content.length + 28) / 1024) * 10) / 10);
    });

    it('asks for nothing but the listing when all is there', async () => {
      await resolveModel();
      server.seen.length = 0;
      reporter.lines.length = 0;
      await resolveModel();
      expect(server.seen.map(({ path }) => path).filter((path) => !path.startsWith('/api/'))).to.deep.equal([]);
      expect(reporter.lines).to.deep.equal([]);
    });

    it('asks for nothing at all when a commit is there', async () => {
      expectWhole(await resolveModel(commit));
      expect(existsSync(join(folder(), 'refs'))).to.equal(false);
      server.seen.length = 0;
      await resolveModel(commit);
      expect(server.seen).to.deep.equal([]);
    });

    it('takes tags and branches with slashes', async () => {
      for (const revision of ['v1', 'refs/pr/1']) {
        await resolveModel(revision);
        expect(readFileSync(join(folder(), 'refs', revision), 'utf8')).to.equal(commit);
      }
    });

    it('follows a branch, and shares what has not changed', async () => {
      await resolveModel();
      const next = 'f'.repeat(40);
      const changed = { ...files, 'config.json': text('{}') };
      server.models.set(repository, { files: changed, commit: next, refs: ['main'] });
      server.seen.length = 0;
      const snapshot = await resolveModel();
      expect(snapshot).to.equal(join(folder(), 'snapshots', next));
      expect(server.seen.filter(({ path }) => path.includes('/resolve/'))).to.have.length(1);
      expect(readFileSync(join(snapshot, 'config.json'), 'utf8')).to.equal('{}');
      expect(readFileSync(join(folder(), 'refs', 'main'), 'utf8')).to.equal(next);
    });

    it('fetches a file of the cache anew when its size is wrong', async () => {
      await resolveModel();
      writeFileSync(join(folder(), 'blobs', etagOf(model)), content.subarray(0, 1000));
      expectWhole(await resolveModel());
    });

    it('copies where there are to be no links', async () => {
      env.HF_HUB_DISABLE_SYMLINKS = '1';
      const snapshot = await resolveModel();
      expectWhole(snapshot);
      expect(lstatSync(join(snapshot, 'vocab.txt')).isSymbolicLink()).to.equal(false);
    });

    it('of one model by two at once is whole, and is made once', async () => {
      const snapshots = await Promise.all([resolveModel(), resolveModel()]);
      expect(new Set(snapshots).size).to.equal(1);
      expectWhole(snapshots[0]);
      expect(server.seen.filter(({ origin }) => origin === 'cdn')).to.have.length(1);
    });

    it('takes an empty file', async () => {
      const withEmpty = { ...files, 'merges.txt': text('') };
      server.models.set(repository, { files: withEmpty, commit, refs: ['main'] });
      expect(readFileSync(join(await resolveModel(), 'merges.txt'), 'utf8')).to.equal('');
    });
  });

  describe('a connection that breaks', () => {
    const ranges = (): (string | undefined)[] =>
      server.seen.filter(({ origin }) => origin === 'cdn').map(({ range }) => range);

    it('is taken up where it broke', async () => {
      server.faults.cuts = [100_000, 50_000];
      expectWhole(await resolveModel());
      expect(ranges()).to.deep.equal([undefined, 'bytes=100000-', 'bytes=150000-']);
    });

    it('is taken up by the next run when it breaks for good', async () => {
      server.faults.cuts = [100_000, 0, 0, 0];
      await failure('environment', 'tried 4 times', 'what has arrived is kept');
      expect(blobs()).to.include(`${etagOf(model)}.incomplete`);
      server.seen.length = 0;
      reporter.progress.length = 0;
      expectWhole(await resolveModel());
      expect(ranges()).to.deep.equal(['bytes=100000-']);
      expect(reporter.progress[0]).to.equal(97.7);
    });

    it('counts failures in a row only', async () => {
      server.faults.cuts = Array.from({ length: 10 }, () => 10_000);
      expectWhole(await resolveModel());
      expect(ranges()).to.have.length(11);
    });

    it('begins anew with a server that knows no ranges', async () => {
      server.faults.cuts = [100_000];
      server.faults.ignoresRange = true;
      expectWhole(await resolveModel());
      expect(ranges()).to.deep.equal([undefined, 'bytes=100000-']);
    });

    it('is noticed when bodies come without a length', async () => {
      server.faults.cuts = [100_000];
      server.faults.chunked = true;
      expectWhole(await resolveModel());
    });

    it('is one that is silent for too long', async () => {
      let open = (): void => undefined;
      server.faults.gate = new Promise((resolve) => (open = resolve));
      const impatient = { ...timing, silence: 300, retryDelays: Array.from({ length: 50 }, () => 1) };
      const resolved = resolveHubModel({ repository, revision: undefined }, { env, timing: impatient, reporter });
      while (!reporter.lines.some((line) => line.includes('no data for 0.3 s'))) await sleep(5);
      open();
      expectWhole(await resolved);
    });

    it('does not make a whole file of what an earlier run left wrong', async () => {
      mkdirSync(join(folder(), 'blobs'), { recursive: true });
      const partial = join(folder(), 'blobs', `${etagOf(model)}.incomplete`);
      writeFileSync(partial, Buffer.alloc(content.length + 5));
      expectWhole(await resolveModel());
      rmSync(join(folder(), 'snapshots'), { recursive: true });
      rmSync(join(folder(), 'blobs', etagOf(model)));
      writeFileSync(partial, Buffer.alloc(1000));
      await failure('files', 'sha256');
      expectWhole(await resolveModel());
    });
  });

  describe('a server in trouble', () => {
    it('is asked again', async () => {
      for (const path of ['/revision/', '/tree/', '/resolve/']) {
        server.faults.answers = [500, 502, 503].map((status) => ({ path, status }));
        rmSync(folder(), { recursive: true, force: true });
        expectWhole(await resolveModel());
        expect(server.faults.answers).to.deep.equal([]);
      }
    });

    it('is given up after some attempts', async () => {
      server.faults.answers = Array.from({ length: 9 }, () => ({ path: '/revision/', status: 500 }));
      await failure('environment', 'answered 500 (tried 4 times)', 'HF_ENDPOINT');
      expect(server.faults.answers).to.have.length(5);
    });

    it('is waited for as long as it asks', async () => {
      server.faults.answers = [{ path: '/resolve/', status: 429, headers: { 'Retry-After': '0.2' } }];
      const began = performance.now();
      expectWhole(await resolveModel());
      expect(performance.now() - began).to.be.at.least(190);
      expect(reporter.lines.join('\n')).to.contain('answered 429; trying again in 1 s');
    });

    it('is not waited for when it asks for too long', async () => {
      server.faults.answers = [{ path: '/resolve/', status: 429, headers: { 'Retry-After': '3600' } }];
      await failure('environment', 'answered 429', 'it asks for 3600 s');
    });

    it('that does not answer at all is named', async () => {
      await server.close();
      await failure('environment', 'ECONNREFUSED', 'Check the network');
      server = await startHubServer();
    });

    it('that is no hub is named', async () => {
      server.faults.answers = [{ path: '/revision/', status: 200 }];
      await failure('environment', 'does not know', `HF_ENDPOINT is ${server.url}`);
      server.faults.answers = [{ path: '/revision/', status: 302, headers: { Location: 'file:///etc/passwd' } }];
      await failure('environment', 'redirects to file:///etc/passwd');
      server.faults.answers = Array.from({ length: 20 }, () => ({
        path: '/',
        status: 302,
        headers: { Location: '/api/models/owner/tiny/revision/main' },
      }));
      await failure('environment', 'redirects more than');
    });
  });

  describe('a refusal', () => {
    const answer = (status: number, code?: string): void => {
      const headers: Record<string, string> = code === undefined ? {} : { 'X-Error-Code': code };
      server.faults.answers = [{ path: '/', status, headers }];
    };

    it('of a repository that is private or not there says both', async () => {
      answer(401);
      await failure('environment', 'owner/tiny does not exist or is private (401)', 'HF_TOKEN');
    });

    it('of a token is told from one without', async () => {
      env.HF_TOKEN = token;
      answer(401);
      await failure('environment', 'refuses the token', 'expired');
      answer(403);
      await failure('environment', 'refuses the token');
    });

    it('of a gated model names the page with the terms', async () => {
      const page = `${server.url}/owner/tiny`;
      answer(401, 'GatedRepo');
      await failure('environment', 'is gated', `Accept them at ${page}`, 'set HF_TOKEN');
      env.HF_TOKEN = token;
      answer(403, 'GatedRepo');
      await failure('environment', 'is gated', `Accept them at ${page} with the account that HF_TOKEN belongs to`);
      server.faults.answers = [{ path: '/resolve/', status: 403, headers: { 'X-Error-Code': 'GatedRepo' } }];
      await failure('environment', 'is gated');
    });

    it('of a repository or a revision that is not there is a slip of the command line', async () => {
      server.models.set(repository, { files, commit, refs: ['v1'] });
      await failure('usage', 'hf:owner/tiny has no revision main', '/owner/tiny/tree/main');
      server.models.clear();
      await failure('usage', 'hf:owner/tiny does not exist (404)', `${server.url}/models`);
    });

    it('of a file that is listed is not retried', async () => {
      server.faults.answers = [{ path: '/resolve/', status: 404, headers: { 'X-Error-Code': 'EntryNotFound' } }];
      await failure('files', 'is listed but not there');
    });

    it('of another kind shows what the server says', async () => {
      server.faults.answers = [{ path: '/', status: 400, headers: { 'X-Error-Message': 'so not' } }];
      await failure('environment', 'answered 400: so not');
    });
  });

  describe('a repository', () => {
    const host = (names: readonly string[]): void => {
      const hosted = Object.fromEntries(names.map((name) => [name, text('{}')]));
      server.models.set(repository, { files: hosted, commit, refs: ['main'] });
    };

    it('without usable weights is refused with what it has', async () => {
      host(['config.json', 'model.onnx']);
      await failure('files', 'has no weights that t4 reads: it has config.json, model.onnx', 'model.safetensors');
      host(['model.safetensors']);
      await failure('files', 'has no config.json');
      host([]);
      await failure('files', 'it has no files');
      expect(existsSync(folder())).to.equal(false);
    });

    it('with names that leave the folder is refused before anything is written', async () => {
      host(['config.json', 'model.safetensors', '../../../evil.txt']);
      await failure('files', 'outside of the repository', '../../../evil.txt');
      expect(readdirSync(home)).to.deep.equal([]);
    });
  });

  describe('content', () => {
    it('with a wrong hash is an error, and is not kept', async () => {
      server.faults.lies = { 'model.safetensors': Buffer.from(content).fill(0, 5, 6) };
      const error = await failure('files', 'model.safetensors has the sha256', `expected ${sha256(content)}`);
      expect(error.exitCode).to.equal(7);
      expect(blobs().filter((name) => name.startsWith(etagOf(model)))).to.deep.equal([]);
      server.faults.lies = {};
      expectWhole(await resolveModel());
    });

    it('of a small file is checked too', async () => {
      server.faults.lies = { 'vocab.txt': Buffer.from('[BAD]\n') };
      await failure('files', 'vocab.txt has the git-sha1');
    });

    it('of a wrong size is an error, and is not kept', async () => {
      for (const chunked of [false, true]) {
        server.faults.chunked = chunked;
        server.faults.lies = { 'model.safetensors': Buffer.concat([content, Buffer.from('!')]) };
        await failure('files', `${content.length}`);
        expect(blobs().filter((name) => name.startsWith(etagOf(model)))).to.deep.equal([]);
      }
      server.faults.chunked = false;
      server.faults.lies = { 'model.safetensors': content.subarray(1) };
      await failure('files', `has ${content.length - 1} bytes, expected ${content.length}`);
      expect(blobs().filter((name) => name.startsWith(etagOf(model)))).to.deep.equal([]);
    });

    it('that ends too early without a word is an error in the end', async () => {
      server.faults.chunked = true;
      server.faults.lies = { 'model.safetensors': content.subarray(0, 1000) };
      await failure('environment', 'model.safetensors', 'tried 4 times');
    });
  });

  describe('the token', () => {
    it('goes to the hub that HF_ENDPOINT names, which is said, and to no other origin', async () => {
      env.HF_TOKEN = token;
      await resolveModel();
      const [hub, cdn] = (['hub', 'cdn'] as const).map((origin) =>
        server.seen.filter((seen) => seen.origin === origin),
      );
      expect(hub!.length).to.be.greaterThan(3);
      for (const { path, authorization } of hub!) expect(authorization, path).to.equal(`Bearer ${token}`);
      expect(cdn).to.have.length(1);
      expect(cdn![0]!.authorization).to.equal(undefined);
      expect(reporter.lines[0]).to.equal(`HF_ENDPOINT: the access token is sent to ${server.url}`);
      expect(reporter.lines.join('\n')).not.to.contain(token);
    });

    it('is not sent where there is none', async () => {
      await resolveModel();
      for (const { authorization } of server.seen) expect(authorization).to.equal(undefined);
    });

    it('does not come back from another origin that redirects to a third', async () => {
      env.HF_TOKEN = token;
      const third = await startHubServer();
      third.models.set(repository, { files, commit, refs: ['main'] });
      server.faults.answers = [
        { path: '/revision/', status: 307, headers: { Location: `${third.url}/api/models/owner/tiny/revision/main` } },
      ];
      await resolveModel().finally(() => third.close());
      expect(third.seen).to.have.length(1);
      expect(third.seen[0]!.authorization).to.equal(undefined);
    });
  });

  describe('without the network', () => {
    const offline = (): void => {
      env.HF_HUB_OFFLINE = '1';
      server.seen.length = 0;
    };

    it('takes what is in the cache, by branch, tag or commit', async () => {
      const snapshot = await resolveModel();
      await resolveModel('v1');
      offline();
      for (const revision of [undefined, 'main', 'v1', commit]) expect(await resolveModel(revision)).to.equal(snapshot);
      expect(server.seen).to.deep.equal([]);
    });

    it('says what is not there', async () => {
      offline();
      const error = await failure(
        'environment',
        'HF_HUB_OFFLINE is set',
        'hf:owner/tiny is not in the cache',
        folder(),
      );
      expect(error.exitCode).to.equal(4);
      expect(server.seen).to.deep.equal([]);
    });

    it('does not take half a model', async () => {
      server.faults.cuts = [1000, 0, 0, 0];
      await failure('environment');
      offline();
      await failure('environment', 'or not whole');
    });

    it('does not take a link to nothing', async () => {
      await resolveModel();
      rmSync(join(folder(), 'blobs', etagOf(model)));
      offline();
      await failure('environment', 'or not whole');
    });

    it('goes on with the cache, and says so, when the hub does not answer', async () => {
      const snapshot = await resolveModel();
      server.faults.answers = [{ path: '/revision/', status: 503 }];
      expect(await resolveModel()).to.equal(snapshot);
      expect(reporter.lines.at(-1)).to.contain('answered 503').and.contain('from the cache');
    });
  });

  describe('the disk', () => {
    it('that is too small is noticed before the download', async () => {
      const huge = { ...files, 'model.safetensors': { ...model, listedSize: 2 ** 52 } };
      server.models.set(repository, { files: huge, commit, refs: ['main'] });
      await failure('files', 'model.safetensors needs 4096 TiB', 'HF_HOME');
      expect(server.seen.filter(({ origin }) => origin === 'cdn')).to.deep.equal([]);
    });

    it('that may not be written to names the folder', async () => {
      writeFileSync(join(home, 'hub'), '');
      await failure('files', join(home, 'hub'), 'HF_HOME');
    });
  });
});
