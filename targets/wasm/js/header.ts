/* header.ts: the first bytes of a model file, as many as its header takes, without the rest: of a URL by Range
 * requests, and from a server that answers those with the whole file, by hanging up.
 */
import { BitnetError, unreadable } from "./errors.js";
import { announcedSize, httpError, piecesOfAnswer, request, Watch } from "./fetching.js";

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

/** The size of the whole file: of a range only if it is the one that was asked for. */
function wholeSize(response: Response, from: number): number | undefined {
  if (response.status !== 206) return announcedSize(response);
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  return range && Number(range[1]) === from ? Number(range[2]) : undefined;
}

/** undefined: the answer does not say how long the file is. */
async function ask(url: string, have: Uint8Array, end: number, isRange: boolean, stallMs?: number) {
  const watch = new Watch(stallMs);
  try {
    const headers: Record<string, string> = isRange ? { Range: `bytes=${have.length}-${end - 1}` } : {};
    const response = await request(url, { headers }, watch);
    if (!response.ok) throw httpError(url, response);
    const fileSize = wholeSize(response, have.length);
    if (fileSize === undefined) return undefined;
    const bytes = new Uint8Array(Math.min(end, fileSize));
    let at = 0;
    const add = (piece: Uint8Array): void => {
      const some = piece.subarray(0, bytes.length - at);
      bytes.set(some, at);
      at += some.length;
    };
    if (response.status === 206) add(have);
    for await (const piece of piecesOfAnswer(url, response, watch)) {
      add(piece);
      if (at === bytes.length) break;
    }
    return { bytes: bytes.subarray(0, at), fileSize };
  } finally {
    watch.end(); /* hangs up */
  }
}

/** Another host may hide Content-Range, and never the length of the whole: then that is asked for. */
function urlReader(url: string, stallMs?: number): HeadReader {
  return async (end, have) => {
    const head = (await ask(url, have, end, true, stallMs)) ?? (await ask(url, have, end, false, stallMs));
    if (head) return head;
    throw new BitnetError("fetch.length", `${url}: the server does not say how long the file is.`);
  };
}

export type HeadSource = string | Blob | ArrayBuffer | FileSystemFileHandle;

/** A connection without a byte for `stallMs` is taken for broken. */
export function headReader(source: HeadSource, stallMs?: number): HeadReader {
  if (typeof source === "string") return urlReader(source, stallMs);
  return async (end) => {
    try {
      const file = "getFile" in source ? await source.getFile() : source;
      const blob = file instanceof Blob ? file : new Blob([file]);
      return { bytes: new Uint8Array(await blob.slice(0, end).arrayBuffer()), fileSize: blob.size };
    } catch (error) {
      throw unreadable("name" in source ? String(source.name) : "the file", error);
    }
  };
}

/** Reads more until `parse` does not answer with a number of bytes that it needs. */
export async function readHeader<T>(read: HeadReader, parse: (head: Head) => T | number): Promise<T> {
  let head: Head = { bytes: new Uint8Array(0), fileSize: Infinity };
  for (let end = FIRST_BYTES; ; ) {
    const before = head.bytes.length;
    head = await read(end, head.bytes);
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
