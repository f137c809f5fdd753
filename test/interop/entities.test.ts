import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import type { TagScheme } from '../../src/metrics/tags.js';
import { expectReport, expectSeqeval, lenientMetrics, seqevalSchema, strictMetrics } from '../support/seqeval.js';
import { askPython } from './python.js';

const lettersOf: Readonly<Record<TagScheme, string>> = { IOB2: 'BI', IOBES: 'BIES', BILOU: 'BILU' };
const types = ['PER', 'LOC', 'ORG', 'WORK-OF-ART'];

interface Case {
  scheme: TagScheme;
  gold: string[][];
  predicted: string[][];
}

/** Tags without any regard for the rules, and predictions that agree with most of them. */
function randomCase(number: number): Case {
  const random = createRandom(13, number);
  const scheme = (['IOB2', 'IOBES', 'BILOU'] as const)[number % 3]!;
  const letters = lettersOf[scheme];
  const kinds = types.slice(0, 1 + random(types.length));
  const tag = (): string =>
    random(3) === 0 ? 'O' : `${letters[random(letters.length)]!}-${kinds[random(kinds.length)]!}`;
  const gold = Array.from({ length: 1 + random(4) }, () => Array.from({ length: 1 + random(12) }, tag));
  const predicted = gold.map((tags) => tags.map((one) => (random(4) === 0 ? tag() : one)));
  return { scheme, gold, predicted };
}

describe('entity scores beside seqeval', () => {
  it('are the same for 200 files of random tags, in both modes', () => {
    const cases = Array.from({ length: 200 }, (_, i) => randomCase(i));
    const answers = askPython('entities.py', { cases }, z.array(seqevalSchema));
    expect(answers).to.have.length(200);
    let whole = 0;
    answers.forEach(({ lenient, strict }, i) => {
      const { scheme } = cases[i]!;
      // seqeval's default mode does not know L and U.
      if (scheme !== 'BILOU') {
        expectSeqeval(lenientMetrics(cases[i]!), lenient);
        if (lenient !== null) expectReport(lenientMetrics(cases[i]!), lenient);
      }
      expectSeqeval(strictMetrics(cases[i]!, scheme), strict);
      if (strict !== null) expectReport(strictMetrics(cases[i]!, scheme), strict);
      whole += strict === null ? 0 : 1;
    });
    expect(whole).to.be.above(150);
  });
});
