/* cache.ts: one model file between the heap and the store, in the worker. restore puts what is stored into the heap,
 * checked chunk by chunk; after that every chunk that has become whole in the heap is written to the store.
 *
 * Nothing here stops a model from loading: what cannot be read or written is told in `reason`, and the rest comes
 * from the network. Damaged chunks are never used, and neither is what follows them.
 */
import { reasonOf } from "./errors.js";
import { CHUNK_SIZE, headLine, isComplete, journalLine, nChunks, parseJournal, storedSize } from "./journal.js";
import type { FileFacts, Journal } from "./journal.js";
import { hexOf } from "./hashing.js";
import { findPlaces, type Entry, type Place } from "./places.js";
import { tryLock } from "./storage.js";
import type { CacheState } from "./types.js";

const FLUSH_EVERY = 8; /* chunks */
const CHECKS_AT_ONCE = 4; /* chunks */
const DAMAGED = "The stored copy was damaged, and was loaded anew.";

/** The file in the heap. */
export interface HeapFile {
  /** Room for a file of this size; what was there before is forgotten. */
  reserve(size: number): void;
  write(at: number, bytes: Uint8Array): void;
  /** Whether the file has its place: after some of its first bytes, or place(). Only then the rest can be called. */
  readonly isPlaced: boolean;
  place(): void;
  /** Of the heap as it is now: not to be kept. */
  view(at: number, size: number): Uint8Array;
  /** SHA-256 in hexadecimal digits. */
  sha256(at: number, size: number): string;
}

function why(error: unknown): string {
  if (error instanceof DOMException && error.name === "QuotaExceededError") {
    return "The browser gives this site no more storage.";
  }
  return `The store failed: ${reasonOf(error)}`;
}

export class Cache {
  private entry: Entry | undefined;
  private journal: Journal | undefined;
  private release: (() => void) | undefined;
  /** Sentences: why not all is stored, what was found damaged. */
  private readonly notes = new Set<string>();
  private isShutOut = false;

  private constructor(
    private readonly url: string,
    readonly place: Place | undefined,
    private readonly heap: HeapFile,
  ) {}

  static none(url: string, heap: HeapFile, reason: string): Cache {
    const cache = new Cache(url, undefined, heap);
    cache.notes.add(reason);
    return cache;
  }

  /** A complete entry is opened for reading, which several tabs may do; another one for going on with it. */
  static async open(url: string, heap: HeapFile): Promise<Cache> {
    const [place] = await findPlaces("fill");
    if (!place) return Cache.none(url, heap, "This browser has no storage for models here.");
    const cache = new Cache(url, place, heap);
    await cache.guard(async () => {
      const text = await place.journal(url);
      if (text === "") return; /* begin makes one, once the server has the file */
      const journal = parseJournal(text);
      await cache.enter(journal && isComplete(journal) ? "read" : "write");
    });
    return cache;
  }

  /** What the store says of the file; only its stored bytes count. */
  get facts(): FileFacts | undefined {
    return this.journal?.facts;
  }

  get sha256(): string | undefined {
    return this.journal?.sha256;
  }

  get state(): CacheState {
    if (!this.journal || this.journal.chunks.length === 0) return "none";
    return isComplete(this.journal) ? "stored" : "partial";
  }

  get reason(): string {
    return [...this.notes].join(" ");
  }

  /** Fills the heap from its start; how many bytes. Fewer than were stored when a chunk is damaged. */
  async restore(onProgress: (loaded: number, total: number) => void): Promise<number> {
    const { entry, journal } = this;
    if (!entry || !journal || journal.chunks.length === 0) return 0;
    const { size } = journal.facts;
    this.heap.reserve(size);
    let inHeap = await this.readHead(entry, storedSize(journal));
    const checks: Promise<boolean>[] = []; /* of the chunks before, while the next ones are read */
    let [read, checked] = [0, 0];
    let isSound = true;
    for (let i = 0; isSound && (i < journal.chunks.length || checks.length > 0); i++) {
      const length = Math.min(CHUNK_SIZE, size - read);
      if (i < journal.chunks.length) {
        if (read >= inHeap) {
          const n = await entry.read(read, this.heap.view(read, length)).catch(() => 0);
          isSound = n === length;
          inHeap = read + length;
        }
        checks.push(this.digest(read, length).then((found) => found === journal.chunks[i]));
        read += length;
        if (checks.length < CHECKS_AT_ONCE) continue;
      }
      isSound &&= await checks.shift()!;
      checked = Math.min(checked + CHUNK_SIZE, size);
      onProgress(checked, size);
    }
    if (isSound) return read;
    await this.drop(DAMAGED);
    return 0;
  }

  /** A file from its first byte on: whatever was stored under this URL is forgotten. */
  async begin(facts: FileFacts): Promise<void> {
    if (!this.place || this.isShutOut) return;
    await this.guard(async () => {
      await this.leave();
      this.journal = undefined;
      if (!(await this.lock("write"))) return;
      await this.place?.remove(this.url);
      this.entry = await this.place?.open(this.url, "write");
      const usedAt = Date.now();
      await this.entry?.append(headLine(facts) + journalLine({ usedAt }));
      this.journal = { facts, chunks: [], sha256: undefined, usedAt };
    });
  }

  /** As many chunks as it takes for the file to get its place; they are checked there. */
  private async readHead(entry: Entry, stored: number): Promise<number> {
    let at = 0;
    while (at < stored && !this.heap.isPlaced) {
      const bytes = new Uint8Array(Math.min(CHUNK_SIZE, stored - at));
      await entry.read(at, bytes).catch(() => 0); /* what did not come will not have its digest */
      this.heap.write(at, bytes);
      at += bytes.length;
    }
    this.heap.place();
    return at;
  }

  /** The heap holds the first `at` bytes. */
  async arrived(at: number): Promise<void> {
    const { journal } = this;
    if (!journal || !this.entry || !this.heap.isPlaced) return;
    const { size } = journal.facts;
    const n = at === size ? nChunks(size) : Math.floor(at / CHUNK_SIZE);
    for (let i = journal.chunks.length; i < n && this.entry; i++) await this.guard(() => this.store(i));
  }

  /** The file is good, whatever became of the model: the entry has been used now, and has this digest if one was
   * asked for. Of a part that is stored it says nothing: the rest may come from another file. */
  async finish(sha256: string | undefined): Promise<void> {
    await this.guard(async () => {
      const { journal } = this;
      if (!journal) return;
      if (!this.entry?.isWritable) await this.reopen(journal);
      const isNews = sha256 !== undefined && sha256 !== journal.sha256 && isComplete(journal);
      await this.entry?.append((isNews ? journalLine({ sha256 }) : "") + journalLine({ usedAt: Date.now() }));
    });
    await this.close();
  }

  /** The stored file is of no use. */
  async drop(reason: string): Promise<void> {
    this.journal = undefined;
    this.notes.add(reason);
    await this.guard(async () => {
      await this.leave();
      this.release = await tryLock(this.url, "exclusive");
      if (this.release) await this.place?.remove(this.url);
    });
    await this.close();
  }

  /** Keeps what is stored. */
  async close(): Promise<void> {
    try {
      await this.leave();
    } catch (error) {
      this.notes.add(why(error));
    }
  }

  private async lock(mode: "read" | "write"): Promise<boolean> {
    this.release = await tryLock(this.url, mode === "read" ? "shared" : "exclusive");
    if (this.release) return true;
    this.isShutOut = true;
    this.notes.add("Another tab is storing this file, so this one stores nothing.");
    return false;
  }

  private async enter(mode: "read" | "write"): Promise<void> {
    if (!(await this.lock(mode))) return;
    this.entry = await this.place?.open(this.url, mode);
    const text = this.entry?.journal ?? "";
    this.journal = parseJournal(text);
    if (text !== "" && this.journal?.facts.url !== this.url) await this.drop(DAMAGED);
  }

  /** For writing; not where others are reading the entry, or have replaced it. */
  private async reopen(journal: Journal): Promise<void> {
    await this.leave();
    this.release = await tryLock(this.url, "exclusive");
    const now = this.release && parseJournal((await this.place?.journal(this.url)) ?? "");
    if (String(now?.chunks) === String(journal.chunks)) this.entry = await this.place?.open(this.url, "write");
  }

  private async leave(): Promise<void> {
    const { entry, release } = this;
    this.entry = undefined;
    this.release = undefined;
    try {
      await entry?.close();
    } finally {
      release?.();
    }
  }

  private async store(i: number): Promise<void> {
    const { entry, journal } = this;
    if (!entry || !journal) return;
    const at = i * CHUNK_SIZE;
    const length = Math.min(CHUNK_SIZE, journal.facts.size - at);
    const digest = this.digest(at, length);
    await entry.write(at, this.heap.view(at, length), digest.then((chunk) => journalLine({ chunk })));
    journal.chunks.push(await digest);
    if (i % FLUSH_EVERY === FLUSH_EVERY - 1) await entry.flush();
  }

  /** The browser's own SHA-256 is several times as fast and runs beside us; it wants unshared memory, and a secure
   * context. */
  private async digest(at: number, size: number): Promise<string> {
    if (!globalThis.crypto?.subtle) return this.heap.sha256(at, size);
    const view = this.heap.view(at, size);
    const bytes = view.buffer instanceof ArrayBuffer ? view : view.slice();
    return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)));
  }

  /** The store's own faults end the storing and nothing else. */
  private async guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const kept = this.journal ? storedSize(this.journal) : 0;
      const soFar = kept > 0 ? ` ${(kept / 1e6).toFixed(1)} MB of this file are kept.` : "";
      this.notes.add(why(error) + soFar);
      await this.close();
    }
  }
}
