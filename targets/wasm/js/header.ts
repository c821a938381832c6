/* header.ts: the first bytes of a model file, as many as its header takes, without the rest: of a URL by Range
 * requests, and from a server that answers those with the whole file, by hanging up.
 */
import { BitnetError } from "./errors.js";

const FIRST_BYTES = 1 << 20;
const GROWTH = 2;
/* Vocabularies of 260,000 tokens with their merges take 15 MB. */
const MOST_BYTES = 64 << 20;

export interface Head {
  bytes: Uint8Array;
  fileSize: number;
}

/** The first bytes up to `end`, or up to the end of the file. */
export type HeadReader = (end: number, have: Uint8Array) => Promise<Head>;

async function readFrom(stream: ReadableStream<Uint8Array>, have: Uint8Array, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  bytes.set(have);
  let at = have.length;
  const reader = stream.getReader();
  try {
    while (at < size) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes.set(value.subarray(0, size - at), at);
      at += Math.min(value.length, size - at);
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
  return bytes.subarray(0, at);
}

/** The size of the whole file; from a range's "bytes 0-99/1234", or from the length of an answer with all of it. */
function wholeSize(response: Response): number | undefined {
  const encoding = response.headers.get("Content-Encoding") ?? "identity";
  const text =
    response.status === 206
      ? /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1]
      : encoding === "identity"
        ? response.headers.get("Content-Length")
        : undefined;
  return text === null || text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

async function request(url: string, signal: AbortSignal, range: string | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, range === undefined ? { signal } : { signal, headers: { Range: range } });
  } catch (error) {
    if (signal.aborted) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new BitnetError("fetch.network", `${url}: the request failed: ${reason}`);
  }
  if (response.ok) return response;
  const answer = `${response.status} ${response.statusText}`.trim();
  throw new BitnetError("fetch.http", `${url}: the server answered ${answer}.`, response.status);
}

function hangUp(response: Response): void {
  void response.body?.cancel().catch(() => undefined);
}

function urlReader(url: string, signal: AbortSignal): HeadReader {
  return async (end, have) => {
    let response = await request(url, signal, `bytes=${have.length}-${end - 1}`);
    let fileSize = wholeSize(response);
    if (response.status === 206 && fileSize === undefined) {
      hangUp(response); /* another host may hide Content-Range, and never the length of all of it */
      response = await request(url, signal, undefined);
      fileSize = wholeSize(response);
    }
    if (fileSize === undefined || !response.body) {
      hangUp(response);
      throw new BitnetError("fetch.length", `${url}: the server does not say how long the file is.`);
    }
    const before = response.status === 206 ? have : new Uint8Array(0);
    return { bytes: await readFrom(response.body, before, Math.min(end, fileSize)), fileSize };
  };
}

export type HeadSource = string | Blob | ArrayBuffer | FileSystemFileHandle;

export function headReader(source: HeadSource, signal: AbortSignal): HeadReader {
  if (typeof source === "string") return urlReader(source, signal);
  return async (end) => {
    const file = "getFile" in source ? await source.getFile() : source;
    const blob = file instanceof Blob ? file : new Blob([file]);
    return { bytes: new Uint8Array(await blob.slice(0, end).arrayBuffer()), fileSize: blob.size };
  };
}

/** Reads more until `parse` does not answer with a number of bytes that it needs. */
export async function readHeader<T>(
  read: HeadReader,
  parse: (head: Head) => T | number,
  signal: AbortSignal,
): Promise<T> {
  let head: Head = { bytes: new Uint8Array(0), fileSize: Infinity };
  for (let end = FIRST_BYTES; ; ) {
    const before = head.bytes.length;
    head = await read(end, head.bytes);
    signal.throwIfAborted();
    const parsed = parse(head);
    if (typeof parsed !== "number") return parsed;
    if (head.bytes.length <= before || parsed > head.fileSize) {
      throw new BitnetError("fetch.length", `The file ended after ${head.bytes.length} bytes, inside its header.`);
    }
    if (parsed > MOST_BYTES) {
      throw new BitnetError("predict.header", `The file's header takes more than ${MOST_BYTES >> 20} MB.`);
    }
    end = Math.min(MOST_BYTES, Math.max(parsed, GROWTH * head.bytes.length));
  }
}
