import { formatBytes, formatPercent } from '../../src/ui/format.js';
import { formatTable } from '../../src/ui/table.js';
import type { ConversionResult } from './convert.js';
import type { InferenceResult } from './inference.js';
import type { LoadResult } from './load.js';
import type { PredictResult } from './predict.js';
import { print, range, ratio, seconds } from './print.js';
import type { ServeResult } from './serve.js';
import { median } from './statistics.js';

export function printLoad({ rounds, medianSeconds, medianSinceStart, copies }: LoadResult): void {
  print(
    `\nLoading BERT-base from safetensors, ${formatBytes(rounds[0]!.modelBytes)}, with the file in the page cache\n`,
  );
  const rows = rounds.map((round) => [
    seconds(round.seconds),
    seconds(round.sinceStart),
    formatBytes(round.readyBytes),
    formatBytes(round.loadedBytes),
    formatBytes(round.peakBytes),
  ]);
  const header = ['weights', 'since the start of the process', 'resident before', 'resident after', 'peak'];
  print(formatTable([header, ...rows]));
  print(
    `\nmedians ${seconds(medianSeconds)} and ${seconds(medianSinceStart)}; ${copies.toFixed(2)} times the weights at the most`,
  );
}

export function printConvert(results: readonly ConversionResult[]): void {
  print(`\nt4 convert\n`);
  const header = ['', '', 'model', 'largest tensor', 'seconds', 'peak memory', 'limit', 'peak of limit'];
  const rows = results.map(({ from, to, verify, modelBytes, largestTensorBytes, ...result }) => [
    `${from} to ${to}`,
    verify ? '--verify' : '',
    formatBytes(modelBytes),
    formatBytes(largestTensorBytes),
    result.seconds.toFixed(1),
    formatBytes(result.peakBytes),
    // --verify has a whole model in memory to run it.
    verify ? '' : formatBytes(result.limitBytes),
    verify ? '' : formatPercent(result.peakBytes / result.limitBytes),
  ]);
  print(formatTable([header, ...rows], ['left', 'left']));
}

export function printPredict(results: readonly PredictResult[]): void {
  print(`\nLabelling ${results[0]!.texts} sentences with MiniLM (medians)\n`);
  const rate = (value: number): string => value.toFixed(1);
  const rows = results.flatMap(({ precision, texts, t4, pipeline, ratioRange, ...result }) => [
    [
      `texts a second, ${precision}`,
      rate(t4.textsPerSecond),
      rate(pipeline.textsPerSecond),
      ratio(result.ratio),
      range(ratioRange),
    ],
    [
      `whole process, ${precision}`,
      seconds(median(t4.wallSeconds)),
      seconds(median(pipeline.wallSeconds)),
      ratio(median(pipeline.wallSeconds) / median(t4.wallSeconds)),
    ],
    [
      `peak memory, ${precision}`,
      formatBytes(t4.peakBytes),
      formatBytes(pipeline.peakBytes),
      ratio(pipeline.peakBytes / t4.peakBytes),
    ],
    [`same labels, ${precision}`, `${result.sameLabels} of ${texts}`],
    [`largest difference of a probability, ${precision}`, result.largestDifference.toExponential(1)],
  ]);
  print(formatTable([['', 't4', 'pipeline', "t4's advantage", 'range'], ...rows]));
}

export function printServe({ one, many, memory, ...result }: ServeResult): void {
  print(`\nt4 serve, MiniLM, sentences of mixed length\n`);
  const rows = [one, many].map(({ clients, requests, errors, requestsPerSecond, medianMs, p99Ms }) => [
    String(clients),
    String(requests),
    String(errors),
    requestsPerSecond.toFixed(1),
    `${medianMs.toFixed(1)} ms`,
    `${p99Ms.toFixed(1)} ms`,
  ]);
  print(formatTable([['clients', 'requests', 'errors', 'a second', 'median', 'p99'], ...rows], ['right']));
  const { gain, deadlineMs, batchMs, batchInstances, healthMs } = result;
  print(
    `\n${gain.toFixed(2)} times one at a time; deadline ${deadlineMs} ms, a batch of ${batchInstances.toFixed(1)} takes ` +
      `${batchMs.toFixed(1)} ms; /healthz within ${healthMs.toFixed(1)} ms\n`,
  );
  const sizes = memory.map(({ requests, serverBytes, modelBytes }) => [
    String(requests),
    formatBytes(serverBytes),
    formatBytes(modelBytes),
  ]);
  print(formatTable([['requests', 'server', "model's process"], ...sizes], ['right']));
}

export function printInference({ cases, peakBytes }: InferenceResult): void {
  print(`\nClassification with BERT-base, the ratios to the faster one of ONNX Runtime's (medians)\n`);
  const rows = cases.flatMap(({ batch, length, times }) =>
    times.map(({ side, medianSeconds, largestDifference, ...time }) => [
      `${batch} x ${length}`,
      side,
      `${(1000 * medianSeconds).toFixed(1)} ms`,
      ratio(time.ratio),
      range(time.ratioRange),
      largestDifference.toExponential(1),
      formatBytes(peakBytes[side]),
    ]),
  );
  const header = ['texts x tokens', '', 'time', 'ratio', 'range', 'largest difference of a logit', 'peak memory'];
  print(formatTable([header, ...rows], ['left', 'left']));
}
