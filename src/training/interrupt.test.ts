import { expect } from 'chai';
import { watchInterrupts } from './interrupt.js';

describe('interrupts', () => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`the first ${signal} asks for exit code ${code}, which a poll lets be seen`, async () => {
      const heard: string[] = [];
      const watch = watchInterrupts(
        (name) => heard.push(name),
        () => heard.push('second'),
      );
      try {
        expect(watch.exitCode).to.equal(undefined);
        process.kill(process.pid, signal);
        // A signal goes through the kernel: it may take more than one turn.
        for (let turn = 0; turn < 100 && heard.length === 0; turn++) await watch.poll();
        expect(heard).to.deep.equal([signal]);
        expect(watch.exitCode).to.equal(code);
      } finally {
        watch.stop();
      }
    });
  }

  it('leaves no listener behind', () => {
    const before = [process.listenerCount('SIGINT'), process.listenerCount('SIGTERM')];
    watchInterrupts(
      () => undefined,
      () => undefined,
    ).stop();
    expect([process.listenerCount('SIGINT'), process.listenerCount('SIGTERM')]).to.deep.equal(before);
  });
});
