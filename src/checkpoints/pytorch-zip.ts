import { fromRandomAccessReader, RandomAccessReader, type Entry, type ZipFile } from 'yauzl';
import { UserError } from '../errors.js';
import { damagedFile, printable, readFully } from './file-bytes.js';
import { ByteReader, type OpenFile } from './pickle-bytes.js';
import { readPickle } from './pickle.js';
import type { PickleStorage, PickleValue } from './pickle-values.js';
import { pytorchEnvironment } from './pytorch-globals.js';
import { parseStorageId, storageOf } from './pytorch-tensors.js';

/**
 * The layout since PyTorch 1.6: a zip file with `<folder>/data.pkl`, the storages as `<folder>/data/<key>`, and small
 * files about them, all of them not compressed. torch/serialization.py, caffe2/serialize/inline_container.h
 */

/** Where the bytes of a file in the archive lie. */
interface Stored {
  readonly size: number;
  readonly start: () => number;
}

/** Reads the pickle of a zip file. Throws UserError 'files'. */
export function readZipLayout(file: OpenFile): PickleValue {
  const { path } = file;
  const entries = readDirectory(file);
  const folder = topFolder(path, entries);
  if (entries.has(`${folder}/constants.pkl`)) {
    throw new UserError(
      'files',
      `${path}: a program of TorchScript, expected tensors`,
      'Load it in Python with torch.jit.load and save torch.save(model.state_dict(), path).',
    );
  }
  checkByteOrder(file, entries.get(`${folder}/byteorder`));

  const storages = new Map<string, PickleStorage>();
  const load = (id: PickleValue): PickleStorage => {
    const parsed = parseStorageId(path, id);
    const { key, dtype, elementBytes, count } = parsed;
    const entry = entries.get(`${folder}/data/${key}`);
    if (entry === undefined) throw damagedFile(path, `storage ${key} is missing`);
    if (entry.size < count * elementBytes) {
      throw damagedFile(path, `storage ${key} has ${entry.size} bytes for ${count} elements of ${dtype}`);
    }
    const known = storages.get(key);
    if (known?.dtype === dtype && known.bytes === count * elementBytes) return known;
    const start = entry.start();
    const storage = storageOf(parsed, () => start);
    storages.set(key, storage);
    return storage;
  };
  const { size, start } = entries.get(`${folder}/data.pkl`)!;
  return readPickle(new ByteReader(file, start(), start() + size), pytorchEnvironment(path, load));
}

/** The folder that everything in the archive is in; its name is the saved file's or `archive`. */
function topFolder(path: string, entries: ReadonlyMap<string, Stored>): string {
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    throw new UserError(
      'files',
      `${path}: a zip file with ${pickles.length} files FOLDER/data.pkl, expected one, as torch.save writes`,
    );
  }
  return pickles[0]!.slice(0, -'/data.pkl'.length);
}

function checkByteOrder(file: OpenFile, entry: Stored | undefined): void {
  // Older files have none, and are little-endian.
  if (entry === undefined) return;
  const text = new ByteReader(file, entry.start(), entry.start() + entry.size).take(Math.min(entry.size, 16));
  const order = text.toString('latin1');
  if (order === 'big') {
    throw new UserError(
      'files',
      `${file.path}: the tensors are big-endian (byteorder "big"), expected "little"`,
      'Load it in Python on a little-endian machine (x86, ARM) and save it again.',
    );
  }
  if (order !== 'little') throw damagedFile(file.path, `byteorder is "${printable(order)}", expected "little"`);
}

// Several tensors per parameter of the largest models.
const maxEntries = 100_000;

/**
 * The files of the archive. yauzl calls back as soon as its reader does, and this reader does at once, so that nothing
 * here is asynchronous.
 */
function readDirectory(file: OpenFile): Map<string, Stored> {
  const { path } = file;
  const archive = openArchive(file);
  if (archive.entryCount > maxEntries) throw damagedFile(path, `a zip file of ${archive.entryCount} files`);
  // yauzl waits for the next tick where a file has no name. Nothing is thrown to it, because by then nothing catches.
  const events: (Entry | Error)[] = [];
  archive.on('entry', (entry: Entry) => events.push(entry));
  archive.on('error', (error: Error) => events.push(error));
  const next = (): Entry => {
    archive.readEntry();
    const event = events.pop();
    if (event === undefined) throw damagedFile(path, 'the zip file has a file without a name');
    if (event instanceof Error) throw damagedFile(path, `the zip file: ${printable(event.message)}`);
    return event;
  };
  const entries = new Map<string, Stored>();
  for (let read = 0; read < archive.entryCount; read++) {
    const entry = next();
    if (entries.has(entry.fileName)) throw damagedFile(path, `two files named ${printable(entry.fileName)}`);
    entries.set(entry.fileName, stored(path, archive, entry));
  }
  return entries;
}

function openArchive(file: OpenFile): ZipFile {
  const results: (ZipFile | Error)[] = [];
  // With autoClose, yauzl would close the reader by itself, later; there is nothing to close.
  const options = { lazyEntries: true, autoClose: false, strictFileNames: true };
  fromRandomAccessReader(new DescriptorReader(file), file.size, options, (error: Error | null, archive) => {
    results.push(error ?? archive);
  });
  const [result] = results;
  if (result === undefined) throw new Error('yauzl has not called back');
  if (result instanceof Error) throw damagedFile(file.path, `the zip file: ${printable(result.message)}`);
  return result;
}

function stored(path: string, archive: ZipFile, entry: Entry): Stored {
  return {
    size: entry.uncompressedSize,
    start: () => {
      if (entry.compressionMethod !== 0 || entry.isEncrypted()) {
        throw new UserError(
          'files',
          `${path}: ${printable(entry.fileName)} is compressed or encrypted, which torch.save never does`,
          'Pack the files again without compression (zip -0), or load and save the checkpoint in Python.',
        );
      }
      const starts: number[] = [];
      archive.readLocalFileHeader(entry, { minimal: true }, (error, header) => {
        if (error !== null) throw damagedFile(path, `${printable(entry.fileName)}: ${printable(error.message)}`);
        starts.push(header.fileDataStart);
      });
      const [start] = starts;
      if (start === undefined) throw new Error('yauzl has not called back');
      return start;
    },
  };
}

class DescriptorReader extends RandomAccessReader {
  readonly #file: OpenFile;

  constructor(file: OpenFile) {
    super();
    this.#file = file;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    const { path, descriptor, size } = this.#file;
    if (position + length > size) {
      throw damagedFile(path, `the zip file: ${length} bytes are expected at byte ${position} of ${size}`);
    }
    readFully(path, descriptor, buffer.subarray(offset, offset + length), position);
    callback(null);
  }
}
