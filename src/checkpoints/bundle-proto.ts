import protobuf from 'protobufjs';
import { z } from 'zod';
import { damagedFile, printable } from './file-bytes.js';

/**
 * The messages in the index of a tensor bundle, with the field numbers of TensorFlow's protobuf definitions:
 * protobuf/tensor_bundle.proto and framework/{tensor_shape,tensor_slice,types,versions}.proto.
 */
const definition = `
syntax = "proto3";
package tensorflow;

message VersionDef { int32 producer = 1; int32 minConsumer = 2; }
message BundleHeaderProto {
  int32 numShards = 1;
  int32 endianness = 2;
  VersionDef version = 3;
}
message TensorShapeProto {
  message Dim { int64 size = 1; }
  repeated Dim dim = 2;
  bool unknownRank = 3;
}
message TensorSliceProto {
  message Extent { int64 start = 1; oneof hasLength { int64 length = 2; } }
  repeated Extent extent = 1;
}
message BundleEntryProto {
  int32 dtype = 1;
  TensorShapeProto shape = 2;
  int32 shardId = 3;
  int64 offset = 4;
  int64 size = 5;
  fixed32 crc32c = 6;
  repeated TensorSliceProto slices = 7;
}
`;

const { root } = protobuf.parse(definition);
const HeaderMessage = root.lookupType('tensorflow.BundleHeaderProto');
const EntryMessage = root.lookupType('tensorflow.BundleEntryProto');

const natural = z.int().nonnegative();
// Where TensorFlow's int64 says -1, the whole dimension is meant.
const length = z.union([natural, z.literal(-1).transform(() => undefined)]).optional();

const headerSchema = z.object({
  numShards: z.int().positive(),
  endianness: z.int(),
  version: z.object({ minConsumer: z.int() }).nullable(),
});

const entrySchema = z.object({
  dtype: z.int(),
  shape: z.object({ dim: z.array(z.object({ size: natural })), unknownRank: z.literal(false) }).nullable(),
  shardId: natural,
  offset: natural,
  size: natural,
  crc32c: natural,
  slices: z.array(z.object({ extent: z.array(z.object({ start: natural, length })) })),
});

export type BundleHeader = z.infer<typeof headerSchema>;
/** An entry of the index: a tensor, a slice of one, or (`slices` not empty) a tensor that lies in slices. */
export type BundleEntry = z.infer<typeof entrySchema>;

export const decodeHeader = (path: string, bytes: Uint8Array): BundleHeader =>
  decode(path, 'the header', HeaderMessage, headerSchema, bytes);

export const decodeEntry = (path: string, name: string, bytes: Uint8Array): BundleEntry =>
  decode(path, `the entry of ${printable(name)}`, EntryMessage, entrySchema, bytes);

// A real entry has some 50 bytes, and 20 more for each of its slices.
const maxMessageBytes = 1 << 20;

function decode<T>(path: string, what: string, type: protobuf.Type, schema: z.ZodType<T>, bytes: Uint8Array): T {
  if (bytes.length > maxMessageBytes) throw damagedFile(path, `${what} has ${bytes.length} bytes`);
  let message: protobuf.Message;
  try {
    message = type.decode(bytes);
  } catch (error) {
    throw damagedFile(path, `${what} cannot be decoded: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = schema.safeParse(type.toObject(message, { longs: Number, defaults: true }));
  if (parsed.success) return parsed.data;
  const { path: field, message: problem } = parsed.error.issues[0]!;
  throw damagedFile(path, `${what}: ${field.join('.')}: ${problem}`);
}

/** The header that TensorFlow writes for one little-endian shard, format version 1. */
export const encodeHeader = (): Buffer => encode(HeaderMessage, { numShards: 1, version: { producer: 1 } });

/** An entry in shard 0. Zeros are left out, as in every proto3 message that TensorFlow writes. */
export function encodeEntry(
  dtype: number,
  shape: readonly number[],
  { offset, size, crc32c }: { readonly offset: number; readonly size: number; readonly crc32c: number },
): Buffer {
  return encode(EntryMessage, {
    dtype,
    shape: { dim: shape.map((size) => (size === 0 ? {} : { size })) },
    ...(offset === 0 ? {} : { offset }),
    ...(size === 0 ? {} : { size }),
    ...(crc32c === 0 ? {} : { crc32c }),
  });
}

const encode = (type: protobuf.Type, message: Record<string, unknown>): Buffer =>
  Buffer.from(type.encode(type.create(message)).finish());
