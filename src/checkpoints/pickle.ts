import { isUtf8 } from 'node:buffer';
import { UserError } from '../errors.js';
import { damagedFile } from './file-bytes.js';
import type { ByteReader } from './pickle-bytes.js';
import { opcode } from './pickle-opcodes.js';
import { describeValue, isKind, qualifiedName, type PickleGlobal, type PickleValue } from './pickle-values.js';

/**
 * Python's pickles, read without Python: a pickle is a program for a machine with a stack, and here is that machine
 * without the instruction that makes pickles dangerous, importing by name. The environment says what names stand for.
 * Instructions: CPython's Lib/pickletools.py, protocols 0 to 5.
 */

/** What a pickle's names mean. */
export interface PickleEnvironment {
  /** The class or function of this name. Throws UserError where it is not allowed. */
  find(module: string, name: string): PickleGlobal;
  /**
   * The value of calling it.
   *
   * @param spend to be told how many elements are copied, so that the work stays bounded
   */
  call(callee: PickleGlobal, args: readonly PickleValue[], spend: (elements: number) => void): PickleValue;
  /** The value that is kept outside the pickle under this id. */
  load(id: PickleValue): PickleValue;
}

// Bounds for hostile files, far above real ones: RoBERTa large with its optimizer takes some 50,000 steps. A container
// counts as several steps, because it takes more memory; together they keep a pickle's values below some 500 MB.
const maxPickleBytes = 2 ** 28;
const maxSteps = 8_000_000;
const containerSteps = 8;
// torch's magic number has 10 bytes.
const maxIntegerBytes = 1024;

/** The value of the pickle that begins where the reader is. Throws UserError 'files'. */
export function readPickle(reader: ByteReader, environment: PickleEnvironment): PickleValue {
  return new Machine(reader, environment).run();
}

class Machine {
  readonly #reader: ByteReader;
  readonly #environment: PickleEnvironment;
  readonly #stack: PickleValue[] = [];
  /** How high the stack was at each mark that is still open. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #begin: number;
  #instruction = 0;
  #steps = 0;

  constructor(reader: ByteReader, environment: PickleEnvironment) {
    this.#reader = reader;
    this.#environment = environment;
    this.#begin = reader.position;
  }

  run(): PickleValue {
    for (;;) {
      this.#instruction = this.#reader.position;
      const code = this.#reader.byte();
      if (code === opcode.stop) return this.#pop();
      this.#spend(1);
      const step = code < 0x80 ? this.#protocol1(code) : this.#protocol2(code);
      if (!step) throw this.#damaged(`0x${code.toString(16)} is not an instruction that is known`);
    }
  }

  /** The instructions of protocols 0 and 1: their codes are printable characters. Returns false for any other. */
  #protocol1(code: number): boolean {
    switch (code) {
      case opcode.mark:
        this.#marks.push(this.#stack.length);
        return true;
      case opcode.pop:
        // Python's own machine lets it take a mark away too.
        if (this.#stack.length === this.#marks.at(-1)) this.#marks.pop();
        else this.#pop();
        return true;
      case opcode.popMark:
        this.#popToMark();
        return true;
      case opcode.dup:
        return this.#push(this.#top());
      case opcode.none:
        return this.#push(null);
      case opcode.int:
        return this.#push(this.#decimalOrBoolean(this.#reader.line()));
      case opcode.long:
        return this.#push(this.#decimal(this.#reader.line().replace(/L$/, '')));
      case opcode.float:
        return this.#push(this.#decimalFloat(this.#reader.line()));
      case opcode.binInt:
        return this.#push(this.#reader.take(4).readInt32LE());
      case opcode.binInt1:
        return this.#push(this.#reader.byte());
      case opcode.binInt2:
        return this.#push(this.#reader.take(2).readUInt16LE());
      case opcode.binFloat:
        return this.#push(this.#reader.take(8).readDoubleBE());
      case opcode.binString:
        return this.#push(this.#oldString(this.#length4()));
      case opcode.shortBinString:
        return this.#push(this.#oldString(this.#reader.byte()));
      case opcode.unicode:
        return this.#push(unescape(this.#reader.line()));
      case opcode.binUnicode:
        return this.#push(this.#text(this.#length4()));
      case opcode.binBytes:
        return this.#push(this.#bytes(this.#length4()));
      case opcode.shortBinBytes:
        return this.#push(this.#bytes(this.#reader.byte()));
      case opcode.emptyList:
        return this.#pushContainer([]);
      case opcode.list:
      case opcode.tuple:
        return this.#pushContainer(this.#popToMark());
      case opcode.emptyTuple:
        return this.#pushContainer([]);
      case opcode.emptyDict:
        return this.#pushContainer(new Map());
      case opcode.dict: {
        const items = this.#popToMark();
        this.#pushContainer(new Map());
        this.#setItems(items);
        return true;
      }
      case opcode.append:
        this.#append([this.#pop()]);
        return true;
      case opcode.appends:
        this.#append(this.#popToMark());
        return true;
      case opcode.setItem: {
        const value = this.#pop();
        this.#setItems([this.#pop(), value]);
        return true;
      }
      case opcode.setItems:
        this.#setItems(this.#popToMark());
        return true;
      case opcode.put:
        return this.#remember(Number(this.#decimal(this.#reader.line())));
      case opcode.binPut:
        return this.#remember(this.#reader.byte());
      case opcode.longBinPut:
        return this.#remember(this.#reader.take(4).readUInt32LE());
      case opcode.get:
        return this.#recall(Number(this.#decimal(this.#reader.line())));
      case opcode.binGet:
        return this.#recall(this.#reader.byte());
      case opcode.longBinGet:
        return this.#recall(this.#reader.take(4).readUInt32LE());
      case opcode.global:
        return this.#push(this.#find(this.#reader.line(), this.#reader.line()));
      case opcode.inst: {
        const type = this.#find(this.#reader.line(), this.#reader.line());
        return this.#call(type, this.#popToMark());
      }
      case opcode.obj: {
        const [type, ...args] = this.#popToMark();
        return this.#call(type, args);
      }
      case opcode.reduce: {
        const args = this.#pop();
        return this.#call(this.#pop(), args);
      }
      case opcode.build:
        this.#build(this.#pop());
        return true;
      case opcode.persId:
        return this.#push(this.#environment.load(this.#reader.line()));
      case opcode.binPersId:
        return this.#push(this.#environment.load(this.#pop()));
      default:
        return false;
    }
  }

  /** The instructions of protocols 2 to 5. Returns false for any other. */
  #protocol2(code: number): boolean {
    switch (code) {
      case opcode.proto: {
        const protocol = this.#reader.byte();
        if (protocol > 5) throw this.#damaged(`pickle protocol ${protocol}, expected at most 5`);
        return true;
      }
      case opcode.frame:
        // Frames are for buffered reading; what they hold is read as if they were not there.
        this.#length8();
        return true;
      case opcode.newTrue:
        return this.#push(true);
      case opcode.newFalse:
        return this.#push(false);
      case opcode.long1:
        return this.#push(this.#integer(this.#reader.byte()));
      case opcode.long4:
        return this.#push(this.#integer(this.#length4()));
      case opcode.tuple1:
      case opcode.tuple2:
      case opcode.tuple3: {
        const values = [this.#pop()];
        for (let more = code - opcode.tuple1; more > 0; more--) values.unshift(this.#pop());
        return this.#pushContainer(values);
      }
      case opcode.shortBinUnicode:
        return this.#push(this.#text(this.#reader.byte()));
      case opcode.binUnicode8:
        return this.#push(this.#text(this.#length8()));
      case opcode.binBytes8:
      case opcode.byteArray8:
        return this.#push(this.#bytes(this.#length8()));
      case opcode.emptySet:
        return this.#pushContainer(new Set());
      case opcode.frozenSet:
        return this.#pushContainer(new Set(this.#popToMark()));
      case opcode.addItems: {
        const items = this.#popToMark();
        const set = this.#top();
        if (!(set instanceof Set)) throw this.#damaged(`items are added to ${describeValue(set)}`);
        for (const item of items) set.add(item);
        return true;
      }
      case opcode.memoize:
        return this.#remember(this.#memo.size);
      case opcode.stackGlobal: {
        const name = this.#pop();
        const module = this.#pop();
        if (typeof name !== 'string' || typeof module !== 'string') throw this.#damaged('a class without a name');
        return this.#push(this.#find(module, name));
      }
      case opcode.newObj: {
        const args = this.#pop();
        return this.#call(this.#pop(), args);
      }
      case opcode.newObjEx: {
        const keywords = this.#pop();
        const args = this.#pop();
        if (!(keywords instanceof Map) || !Array.isArray(args)) throw this.#damaged('a call without arguments');
        return this.#call(this.#pop(), keywords.size === 0 ? args : [...args, keywords]);
      }
      default:
        return false;
    }
  }

  #damaged(what: string): UserError {
    return damagedFile(this.#reader.file.path, `the pickle at byte ${this.#instruction}: ${what}`);
  }

  #spend(steps: number): void {
    this.#steps += steps;
    const bytes = this.#reader.position - this.#begin;
    if (this.#steps > maxSteps || bytes > maxPickleBytes) {
      const { path } = this.#reader.file;
      throw new UserError(
        'files',
        `${path}: the pickle that describes the tensors is larger than any checkpoint's (${bytes} bytes and more)`,
        'Load it in Python, and save the state dict alone: torch.save(model.state_dict(), path).',
      );
    }
  }

  #push(value: PickleValue): true {
    this.#stack.push(value);
    return true;
  }

  #pushContainer(value: PickleValue): true {
    this.#spend(containerSteps);
    return this.#push(value);
  }

  #top(): PickleValue {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= floor) throw this.#damaged('a value is missing');
    return this.#stack[this.#stack.length - 1]!;
  }

  #pop(): PickleValue {
    const value = this.#top();
    this.#stack.length--;
    return value;
  }

  /** Everything above the last mark. */
  #popToMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#damaged('a mark is missing');
    return this.#stack.splice(mark);
  }

  #remember(index: number): true {
    if (!Number.isSafeInteger(index) || index < 0) throw this.#damaged('a value is remembered under no number');
    this.#memo.set(index, this.#top());
    return true;
  }

  #recall(index: number): true {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#damaged(`no value is remembered as ${index}`);
    return this.#push(value);
  }

  #find(module: string, name: string): PickleGlobal {
    return this.#environment.find(module, name);
  }

  #call(callee: PickleValue | undefined, args: PickleValue): true {
    if (!isKind(callee, 'global')) throw this.#damaged(`${describeValue(callee)} is called`);
    if (!Array.isArray(args)) throw this.#damaged(`${qualifiedName(callee)} is called without arguments`);
    const spend = (elements: number): void => {
      this.#spend(elements);
    };
    return this.#pushContainer(this.#environment.call(callee, args, spend));
  }

  #append(values: readonly PickleValue[]): void {
    const list = this.#top();
    const target = isKind(list, 'object') ? (list.elements ??= []) : list;
    if (!Array.isArray(target)) throw this.#damaged(`values are appended to ${describeValue(list)}`);
    for (const value of values) target.push(value);
  }

  #setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    const target = isKind(dict, 'object') ? (dict.entries ??= new Map<PickleValue, PickleValue>()) : dict;
    if (!(target instanceof Map)) throw this.#damaged(`items are set in ${describeValue(dict)}`);
    if (items.length % 2 !== 0) throw this.#damaged('a key without a value');
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  }

  #build(state: PickleValue): void {
    const value = this.#top();
    if (isKind(value, 'object')) value.state = state;
    // Attributes of a dict: module.state_dict() puts the versions of its modules there, which nothing here asks for.
    else if (!(value instanceof Map)) throw this.#damaged(`attributes are set in ${describeValue(value)}`);
  }

  #length4(): number {
    return this.#reader.take(4).readUInt32LE();
  }

  #length8(): number {
    const length = this.#reader.take(8).readBigUInt64LE();
    if (length > maxPickleBytes) throw this.#damaged(`a length of ${length} bytes`);
    return Number(length);
  }

  /** A little-endian integer in two's complement. */
  #integer(length: number): number | bigint {
    if (length === 0) return 0;
    if (length > maxIntegerBytes) throw this.#damaged(`an integer of ${length} bytes`);
    const bits = BigInt(`0x${Buffer.from(this.#reader.take(length)).reverse().toString('hex')}`);
    return narrow(BigInt.asIntN(8 * length, bits));
  }

  #decimalOrBoolean(text: string): number | bigint | boolean {
    if (text === '00') return false;
    return text === '01' || this.#decimal(text);
  }

  #decimal(text: string): number | bigint {
    if (!/^-?[0-9]{1,2000}$/.test(text)) throw this.#damaged('an integer that is none');
    return narrow(BigInt(text));
  }

  #decimalFloat(text: string): number {
    const special = new Map([
      ['nan', NaN],
      ['inf', Infinity],
      ['-inf', -Infinity],
    ]).get(text);
    if (special !== undefined) return special;
    if (!/^[-+]?[0-9][-+.0-9e]*$/.test(text)) throw this.#damaged('a number that is none');
    return Number(text);
  }

  #bytes(length: number): Uint8Array {
    return new Uint8Array(this.#reader.take(this.#allowed(length)));
  }

  #text(length: number): string {
    const bytes = this.#reader.take(this.#allowed(length));
    if (!isUtf8(bytes)) throw this.#damaged('a string that is not UTF-8');
    return bytes.toString('utf8');
  }

  /** A string of Python 2, which may be text or bytes. */
  #oldString(length: number): string | Uint8Array {
    const bytes = this.#reader.take(this.#allowed(length));
    return isUtf8(bytes) ? bytes.toString('utf8') : new Uint8Array(bytes);
  }

  #allowed(length: number): number {
    if (length > maxPickleBytes) throw this.#damaged(`a length of ${length} bytes`);
    return length;
  }
}

const narrow = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

/** Python's raw-unicode-escape: one character per byte, others as \uXXXX or \UXXXXXXXX. */
const unescape = (line: string): string =>
  line.replace(/\\u([0-9a-fA-F]{4})|\\U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})/g, (_, short?: string, long?: string) =>
    String.fromCodePoint(parseInt(short ?? long ?? '', 16)),
  );
