/* fetching.ts: a file over HTTP, through connections that break: each further request asks for the rest only
 * (Range), and only of the same file (If-Range; and what comes back is compared once more, since not every
 * server understands that). Where a server cannot do it, or the file has changed, it starts from the first byte.
 *
 * Bytes of two files are never mixed: without a strong ETag or a Last-Modified nothing is resumed (RFC 9110, 8.8
 * and 13.1.5). Credentials stay with the page's own host.
 */
import { BitnetError, reasonOf } from "./errors.js";
import type { FileFacts } from "./journal.js";
import { piecesOf } from "./pieces.js";

/** Where the bytes go, in order. */
export interface Landing {
  /** Bytes that are there, of the file that `facts` describe. */
  readonly at: number;
  readonly facts: FileFacts | undefined;
  /** From the first byte on. */
  begin(facts: FileFacts): Promise<void>;
  put(bytes: Uint8Array): Promise<void>;
  /** While nobody knows the size, bytes wait; this many do. */
  waiting(size: number): void;
}

export interface FetchOptions {
  /** Whether the file is kept by us: then the browser's own cache should not keep it, too. */
  isStored: boolean;
  /** ms before each further attempt; as many in a row may fail without having come further. */
  delays?: readonly number[];
  /** Without a byte for so long a connection is taken for broken. */
  stallMs?: number;
}

const DELAYS = [500, 1000, 2000, 4000, 8000];
const STALL_MS = 30_000;
const CHECK_MS = 5000; /* a server that takes longer to say whether a file is current is taken for silent */
const PROGRESS = 1 << 20; /* bytes that make an attempt a success */
const SOON_MS = 2000; /* a file that was changed this shortly before may change again within its Last-Modified */

/** An attempt failed in a way that another one may not. */
class Broken extends Error {
  constructor(
    readonly reason: BitnetError,
    /** At once, not after a delay. */
    readonly isHarmless = false,
  ) {
    super(reason.message);
  }
}

/** One request's life: ended by a connection that says nothing. */
export class Watch {
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  readonly signal = this.controller.signal;

  constructor(private readonly stallMs = STALL_MS) {
    this.alive();
  }

  alive(): void {
    clearTimeout(this.timer);
    const stalled = new Error(`nothing came for ${this.stallMs / 1000} seconds`);
    this.timer = setTimeout(() => this.controller.abort(stalled), this.stallMs);
  }

  /** Of a request that failed with `error`, which does not tell who ended it. */
  networkError(url: string, what: string, error: unknown): BitnetError {
    const why = this.signal.aborted ? this.signal.reason : error;
    return new BitnetError("fetch.network", `${url}: ${what}: ${reasonOf(why)}`);
  }

  /** Ends what is still under way. */
  end(): void {
    clearTimeout(this.timer);
    this.controller.abort();
  }
}

/** Rejects with a fetch.network; what the server answers is not looked at. */
export async function request(url: string, init: RequestInit, watch: Watch): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: watch.signal });
  } catch (error) {
    throw watch.networkError(url, "the request failed", error);
  }
}

/** Pieces (piecesOf); throws a fetch.network where they break off. */
export async function* piecesOfAnswer(
  url: string,
  { body }: Response,
  watch: Watch,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = body ? piecesOf(body) : undefined;
  try {
    while (pieces) {
      const next = await pieces.next().catch((error: unknown) => {
        throw watch.networkError(url, "the download broke off", error);
      });
      if (next.done) return;
      watch.alive();
      yield next.value;
    }
  } finally {
    void pieces?.return();
  }
}

export function httpError(url: string, { status, statusText }: Response): BitnetError {
  const answer = `${status} ${statusText}`.trim();
  return new BitnetError("fetch.http", `${url}: the server answered ${answer}.`, status);
}

function isPlain(response: Response): boolean {
  return [null, "identity"].includes(response.headers.get("Content-Encoding"));
}

/** Content-Length counts the bytes on the wire, which a Content-Encoding makes useless here. */
export function announcedSize(response: Response): number | undefined {
  const length = response.headers.get("Content-Length");
  return length !== null && /^\d+$/.test(length) && isPlain(response) ? Number(length) : undefined;
}

/** What tells one file from the next under the same URL. */
function validators(response: Response): Pick<FileFacts, "etag" | "lastModified"> {
  const etag = response.headers.get("ETag");
  if (etag !== null && etag.startsWith('"')) return { etag };
  const lastModified = response.headers.get("Last-Modified");
  const age = Date.parse(response.headers.get("Date") ?? "") - Date.parse(lastModified ?? "");
  return lastModified !== null && !(age < SOON_MS) ? { lastModified } : {};
}

/** Whether a 206 goes on where we are, in the same file. Other hosts may hide all but the length. */
function isContinuation(response: Response, at: number, facts: FileFacts): boolean {
  if (response.status !== 206 || !isPlain(response)) return false;
  const header = facts.etag !== undefined ? "ETag" : "Last-Modified";
  if (response.headers.get(header) !== (facts.etag ?? facts.lastModified)) return false;
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  if (range) return Number(range[1]) === at && Number(range[2]) === facts.size - 1 && Number(range[3]) === facts.size;
  return announcedSize(response) === facts.size - at;
}

class Download {
  private hasAnswered = false;
  private mayResume = true;
  /** Not to other hosts: it is a header that they would have to allow. */
  private mayName: boolean;
  /** Other hosts hide Content-Encoding: a length that proved wrong is not believed again. */
  private mayBelieveLength = true;

  constructor(
    private readonly url: string,
    private readonly to: Landing,
    private readonly options: FetchOptions,
  ) {
    this.mayName = new URL(url).origin === globalThis.location?.origin;
  }

  async run(): Promise<void> {
    const { delays = DELAYS } = this.options;
    let furthest = this.to.at;
    for (let nFailed = 0; ; nFailed++) {
      try {
        return await this.attempt();
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        if (this.to.at >= furthest + PROGRESS) nFailed = 0;
        furthest = Math.max(furthest, this.to.at);
        const delay = delays[nFailed];
        if (delay === undefined || !(this.hasAnswered || error.isHarmless)) throw error.reason;
        if (!error.isHarmless) await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  }

  private async attempt(): Promise<void> {
    const watch = new Watch(this.options.stallMs);
    try {
      const { at, facts } = this.to;
      const validator = facts?.etag ?? facts?.lastModified;
      const from = this.mayResume && validator !== undefined ? at : 0;
      const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {};
      if (from > 0 && this.mayName) headers["If-Range"] = validator!;
      const response = await this.request(headers, watch);
      if (response.status === 200) await this.whole(response, watch);
      else if (from > 0 && isContinuation(response, from, facts!)) await this.rest(response, facts!, watch);
      else this.refuse(response, from > 0);
    } finally {
      watch.end();
    }
  }

  private async request(headers: Record<string, string>, watch: Watch): Promise<Response> {
    const cache = this.options.isStored || "Range" in headers ? "no-store" : "default";
    try {
      return await request(this.url, { headers, cache, credentials: "same-origin" }, watch);
    } catch (error) {
      const wasNamed = this.mayName && "If-Range" in headers;
      this.mayName = false; /* a redirect to another host, which would have to allow the header, may have failed */
      throw new Broken(error as BitnetError, wasNamed);
    }
  }

  private refuse(response: Response, isRest: boolean): never {
    const error = httpError(this.url, response);
    if (isRest && [206, 412, 416].includes(response.status)) {
      this.mayResume = false;
      throw new Broken(error, true);
    }
    if (response.status >= 500 || response.status === 429 || response.status === 408) throw new Broken(error);
    throw error;
  }

  private async whole(response: Response, watch: Watch): Promise<void> {
    const size = this.mayBelieveLength ? announcedSize(response) : undefined;
    this.hasAnswered = true;
    this.mayResume = true;
    if (size === undefined) return this.unannounced(response, watch);
    await this.to.begin({ url: this.url, size, ...validators(response) });
    await this.pump(response, size, watch);
  }

  private async rest(response: Response, facts: FileFacts, watch: Watch): Promise<void> {
    this.hasAnswered = true;
    await this.pump(response, facts.size, watch);
  }

  private async pump(response: Response, size: number, watch: Watch): Promise<void> {
    const wrong = (found: string, isHarmless: boolean) => {
      const text = `${this.url}: ${size} bytes were announced and ${found} came.`;
      return new Broken(new BitnetError("fetch.length", text), isHarmless);
    };
    for await (const piece of this.pieces(response, watch)) {
      if (this.to.at + piece.length > size) {
        this.mayBelieveLength = false;
        throw wrong("more", true);
      }
      await this.to.put(piece);
    }
    if (this.to.at < size) throw wrong(`only ${this.to.at}`, false);
  }

  private async unannounced(response: Response, watch: Watch): Promise<void> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const piece of this.pieces(response, watch)) {
      chunks.push(piece.slice());
      this.to.waiting((size += piece.length));
    }
    await this.to.begin({ url: this.url, size, ...validators(response) });
    for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) await this.to.put(chunk);
  }

  private async *pieces(response: Response, watch: Watch): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* piecesOfAnswer(this.url, response, watch);
    } catch (error) {
      throw new Broken(error as BitnetError);
    }
  }
}

/** false: the server has another file under this URL now. A server that does not answer, or does not say, is believed
 * to have the same. */
export async function isCurrent(facts: FileFacts): Promise<boolean> {
  const watch = new Watch(CHECK_MS);
  try {
    const how = { method: "HEAD", cache: "no-store", credentials: "same-origin" } as const;
    const response = await request(facts.url, how, watch);
    if (!response.ok) return true;
    const now = validators(response);
    const isSaid = (now.etag ?? now.lastModified) !== undefined;
    return !isSaid || (now.etag === facts.etag && now.lastModified === facts.lastModified);
  } catch {
    return true;
  } finally {
    watch.end();
  }
}

/** Rejects with a BitnetError. */
export function fetchFile(url: string, to: Landing, options: FetchOptions): Promise<void> {
  return new Download(url, to, options).run();
}
