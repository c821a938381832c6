/* freeze.ts: a board that stands still while everything is recorded.
 *
 * Two stores, one and the same until the board is frozen. Then `recording` goes on and `shown` takes
 * only what belongs to the time before, so an address that says when it was frozen opens the
 * same board again, as far as the hub still replays it.
 */
import type { HubMessage } from "./protocol";
import { Store } from "./store";

export class Recorder {
  shown = new Store();
  recording = this.shown;
  frozenAt = NaN; /* hub time */
  windowsSince = 0; /* that came after it */
  operationsSince = 0;

  get frozen(): boolean {
    return this.recording !== this.shown;
  }

  freeze(hubNow: number): void {
    if (this.frozen) return;
    this.frozenAt = hubNow;
    this.windowsSince = 0;
    this.operationsSince = 0;
    this.recording = this.shown.clone();
  }

  resume(): void {
    this.shown = this.recording;
    this.frozenAt = NaN;
  }

  /** The time that the board shows. */
  viewNow(now: number): number {
    return this.frozen ? this.frozenAt : this.recording.hubNow(now);
  }

  apply(message: HubMessage, now: number): void {
    this.recording.apply(message, now);
    if (this.frozen && this.isBefore(message, now)) this.shown.apply(message, now);
  }

  private isBefore(message: HubMessage, now: number): boolean {
    switch (message.type) {
      case "window":
      case "op": {
        const p = this.recording.numbered(message.producer);
        const before = p !== undefined && message.t_ms - p.clockOffMs <= this.frozenAt;
        if (!before && message.type === "window") this.windowsSince++;
        if (!before && message.type === "op") this.operationsSince++;
        return before;
      }
      case "bye":
        return this.recording.replaying(now);
      case "welcome":
      case "hello":
      case "clock":
      case "gap":
        return true;
      default:
        return false;
    }
  }
}
