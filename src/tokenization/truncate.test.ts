import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { longestFirst } from './truncate.js';

// Rows made by make.py in that folder, with Python Transformers: lengths of both, maximum, kept of both.
const path = join('test', 'fixtures', 'tokenization', 'longest-first.json');
const rows = z
  .array(z.tuple([z.number(), z.number(), z.number(), z.number(), z.number()]))
  .parse(JSON.parse(readFileSync(path, 'utf8')));

describe('longestFirst', () => {
  it('keeps as many tokens of each text as Transformers does', () => {
    expect(rows).to.have.length(1215);
    for (const [first, second, maxLength, ...kept] of rows) {
      const message = `${first} and ${second} to ${maxLength}`;
      expect(longestFirst(first, second, maxLength - 3), message).to.deep.equal(kept);
    }
  });
});
