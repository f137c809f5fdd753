import { createBatcher, type Batcher, type BatchReport } from './batcher.js';
import { startEncoder, type Encoder } from './encoder.js';
import { startModel, type ModelProcess, type ModelSettings } from './model-process.js';
import { readExport, type ServedExport } from './served-export.js';

/** A version of a model that answers. */
export interface LoadedVersion {
  readonly version: number;
  readonly exported: ServedExport;
  /** Undefined for an export that takes numbers only. */
  readonly encoder: Encoder | undefined;
  readonly model: ModelProcess;
  readonly batcher: Batcher;
  /** Most tokens of a batch. */
  readonly budget: number;
  unload(): Promise<void>;
}

export interface VersionSettings {
  readonly device: ModelSettings['device'];
  /** Undefined: what suits the device. */
  readonly maxBatchTokens: number | undefined;
  readonly batchTimeoutMs: number;
  readonly maxQueue: number;
}

export interface VersionEvents {
  onBatch(version: number, batch: BatchReport): void;
  onProcess(version: number, event: Parameters<ModelSettings['onChange']>[0]): void;
}

/** A processor is fastest where a layer stays in its caches, a GPU where it has much to do at once. */
const limitsOf = {
  cpu: { budget: 1536, callCost: 48 },
  gpu: { budget: 16_384, callCost: 2048 },
} as const;

/** Loads a version beside those that answer. Throws UserError 'files' where its folder is damaged. */
export async function loadVersion(
  version: number,
  folder: string,
  { device, maxBatchTokens, batchTimeoutMs, maxQueue }: VersionSettings,
  events: VersionEvents,
): Promise<LoadedVersion> {
  const exported = readExport(folder);
  const { text } = exported;
  const encoder = text === undefined ? undefined : await startEncoder({ assets: text.assets, card: text.card });
  try {
    const onChange: ModelSettings['onChange'] = (event) => {
      events.onProcess(version, event);
    };
    const model = await startModel({ folder, device, onChange });
    const limits = limitsOf[model.gpu ? 'gpu' : 'cpu'];
    const budget = maxBatchTokens ?? limits.budget;
    const batcher = createBatcher(
      model.run.bind(model),
      { ...limits, budget, timeoutMs: batchTimeoutMs, mostWaiting: maxQueue },
      (batch) => {
        events.onBatch(version, batch);
      },
    );
    return {
      version,
      exported,
      encoder,
      model,
      batcher,
      budget,
      async unload() {
        await Promise.all([model.stop(), encoder?.stop()]);
      },
    };
  } catch (error) {
    await encoder?.stop();
    throw error;
  }
}
