/** What steps do: real tokens, and the floating-point operations of matrix products, NaN where they are not known. */
export interface Work {
  readonly tokens: number;
  readonly flops: number;
}

/** How fast the latest steps were, of which each counts a tenth less than the one after it. */
export interface Speed {
  /** @param work of a step that took so many seconds */
  add(work: Work, seconds: number): void;
  /** What is done in a second; 0 before the first step. */
  perSecond(): Work;
}

export function createSpeed(): Speed {
  let recent = { tokens: 0, flops: 0, seconds: 0 };
  return {
    add({ tokens, flops }, seconds) {
      recent = {
        tokens: 0.9 * recent.tokens + tokens,
        flops: 0.9 * recent.flops + flops,
        seconds: 0.9 * recent.seconds + seconds,
      };
    },
    perSecond() {
      const { tokens, flops, seconds } = recent;
      return seconds === 0 ? { tokens: 0, flops: 0 } : { tokens: tokens / seconds, flops: flops / seconds };
    },
  };
}
