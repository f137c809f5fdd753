/** How a variable gets its first value where no checkpoint gives one. */
export type Initializer = { kind: 'truncatedNormal'; standardDeviation: number } | { kind: 'zeros' } | { kind: 'ones' };

/**
 * A variable of a model, declared once: initialization, loading, the weight-decay list and the tests all read this.
 * Names are those of Google's TensorFlow checkpoints, kernels are [in, out]; all are float32.
 */
export interface VariableSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initializer: Initializer;
}

const zeros: Initializer = { kind: 'zeros' };
const ones: Initializer = { kind: 'ones' };

/** `name/kernel` [inputs, outputs] and `name/bias` [outputs]. */
export function denseVariables(
  name: string,
  inputs: number,
  outputs: number,
  standardDeviation: number,
): VariableSpec[] {
  return [
    { name: `${name}/kernel`, shape: [inputs, outputs], initializer: { kind: 'truncatedNormal', standardDeviation } },
    { name: `${name}/bias`, shape: [outputs], initializer: zeros },
  ];
}

/** `name/gamma` and `name/beta`, each [width]. */
export function layerNormVariables(name: string, width: number): VariableSpec[] {
  return [
    { name: `${name}/gamma`, shape: [width], initializer: ones },
    { name: `${name}/beta`, shape: [width], initializer: zeros },
  ];
}

/** Weight decay applies to matrices and tables, not to biases and LayerNorm (google-research/bert `optimization.py`). */
export function isDecayed(name: string): boolean {
  return !/\/(bias|gamma|beta)$/.test(name);
}
