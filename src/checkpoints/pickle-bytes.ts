import { damagedFile, readFully } from './file-bytes.js';

/** A file that is open for reading. */
export interface OpenFile {
  readonly path: string;
  readonly descriptor: number;
  readonly size: number;
}

// Longer lines than this do not occur: names, and numbers written in decimal.
const maxLine = 1 << 16;

/** Reads a range of a file from its beginning to its end, through a window: the range may be as large as the file. */
export class ByteReader {
  readonly file: OpenFile;
  readonly #end: number;
  #window: Buffer = Buffer.alloc(0);
  /** Where the window begins in the file, and the next byte in the window. */
  #start: number;
  #next = 0;

  constructor(file: OpenFile, start: number, end: number) {
    this.file = file;
    this.#start = start;
    this.#end = end;
  }

  /** Where the next byte is in the file. */
  get position(): number {
    return this.#start + this.#next;
  }

  byte(): number {
    if (this.#next === this.#window.length) this.#fill(1);
    return this.#window[this.#next++]!;
  }

  /** The next `count` bytes; they stay valid until the next call. */
  take(count: number): Buffer {
    if (this.#window.length - this.#next < count) this.#fill(count);
    this.#next += count;
    return this.#window.subarray(this.#next - count, this.#next);
  }

  /** The next line without its "\n", one character per byte. */
  line(): string {
    let end = this.#window.indexOf(10, this.#next);
    if (end === -1) {
      this.#fill(Math.min(maxLine, this.#end - this.position));
      end = this.#window.indexOf(10);
      if (end === -1) throw damagedFile(this.file.path, `the line at byte ${this.position} does not end`);
    }
    const text = this.#window.toString('latin1', this.#next, end);
    this.#next = end + 1;
    return text;
  }

  /** Moves the window so that it begins with the next byte and holds `count` at least. Checked before allocating. */
  #fill(count: number): void {
    const left = this.#end - this.position;
    if (count > left) {
      throw damagedFile(this.file.path, `${count} bytes are expected at byte ${this.position}, where ${left} are left`);
    }
    this.#start = this.position;
    this.#next = 0;
    this.#window = Buffer.allocUnsafe(Math.min(left, Math.max(count, maxLine)));
    readFully(this.file.path, this.file.descriptor, this.#window, this.#start);
  }
}
