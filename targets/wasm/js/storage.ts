/* storage.ts: the models that this origin keeps, for the page: what is there, how much, and away with it. And the
 * locks that keep tabs apart: whoever fills an entry holds its lock alone, those who read it share one.
 *
 * A reader waits a moment for its lock, since a tab that has read a whole file notes when that was; nobody else waits.
 * A tab that does not get one loads from the network and stores nothing; delete and clear refuse what is in use.
 * Pages without https have neither locks nor OPFS: tabs that fill the same entry of IndexedDB spoil each other's, which
 * the digests of its chunks tell.
 */
import { BitnetError } from "./errors.js";
import { isComplete, parseJournal, storedSize, type Journal } from "./journal.js";
import { findPlaces, type Place } from "./places.js";
import type { ModelStorage, StoredModel } from "./types.js";

const READER_WAITS_MS = 2000;

/** The release, or undefined when others hold the lock. */
export async function tryLock(url: string, mode: LockMode): Promise<(() => void) | undefined> {
  if (!globalThis.navigator?.locks) return () => undefined;
  const wait = mode === "shared" ? { signal: AbortSignal.timeout(READER_WAITS_MS) } : { ifAvailable: true };
  return new Promise((resolve, reject) => {
    const hold = (lock: Lock | null): Promise<void> | undefined => {
      if (lock) return new Promise<void>((release) => resolve(release));
      resolve(undefined);
      return undefined;
    };
    const fail = (error: unknown): void => (wait.signal?.aborted ? resolve(undefined) : reject(error as Error));
    navigator.locks.request(`libbitnet ${url}`, { mode, ...wait }, hold).catch(fail);
  });
}

function describe(journal: Journal): StoredModel {
  const { facts, sha256, usedAt } = journal;
  return {
    url: facts.url,
    size: facts.size,
    stored: storedSize(journal),
    isComplete: isComplete(journal),
    ...(sha256 !== undefined && { sha256 }),
    usedAt: new Date(usedAt),
  };
}

async function journalsOf(places: Place[]): Promise<Journal[]> {
  const texts = await Promise.all(places.map((place) => place.journals()));
  return texts.flat().map(parseJournal).filter((journal) => journal !== undefined);
}

/** A relative address means relative to the page, not to the worker that will fetch it. */
export function absoluteUrl(url: string | URL): URL {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch {
    throw new BitnetError("options", `"${String(url)}" is not a URL.`);
  }
}

/** The entry's URL: where in a file a page points makes no other file. */
export function entryUrl(url: string | URL): string {
  const absolute = absoluteUrl(url);
  absolute.hash = "";
  return absolute.href;
}

function refuse(what: string): never {
  throw new BitnetError("storage.busy", `${what} is being loaded; it can be deleted when that has ended.`);
}

/** A browser keeps the files of handles that are open. */
async function takeAway(what: string, places: Place[], work: (place: Place) => Promise<void>): Promise<void> {
  try {
    for (const place of places) await work(place);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NoModificationAllowedError") refuse(what);
    throw error;
  }
}

async function remove(places: Place[], url: string): Promise<void> {
  const release = await tryLock(url, "exclusive");
  if (!release) refuse(url);
  try {
    await takeAway(url, places, (place) => place.remove(url));
  } finally {
    release();
  }
}

export const storage: ModelStorage = {
  async list() {
    const journals = await journalsOf(await findPlaces("manage"));
    return journals.map(describe).sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
  },

  async estimate() {
    const { usage = 0, quota = 0 } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
    return { usage, quota };
  },

  async delete(url) {
    await remove(await findPlaces("manage"), entryUrl(url));
  },

  async clear() {
    const places = await findPlaces("manage");
    for (const { facts } of await journalsOf(places)) await remove(places, facts.url);
    await takeAway("A model", places, (place) => place.clear()); /* what no journal speaks of */
  },

  async persist() {
    return (await globalThis.navigator?.storage?.persist?.()) ?? false;
  },
};
