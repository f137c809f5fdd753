import * as fused from '../graph/fused-ops.js';
import { tf, type Tensor } from '../graph/index.js';
import { bitwiseAnd, differentiable, runAfter, statelessRandomInts } from '../graph/ops.js';

/** Dropout of one forward pass: each call draws its own mask, a pure function of the seed and the call's number. */
export interface Dropout {
  (x: Tensor, rate: number): Tensor;
  /** The same without a gradient, and where it kept x, bool; undefined: everywhere. */
  readonly draw: (x: Tensor, rate: number) => { readonly y: Tensor; readonly kept: Tensor | undefined };
  /** For an op that draws the mask itself: the seed of the next call; undefined where nothing is dropped. */
  readonly nextSeed: (rate: number) => Tensor | undefined;
  /** Another one, whose calls from now on draw the masks of this one's calls from now on. */
  readonly copy: () => Dropout;
}

export const noDropout: Dropout = Object.assign((x: Tensor) => x, {
  draw: (x: Tensor) => ({ y: x, kept: undefined }),
  nextSeed: () => undefined,
  copy: () => noDropout,
});

/**
 * @param seed int32 [2]: the run's seed and the step, so that a resumed run repeats its masks exactly
 * @param firstCall how many calls there were before
 */
export function seededDropout(seed: Tensor, firstCall = 0): Dropout {
  let calls = firstCall;
  const nextSeed = (rate: number): Tensor | undefined => {
    if (rate === 0) return undefined;
    calls++;
    // Weyl steps keep the streams of the calls of one run away from those of a run with the next seed.
    return tf.add(seed, tf.tensor1d([Math.imul(calls, 0x9e3779b1), 0], 'int32'));
  };
  const draw: Dropout['draw'] = (x, rate) => {
    const callSeed = nextSeed(rate);
    return callSeed === undefined ? { y: x, kept: undefined } : masking(rate).draw(x, callSeed);
  };
  const dropout = (x: Tensor, rate: number): Tensor => {
    const callSeed = nextSeed(rate);
    if (callSeed === undefined) return x;
    return differentiable(
      [x],
      (save) => {
        const { y, kept } = masking(rate).draw(x, callSeed);
        save([kept]);
        return y;
      },
      (dy, [kept]) => [masking(rate).again(dy, kept!)],
    );
  };
  return Object.assign(dropout, { draw, nextSeed, copy: () => seededDropout(seed, calls) });
}

interface Masking {
  /** `kept`: bool, a quarter of the memory that a mask of floats takes. */
  readonly draw: (x: Tensor, seed: Tensor) => { readonly y: Tensor; readonly kept: Tensor };
  /** What a mask that was drawn leaves of x. */
  readonly again: (x: Tensor, kept: Tensor) => Tensor;
}

/** Of 65536 halves of random numbers, how many drop an element. */
export const thresholdOf = (rate: number): number => Math.round(rate * 0x10000);

export function masking(rate: number): Masking {
  const threshold = thresholdOf(rate);
  if (fused.isFusing()) {
    return {
      draw: (x, seed) => fused.dropout(x, seed, threshold, pairedAxis(x.shape)),
      again: (x, kept) => fused.dropoutGrad(x, kept, threshold),
    };
  }
  const masked = (values: Tensor, kept: Tensor): Tensor =>
    tf.mul(values, tf.mul(tf.cast(kept, 'float32'), 0x10000 / (0x10000 - threshold)));
  return {
    draw(x, seed) {
      const kept = runAfter(x, () => drawKept(x.shape, threshold, seed));
      return { y: masked(x, kept), kept };
    },
    // Without the wait the mask of floats would be made in the forward pass.
    again: (x, kept) => runAfter(x, () => masked(x, kept)),
  };
}

/** The axis whose halves share their random numbers. Hidden size or number of heads: even in nearly every model, and never symbolic. */
const pairedAxis = (shape: readonly number[]): number => (shape.length === 4 ? 1 : shape.length - 1);

/**
 * Which elements a dropout keeps, bool of the given shape: each with probability 1 - threshold / 65536. Drawing random
 * bits is a large part of what dropout costs, so the two halves of each 32-bit number decide on two elements.
 */
function drawKept(shape: readonly number[], threshold: number, seed: Tensor): Tensor {
  const draw = (drawn: readonly number[]): Tensor => statelessRandomInts(tf.tensor1d([...drawn], 'int32'), seed);
  // The upper half as a signed number lies in [-32768, 32767].
  const byUpperHalf = (bits: Tensor): Tensor =>
    tf.greaterEqual(bits, tf.scalar((threshold - 0x8000) * 0x10000, 'int32'));
  const byLowerHalf = (bits: Tensor): Tensor =>
    tf.greaterEqual(bitwiseAnd(bits, tf.scalar(0xffff, 'int32')), tf.scalar(threshold, 'int32'));
  const axis = pairedAxis(shape);
  const size = shape[axis]!;
  if (size % 2 !== 0) return byUpperHalf(draw(shape));
  const bits = draw(shape.map((dim, i) => (i === axis ? dim / 2 : dim)));
  return tf.concat([byUpperHalf(bits), byLowerHalf(bits)], axis);
}
