import type { Computed } from './model-process.js';
import { joinedTensors, splitOutputs, type Piece } from './pieces.js';
import { isFull, planBatch, type BatchLimits } from './plan-batch.js';
import { RestError } from './rest-error.js';
import type { Tensors } from './tensors-in.js';

export interface BatchSettings extends BatchLimits {
  /** How long a piece waits for others, in milliseconds, while nothing is computed. */
  readonly timeoutMs: number;
  /** Most rows that may wait. */
  readonly mostWaiting: number;
}

/** A batch that was computed. */
export interface BatchReport {
  readonly rows: number;
  /** Padding to the longest of a call included. */
  readonly tokens: number;
  /** Of all its calls. */
  readonly seconds: number;
  /** How long the oldest of its pieces had waited. */
  readonly waitedSeconds: number;
}

/** Computes pieces of many requests in batches, one at a time. */
export interface Batcher {
  /** Rows that wait. */
  readonly waiting: number;
  /**
   * Answers in the order of the pieces.
   *
   * @param signal what has not begun when it is aborted is left out
   * @throws RestError RESOURCE_EXHAUSTED where too many wait, CANCELLED where the signal was given; what the model throws
   */
  submit(pieces: readonly Piece[], signal: AbortSignal): Promise<Tensors[]>;
}

interface Entry {
  readonly piece: Piece;
  readonly since: number;
  readonly signal: AbortSignal;
  readonly resolve: (outputs: Tensors) => void;
  readonly reject: (error: unknown) => void;
}

export function createBatcher(
  run: (signature: string, inputs: Tensors) => Promise<Computed>,
  { timeoutMs, mostWaiting, ...limits }: BatchSettings,
  report: (batch: BatchReport) => void,
): Batcher {
  let queue: Entry[] = [];
  let rowsWaiting = 0;
  let isRunning = false;
  let timer: NodeJS.Timeout | undefined;
  // Tokens a second, of the last batches: says when there will be room again.
  let rate = 0;

  const take = (entries: ReadonlySet<Entry>): void => {
    queue = queue.filter((entry) => !entries.has(entry));
    for (const { piece } of entries) rowsWaiting -= piece.rows;
  };

  /** Those that somebody still waits for. */
  const wanted = (entries: readonly Entry[]): Entry[] => {
    for (const { signal, reject } of entries) if (signal.aborted) reject(cancelled());
    return entries.filter(({ signal }) => !signal.aborted);
  };

  /** Begins the next batch, or waits for more to come. */
  const pump = (): void => {
    clearTimeout(timer);
    if (isRunning) return;
    const kept = new Set(wanted(queue));
    take(new Set(queue.filter((entry) => !kept.has(entry))));
    const [oldest] = queue;
    if (oldest === undefined) return;
    const pieces = queue.map(({ piece }) => piece);
    const left = oldest.since + timeoutMs - performance.now();
    if (left > 0 && !isFull(pieces, limits.budget)) {
      timer = setTimeout(pump, left);
      return;
    }
    const calls = planBatch(pieces, limits).map((call) => call.map((i) => queue[i]!));
    take(new Set(calls.flat()));
    isRunning = true;
    void compute(calls, (performance.now() - oldest.since) / 1000);
  };

  const compute = async (calls: readonly Entry[][], waitedSeconds: number): Promise<void> => {
    let [rows, tokens, seconds] = [0, 0, 0];
    // What a call answers is handed on when the next one has begun, so that the model has work while answers are written.
    let answer = (): void => undefined;
    for (const call of calls) {
      const entries = wanted(call);
      const pieces = entries.map(({ piece }) => piece);
      if (entries.length === 0) continue;
      try {
        const running = run(pieces[0]!.signature, joinedTensors(pieces, limits.budget));
        answer();
        answer = () => undefined;
        const computed = await running;
        const answers = splitOutputs(computed.outputs, pieces);
        const count = pieces.reduce((sum, piece) => sum + piece.rows, 0);
        rows += count;
        tokens += count * Math.max(...pieces.map(({ length }) => length));
        seconds += computed.seconds;
        answer = () => {
          entries.forEach(({ resolve }, i) => {
            resolve(answers[i]!);
          });
        };
      } catch (error) {
        await failed(entries, error);
      }
    }
    if (rows > 0) {
      rate = rate === 0 ? tokens / seconds : 0.8 * rate + (0.2 * tokens) / seconds;
      report({ rows, tokens, seconds, waitedSeconds });
    }
    isRunning = false;
    pump();
    answer();
  };

  /** One bad piece fails its whole call: each is tried by itself then. */
  const failed = async (entries: readonly Entry[], error: unknown): Promise<void> => {
    if (entries.length > 1 && error instanceof RestError && error.code === 'INVALID_ARGUMENT') {
      for (const { piece, resolve, reject } of entries) {
        await run(piece.signature, joinedTensors([piece], limits.budget)).then(({ outputs }) => {
          resolve(outputs);
        }, reject);
      }
    } else for (const { reject } of entries) reject(error);
  };

  const retryAfter = (): number => {
    const tokens = queue.reduce((sum, { piece }) => sum + piece.rows * piece.length, 0);
    return rate === 0 ? 1 : Math.max(1, Math.ceil(tokens / rate));
  };

  return {
    get waiting() {
      return rowsWaiting;
    },
    async submit(pieces, signal) {
      const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0);
      if (rowsWaiting > 0 && rowsWaiting + rows > mostWaiting) {
        throw new RestError(
          'RESOURCE_EXHAUSTED',
          `${rowsWaiting} instances wait, at most ${mostWaiting} may`,
          retryAfter(),
        );
      }
      const since = performance.now();
      const answers = pieces.map(
        (piece) =>
          new Promise<Tensors>((resolve, reject) => {
            queue.push({ piece, since, signal, resolve, reject });
          }),
      );
      rowsWaiting += rows;
      pump();
      return Promise.all(answers);
    },
  };
}

const cancelled = (): RestError => new RestError('CANCELLED', 'The client has gone');
