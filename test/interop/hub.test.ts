import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { resolveHubModel } from '../../src/sources/hub.js';
import { sha256, startHubServer, text, weights, type HubServer } from '../support/hub-server.js';

const python = process.env.T4_PYTHON ?? '.venv/bin/python';
const repository = 'owner/tiny';
const commit = '0123456789abcdef0123456789abcdef01234567';
const files = {
  'config.json': text('{"model_type":"bert"}\n'),
  'vocab.txt': text('[PAD]\n'),
  'model.safetensors': weights(Buffer.from('some weights')),
};
const hashes = Object.fromEntries(Object.entries(files).map(([name, { content }]) => [name, sha256(content)]));

const answerSchema = z.object({ folder: z.string(), files: z.record(z.string(), z.string()) });

describe("the cache of Python's huggingface_hub", () => {
  let server: HubServer;
  let home: string;
  beforeEach(async () => {
    server = await startHubServer();
    server.models.set(repository, { files, commit, refs: ['main', 'v1', 'refs/pr/1'] });
    home = mkdtempSync(join(tmpdir(), 't4-hub-interop-'));
  });
  afterEach(async () => {
    await server.close();
    rmSync(home, { recursive: true });
  });

  /** Not in step with this process, which has to answer for the hub meanwhile. */
  async function askHub(action: 'find' | 'fill', revision: string): Promise<z.infer<typeof answerSchema>> {
    const child = spawn(python, ['test/interop/hub.py'], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.end(JSON.stringify({ action, endpoint: server.url, home, repository, revision }));
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    await once(child, 'close');
    expect(child.exitCode, stderr).to.equal(0);
    return answerSchema.parse(JSON.parse(stdout));
  }

  const resolveModel = (revision: string | undefined, extra: Record<string, string> = {}): Promise<string> =>
    resolveHubModel({ repository, revision }, { env: { HF_HOME: home, HF_ENDPOINT: server.url, ...extra } });

  it('is read by Python when t4 has filled it, offline', async () => {
    for (const revision of ['main', 'refs/pr/1', commit]) {
      const folder = await resolveModel(revision);
      server.seen.length = 0;
      expect(await askHub('find', revision), revision).to.deep.equal({ folder, files: hashes });
      expect(server.seen).to.deep.equal([]);
    }
  });

  it('is read by t4 when Python has filled it, offline', async () => {
    for (const revision of ['main', 'v1', commit]) {
      const { folder, files: found } = await askHub('fill', revision);
      expect(found).to.deep.equal(hashes);
      server.seen.length = 0;
      expect(await resolveModel(revision, { HF_HUB_OFFLINE: '1' }), revision).to.equal(folder);
      expect(server.seen).to.deep.equal([]);
    }
  });

  it('is the same, file by file and link by link, whoever fills it', async () => {
    const list = (): string[] => {
      const root = join(home, 'hub', 'models--owner--tiny');
      const snapshot = join(root, 'snapshots', commit);
      return [
        ...readdirSync(join(root, 'blobs')).sort(),
        ...readdirSync(snapshot)
          .sort()
          .map((name) => `${name} -> ${readlinkSync(join(snapshot, name))}`),
        readFileSync(join(root, 'refs', 'main'), 'utf8'),
      ];
    };
    await askHub('fill', 'main');
    const byPython = list();
    rmSync(join(home, 'hub'), { recursive: true });
    await resolveModel('main');
    expect(list()).to.deep.equal(byPython);
  });

  it('is filled by neither with what the other has fetched', async () => {
    await resolveModel('main');
    server.seen.length = 0;
    await askHub('fill', 'main');
    expect(server.seen.filter(({ origin }) => origin === 'cdn')).to.deep.equal([]);
    rmSync(join(home, 'hub'), { recursive: true });
    await askHub('fill', 'main');
    server.seen.length = 0;
    await resolveModel('main');
    expect(server.seen.filter(({ path }) => !path.startsWith('/api/'))).to.deep.equal([]);
  });
});
