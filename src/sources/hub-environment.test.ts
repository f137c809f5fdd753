import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { hubEnvironment, hubToken } from './hub-environment.js';

describe("the hub's environment", () => {
  it('has the defaults of the Python library', () => {
    expect(hubEnvironment({})).to.deep.equal({
      endpoint: 'https://huggingface.co',
      cacheFolder: join(homedir(), '.cache', 'huggingface', 'hub'),
      offline: false,
      symlinks: true,
    });
  });

  const caches: [env: Record<string, string>, folder: string][] = [
    [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    [{ XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, '/h/hub'],
    [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
    [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '/new' }, '/new'],
    [{ HF_HOME: '~/h' }, join(homedir(), 'h', 'hub')],
    [{ HF_HOME: '$DISK/h', DISK: '/d' }, '/d/h/hub'],
    [{ HF_HUB_CACHE: '/a/${DISK}/$NIX', DISK: 'd' }, '/a/d/$NIX'],
    [{ HF_HOME: '' }, join(homedir(), '.cache', 'huggingface', 'hub')],
  ];
  for (const [env, folder] of caches) {
    it(`has its cache in ${folder} with ${JSON.stringify(env)}`, () => {
      expect(hubEnvironment(env).cacheFolder).to.equal(folder);
    });
  }

  it('is offline when told so', () => {
    for (const value of ['1', 'true', 'YES', 'on'])
      expect(hubEnvironment({ HF_HUB_OFFLINE: value }).offline).to.be.true;
    for (const value of ['0', '', 'no', 'false']) expect(hubEnvironment({ HF_HUB_OFFLINE: value }).offline).to.be.false;
    expect(hubEnvironment({ TRANSFORMERS_OFFLINE: '1' }).offline).to.be.true;
  });

  it('takes another endpoint, which must be an address', () => {
    expect(hubEnvironment({ HF_ENDPOINT: 'https://mirror.example/hf/' }).endpoint).to.equal(
      'https://mirror.example/hf',
    );
    for (const bad of [
      'mirror.example',
      'ftp://mirror.example',
      'https://user:secret@mirror.example',
      'https://m/?a=b',
    ]) {
      expect(() => hubEnvironment({ HF_ENDPOINT: bad }), bad).to.throw(UserError, 'HF_ENDPOINT');
    }
  });

  describe('token', () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 't4-token-'));
      writeFileSync(join(folder, 'token'), 'hf_file\n');
      writeFileSync(join(folder, 'other'), 'hf_other');
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('is that of HF_TOKEN, else that of the file', () => {
      expect(hubToken({ HF_HOME: folder, HF_TOKEN: ' hf_variable\n' })).to.equal('hf_variable');
      expect(hubToken({ HF_HOME: folder })).to.equal('hf_file');
      expect(hubToken({ HF_HOME: folder, HF_TOKEN_PATH: join(folder, 'other') })).to.equal('hf_other');
      expect(hubToken({ HF_HOME: join(folder, 'nix') })).to.equal(undefined);
    });

    it('that could not be sent is refused without being shown', () => {
      try {
        hubToken({ HF_HOME: folder, HF_TOKEN: 'hf_a\r\nX-Evil: 1' });
        expect.fail('expected a UserError');
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(error.kind).to.equal('environment');
        expect(`${error.message}${error.hint ?? ''}`)
          .to.contain('HF_TOKEN')
          .and.not.contain('hf_a');
      }
    });
  });
});
