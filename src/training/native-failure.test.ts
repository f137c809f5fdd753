import { expect } from 'chai';
import { UserError, type FailureKind } from '../errors.js';
import { explainNativeFailure, type NativeActivity } from './native-failure.js';

// Messages of TensorFlow 2.21.0, shortened.
const oom =
  'Session fail to run with error: OOM when allocating tensor with shape[16,128,8192,8192] and type float on ' +
  '/job:localhost/replica:0/task:0/device:CPU:0 by allocator mklcpu\n\t [[{{node train/BatchMatMulV2}}]]\nHint: ...';
const full =
  'Session fail to run with error: run/checkpoints/.6.partial/moments.data-00000-of-00001.tempstate1; ' +
  'No space left on device\n\t [[{{node checkpoint/moments/SaveV2}}]]\n' +
  'Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom\n';
const damaged =
  'Session fail to run with error: Read less bytes than requested\n\t [[{{node checkpoint/weights/RestoreV2}}]]';

function explained(message: string, activity: NativeActivity): { kind: FailureKind; text: string; hint: string } {
  const error = explainNativeFailure(new Error(message), activity);
  if (!(error instanceof UserError)) throw new Error('nothing was explained');
  return { kind: error.kind, text: error.message, hint: error.hint ?? '' };
}

const step: NativeActivity = { kind: 'train', batch: { size: 32, length: 128 } };

describe('what TensorFlow throws', () => {
  it('for lack of memory in a step: names batch and length, and half the batch', () => {
    expect(explained(oom, step)).to.deep.equal({
      kind: 'outOfMemory',
      text: 'the memory does not suffice for a training step with 32 x 128 tokens (batch size x length)',
      hint:
        'Half the batch needs about half of it: --set training.batch_size=16; with training.gradient_accumulation ' +
        'doubled it is the same training. Or a smaller model.max_length (texts of this batch have up to 128 tokens).',
    });
  });

  it('for lack of memory where the batch cannot be halved: shorter texts', () => {
    for (const activity of [
      { kind: 'train', batch: { size: 1, length: 512 } },
      { kind: 'predict', batch: { size: 32, length: 512 } },
    ] as const) {
      const { kind, hint } = explained(oom, activity);
      expect(kind).to.equal('outOfMemory');
      expect(hint).to.contain('model.max_length').and.not.to.contain('batch_size');
    }
    expect(explained(oom, { kind: 'weights' }).text).to.contain('the weights of this model');
  });

  it('for a full disk: a matter of files, though its code and hint are those of a full memory', () => {
    const { kind, text, hint } = explained(full, { kind: 'save', path: 'run/checkpoints/.6.partial' });
    expect(kind).to.equal('files');
    expect(text).to.match(/^run\/checkpoints.*; No space left on device$/);
    expect(hint).to.contain('The disk is full');
  });

  it('for a damaged checkpoint: names it', () => {
    const { kind, text } = explained(damaged, { kind: 'restore', path: 'run/checkpoints/6' });
    expect([kind, text]).to.deep.equal(['files', 'run/checkpoints/6 cannot be read: Read less bytes than requested']);
  });

  it('for any other reason stays as it is: a bug keeps its stack', () => {
    const bug = new Error('Session fail to run with error: Incompatible shapes: [2,3] vs. [3]');
    expect(explainNativeFailure(bug, step)).to.equal(bug);
    expect(explainNativeFailure(bug, { kind: 'save', path: 'x' })).to.equal(bug);
    const user = new UserError('data', 'out of memory');
    expect(explainNativeFailure(user, step)).to.equal(user);
    expect(explainNativeFailure('text', step)).to.equal('text');
  });
});
