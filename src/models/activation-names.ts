/**
 * The activations a configuration may name, as Hugging Face spells them. Apart from the functions themselves, so that a
 * configuration can be checked without TensorFlow.
 */
export const activationNames = [
  'gelu',
  'gelu_python',
  'gelu_new',
  'gelu_pytorch_tanh',
  'gelu_fast',
  'relu',
  'silu',
  'swish',
  'tanh',
] as const;

export type ActivationName = (typeof activationNames)[number];
