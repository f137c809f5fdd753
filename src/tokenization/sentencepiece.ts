import protobuf from 'protobufjs';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { readSmallFile } from '../small-file.js';

/** What is read of SentencePiece's ModelProto, with the field numbers and defaults of its sentencepiece_model.proto. */
const definition = `
syntax = "proto2";
package sentencepiece;

message TrainerSpec {
  optional int32 model_type = 3 [default = 1];
  optional int32 unk_id = 40 [default = 0];
}
message NormalizerSpec {
  optional bytes precompiled_charsmap = 2;
}
message ModelProto {
  message SentencePiece {
    optional string piece = 1;
    optional float score = 2;
  }
  repeated SentencePiece pieces = 1;
  optional TrainerSpec trainer_spec = 2;
  optional NormalizerSpec normalizer_spec = 3;
}
`;

const modelType = protobuf.parse(definition, { keepCase: true }).root.lookupType('sentencepiece.ModelProto');

const modelSchema = z.object({
  pieces: z.array(z.object({ piece: z.string(), score: z.number() })).min(1),
  trainer_spec: z.object({ model_type: z.int(), unk_id: z.int().nonnegative() }),
  normalizer_spec: z.object({ precompiled_charsmap: z.instanceof(Uint8Array) }).nullable(),
});

const modelKinds = ['', 'unigram', 'BPE', 'word', 'character'];

export interface SentencePieceModel {
  /** By id. Scores are log probabilities, float32. */
  readonly pieces: readonly { readonly piece: string; readonly score: number }[];
  readonly unknownId: number;
  /** The compiled normalization; empty for none. */
  readonly charsmap: Uint8Array;
}

/** @throws UserError 'files' when the file is not a SentencePiece model, or not a unigram one */
export function readSentencePiece(path: string): SentencePieceModel {
  const model = modelSchema.safeParse(decode(path));
  if (!model.success) {
    throw new UserError('files', `${path}: not a SentencePiece model: ${z.prettifyError(model.error)}`);
  }
  const { pieces, trainer_spec, normalizer_spec } = model.data;
  const { model_type, unk_id } = trainer_spec;
  if (model_type !== 1) {
    const kind = modelKinds[model_type] ?? `type ${model_type}`;
    throw new UserError('files', `${path}: a SentencePiece model of the kind ${kind}, only unigram is supported`);
  }
  if (unk_id >= pieces.length) {
    throw new UserError('files', `${path}: unk_id is ${unk_id}, there are ${pieces.length} pieces`);
  }
  return { pieces, unknownId: unk_id, charsmap: normalizer_spec?.precompiled_charsmap ?? new Uint8Array() };
}

function decode(path: string): unknown {
  const bytes = readSmallFile(path);
  try {
    return modelType.toObject(modelType.decode(bytes), { defaults: true, arrays: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError('files', `${path}: not a SentencePiece model: ${reason}`);
  }
}
