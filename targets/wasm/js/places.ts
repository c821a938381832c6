/* places.ts: the two places of a browser that can hold a model file: the origin private file system (OPFS) and, where
 * that is missing, IndexedDB. Both hold entries: the text of a journal (journal.ts) and the chunks of a file.
 *
 *   OPFS        directory libbitnet/: <SHA-256 of the URL>.journal and .data
 *   IndexedDB   database libbitnet: journals by URL, chunks by [URL, number]
 *
 * An entry is opened by one writer or by readers; locks (storage.ts) keep them apart. Journals may be read at
 * any time. Writing to OPFS works in workers only: files there are written in place by synchronous handles.
 */
import { hexOf } from "./hashing.js";
import { CHUNK_SIZE, wholeLines } from "./journal.js";

const NAME = "libbitnet";

export interface Entry {
  /** Whole lines, as they were when it was opened; "" when there was none. */
  readonly journal: string;
  /** How many bytes there were; `at` is the start of a chunk, and no call is about more than one. */
  read(at: number, into: Uint8Array): Promise<number>;
  write(at: number, bytes: Uint8Array): Promise<void>;
  /** To the journal. */
  append(line: string): Promise<void>;
  flush(): Promise<void>;
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
const between = new Uint8Array(CHUNK_SIZE);
const isShared = ({ buffer }: Uint8Array): boolean => !(buffer instanceof ArrayBuffer);

function readSome(handle: SyncHandle, into: Uint8Array, at: number): number {
  if (!isShared(into)) return handle.read(into, { at });
  const n = handle.read(between.subarray(0, into.length), { at });
  into.set(between.subarray(0, n));
  return n;
}

function writeAll(handle: SyncHandle, bytes: Uint8Array, at: number): void {
  if (isShared(bytes)) between.set(bytes);
  const n = handle.write(isShared(bytes) ? between.subarray(0, bytes.length) : bytes, { at });
  if (n !== bytes.length) throw new DOMException(`${n} of ${bytes.length} bytes were written.`, "QuotaExceededError");
}

class OpfsWriter implements Entry {
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

  async write(at: number, bytes: Uint8Array): Promise<void> {
    writeAll(this.data, bytes, at);
  }

  async append(line: string): Promise<void> {
    writeAll(this.lines, encoder.encode(line), this.journalSize);
    this.journalSize += line.length;
    await this.lines.truncate(this.journalSize); /* a torn line that was longer */
  }

  async flush(): Promise<void> {
    await this.data.flush();
    await this.lines.flush();
  }

  async close(): Promise<void> {
    await this.data.close();
    await this.lines.close();
  }
}

/** A handle that several readers share where the browser has such; otherwise the file, read in slices. */
class OpfsReader implements Entry {
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

class IdbEntry implements Entry {
  private text: string;

  constructor(
    private readonly database: IDBDatabase,
    private readonly url: string,
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
  write(at: number, bytes: Uint8Array): Promise<void> {
    return this.put(CHUNKS, bytes.slice(), [this.url, at / CHUNK_SIZE]);
  }

  append(line: string): Promise<void> {
    this.text += line;
    return this.put(JOURNALS, this.text, this.url);
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}

  private put(store: string, value: unknown, key: IDBValidKey): Promise<void> {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(store, "readwrite");
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      transaction.objectStore(store).put(value, key);
    });
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

  async open(url: string): Promise<Entry> {
    return new IdbEntry(this.database, url, await this.journal(url));
  }

  async remove(url: string): Promise<void> {
    await this.change((journals, chunks) => {
      journals.delete(url);
      chunks.delete(IDBKeyRange.bound([url, 0], [url, Infinity]));
    });
  }

  async clear(): Promise<void> {
    await this.change((journals, chunks) => {
      journals.clear();
      chunks.clear();
    });
  }

  private change(work: (journals: IDBObjectStore, chunks: IDBObjectStore) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction([JOURNALS, CHUNKS], "readwrite");
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      work(transaction.objectStore(JOURNALS), transaction.objectStore(CHUNKS));
    });
  }
}

async function openIdb(): Promise<Idb | undefined> {
  if (typeof indexedDB === "undefined") return undefined;
  try {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(JOURNALS);
      request.result.createObjectStore(CHUNKS);
    };
    return new Idb(await settled(request));
  } catch {
    return undefined;
  }
}

/** Best first; none where the browser has neither, or forbids both. A worker fills, a page can only manage. */
export async function findPlaces(use: "manage" | "fill"): Promise<Place[]> {
  return [await openOpfs(use), await openIdb()].filter((place) => place !== undefined);
}
