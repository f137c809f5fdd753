import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { resolveModelSource } from './resolve.js';
import { expectedSource, parseModelSource } from './source.js';

describe('model sources', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-source-'));
    mkdirSync(join(folder, 'model'));
    writeFileSync(join(folder, 'file'), '');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('are taken apart by their scheme', () => {
    expect(parseModelSource('pypi:a-b.c@0.1.0')).to.deep.equal({ kind: 'pypi', name: 'a-b.c', version: '0.1.0' });
    expect(parseModelSource('hf:owner/name@v1')).to.deep.equal({
      kind: 'hub',
      repository: 'owner/name',
      revision: 'v1',
    });
    expect(parseModelSource('some/folder')).to.deep.equal({ kind: 'folder', path: 'some/folder' });
    expect(parseModelSource('hf:a/b@refs/pr/1')).to.have.property('revision', 'refs/pr/1');
    const strayNames = [
      'hf:../..',
      'hf:a/..',
      'hf:a/.b',
      'hf:a--b/c',
      'hf:a/b.git',
      'hf:a/b@',
      'hf:a/b@../c',
      'hf:a/b@/c',
    ];
    for (const bad of ['pypi:a', 'pypi:../x@1', 'hf:a', 'hf:a/b/c', 'http://a/b', ...strayNames]) {
      expect(parseModelSource(bad), bad).to.equal(undefined);
    }
  });

  it('of the hub need an owner, which is guessed for well-known names', () => {
    expect(expectedSource('hf:bert-base-uncased@v1')).to.contain('did you mean hf:google-bert/bert-base-uncased@v1?');
    expect(expectedSource('hf:xlm-roberta-base')).to.contain('hf:FacebookAI/xlm-roberta-base?');
    expect(expectedSource('hf:my-model')).to.contain('hf:OWNER/NAME').and.not.contain('did you mean');
  });

  it('of the hub are guessed from a page, and from a name that is no folder', async () => {
    const page = 'https://huggingface.co/google-bert/bert-base-chinese/tree/main';
    expect(expectedSource(page)).to.contain('did you mean hf:google-bert/bert-base-chinese?');
    expect(expectedSource('https://example.com/a/b')).not.to.contain('did you mean');
    for (const [source, hint] of [
      ['hfl/chinese-macbert-base', 'or hf:hfl/chinese-macbert-base of the hub.'],
      ['bert-base-uncased', 'or hf:google-bert/bert-base-uncased of the hub.'],
      ['HF:a/b', 'or hf:a/b of the hub.'],
      ['./a/b', 'their configuration.'],
      ['./file', 'Name the folder of the model: .'],
    ] as const) {
      const error: unknown = await resolveModelSource(source, folder).catch((reason: unknown) => reason);
      expect(error, source).to.be.instanceOf(UserError).with.property('hint').that.satisfies((text: string) => text.endsWith(hint)); // prettier-ignore
    }
  });

  it('resolve to a folder that is there', async () => {
    expect(await resolveModelSource('./model', folder)).to.equal(join(folder, 'model'));
    expect(await resolveModelSource(join(folder, 'model'), '/')).to.equal(join(folder, 'model'));
    for (const [source, message] of [
      ['./nix', 'does not exist'],
      ['./file', 'is not a folder'],
      ['http://a/b', 'expected pypi:'],
    ] as const) {
      const error: unknown = await resolveModelSource(source, folder).catch((reason: unknown) => reason);
      expect(error, source).to.be.instanceOf(UserError).with.property('message').that.contains(message);
    }
  });

  it('of the hub resolve to the folder of the cache', async () => {
    const commit = '0123456789abcdef0123456789abcdef01234567';
    const repository = join(folder, 'hub', 'models--owner--name');
    const snapshot = join(repository, 'snapshots', commit);
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(repository, 'refs'));
    writeFileSync(join(repository, 'refs', 'v1'), commit);
    for (const name of ['config.json', 'model.safetensors']) writeFileSync(join(snapshot, name), '');
    const before = { ...process.env };
    Object.assign(process.env, { HF_HUB_CACHE: join(folder, 'hub'), HF_HUB_OFFLINE: '1' });
    try {
      expect(await resolveModelSource('hf:owner/name@v1', '/')).to.equal(snapshot);
    } finally {
      for (const name of ['HF_HUB_CACHE', 'HF_HUB_OFFLINE']) {
        if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = before[name];
      }
    }
  });
});
