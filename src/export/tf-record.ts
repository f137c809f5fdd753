import { maskedCrc32c } from '../checkpoints/masked-crc.js';

/**
 * One record of a TFRecord file: its length, the length's CRC, the bytes, their CRC.
 * https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/record_writer.h
 */
export function tfRecord(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(bytes.length), 0);
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(bytes), 0);
  return Buffer.concat([head, bytes, tail]);
}
