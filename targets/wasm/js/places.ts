/* places.ts: the two places of a browser that can hold a model file: the origin private file system (OPFS) and, where
 * that is missing, IndexedDB. Both hold entries: the text of a journal (journal.ts) and the chunks of a file.
 *
 *   OPFS        directory libbitnet/: <SHA-256 of the URL>.journal and .data
 *   IndexedDB   database libbitnet: journals by URL, chunks by [URL, number]
 *
 * An entry is opened by one writer or by readers; locks (storage.ts) keep them apart where a browser has them. Journals
 * may be read at any time. Writing to OPFS works in workers only: files there are written in place by synchronous
 * handles.
 */
import { hexOf } from "./hashing.js";
import { CHUNK_SIZE, wholeLines } from "./journal.js";

const NAME = "libbitnet";

export interface Entry {
  /** Whole lines, as they were when it was opened; "" when there was none. */
  readonly journal: string;
  readonly isWritable: boolean;
  /** How many bytes there were; `at` is the start of a chunk, and no call is about more than one. */
  read(at: number, into: Uint8Array): Promise<number>;
  /** And then the line to the journal. */
  write(at: number, bytes: Uint8Array, line: Promise<string>): Promise<void>;
  /** To the journal. */
  append(lines: string): Promise<void>;
  flush(): Promise<void>;
  /** Flushes as well. */
  close(): Promise<void>;
}

export interface Place {
  readonly name: "OPFS" | "IndexedDB";
  journals(): Promise<string[]>;
  /** "" when there is none. */
  journal(url: string): Promise<string>;
  open(url: string, mode: "read" | "write"): Promise<Entry>;
  /** Nothing there is fine. */
  remove(url: string): Promise<void>;
  clear(): Promise<void>;
}

/* ---- OPFS ---- */

/** FileSystemSyncAccessHandle, which the DOM's types leave to workers. */
interface SyncHandle {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): unknown;
  flush(): unknown;
  close(): unknown;
}
type SyncOpener = { createSyncAccessHandle(options?: { mode: string }): Promise<SyncHandle> };

const encoder = new TextEncoder();

function isMissing(error: unknown): boolean {
  return error instanceof DOMException && error.name === "NotFoundError";
}

async function opfsName(url: string): Promise<string> {
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(url))));
}

/* A heap with threads is shared memory, which browsers may refuse here: its chunks take a step in between. */
let between: Uint8Array | undefined;
const isShared = ({ buffer }: Uint8Array): boolean => !(buffer instanceof ArrayBuffer);

function stepFor(bytes: Uint8Array): Uint8Array {
  if (!isShared(bytes)) return bytes;
  between ??= new Uint8Array(CHUNK_SIZE);
  return between.subarray(0, bytes.length);
}

function readSome(handle: SyncHandle, into: Uint8Array, at: number): number {
  const step = stepFor(into);
  const n = handle.read(step, { at });
  if (step !== into) into.set(step.subarray(0, n));
  return n;
}

function writeAll(handle: SyncHandle, bytes: Uint8Array, at: number): void {
  const step = stepFor(bytes);
  if (step !== bytes) step.set(bytes);
  const n = handle.write(step, { at });
  if (n !== bytes.length) throw new DOMException(`${n} of ${bytes.length} bytes were written.`, "QuotaExceededError");
}

class OpfsWriter implements Entry {
  readonly isWritable = true;
  private journalSize: number;

  private constructor(
    private readonly data: SyncHandle,
    private readonly lines: SyncHandle,
    readonly journal: string,
  ) {
    this.journalSize = journal.length;
  }

  static async open(folder: FileSystemDirectoryHandle, name: string): Promise<OpfsWriter> {
    const handle = async (file: string): Promise<FileSystemFileHandle> => folder.getFileHandle(file, { create: true });
    const open = async (file: FileSystemFileHandle): Promise<SyncHandle> =>
      (file as unknown as SyncOpener).createSyncAccessHandle();
    const lines = await handle(`${name}.journal`);
    const text = wholeLines(await (await lines.getFile()).text());
    const data = await open(await handle(`${name}.data`));
    try {
      return new OpfsWriter(data, await open(lines), text);
    } catch (error) {
      await data.close();
      throw error;
    }
  }

  async read(at: number, into: Uint8Array): Promise<number> {
    return readSome(this.data, into, at);
  }

  async write(at: number, bytes: Uint8Array, line: Promise<string>): Promise<void> {
    writeAll(this.data, bytes, at);
    await this.append(await line);
  }

  async append(lines: string): Promise<void> {
    const bytes = encoder.encode(lines);
    writeAll(this.lines, bytes, this.journalSize);
    this.journalSize += bytes.length;
    await this.lines.truncate(this.journalSize); /* a torn line that was longer */
  }

  async flush(): Promise<void> {
    await this.data.flush();
    await this.lines.flush();
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      for (const handle of [this.data, this.lines]) await handle.close();
    }
  }
}

/** A handle that several readers share where the browser has such; otherwise the file, read in slices. */
class OpfsReader implements Entry {
  readonly isWritable = false;

  constructor(
    private readonly file: File,
    private readonly handle: SyncHandle | undefined,
    readonly journal: string,
  ) {}

  static async open(folder: FileSystemDirectoryHandle, name: string): Promise<OpfsReader> {
    const journal = await (await (await folder.getFileHandle(`${name}.journal`)).getFile()).text();
    const data = await folder.getFileHandle(`${name}.data`);
    const opener = data as unknown as SyncOpener;
    const handle = await opener.createSyncAccessHandle({ mode: "read-only" }).catch(() => undefined);
    return new OpfsReader(await data.getFile(), handle, wholeLines(journal));
  }

  async read(at: number, into: Uint8Array): Promise<number> {
    if (this.handle) return readSome(this.handle, into, at);
    const bytes = new Uint8Array(await this.file.slice(at, at + into.length).arrayBuffer());
    into.set(bytes);
    return bytes.length;
  }

  async write(): Promise<void> {
    throw new DOMException("The entry was opened for reading.", "NoModificationAllowedError");
  }
  append = this.write;
  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await this.handle?.close();
  }
}

class Opfs implements Place {
  readonly name = "OPFS";

  constructor(
    private readonly root: FileSystemDirectoryHandle,
    private readonly folder: FileSystemDirectoryHandle,
  ) {}

  async journals(): Promise<string[]> {
    const texts: string[] = [];
    const files = this.folder as unknown as AsyncIterable<[string, FileSystemFileHandle]>;
    for await (const [name, handle] of files) {
      if (name.endsWith(".journal")) texts.push(await (await handle.getFile()).text());
    }
    return texts;
  }

  async journal(url: string): Promise<string> {
    try {
      return await (await (await this.folder.getFileHandle(`${await opfsName(url)}.journal`)).getFile()).text();
    } catch (error) {
      if (isMissing(error)) return "";
      throw error;
    }
  }

  async open(url: string, mode: "read" | "write"): Promise<Entry> {
    return (mode === "write" ? OpfsWriter : OpfsReader).open(this.folder, await opfsName(url));
  }

  /** The journal first: data without one is nothing. */
  async remove(url: string): Promise<void> {
    const name = await opfsName(url);
    for (const file of [`${name}.journal`, `${name}.data`]) {
      await this.folder.removeEntry(file).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
    }
  }

  async clear(): Promise<void> {
    await this.root.removeEntry(NAME, { recursive: true });
    await this.root.getDirectoryHandle(NAME, { create: true });
  }
}

async function openOpfs(use: "manage" | "fill"): Promise<Opfs | undefined> {
  if (typeof globalThis.navigator?.storage?.getDirectory !== "function" || !globalThis.crypto?.subtle) return undefined;
  if (use === "fill" && !("createSyncAccessHandle" in FileSystemFileHandle.prototype)) return undefined;
  try {
    const root = await navigator.storage.getDirectory();
    return new Opfs(root, await root.getDirectoryHandle(NAME, { create: true }));
  } catch {
    return undefined; /* private windows of some browsers */
  }
}

/* ---- IndexedDB ---- */

const JOURNALS = "journals";
const CHUNKS = "chunks";

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Both stores change, or none. */
function change(
  database: IDBDatabase,
  work: (journals: IDBObjectStore, chunks: IDBObjectStore) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction([JOURNALS, CHUNKS], "readwrite");
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    work(transaction.objectStore(JOURNALS), transaction.objectStore(CHUNKS));
  });
}

class IdbEntry implements Entry {
  private text: string;

  constructor(
    private readonly database: IDBDatabase,
    private readonly url: string,
    readonly isWritable: boolean,
    readonly journal: string,
  ) {
    this.text = journal;
  }

  async read(at: number, into: Uint8Array): Promise<number> {
    const store = this.database.transaction(CHUNKS).objectStore(CHUNKS);
    const chunk: unknown = await settled(store.get([this.url, at / CHUNK_SIZE]));
    if (!(chunk instanceof Uint8Array)) return 0;
    into.set(chunk.subarray(0, into.length));
    return Math.min(chunk.length, into.length);
  }

  /** slice: the heap itself cannot be stored, and would be stored whole. */
  async write(at: number, bytes: Uint8Array, line: Promise<string>): Promise<void> {
    const chunk = bytes.slice();
    await this.put(await line, (chunks) => chunks.put(chunk, [this.url, at / CHUNK_SIZE]));
  }

  append(lines: string): Promise<void> {
    return this.put(lines);
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}

  private async put(lines: string, putChunk: (chunks: IDBObjectStore) => void = () => undefined): Promise<void> {
    const text = this.text + lines;
    await change(this.database, (journals, chunks) => {
      putChunk(chunks);
      journals.put(text, this.url);
    });
    this.text = text;
  }
}

class Idb implements Place {
  readonly name = "IndexedDB";

  constructor(private readonly database: IDBDatabase) {}

  journals(): Promise<string[]> {
    return settled(this.database.transaction(JOURNALS).objectStore(JOURNALS).getAll());
  }

  async journal(url: string): Promise<string> {
    const text: unknown = await settled(this.database.transaction(JOURNALS).objectStore(JOURNALS).get(url));
    return typeof text === "string" ? text : "";
  }

  async open(url: string, mode: "read" | "write"): Promise<Entry> {
    return new IdbEntry(this.database, url, mode === "write", await this.journal(url));
  }

  async remove(url: string): Promise<void> {
    await change(this.database, (journals, chunks) => {
      journals.delete(url);
      chunks.delete(IDBKeyRange.bound([url, 0], [url, Infinity]));
    });
  }

  async clear(): Promise<void> {
    await change(this.database, (journals, chunks) => {
      journals.clear();
      chunks.clear();
    });
  }
}

let connection: Promise<IDBDatabase> | undefined;

async function connect(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(JOURNALS);
    request.result.createObjectStore(CHUNKS);
  };
  const database = await settled(request);
  const forget = (): void => void (connection = undefined);
  database.onclose = forget; /* the site's data was cleared */
  database.onversionchange = () => {
    database.close(); /* who wants to delete it would wait for us */
    forget();
  };
  return database;
}

async function openIdb(): Promise<Idb | undefined> {
  if (typeof indexedDB === "undefined") return undefined;
  try {
    return new Idb(await (connection ??= connect()));
  } catch {
    connection = undefined;
    return undefined;
  }
}

/** None where the browser has neither, or forbids both. A worker fills the best one; a page manages all that may
 * have been filled. */
export async function findPlaces(use: "manage" | "fill"): Promise<Place[]> {
  const opfs = await openOpfs(use);
  if (opfs && use === "fill") return [opfs];
  return [opfs, await openIdb()].filter((place) => place !== undefined);
}
