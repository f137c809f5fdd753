import { z } from 'zod';
import { SavedModelMessage } from '../graph/proto.js';
import { readSmallFile } from '../small-file.js';
import { damagedFile } from './file-bytes.js';

const shapeSchema = z.object({ dim: z.array(z.object({ size: z.number() })), unknownRank: z.boolean() }).nullable();
const portsSchema = z.record(z.string(), z.object({ name: z.string(), dtype: z.int(), tensorShape: shapeSchema }));
const metaGraphSchema = z.object({
  metaInfoDef: z.object({ tags: z.array(z.string()), tensorflowVersion: z.string() }).nullable(),
  graphDef: z.object({ node: z.array(z.unknown()) }).nullable(),
  signatureDef: z.record(z.string(), z.object({ inputs: portsSchema, outputs: portsSchema, methodName: z.string() })),
});
const savedModelSchema = z.object({ metaGraphs: z.array(metaGraphSchema).min(1) });

/** The inputs or outputs of a signature, by their keys. */
export type SavedPorts = z.infer<typeof portsSchema>;

/** The first graph of a `saved_model.pb`, read without TensorFlow. Throws UserError 'files' where it is damaged. */
export function readMetaGraph(path: string): z.infer<typeof metaGraphSchema> {
  const bytes = readSmallFile(path);
  let message: unknown;
  try {
    message = SavedModelMessage.toObject(SavedModelMessage.decode(bytes), { longs: Number, defaults: true });
  } catch (error) {
    throw damagedFile(path, `not a SavedModel: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = savedModelSchema.safeParse(message);
  if (parsed.success) return parsed.data.metaGraphs[0]!;
  throw damagedFile(path, `not a SavedModel: ${z.prettifyError(parsed.error)}`);
}
