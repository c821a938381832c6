/* profiling.ts: the page's end of a profile: what the page itself does, how its clock stands to the worker's, and what
 * this machine can do.
 */
import { startWorker } from "./host.js";
import { WorkerClient, type MachineBounds, type PageClock, type PageEvent } from "./rpc.js";
import type { ModelInfo, Profile, ProfileReport } from "./types.js";

const PINGS = 10;
const MOST_PAGE_EVENTS = 50000;

/** What to add to this page's performance.now() to have the worker's: between `least` and `most`. */
interface ClockRange {
  least: number;
  most: number;
  byOrigin: number;
}

/** A message there and back bounds the difference; the narrowest of some holds. */
async function ping(client: WorkerClient, range: ClockRange): Promise<void> {
  const sent = performance.now();
  const { now, origin } = await client.call({ op: "clock" }).done;
  const received = performance.now();
  range.least = Math.max(range.least, now - received);
  range.most = Math.min(range.most, now - sent);
  range.byOrigin = performance.timeOrigin - origin;
}

/** What both say of their origins is taken where no message contradicts it: it is finer than a message. */
export function chooseClock({ least, most, byOrigin }: ClockRange): PageClock {
  const fits = byOrigin >= least && byOrigin <= most;
  const offset = fits ? byOrigin : (least + most) / 2;
  const error = Math.max(Math.abs(most - offset), Math.abs(offset - least)); /* a clock with steps can cross them */
  return { offset, error, by: fits ? "performance.timeOrigin" : "messages" };
}

/** In a worker and a module of its own, because the model's threads are taken. */
export async function measureBounds(
  workerUrl: string | undefined,
  baseUrl: string | undefined,
  { tier, threads, tokenBytes }: ModelInfo,
): Promise<MachineBounds> {
  const client = new WorkerClient(await startWorker(workerUrl), () => undefined);
  try {
    return await client.call({ op: "measure", tier, threads, baseUrl, tokenBytes }).done;
  } finally {
    client.end();
  }
}

export class WorkerProfile implements Profile {
  private readonly page: PageEvent[] = [];
  private readonly range: ClockRange = { least: -Infinity, most: Infinity, byOrigin: 0 };

  private constructor(private readonly client: WorkerClient) {}

  static async open(client: WorkerClient, bounds: MachineBounds, maxEvents: number): Promise<WorkerProfile> {
    const profile = new WorkerProfile(client);
    await client.call({ op: "profile", bounds, maxEvents }).done;
    for (let i = 0; i < PINGS; i++) await ping(client, profile.range);
    client.observer = (event) => void (profile.page.length < MOST_PAGE_EVENTS && profile.page.push(event));
    return profile;
  }

  report(): Promise<ProfileReport> {
    return this.client.call({ op: "profileReport" }).done;
  }

  async trace(): Promise<Blob> {
    await ping(this.client, this.range);
    return this.client.call({ op: "profileTrace", page: this.page, clock: chooseClock(this.range) }).done;
  }

  async stop(): Promise<void> {
    this.client.observer = undefined;
    await this.client.call({ op: "profileStop" }).done;
  }
}
