import { openSession, productProgram, type Precision, type ProductChain, type Session } from '../graph/index.js';
import type { Device } from './device.js';

/**
 * The machine's peak as far as a training step is concerned: how fast large matrices are multiplied on it in the precision
 * of the run. What else works on the machine while it is measured makes it look slower.
 */

/** A GPU needs more work in one call, so that starting it does not count. */
const chains: Readonly<Record<Device['kind'], ProductChain>> = {
  cpu: { rows: 2048, width: 1024, count: 1 },
  gpu: { rows: 4096, width: 4096, count: 32 },
};

const measuredSeconds = 0.05;

/** Floating-point operations a second of the fastest of the products that 0.05 seconds suffice for. */
export function measurePeak(kind: Device['kind'], precision: Precision): number {
  const chain = chains[kind];
  const session = openSession(productProgram(chain, precision));
  try {
    session.run('initialize', {});
    session.run('multiply', {}); // what is prepared at the first run
    return (2 * chain.rows * chain.width ** 2 * chain.count) / shortestRun(session);
  } finally {
    session.dispose();
  }
}

/** Seconds. */
function shortestRun(session: Session): number {
  const end = performance.now() + 1000 * measuredSeconds;
  let shortest = Infinity;
  do {
    const began = performance.now();
    session.run('multiply', {});
    shortest = Math.min(shortest, performance.now() - began);
  } while (performance.now() < end);
  return shortest / 1000;
}

/**
 * Seconds of steps before the machine is measured, and how many times as long they take until it is measured again: it
 * costs no run more than a twentieth, long ones less, and short ones nothing.
 */
const measuredAfter = 2;
const measuredAgainAfter = 4;

export interface Peak {
  /**
   * Measures the machine where the steps of this sitting have taken long enough, and again whenever they have taken four
   * times as long: the fastest counts, since something else may have been at work. @param seconds of a step
   */
  after(seconds: number): void;
  /** What share of the peak a speed in floating-point operations a second is; undefined: not known (yet). */
  share(speed: number): number | undefined;
}

/** @param measure operations a second */
export function createPeak(measure: () => number): Peak {
  let trained = 0;
  let next = measuredAfter;
  let peak = 0;
  return {
    after(seconds) {
      trained += seconds;
      if (trained < next) return;
      peak = Math.max(peak, measure());
      next = measuredAgainAfter * trained;
    },
    share: (speed) => (peak === 0 || Number.isNaN(speed) ? undefined : speed / peak),
  };
}
