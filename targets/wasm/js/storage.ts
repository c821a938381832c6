/* storage.ts: the models that this origin keeps, for the page: what is there, how much, and away with it. And the
 * locks that keep tabs apart: whoever fills an entry holds its lock alone, those who read it share one.
 *
 * Nobody waits for a lock. A tab that does not get one loads from the network and stores nothing; delete and clear
 * refuse what is in use.
 */
import { BitnetError } from "./errors.js";
import { isComplete, parseJournal, storedSize, type Journal } from "./journal.js";
import { findPlaces, type Place } from "./places.js";
import type { ModelStorage, StoredModel } from "./types.js";

/** The release, or undefined when others hold the lock. Without Web Locks the handles of OPFS exclude each other. */
export async function tryLock(url: string, mode: LockMode): Promise<(() => void) | undefined> {
  if (!globalThis.navigator?.locks) return () => undefined;
  return new Promise((resolve, reject) => {
    const hold = (lock: Lock | null): Promise<void> | undefined => {
      if (lock) return new Promise<void>((release) => resolve(release));
      resolve(undefined);
      return undefined;
    };
    navigator.locks.request(`libbitnet ${url}`, { mode, ifAvailable: true }, hold).catch(reject);
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

function refuse(url: string): never {
  throw new BitnetError("storage.busy", `${url} is being loaded; it can be deleted when that has ended.`);
}

/** The entry's URL: where in a file a page points makes no other file. */
export function entryUrl(url: string | URL): string {
  const absolute = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  absolute.hash = "";
  return absolute.href;
}

async function remove(places: Place[], url: string): Promise<void> {
  const release = await tryLock(url, "exclusive");
  if (!release) refuse(url);
  try {
    for (const place of places) await place.remove(url);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NoModificationAllowedError") refuse(url);
    throw error;
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
    for (const place of places) await place.clear(); /* what no journal speaks of */
  },

  async persist() {
    return (await globalThis.navigator?.storage?.persist?.()) ?? false;
  },
};
