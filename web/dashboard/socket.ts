/* socket.ts: the one connection to the hub, kept alive.
 *
 * Owns connecting, the viewer's hello, and reconnecting by itself: waits 0.5 s, then twice as long each
 * time up to 10 s, a fifth of it random so that many dashboards do not return in step. Knows nothing of
 * what the messages mean, except that a connection counts only once the hub has said welcome.
 */
import { parseHubMessage, SUBPROTOCOL, type HubMessage } from "./protocol";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const WELCOME_WITHIN_MS = 5_000;

export type LinkState = { kind: "connecting" } | { kind: "open" } | { kind: "waiting"; retryAt: number; why: string };

/** Wait before attempt n = 0, 1, 2 ...; `random` in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
  return Math.round(wait * (0.8 + 0.2 * random));
}

function closeReason(code: number, opened: boolean): string {
  if (code === 1001) return "the hub stopped";
  if (code === 1013) return "the hub has as many viewers as it takes";
  if (code === 1008) return "the hub refused this page";
  if (code === 4401) return "the hub asks for its token, so open the address that it printed when it started";
  if (code === 4408) return "this page read too slowly";
  return opened ? "the connection was lost" : "the hub does not answer";
}

export class HubLink {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;

  constructor(
    readonly url: string,
    private readonly onMessage: (message: HubMessage) => void,
    private readonly onState: (state: LinkState) => void,
  ) {}

  connect(): void {
    clearTimeout(this.timer);
    this.onState({ kind: "connecting" });
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.socket = socket;
    let welcomed = false;
    this.timer = setTimeout(() => this.lost(socket, "the hub does not answer"), WELCOME_WITHIN_MS);
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", proto: 1, role: "viewer" }));
    };
    socket.onmessage = (event) => {
      if (socket !== this.socket || typeof event.data !== "string") return;
      const message = parseHubMessage(event.data);
      if (!message) return;
      this.onMessage(message);
      if (message.type !== "welcome") return;
      welcomed = true;
      this.attempt = 0;
      clearTimeout(this.timer);
      this.onState({ kind: "open" });
    };
    socket.onclose = (event) => this.lost(socket, closeReason(event.code, welcomed));
  }

  /** Skips the rest of a wait; does nothing while connected. */
  retryNow(): void {
    if (!this.socket) this.connect();
  }

  private lost(socket: WebSocket, why: string): void {
    if (socket !== this.socket) return;
    this.socket = undefined;
    clearTimeout(this.timer);
    socket.close();
    const wait = backoffMs(this.attempt++, Math.random());
    this.onState({ kind: "waiting", retryAt: Date.now() + wait, why });
    this.timer = setTimeout(() => this.connect(), wait);
  }
}
