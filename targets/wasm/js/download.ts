/* download.ts: the bytes of a model file, from wherever they are, straight to their place in the heap.
 *
 * Each chunk is copied once, into the place that the sink reserved. Only a server that does not say how long
 * the file is makes the chunks wait in a list until all are there. A damaged or cut file is not noticed
 * here unless the length tells: the C library checks it.
 */
import { BitnetError } from "./errors.js";

/** Where the bytes go. reserve comes once, before the first write, with the whole size. */
export interface ByteSink {
  reserve(size: number): void;
  write(at: number, bytes: Uint8Array): void;
}

/** total is undefined while nobody knows it. */
export type DownloadProgress = (loaded: number, total: number | undefined) => void;

const REPORT_EVERY_MS = 50;

/** Reports at most every 50 ms, the latest state always, and the end at once. */
function throttled(onProgress: DownloadProgress): DownloadProgress {
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (loaded, total) => {
    clearTimeout(timer);
    const send = (): void => {
      last = performance.now();
      onProgress(loaded, total);
    };
    const wait = last + REPORT_EVERY_MS - performance.now();
    if (loaded === total || wait <= 0) send();
    else timer = setTimeout(send, wait);
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An abort stays what it is; everything else becomes a BitnetError. */
function failure(error: unknown, signal: AbortSignal, code: string, what: string): unknown {
  if (signal.aborted || error instanceof BitnetError) return error;
  return new BitnetError(code, `${what}: ${reasonOf(error)}`);
}

async function pump(
  stream: ReadableStream<Uint8Array>,
  take: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) return;
      take(value);
    }
  } finally {
    void reader.cancel().catch(() => undefined); /* does nothing to a stream that has ended */
  }
}

/** The size is known: every chunk goes to its place at once. */
async function pumpKnown(
  stream: ReadableStream<Uint8Array>,
  size: number,
  name: string,
  sink: ByteSink,
  signal: AbortSignal,
  report: DownloadProgress,
): Promise<void> {
  let at = 0;
  sink.reserve(size);
  report(0, size);
  const wrong = (found: string) =>
    new BitnetError("fetch.length", `${name}: ${size} bytes were announced and ${found} came.`);
  await pump(
    stream,
    (chunk) => {
      if (at + chunk.length > size) throw wrong("more");
      sink.write(at, chunk);
      at += chunk.length;
      report(at, size);
    },
    signal,
  );
  if (at < size) throw wrong(`only ${at}`);
}

async function pumpUnknown(
  stream: ReadableStream<Uint8Array>,
  sink: ByteSink,
  signal: AbortSignal,
  report: DownloadProgress,
): Promise<void> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const keep = (chunk: Uint8Array): void => {
    chunks.push(chunk);
    size += chunk.length;
    report(size, undefined);
  };
  await pump(stream, keep, signal);
  sink.reserve(size);
  let at = 0;
  for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) {
    sink.write(at, chunk);
    at += chunk.length;
  }
  report(size, size);
}

/** Content-Length counts the bytes on the wire, which a Content-Encoding makes useless here. */
function announcedSize(response: Response): number | undefined {
  const length = response.headers.get("Content-Length");
  const encoding = response.headers.get("Content-Encoding");
  if (length === null || !/^\d+$/.test(length) || (encoding !== null && encoding !== "identity")) return undefined;
  return Number(length);
}

async function fetchUrl(url: string, sink: ByteSink, signal: AbortSignal, report: DownloadProgress): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    throw failure(error, signal, "fetch.network", `${url}: the request failed`);
  }
  if (!response.ok) {
    const answer = `${response.status} ${response.statusText}`.trim();
    throw new BitnetError("fetch.http", `${url}: the server answered ${answer}.`, response.status);
  }
  const stream = response.body;
  const size = announcedSize(response);
  try {
    if (!stream) sink.reserve(0);
    else if (size === undefined) await pumpUnknown(stream, sink, signal, report);
    else await pumpKnown(stream, size, url, sink, signal, report);
  } catch (error) {
    throw failure(error, signal, "fetch.network", `${url}: the download broke off`);
  }
}

async function readBlob(blob: Blob, sink: ByteSink, signal: AbortSignal, report: DownloadProgress): Promise<void> {
  const name = "name" in blob ? String(blob.name) : "the file";
  try {
    await pumpKnown(blob.stream(), blob.size, name, sink, signal, report);
  } catch (error) {
    throw failure(error, signal, "blob.read", `${name}: it cannot be read`);
  }
}

/** Fills the sink. Rejects with a BitnetError, or with the signal's reason. */
export async function download(
  source: string | Blob | ArrayBuffer,
  sink: ByteSink,
  signal: AbortSignal,
  onProgress: DownloadProgress,
): Promise<void> {
  const report = throttled(onProgress);
  if (typeof source === "string") return fetchUrl(source, sink, signal, report);
  if (source instanceof Blob) return readBlob(source, sink, signal, report);
  sink.reserve(source.byteLength);
  sink.write(0, new Uint8Array(source));
  report(source.byteLength, source.byteLength);
}
