/* store.ts: what the hub has told this page.
 *
 * One Producer per instance, with its columns and its state. An instance keeps its key, colour and
 * columns when it reconnects, when the hub replays (replayed windows are recognised by their seq and time)
 * and when the hub was restarted and numbers producers anew. Owns no DOM and reads no clock: `now` is
 * passed in, in this page's milliseconds.
 */
import { Columns } from "./columns";
import { TOKENS_OUT, TPOT } from "./derive";
import type { Hello, HubMessage, Window } from "./protocol";

const LIVE_MS = 2_000; /* the report interval is 100 ms, but a slow model takes a second a token */
const SILENT_MS = 6_000; /* a producer reports at least every 2 s */
const FORGET_ENDED_MS = 600_000; /* as the hub does */
const MAX_PRODUCERS = 256;
/* A window that comes this long after welcome is not a replay, so its time tells the producer's clock. */
const REPLAY_MS = 3_000;
const CLOCK_OFF_MS = 2_000;

export type State = "live" | "idle" | "silent" | "ended" | "lost";

export class Producer {
  readonly columns = new Columns();
  number = 0;
  lastSeq = 0;
  dropped = 0; /* records the producer lost, as it says */
  missed = 0; /* windows that did not arrive here */
  heardAt = NaN; /* hub time of the newest window */
  activeAt = NaN; /* hub time of the newest window with tokens in it */
  endedAt = NaN;
  endReason = "";
  clockOffMs = 0; /* how far this producer's clock is ahead of the hub's, when that is much */

  constructor(
    public hello: Hello,
    readonly slot: number /* key and colour: 0, 1, 2 ... in order of appearance */,
  ) {}

  get ended(): boolean {
    return this.endReason !== "";
  }

  /** "A" … "Z", then "A1" …: how a producer is told apart without colour. */
  get key(): string {
    const letter = String.fromCharCode(65 + (this.slot % 26));
    return this.slot < 26 ? letter : `${letter}${Math.floor(this.slot / 26)}`;
  }

  state(hubNow: number): State {
    if (this.ended) return this.endReason === "lost" ? "lost" : "ended";
    if (hubNow - this.activeAt < LIVE_MS) return "live";
    return hubNow - this.heardAt > SILENT_MS ? "silent" : "idle";
  }

  /** Milliseconds since this state began; NaN when unknown. */
  stateAge(hubNow: number): number {
    switch (this.state(hubNow)) {
      case "live":
        return 0;
      case "idle":
        return hubNow - this.activeAt;
      case "silent":
        return hubNow - this.heardAt;
      default:
        return hubNow - this.endedAt;
    }
  }
}

export class Store {
  readonly producers = new Map<string, Producer>(); /* by instance */
  hub = "";
  gap = 0; /* messages the hub skipped because this page read too slowly */
  private byNumber = new Map<number, Producer>();
  private hubAheadMs = 0;
  private welcomedAt = -Infinity;

  /** The hub's clock, which the charts and ages use. */
  hubNow(now: number): number {
    return now + this.hubAheadMs;
  }

  /** Rows in a steady order: those connected first, each group in order of appearance. */
  rows(): Producer[] {
    return [...this.producers.values()].sort((a, b) => Number(a.ended) - Number(b.ended) || a.slot - b.slot);
  }

  apply(message: HubMessage, now: number): void {
    switch (message.type) {
      case "welcome":
        this.hub = message.hub;
        this.hubAheadMs = Number.isNaN(message.t_ms) ? 0 : message.t_ms - now;
        this.welcomedAt = now;
        this.byNumber.clear(); /* numbers belong to one connection's hub */
        break;
      case "hello":
        this.hello(message);
        break;
      case "window":
        this.window(message, now);
        break;
      case "bye":
        this.bye(message.producer, message.reason, now);
        break;
      case "gap":
        this.gap += message.n;
        break;
    }
  }

  /** The hub is gone: what it said of who is connected no longer holds. */
  disconnected(): void {
    this.byNumber.clear();
  }

  /** Producers this hub has named; the others are remembered from before. */
  knownNow(producer: Producer): boolean {
    return this.byNumber.get(producer.number) === producer;
  }

  /** Drops producers that ended long ago, and those a restarted hub does not know. */
  forgetOld(now: number): void {
    const hubNow = this.hubNow(now);
    for (const [instance, p] of this.producers) {
      if (!p.ended && now - this.welcomedAt > SILENT_MS && !this.knownNow(p)) this.end(p, "lost", hubNow);
      if (hubNow - p.endedAt > FORGET_ENDED_MS) this.producers.delete(instance);
    }
  }

  private hello(hello: Hello): void {
    let producer = this.producers.get(hello.instance);
    if (!producer) {
      if (this.producers.size >= MAX_PRODUCERS) this.forgetOldestEnded();
      producer = new Producer(hello, this.freeSlot());
      this.producers.set(hello.instance, producer);
    }
    producer.hello = hello;
    producer.number = hello.producer;
    producer.endReason = "";
    producer.endedAt = NaN;
    this.byNumber.set(hello.producer, producer);
  }

  private window(window: Window, now: number): void {
    const p = this.byNumber.get(window.producer);
    if (!p || p.number !== window.producer) return;
    const newestAt = p.columns.length > 0 ? p.columns.t[p.columns.length - 1]! : -Infinity;
    if (window.seq <= p.lastSeq && window.t_ms <= newestAt) return; /* a replay of what is here */
    if (p.lastSeq > 0 && window.seq > p.lastSeq + 1) p.missed += window.seq - p.lastSeq - 1;
    p.lastSeq = window.seq;
    if (window.dropped >= 0) p.dropped = window.dropped;
    if (now - this.welcomedAt > REPLAY_MS) {
      const ahead = window.t_ms - this.hubNow(now);
      p.clockOffMs = Math.abs(ahead) > CLOCK_OFF_MS ? ahead : 0;
    }
    p.columns.append(window);
    p.heardAt = window.t_ms - p.clockOffMs;
    if (window.m.has(TPOT) || window.m.has(TOKENS_OUT)) p.activeAt = p.heardAt;
  }

  private bye(number: number, reason: string, now: number): void {
    const p = this.byNumber.get(number);
    if (!p || p.number !== number) return; /* an older connection of an instance that came back */
    const replayed = now - this.welcomedAt < REPLAY_MS && !Number.isNaN(p.heardAt);
    this.end(p, reason || "done", replayed ? p.heardAt : this.hubNow(now));
  }

  private end(p: Producer, reason: string, at: number): void {
    p.endReason = reason;
    p.endedAt = at;
  }

  private freeSlot(): number {
    const taken = new Set([...this.producers.values()].map((p) => p.slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }

  private forgetOldestEnded(): void {
    const oldest = [...this.producers].sort(([, a], [, b]) => (a.endedAt || Infinity) - (b.endedAt || Infinity))[0];
    if (oldest) this.producers.delete(oldest[0]);
  }
}
