import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { resolveModelSource } from './resolve.js';
import { parseModelSource } from './source.js';

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
    for (const bad of ['pypi:a', 'pypi:../x@1', 'hf:a', 'hf:a/b/c', 'http://a/b']) {
      expect(parseModelSource(bad), bad).to.equal(undefined);
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

  it('of the hub say how to get the folder by hand', async () => {
    try {
      await resolveModelSource('hf:google-bert/bert-base-chinese', folder);
      expect.fail('expected a UserError');
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.exitCode).to.equal(2);
      expect(error.message).to.contain('not supported yet');
      expect(error.hint).to.contain('https://huggingface.co/google-bert/bert-base-chinese/tree/main');
      expect(error.hint).to.contain('--model FOLDER');
    }
  });
});
