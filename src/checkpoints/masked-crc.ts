import { crc32c } from '@node-rs/crc32';

const piece = 1 << 30;

/**
 * CRC-32C of the parts one after the other, masked as TensorFlow and LevelDB store it: a CRC of bytes that contain
 * CRCs would be weak. https://github.com/tensorflow/tensorflow/blob/master/third_party/xla/xla/tsl/lib/hash/crc32c.h
 */
export function maskedCrc32c(...parts: readonly Uint8Array[]): number {
  let crc = 0;
  for (const bytes of parts) {
    for (let start = 0; start < bytes.length; start += piece) crc = crc32c(bytes.subarray(start, start + piece), crc);
  }
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
