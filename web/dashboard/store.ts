/* store.ts: what the hub has told this page.
 *
 * One Producer per instance, with its columns and its state. An instance keeps its key, colour and
 * columns when it reconnects, when the hub replays (a number that was heard is not heard again)
 * and when the hub was restarted and numbers producers anew. Owns no DOM and reads no clock: `now` is
 * passed in, in this page's milliseconds.
 */
import { Columns } from "./columns";
import { TOKENS_OUT, TPOT } from "./derive";
import type { Alert, Clock, Gap, Health, Hello, HubMessage, Operation, Window } from "./protocol";

const LIVE_MS = 2_000; /* the report interval is 100 ms, but a slow model takes a second a token */
const SILENT_MS = 6_000; /* a producer reports at least every 2 s */
const FORGET_ENDED_MS = 600_000; /* as the hub does */
const MAX_PRODUCERS = 256;
const MAX_OPERATIONS = 500;
const MAX_ALERTS = 100;
/* A window that comes this long after welcome is not a replay, so its time tells the producer's clock. */
const REPLAY_MS = 3_000;
const CLOCK_OFF_MS = 2_000;

export type State = "live" | "idle" | "silent" | "ended" | "lost";

export class Producer {
  columns = new Columns();
  number = 0;
  lastSeq = 0;
  dropped = 0; /* records the producer lost, as it says */
  missed = 0; /* messages that did not arrive here */
  gaps: Gap[] = []; /* what the producer says that it lost, newest last */
  clock: Clock | undefined; /* the hub's estimate */
  heardAt = NaN; /* hub time of the newest window */
  activeAt = NaN; /* hub time of the newest window with tokens in it */
  endedAt = NaN;
  endReason = "";
  clockOffMs = 0; /* how far this producer's clock is ahead of the hub's */

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

  clone(): Producer {
    const copy = Object.assign(new Producer(this.hello, this.slot), this);
    copy.columns = this.columns.clone();
    copy.gaps = [...this.gaps];
    return copy;
  }
}

/** An operation and who did it. */
export interface Done {
  operation: Operation;
  p: Producer;
}

export class Store {
  readonly producers = new Map<string, Producer>(); /* by instance */
  operations: Done[] = []; /* as they came */
  readonly alerts = new Map<string, Alert>(); /* that fire, by producer and rule */
  health: Health | undefined;
  hub = "";
  missed = 0; /* messages the hub skipped because this page read too slowly */
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

  /** Operations by when they ended on the hub's clock, newest last; a replay brings them by producer. */
  byTime(): Done[] {
    const end = ({ operation, p }: Done) => operation.t_ms - p.clockOffMs;
    return [...this.operations].sort((a, b) => end(a) - end(b));
  }

  apply(message: HubMessage, now: number): void {
    switch (message.type) {
      case "welcome":
        this.hub = message.hub;
        this.hubAheadMs = Number.isNaN(message.t_ms) ? 0 : message.t_ms - now;
        this.welcomedAt = now;
        this.byNumber.clear(); /* numbers belong to one connection's hub */
        this.alerts.clear(); /* those that still fire are said again */
        break;
      case "hello":
        this.hello(message);
        break;
      case "window":
        this.window(message, now);
        break;
      case "op":
        this.operation(message);
        break;
      case "gap":
        this.gap(message);
        break;
      case "clock":
        this.clock(message);
        break;
      case "bye":
        this.bye(message.producer, message.reason, now);
        break;
      case "missed":
        this.missed += message.n;
        break;
      case "alert":
        this.alert(message);
        break;
      case "health":
        this.health = message;
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

  /** The producer that this hub's messages call `number`. */
  numbered(number: number): Producer | undefined {
    const p = this.byNumber.get(number);
    return p?.number === number ? p : undefined;
  }

  /** Whether the hub's replay after its welcome may still be under way. */
  replaying(now: number): boolean {
    return now - this.welcomedAt < REPLAY_MS;
  }

  forgetOld(now: number): void {
    const hubNow = this.hubNow(now);
    for (const [instance, p] of this.producers) {
      if (!p.ended && !this.knownNow(p) && now - this.welcomedAt > 2 * REPLAY_MS) this.end(p, "lost", p.heardAt);
      if (p.ended && hubNow - p.endedAt > FORGET_ENDED_MS) this.producers.delete(instance);
    }
  }

  /** A copy that goes on by itself: what a frozen board records into. */
  clone(): Store {
    const copy = new Store();
    copy.health = this.health;
    copy.hub = this.hub;
    copy.missed = this.missed;
    copy.hubAheadMs = this.hubAheadMs;
    copy.welcomedAt = this.welcomedAt;
    for (const [instance, p] of this.producers) copy.producers.set(instance, p.clone());
    const twin = (p: Producer) => copy.producers.get(p.hello.instance);
    for (const [number, p] of this.byNumber) if (twin(p)) copy.byNumber.set(number, twin(p)!);
    copy.operations = this.operations.map(({ operation, p }) => ({ operation, p: twin(p) ?? p }));
    for (const [key, alert] of this.alerts) copy.alerts.set(key, alert);
    return copy;
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

  /** The producer of a numbered message that was not heard before; undefined for a replay of what is here. */
  private next(number: number, seq: number, to = seq): Producer | undefined {
    const p = this.numbered(number);
    if (!p || seq <= p.lastSeq) return undefined;
    if (p.lastSeq > 0 && seq > p.lastSeq + 1) p.missed += seq - p.lastSeq - 1;
    p.lastSeq = to;
    return p;
  }

  private window(window: Window, now: number): void {
    const p = this.next(window.producer, window.seq);
    if (!p) return;
    if (window.dropped >= 0) p.dropped = window.dropped;
    if (!p.clock && !this.replaying(now)) {
      const ahead = window.t_ms - this.hubNow(now);
      p.clockOffMs = Math.abs(ahead) > CLOCK_OFF_MS ? ahead : 0;
    }
    p.columns.append(window);
    p.heardAt = window.t_ms - p.clockOffMs;
    if (window.m.has(TPOT) || window.m.has(TOKENS_OUT)) p.activeAt = p.heardAt;
  }

  private operation(operation: Operation): void {
    const p = this.next(operation.producer, operation.seq);
    if (!p) return;
    this.operations.push({ operation, p });
    if (this.operations.length > MAX_OPERATIONS) this.operations.splice(0, this.operations.length - MAX_OPERATIONS);
  }

  private gap(gap: Gap): void {
    const p = this.next(gap.producer, gap.seq, gap.to);
    if (!p) return;
    p.gaps.push(gap);
    if (p.gaps.length > MAX_OPERATIONS) p.gaps.shift();
  }

  private clock(clock: Clock): void {
    const p = this.numbered(clock.producer);
    if (!p) return;
    p.heardAt += p.clockOffMs - clock.offset_ms;
    p.activeAt += p.clockOffMs - clock.offset_ms;
    p.clock = clock;
    p.clockOffMs = clock.offset_ms;
  }

  private alert(alert: Alert): void {
    const key = `${alert.producer} ${alert.rule}`;
    if (alert.state === "firing" && this.alerts.size < MAX_ALERTS) this.alerts.set(key, alert);
    if (alert.state === "resolved") this.alerts.delete(key);
  }

  private bye(number: number, reason: string, now: number): void {
    const p = this.numbered(number);
    if (!p) return; /* an older connection of an instance that came back */
    const replayed = this.replaying(now) && !Number.isNaN(p.heardAt);
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
