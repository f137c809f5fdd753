import { expect } from 'chai';
import { mutations } from '../../test/support/fuzz.js';
import { UserError } from '../errors.js';
import { maskedCrc32c } from './masked-crc.js';
import { encodeSortedTable, isSortedTable, readSortedTable, type TableEntry } from './sorted-table.js';

const entry = (key: string, value: string): TableEntry => ({ key: Buffer.from(key), value: Buffer.from(value) });
const read = (bytes: Buffer): [string, string][] =>
  [...readSortedTable('x.index', bytes)].map(({ key, value }) => [key.toString(), value.toString()]);

/** A table of blocks with any content, their checksums right; the last block is the index. */
function tableOf(...blocks: Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let [offset, index] = [0, Buffer.alloc(0)];
  for (const block of blocks) {
    const trailer = Buffer.alloc(5);
    trailer.writeUInt32LE(maskedCrc32c(block, trailer.subarray(0, 1)), 1);
    parts.push(block, trailer);
    index = Buffer.of(0, 0, offset, block.length);
    offset += block.length + 5;
  }
  const footer = Buffer.alloc(48);
  index.copy(footer);
  footer.writeBigUInt64LE(0xdb4775248b80fb57n, 40);
  return Buffer.concat([...parts, footer]);
}

/** Entries as bytes, then the list with one restart. */
const blockOf = (...entries: number[][]): Buffer => Buffer.from([...entries.flat(), 0, 0, 0, 0, 1, 0, 0, 0]);

describe('a sorted table', () => {
  const many = Array.from({ length: 500 }, (_, i) => entry(`scope/${String(i).padStart(5, '0')}/x`, `value ${i}`));

  it('gives back its entries, in one block and in many', () => {
    const expected = many.map(({ key, value }) => [key.toString(), value.toString()]);
    for (const blockSize of [undefined, 1, 200, 4096]) {
      expect(read(encodeSortedTable(many, blockSize)), String(blockSize)).to.deep.equal(expected);
    }
  });

  it('shares the beginnings of keys: it takes less room than the keys alone', () => {
    const keys = many.reduce((sum, { key }) => sum + key.length, 0);
    const values = many.reduce((sum, { value }) => sum + value.length, 0);
    expect(encodeSortedTable(many).length).to.be.below(keys + values);
  });

  it('may be empty, and may have values longer than a block', () => {
    expect(read(encodeSortedTable([]))).to.deep.equal([]);
    const long = 'v'.repeat(1000);
    const entries = [entry('', long), entry('a', ''), entry('\u{10ffff}', long)];
    const expected = [['', long], ['a', ''], ['\u{10ffff}', long]]; // prettier-ignore
    expect(read(encodeSortedTable(entries, 100))).to.deep.equal(expected);
  });

  it('is known by its last eight bytes', () => {
    expect(isSortedTable(encodeSortedTable([]))).to.be.true;
    expect(isSortedTable(Buffer.alloc(48))).to.be.false;
    expect(isSortedTable(Buffer.alloc(3))).to.be.false;
  });

  const good = blockOf([0, 1, 1, 0x61, 0x31], [0, 1, 1, 0x62, 0x32]);
  const place = (offset: number, size: number) => [0, 1, 2, 0x7a, offset, size];
  const index = blockOf(place(0, good.length));

  it('is read as laid out by hand', () => {
    expect(read(tableOf(good, index))).to.deep.equal([['a', '1'], ['b', '2']]); // prettier-ignore
  });

  const flipped = (bytes: Buffer, position: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[position]! ^= 1;
    return copy;
  };
  const typed = (type: number): Buffer => {
    const copy = tableOf(good, index);
    copy[good.length] = type;
    copy.writeUInt32LE(maskedCrc32c(copy.subarray(0, good.length + 1)), good.length + 1);
    return copy;
  };
  const far = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08]; // 2^52
  const damaged: Readonly<Record<string, [bytes: Buffer, message: string]>> = {
    'an empty file': [Buffer.alloc(0), '0 bytes, too short for a sorted table'],
    'another file': [Buffer.alloc(64), 'it does not end as a sorted table does'],
    'a flipped bit in a block': [flipped(tableOf(good, index), 3), 'the checksum of the block at byte 0 is wrong'],
    'a block type that is unknown': [typed(2), 'the block at byte 0 has the unknown type 2'],
    'a compressed block': [typed(1), 'the block at byte 0 is compressed with Snappy, which is not supported'],
    'a block beyond the end': [
      tableOf(good, blockOf(place(100, 100))),
      'a block of 100 bytes at byte 100 goes beyond the end at 42',
    ],
    'a block of 2^52 bytes': [
      tableOf(good, blockOf([0, 1, 9, 0x7a, 0, ...far])),
      'a block of 4503599627370496 bytes at byte 0 goes beyond the end at 49',
    ],
    'a number beyond 2^53': [
      tableOf(good, blockOf([0, 1, 10, 0x7a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])),
      'a number is beyond 2^53',
    ],
    'a number that is cut off': [tableOf(good, blockOf([0, 1, 1, 0x7a, 0x80])), 'a number is cut off'],
    'the same block twice': [
      tableOf(good, blockOf(place(0, good.length), place(0, good.length))),
      'a block at byte 0 overlaps another',
    ],
    'keys in the wrong order': [
      tableOf(blockOf([0, 1, 0, 0x62], [0, 1, 0, 0x61]), blockOf(place(0, 16))),
      'the keys do not ascend',
    ],
    'a key twice': [tableOf(blockOf([0, 1, 0, 0x62], [1, 0, 0]), blockOf(place(0, 15))), 'the keys do not ascend'],
    'a key that shares more than there is': [
      tableOf(blockOf([0, 1, 0, 0x61], [2, 1, 0, 0x61]), blockOf(place(0, 16))),
      'an entry goes beyond its block',
    ],
    'a value beyond its block': [
      tableOf(blockOf([0, 1, 9, 0x61]), blockOf(place(0, 12))),
      'an entry goes beyond its block',
    ],
    'a block too short for its list': [
      tableOf(Buffer.of(9, 0, 0, 0), blockOf(place(0, 4))),
      'a block of 4 bytes has no room for its list of entries',
    ],
    'a block of two bytes': [
      tableOf(Buffer.of(0, 0), blockOf(place(0, 2))),
      'a block of 2 bytes has no room for its list of entries',
    ],
  };
  for (const [what, [bytes, message]] of Object.entries(damaged)) {
    it(`refuses ${what}`, () => {
      expect(() => read(bytes))
        .to.throw(UserError, `x.index: ${message}`)
        .with.property('kind', 'files');
    });
  }

  it('with any damage under right checksums is refused, or gives ascending keys', () => {
    const block = blockOf([0, 3, 2, 1, 2, 3, 8, 9], [2, 2, 1, 4, 5, 7], [1, 3, 0, 6, 7, 8], [0, 2, 3, 9, 9, 1, 2, 3]);
    let [opened, refused] = [0, 0];
    for (const bytes of mutations(block, 1000, 5)) {
      const table = tableOf(Buffer.from(bytes), blockOf(place(0, bytes.length)));
      try {
        const keys = [...readSortedTable('x.index', table)].map(({ key }) => key);
        expect(keys.every((key, i) => i === 0 || keys[i - 1]!.compare(key) < 0)).to.be.true;
        opened++;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        refused++;
      }
    }
    expect(Math.min(opened, refused)).to.be.above(50);
  });

  it('refuses keys that a small file claims to be long by the thousand', () => {
    // One key of 16,000 bytes, then entries of 5 bytes that share all of it.
    const long = [0, 0x80, 0x7d, 0, ...Array<number>(16_000).fill(0x61)];
    const entries = Array.from({ length: 20_000 }, (_, i) => [0x80, 0x7d, 2, 0, i >> 8, i & 255]);
    const block = blockOf(long, ...entries);
    const size = [(block.length & 127) | 128, ((block.length >> 7) & 127) | 128, block.length >> 14];
    const place = blockOf([0, 1, 4, 0x7a, 0, ...size]);
    const trailer = Buffer.alloc(5);
    trailer.writeUInt32LE(maskedCrc32c(block, Buffer.of(0)), 1);
    const placeTrailer = Buffer.alloc(5);
    placeTrailer.writeUInt32LE(maskedCrc32c(place, Buffer.of(0)), 1);
    const [footer, start] = [Buffer.alloc(48), block.length + 5];
    Buffer.from([0, 0, (start & 127) | 128, ((start >> 7) & 127) | 128, start >> 14, place.length]).copy(footer);
    footer.writeBigUInt64LE(0xdb4775248b80fb57n, 40);
    const table = Buffer.concat([block, trailer, place, placeTrailer, footer]);
    const counted = (): number => {
      let count = 0;
      for (const { key } of readSortedTable('x.index', table)) count += key.length;
      return count;
    };
    expect(counted).to.throw(UserError, 'x.index: the keys take more than 134217728 bytes');
  });
});
