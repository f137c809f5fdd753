import { expect } from 'chai';
import { formatBytes, formatCount, formatDuration, plural } from './format.js';
import { cutColumns, formatTable } from './table.js';

describe('format', () => {
  it('writes durations in the unit that fits, and never 60 seconds', () => {
    const cases: [number, string][] = [
      [0.04, '0.0 s'],
      [9.94, '9.9 s'],
      [9.96, '10 s'],
      [59.4, '59 s'],
      [59.6, '1 m 00 s'],
      [83, '1 m 23 s'],
      [3599.7, '1 h 00 m'],
      [7500, '2 h 05 m'],
      [Infinity, '?'],
    ];
    for (const [seconds, text] of cases) expect(formatDuration(seconds), String(seconds)).to.equal(text);
  });

  it('groups thousands', () => {
    expect(formatCount(999)).to.equal('999');
    expect(formatCount(1234567)).to.equal('1,234,567');
    expect(formatCount(1234.5)).to.equal('1,234.5');
    expect(plural(1, 'sentence')).to.equal('1 sentence');
    expect(plural(1200, 'sentence')).to.equal('1,200 sentences');
  });

  it('writes bytes in binary units', () => {
    expect(formatBytes(0)).to.equal('0 B');
    expect(formatBytes(1023)).to.equal('1023 B');
    expect(formatBytes(1536)).to.equal('1.5 KiB');
    expect(formatBytes(5 * 1024 ** 3)).to.equal('5.0 GiB');
  });
});

describe('table', () => {
  it('counts a Chinese character as two columns', () => {
    const table = formatTable([
      ['', 'n'],
      ['正面', '10'],
      ['neutral', '7'],
    ]);
    expect(table).to.equal('          n\n正面     10\nneutral   7');
  });

  it('cuts between characters, never through a wide one', () => {
    expect(cutColumns('ab正面', 5)).to.equal('ab正');
    expect(cutColumns('abc', 5)).to.equal('abc');
  });
});
