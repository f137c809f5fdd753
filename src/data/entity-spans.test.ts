import { expect } from 'chai';
import { UserError } from '../errors.js';
import { spanSentences, type SpanOptions } from './entity-spans.js';
import type { Problem } from './problems.js';

const read = (lines: readonly unknown[], options: Partial<SpanOptions> = {}) => {
  const problems: Problem[] = [];
  const content = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  const file = spanSentences(Buffer.from(content), 'a.jsonl', { requireLabels: true, ...options }, problems);
  return { ...file, problems: problems.map(({ line, message }) => `${line}: ${message}`) };
};

const span = (start: number, end: number, label: string) => ({ start, end, label });

describe('texts with the places of their entities', () => {
  it('become words with labels, O first, then B- and I- of each type in their order', () => {
    const { sentences, labels, problems } = read([
      { text: '王安在 IBM', entities: [span(4, 7, 'ORG'), { ...span(0, 2, 'PER'), text: '王安', score: 1 }], id: 7 },
      { text: 'nothing here', entities: [] },
    ]);
    expect(problems).to.deep.equal([]);
    expect(labels).to.deep.equal(['O', 'B-ORG', 'I-ORG', 'B-PER', 'I-PER']);
    expect(sentences).to.deep.equal([
      { words: ['王', '安', '在', 'IBM'], labels: [3, 4, 0, 1], line: 1, text: '王安在 IBM' },
      { words: ['nothing', 'here'], labels: [0, 0], line: 2, text: 'nothing here' },
    ]);
  });

  it('count places in code points', () => {
    const { sentences, problems } = read([{ text: '👍𠮷野a', entities: [{ ...span(1, 3, 'PER'), text: '𠮷野' }] }]);
    expect(problems).to.deep.equal([]);
    expect(sentences[0]!.labels).to.deep.equal([0, 1, 2, 0]);
  });

  it('are spelled in the scheme of known labels', () => {
    const row = { text: 'Ada Lovelace met Bob', entities: [span(0, 12, 'PER'), span(17, 20, 'PER')] };
    const tags = (labels: readonly string[]) => read([row], { labels }).sentences[0]?.labels.map((id) => labels[id]);
    expect(tags(['I-PER', 'O', 'B-PER'])).to.deep.equal(['B-PER', 'I-PER', 'O', 'B-PER']);
    expect(tags(['O', 'B-PER', 'I-PER', 'E-PER', 'S-PER'])).to.deep.equal(['B-PER', 'E-PER', 'O', 'S-PER']);
    expect(tags(['O', 'B-PER', 'I-PER', 'L-PER', 'U-PER'])).to.deep.equal(['B-PER', 'L-PER', 'O', 'U-PER']);
    expect(tags(['O', 'I-PER'])).to.deep.equal(['I-PER', 'I-PER', 'O', 'I-PER']);
    expect(tags(['O', 'PER'])).to.deep.equal(['PER', 'PER', 'O', 'PER']);
  });

  it('name every fault by its line, and are read where there is none', () => {
    const { sentences, problems } = read([
      '{"text": "broken',
      { text: 'Anna sings', entities: [span(0, 2, 'PER'), span(4, 10, 'X')] },
      { text: 'Anna sings', entities: [span(0, 10, 'PER'), span(5, 10, 'X')] },
      { text: 'Anna', entities: [span(0, 9, 'PER'), span(2, 2, 'PER'), span(0, 4, 'O')] },
      { text: '𠮷野', entities: [{ ...span(1, 2, 'PER'), text: '𠮷' }] },
      { text: ' ', entities: [] },
      { text: 'Anna' },
      { text: 'Anna', entities: [[0, 4, 'PER']] },
      { text: 'Anna', entities: [span(0, 4, 'PER')] },
    ]);
    expect(problems).to.deep.equal([
      '1: got "{\\"text\\": \\"broken", expected a JSON object in one line',
      '2: got an entity from 0 to 2 that cuts "Anna", expected whole words',
      '2: got an entity from 4 to 10 that begins or ends with white space, expected whole words',
      '3: got PER from 0 to 10 and X from 5 to 10, expected entities that do not overlap',
      "4: got an entity from 0 to 9, expected it within the text's 4 characters",
      '4: got an entity from 2 to 2, expected its end behind its start (the end is not included)',
      '4: got the label O for an entity, which is that of all other words',
      '5: got an entity from 1 to 2 with the text "𠮷", but there stands "野" (places count characters from 0)',
      '6: got no text at text, expected some',
      '7: got no entities, expected a list ([] for none)',
      '8: got entities [[0,4,"PER"]], expected a list of {"start": 0, "end": 2, "label": "..."}, places in characters ' +
        'from 0, the end not included',
    ]);
    expect(sentences.map(({ line }) => line)).to.deep.equal([9]);
  });

  it('have labels that are known, where some are', () => {
    const { problems } = read(
      [
        { text: 'Anna Lee', entities: [span(0, 4, 'PERS')] },
        { text: 'Anna Lee', entities: [span(0, 8, 'PER')] },
      ],
      { labels: ['O', 'B-PER', 'B-LOC'] },
    );
    expect(problems).to.deep.equal([
      '1: got label "PERS", expected one of PER, LOC (did you mean PER?)',
      '2: got an entity that needs the label "I-PER", expected one of O, B-PER, B-LOC',
    ]);
  });

  it('stand at other keys where that is said; may be missing where they are not needed', () => {
    const { sentences } = read([{ s: 'Anna', e: [span(0, 4, 'PER')] }], { textKey: 's', entitiesKey: 'e' });
    expect(sentences[0]!.labels).to.deep.equal([1]);
    expect(read([{ text: 'Anna' }, { text: 'b', entities: null }], { requireLabels: false }).sentences).to.have.length(
      2,
    );
    expect(read([{ text: 'Anna' }], { requireLabels: false }).sentences[0]!.labels).to.deep.equal([]);
    expect(() => read([{ text: 'Anna', spans: [] }])).to.throw(
      UserError,
      'a.jsonl: the objects have text, spans, expected entities',
    );
  });
});
