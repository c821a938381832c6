/* download.ts: the bytes of a model file, from wherever they are, straight to their place in the heap, and those of a
 * URL to the store as well.
 *
 * Each chunk is copied once, into the place that the sink reserved. Only a source that does not say how long it is
 * makes the chunks wait in a list until all are there. A damaged or cut file is not noticed here unless its
 * length or a digest tells: the C library checks it.
 */
import { Cache, type HeapFile } from "./cache.js";
import { BitnetError, unreadable } from "./errors.js";
import { fetchFile, isCurrent, type Landing } from "./fetching.js";
import { CHUNK_SIZE, type FileFacts } from "./journal.js";
import { piecesOf } from "./pieces.js";
import type { CacheMode, CacheState, LoadProgress } from "./types.js";

/** Where the bytes go. Once reserved, a file of another size may still take the place. */
export interface ByteSink extends HeapFile {
  /** This file is whole; what follows is about one more, a part of the same model. */
  next(): void;
  /** SHA-256 of the whole, in steps. */
  digest(size: number, onStep: (done: number) => void): string;
}

/** An array holds the parts of a split file. */
export type RawSource = string | StreamSource | readonly (string | Blob)[];

export type StreamSource = Blob | ArrayBuffer | ReadableStream<Uint8Array> | FileSystemFileHandle;

export interface DownloadOptions {
  cache?: CacheMode;
  /** 64 digits. */
  sha256?: string | undefined;
  /** See FetchOptions; what tests cannot wait for. */
  delays?: readonly number[];
  stallMs?: number;
}

/** What became of the file: kept, or dropped once it has proved bad. */
export interface Arrived {
  cache: CacheState;
  cacheReason: string;
  /** The library took the model, or it failed for reasons that are not this file's. */
  accept(): Promise<void>;
  /** The library refused the file itself. */
  reject(): Promise<void>;
}

type OnProgress = (progress: LoadProgress) => void;

const REPORT_EVERY_MS = 50;
const RATE_OVER_MS = 3000;

/** Reports at most every 50 ms, the latest state always, and the end at once. The rate is that of the last seconds. */
class Reporter {
  private last = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private marks: { time: number; loaded: number }[] = [];
  private kind = "";

  constructor(private readonly onProgress: OnProgress) {}

  report(phase: LoadProgress["phase"], loaded: number, total: number | undefined, fromCache = false): void {
    clearTimeout(this.timer);
    const send = (): void => {
      this.last = performance.now();
      const bytesPerSecond = this.rate(`${phase} ${fromCache}`, loaded);
      this.onProgress({ phase, loaded, total, bytesPerSecond, fromCache });
    };
    const wait = this.last + REPORT_EVERY_MS - performance.now();
    if (loaded === total || wait <= 0) send();
    else this.timer = setTimeout(send, wait);
  }

  private rate(kind: string, loaded: number): number | undefined {
    const time = performance.now();
    const isBack = loaded < (this.marks.at(-1)?.loaded ?? 0);
    if (kind !== this.kind || isBack) this.marks = [];
    this.kind = kind;
    this.marks.push({ time, loaded });
    while (this.marks.length > 2 && time - this.marks[0]!.time > RATE_OVER_MS) this.marks.shift();
    const first = this.marks[0]!;
    return time > first.time ? (1000 * (loaded - first.loaded)) / (time - first.time) : undefined;
  }
}

/** What is not over HTTP: no second attempt, nothing stored. */
class Direct {
  constructor(
    private readonly sink: ByteSink,
    private readonly reporter: Reporter,
  ) {}

  /** How many bytes came. */
  async take(source: StreamSource): Promise<number> {
    if (source instanceof ArrayBuffer) return this.buffer(source);
    if (source instanceof ReadableStream) return this.stream(source);
    return this.blob(source instanceof Blob ? source : await this.fileOf(source));
  }

  /** In pieces, since a sink may keep the first one until it has found a place. */
  private buffer(buffer: ArrayBuffer): number {
    const size = buffer.byteLength;
    this.sink.reserve(size);
    for (let at = 0; at < size; at += CHUNK_SIZE) {
      this.sink.write(at, new Uint8Array(buffer, at, Math.min(CHUNK_SIZE, size - at)));
    }
    this.reporter.report("download", size, size);
    return size;
  }

  private async fileOf(handle: FileSystemFileHandle): Promise<File> {
    try {
      return await handle.getFile();
    } catch (error) {
      throw unreadable(handle.name, error);
    }
  }

  private async blob(blob: Blob): Promise<number> {
    const { size } = blob;
    const name = "name" in blob ? String(blob.name) : "the file";
    const wrong = (found: string) =>
      new BitnetError("fetch.length", `${name}: ${size} bytes were announced and ${found} came.`);
    let at = 0;
    this.sink.reserve(size);
    this.reporter.report("download", 0, size);
    await this.each(blob.stream(), name, (piece) => {
      if (at + piece.length > size) throw wrong("more");
      this.sink.write(at, piece);
      at += piece.length;
      this.reporter.report("download", at, size);
    });
    if (at < size) throw wrong(`only ${at}`);
    return size;
  }

  private async stream(stream: ReadableStream<Uint8Array>): Promise<number> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    await this.each(stream, "the stream", (piece) => {
      if (!(piece instanceof Uint8Array)) throw new BitnetError("blob.read", "the stream: it is not one of bytes.");
      chunks.push(piece.slice());
      size += piece.length;
      this.reporter.report("download", size, undefined);
    });
    this.sink.reserve(size);
    let at = 0;
    for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) {
      this.sink.write(at, chunk);
      at += chunk.length;
    }
    this.reporter.report("download", size, size);
    return size;
  }

  private async each(stream: ReadableStream<Uint8Array>, name: string, take: (piece: Uint8Array) => void) {
    try {
      for await (const piece of piecesOf(stream)) take(piece);
    } catch (error) {
      if (error instanceof BitnetError) throw error;
      throw unreadable(name, error);
    }
  }
}

/** A URL's bytes on their way: to the heap, and from there to the store. */
class Arrival implements Landing {
  at = 0;
  facts: FileFacts | undefined;

  constructor(
    private readonly sink: ByteSink,
    private readonly cache: Cache,
    private readonly reporter: Reporter,
  ) {}

  async restore(): Promise<void> {
    const report = (loaded: number, total: number): void => this.reporter.report("download", loaded, total, true);
    this.at = await this.cache.restore(report);
    this.facts = this.at > 0 ? this.cache.facts : undefined;
  }

  get isWhole(): boolean {
    return this.facts !== undefined && this.at === this.facts.size;
  }

  async begin(facts: FileFacts): Promise<void> {
    if (this.facts?.size !== facts.size || !this.sink.isPlaced) this.sink.reserve(facts.size);
    this.at = 0;
    this.facts = facts;
    await this.cache.begin(facts);
    this.reporter.report("download", 0, facts.size);
  }

  async put(bytes: Uint8Array): Promise<void> {
    this.sink.write(this.at, bytes);
    this.at += bytes.length;
    this.reporter.report("download", this.at, this.facts?.size);
    await this.cache.arrived(this.at);
  }

  waiting(size: number): void {
    this.reporter.report("download", size, undefined);
  }
}

function isRight(sink: ByteSink, size: number, sha256: string | undefined, reporter: Reporter): boolean {
  if (sha256 === undefined) return true;
  reporter.report("verify", 0, size);
  sink.place();
  return sink.digest(size, (done) => reporter.report("verify", done, size)) === sha256;
}

function wrongDigest(name: string): BitnetError {
  const text = `${name}: its SHA-256 is not the one that was asked for; the file is damaged or another one.`;
  return new BitnetError("load.sha256", text);
}

function openCache(url: string, sink: ByteSink, mode: CacheMode = "auto"): Cache | Promise<Cache> {
  if (mode === "off") return Cache.none(url, sink, "Storing was switched off.");
  if (!/^https?:/.test(url)) return Cache.none(url, sink, "Only files over HTTP are stored.");
  return Cache.open(url, sink);
}

async function fromUrl(url: string, sink: ByteSink, options: DownloadOptions, reporter: Reporter): Promise<Arrived> {
  const { sha256, delays, stallMs } = options;
  const cache = await openCache(url, sink, options.cache);
  const arrival = new Arrival(sink, cache, reporter);
  const get = async (): Promise<void> => {
    const isStored = cache.place !== undefined;
    await fetchFile(url, arrival, { isStored, ...(delays && { delays }), ...(stallMs && { stallMs }) });
  };
  const isGoodNow = (): boolean => isRight(sink, arrival.at, sha256, reporter);
  try {
    const { facts } = cache;
    if (options.cache === "check" && cache.state === "stored" && facts && !(await isCurrent(facts))) {
      await cache.drop("The server has another file now, which was loaded.");
    }
    await arrival.restore();
    const isRestored = arrival.isWhole;
    if (!isRestored) await get();
    let isGood = (isRestored && cache.sha256 === sha256) || isGoodNow();
    if (!isGood && isRestored) {
      await cache.drop("The stored file has another SHA-256, and was loaded anew.");
      arrival.facts = undefined;
      arrival.at = 0;
      await get();
      isGood = isGoodNow();
    }
    if (!isGood) {
      await cache.drop("The file has another SHA-256.");
      throw wrongDigest(url);
    }
  } catch (error) {
    await cache.close();
    throw error;
  }
  return {
    cache: cache.state,
    cacheReason: cache.reason,
    accept: () => cache.finish(sha256),
    reject: () => cache.drop("The file is no model."),
  };
}

async function fromOne(
  source: string | StreamSource,
  sink: ByteSink,
  options: DownloadOptions,
  reporter: Reporter,
): Promise<Arrived> {
  const { sha256 } = options;
  if (typeof source === "string") return fromUrl(source, sink, options, reporter);
  const size = await new Direct(sink, reporter).take(source);
  if (!isRight(sink, size, sha256, reporter)) throw wrongDigest("the file");
  const nothing = async (): Promise<void> => undefined;
  return { cache: "none", cacheReason: "Only files over HTTP are stored.", accept: nothing, reject: nothing };
}

const isParts = (source: RawSource): source is readonly (string | Blob)[] => Array.isArray(source);

/** One part after the other. How much all are is known with the last one. */
async function fromParts(
  parts: readonly (string | Blob)[],
  sink: ByteSink,
  options: DownloadOptions,
  onProgress: OnProgress,
): Promise<Arrived> {
  const arrived: Arrived[] = [];
  const all = (work: "accept" | "reject") => async (): Promise<void> => {
    for (const one of arrived) await one[work]();
  };
  let before = 0;
  try {
    for (const part of parts) {
      const isLast = arrived.length === parts.length - 1;
      let size = 0;
      const reporter = new Reporter(({ loaded, total, ...rest }) => {
        size = loaded;
        const all = isLast && total !== undefined ? before + total : undefined;
        onProgress({ ...rest, loaded: before + loaded, total: all });
      });
      arrived.push(await fromOne(part, sink, options, reporter));
      before += size;
      sink.place();
      if (!isLast) sink.next();
    }
  } catch (error) {
    await all("accept")();
    throw error;
  }
  const states = arrived.map(({ cache }) => cache);
  const isAll = states.every((state) => state === "stored");
  return {
    cache: isAll ? "stored" : states.every((state) => state === "none") ? "none" : "partial",
    cacheReason: [...new Set(arrived.map(({ cacheReason }) => cacheReason))].join(" ").trim(),
    accept: all("accept"),
    reject: all("reject"),
  };
}

/** Fills the sink. Rejects with a BitnetError. Nobody aborts it: its worker is ended. */
export async function download(
  source: RawSource,
  sink: ByteSink,
  options: DownloadOptions,
  onProgress: OnProgress,
): Promise<Arrived> {
  if (isParts(source)) return fromParts(source, sink, options, onProgress);
  return fromOne(source, sink, options, new Reporter(onProgress));
}
