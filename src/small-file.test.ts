import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from './errors.js';
import { jsonExcess } from './json-bounds.js';
import { readSmallFile } from './small-file.js';

describe('a small file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-small-'));
    path = join(folder, 'file');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('is read whole', () => {
    writeFileSync(path, 'content');
    expect(readSmallFile(path).toString()).to.equal('content');
  });

  it('is refused where it is none: absent, a folder, a device, far too large', () => {
    expect(() => readSmallFile(path)).to.throw(UserError, 'does not exist');
    expect(() => readSmallFile(folder)).to.throw(UserError, 'is not a regular file');
    symlinkSync('/dev/zero', path);
    expect(() => readSmallFile(path)).to.throw(UserError, 'is not a regular file');
    rmSync(path);
    writeFileSync(path, '');
    truncateSync(path, 2 ** 40);
    expect(() => readSmallFile(path)).to.throw(UserError, 'has 1099511627776 bytes, expected at most');
  });
});

describe('the bounds of JSON', () => {
  it('are wide enough for what is real', () => {
    expect(jsonExcess('{"a": [[[["[{", "\\"]["]]]], "b": {}}')).to.equal(undefined);
    expect(jsonExcess(`[${'[0],'.repeat(1e6)}0]`)).to.equal(undefined);
    expect(jsonExcess(`${'['.repeat(100)}${']'.repeat(100)}`)).to.equal(undefined);
    expect(jsonExcess('"['.repeat(101))).to.equal(undefined);
  });

  it('end where memory or the stack would', () => {
    expect(jsonExcess('['.repeat(1e6))).to.equal('lists and objects more than 100 deep in each other');
    expect(jsonExcess(`[${'{},'.repeat(2 ** 21)}0]`)).to.equal('more than 2097152 lists and objects');
  });

  it('hold for text that is no JSON', () => {
    for (const text of ['', '"', '"\\', ']]]', 'x']) expect(jsonExcess(text)).to.equal(undefined);
  });
});
