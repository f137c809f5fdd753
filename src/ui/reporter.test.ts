import { Writable } from 'node:stream';
import { expect } from 'chai';
import { createReporter, type Io, isLiveTerminal } from './reporter.js';

interface Captured {
  io: Io;
  out: () => string;
  err: () => string;
  clock: { ms: number };
}

class Sink extends Writable {
  text = '';
  constructor(
    readonly isTTY: boolean,
    readonly columns: number,
  ) {
    super();
  }
  // The cursor methods of tty.WriteStream, which ora calls.
  cursorTo(column: number): void {
    this.write(`\u001b[${column + 1}G`);
  }
  clearLine(): void {
    this.write('\u001b[0K');
  }
  moveCursor(): void {
    this.write('\u001b[1A');
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

function capture(settings: { tty?: boolean; columns?: number; env?: Record<string, string> } = {}): Captured {
  const columns = settings.columns ?? 60;
  const stdout = new Sink(false, columns);
  const stderr = new Sink(settings.tty ?? false, columns);
  const clock = { ms: 0 };
  const io: Io = { stdout, stderr, env: settings.env ?? {}, now: () => clock.ms };
  return { io, out: () => stdout.text, err: () => stderr.text, clock };
}

describe('reporter', () => {
  it('draws live only where a terminal watches', () => {
    expect(isLiveTerminal(capture({ tty: true, env: { TERM: 'xterm' } }).io)).to.be.true;
    expect(isLiveTerminal(capture({ tty: false }).io)).to.be.false;
    expect(isLiveTerminal(capture({ tty: true, env: { CI: 'true' } }).io)).to.be.false;
    expect(isLiveTerminal(capture({ tty: true, env: { TERM: 'dumb' } }).io)).to.be.false;
  });

  it('draws nothing on a terminal of 0 columns, by which a spinner would clear lines for ever', () => {
    expect(isLiveTerminal(capture({ tty: true, columns: 0, env: { TERM: 'xterm' } }).io)).to.be.false;
  });

  it('takes a spinner away without a word', () => {
    const { io, err } = capture({ tty: true, env: { TERM: 'xterm' } });
    createReporter({}, io).spinner('reading').stop();
    expect(err()).not.to.contain('\n');
    expect(err().endsWith('\u001b[0K') || err().endsWith('\u001b[1G'), JSON.stringify(err())).to.be.true;
  });

  it('keeps results on stdout and messages on stderr', () => {
    const { io, out, err } = capture();
    const ui = createReporter({}, io);
    ui.info('loading');
    ui.warn('odd');
    ui.result('accuracy 0.9');
    ui.json({ accuracy: 0.9 });
    expect(out()).to.equal('accuracy 0.9\n');
    expect(err()).to.equal('loading\nwarning: odd\n');
  });

  it('writes exactly one JSON document with --json', () => {
    const { io, out } = capture();
    const ui = createReporter({ json: true }, io);
    ui.result('accuracy 0.9');
    ui.json({ accuracy: 0.9 });
    expect(JSON.parse(out())).to.deep.equal({ accuracy: 0.9 });
    expect(() => {
      ui.json({});
    }).to.throw('second JSON document');
  });

  it('with --quiet shows warnings and failures, nothing else', () => {
    const { io, err, clock } = capture();
    const ui = createReporter({ quiet: true }, io);
    ui.info('loading');
    ui.spinner('reading').succeed('read');
    const bar = ui.bar(10, 'train');
    clock.ms = 60_000;
    bar.update(10);
    bar.stop();
    ui.warn('odd');
    ui.spinner('reading').fail('gone');
    expect(err()).to.equal('warning: odd\ngone\n');
  });

  it('prints a progress line at most every five seconds where there is no terminal', () => {
    const { io, err, clock } = capture();
    const bar = createReporter({}, io).bar(1000, 'train');
    for (let step = 1; step <= 1000; step += 1) {
      clock.ms = step * 12;
      bar.update(step, { loss: '0.5' });
    }
    bar.stop();
    bar.stop();
    const lines = err().trimEnd().split('\n');
    expect(lines).to.have.length(3);
    expect(lines[0]).to.equal('train  417/1,000  41 %  7.0 s left  loss 0.5');
    expect(lines[2]).to.equal('train  1,000/1,000  100 %  12 s  loss 0.5');
    expect(err()).not.to.contain('\u001b');
  });

  it('leaves the steps before a resume out of the time estimate', () => {
    const { io, err, clock } = capture();
    const bar = createReporter({}, io).bar(100, 'train', 80);
    clock.ms = 10_000;
    bar.update(90);
    bar.stop();
    expect(err()).to.equal('train  90/100  90 %  10 s left\n');
  });

  it('draws a bar on a terminal from update() alone, messages above it, nothing left hidden', () => {
    const { io, err } = capture({ tty: true, env: { TERM: 'xterm', NO_COLOR: '1' } });
    const ui = createReporter({}, io);
    const bar = ui.bar(4, 'train');
    bar.update(2, { loss: '0.5' });
    ui.warn('odd');
    bar.update(4);
    bar.stop();
    expect(err()).to.contain('train ');
    expect(err()).to.contain('\r\u001b[2Kwarning: odd\n\u001b7train ');
    expect(err()).to.contain('4/4  100 %');
    expect(err()).not.to.contain('\u001b[?25l');
    expect(err()).not.to.contain('\u001b[?7l');
    expect(err().endsWith('\n')).to.be.true;
  });

  it('colours a terminal only without NO_COLOR', () => {
    const coloured = capture({ tty: true, env: { TERM: 'xterm' } });
    createReporter({}, coloured.io).warn('odd');
    expect(coloured.err()).to.equal('\u001b[33mwarning:\u001b[39m odd\n');
    const plain = capture({ tty: true, env: { TERM: 'xterm', NO_COLOR: '1' } });
    createReporter({}, plain.io).spinner('reading').succeed('read');
    expect(plain.err()).to.contain('✔ read\n');
    expect(plain.err()).not.to.contain('\u001b[3');
  });
});
