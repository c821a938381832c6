/* journal.ts: what is known about a stored file: lines of text that are only ever added to, so that whatever
 * interrupts the writing costs the last line at most.
 *
 *   {"version":1,"url":"…","size":3750016,"etag":"…","lastModified":"…"}    what the server said
 *   {"chunk":"<SHA-256>"}                                                   the next chunk lies in the store
 *   {"sha256":"<SHA-256>"}                                                  of the whole file, once it was computed
 *   {"usedAt":1763756000000}                                                ms since 1970
 *
 * The file is stored in chunks of 1 MiB, in order, the last one shorter. A chunk without its line does not
 * count; a chunk that does not have the digest of its line is damaged.
 */
export const CHUNK_SIZE = 1 << 20;
const VERSION = 1;

/** Which file it is. Without etag and lastModified a download of it cannot be resumed. */
export interface FileFacts {
  url: string;
  size: number;
  /** Only a strong one: a weak one does not promise the same bytes. */
  etag?: string;
  lastModified?: string;
}

export interface Journal {
  facts: FileFacts;
  chunks: string[];
  sha256: string | undefined;
  usedAt: number;
}

export type JournalLine = { chunk: string } | { sha256: string } | { usedAt: number };

const isDigest = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isOptionalText = (value: unknown): boolean => value === undefined || typeof value === "string";

export function nChunks(size: number): number {
  return Math.ceil(size / CHUNK_SIZE);
}

/** Bytes from the start that the store holds. */
export function storedSize({ facts, chunks }: Journal): number {
  return Math.min(chunks.length * CHUNK_SIZE, facts.size);
}

export function isComplete({ facts, chunks }: Journal): boolean {
  return chunks.length === nChunks(facts.size);
}

/** ASCII, so that a character is a byte. */
function lineOf(value: object): string {
  const escape = (c: string): string => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `${JSON.stringify(value).replace(/[^\x20-\x7e]/g, escape)}\n`;
}

export function headLine(facts: FileFacts): string {
  return lineOf({ version: VERSION, ...facts });
}

export function journalLine(line: JournalLine): string {
  return lineOf(line);
}

function readHead(line: string | undefined): Journal | undefined {
  const { version, url, size, etag, lastModified } = JSON.parse(line ?? "") as Record<string, unknown>;
  if (version !== VERSION || typeof url !== "string" || !Number.isSafeInteger(size) || (size as number) < 0) return;
  if (!isOptionalText(etag) || !isOptionalText(lastModified)) return;
  const facts = { url, size, ...(etag !== undefined && { etag }), ...(lastModified !== undefined && { lastModified }) };
  return { facts: facts as FileFacts, chunks: [], sha256: undefined, usedAt: 0 };
}

/** A last line without its end was being written when something went wrong: it is left out. */
export function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

/** undefined: nothing in it can be believed. */
export function parseJournal(text: string): Journal | undefined {
  const [head, ...lines] = wholeLines(text).split("\n").slice(0, -1);
  try {
    const journal = readHead(head);
    if (!journal) return undefined;
    for (const line of lines) {
      const { chunk, sha256, usedAt } = JSON.parse(line) as Record<string, unknown>;
      if (isDigest(chunk)) journal.chunks.push(chunk);
      else if (isDigest(sha256)) journal.sha256 = sha256;
      else if (Number.isSafeInteger(usedAt)) journal.usedAt = usedAt as number;
      else return undefined;
    }
    return journal.chunks.length <= nChunks(journal.facts.size) ? journal : undefined;
  } catch {
    return undefined;
  }
}
