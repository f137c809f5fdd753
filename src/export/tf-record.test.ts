import { expect } from 'chai';
import { tfRecord } from './tf-record.js';

describe('a TFRecord', () => {
  it('is what tf.io.TFRecordWriter writes', () => {
    const written = Buffer.concat([tfRecord(Buffer.from('abc')), tfRecord(new Uint8Array())]);
    expect(written.toString('hex')).to.equal('0300000000000000b099490e6162636e57f121000000000000000029039807d8ea82a2');
  });
});
