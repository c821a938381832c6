/* running.ts: the requests of one session, computed in slices of a few milliseconds; between slices the worker goes
 * back to its event loop, where aborts, new requests and the websocket get their turn. The tokens of a slice are
 * one message.
 */
import type { Reply } from "./rpc.js";
import type { Session } from "./session.js";
import type { GeneratedToken } from "./types.js";
import { errorData } from "./errors.js";

const SLICE_MS = 8;

interface Job {
  id: number; /* of the page's request */
  tokens: GeneratedToken[]; /* not sent yet */
}

/** Lets every message that has arrived be handled; a timer would cost 4 ms. */
class Breath {
  private readonly channel = new MessageChannel();

  take(): Promise<void> {
    return new Promise((resolve) => {
      this.channel.port1.onmessage = () => resolve();
      this.channel.port2.postMessage(0);
    });
  }
}

export class Runner {
  private readonly jobs = new Map<number, Job>(); /* by the engine's request id */
  private readonly breath = new Breath();
  private isComputing = false;
  private isOver = false;

  /** onSlice is called between slices; onTrap once, when nothing may run in the module any more. */
  constructor(
    private readonly session: Session,
    private readonly post: (reply: Reply) => void,
    private readonly onSlice: () => void,
    private readonly onTrap: () => void,
  ) {}

  /** The engine has accepted `request` for the page's request `id`. */
  add(request: number, id: number): void {
    this.jobs.set(request, { id, tokens: [] });
    void this.compute();
  }

  cancel(id: number): void {
    for (const [request, job] of this.jobs) if (job.id === id) this.session.cancel(request);
  }

  /** Answers everything with the error and runs nothing more. */
  end(error: unknown): void {
    this.isOver = true;
    for (const { id } of this.jobs.values()) this.post({ id, type: "error", error: errorData(error) });
    this.jobs.clear();
  }

  private send({ id, tokens }: Job): void {
    if (tokens.length > 0) this.post({ id, type: "tokens", tokens: tokens.splice(0) });
  }

  private handleEvents(): void {
    for (let event = this.session.poll(); event; event = this.session.poll()) {
      const job = this.jobs.get(event.request);
      if (!job) continue;
      if (event.kind === "prompt") {
        this.post({ id: job.id, type: "prompt", tokenIds: event.tokenIds });
      } else if (event.kind === "token") {
        job.tokens.push({ token: event.token, text: event.text });
      } else {
        this.send(job);
        this.jobs.delete(event.request);
        if (event.kind === "error") this.post({ id: job.id, type: "error", error: errorData(event.error) });
        else this.post({ id: job.id, type: "done", value: event });
      }
    }
  }

  private async compute(): Promise<void> {
    if (this.isComputing) return;
    this.isComputing = true;
    try {
      while (!this.isOver && this.jobs.size > 0) {
        const end = performance.now() + SLICE_MS;
        do {
          this.session.step();
          this.handleEvents();
        } while (this.jobs.size > 0 && performance.now() < end);
        for (const job of this.jobs.values()) this.send(job);
        this.onSlice();
        await this.breath.take();
      }
    } catch (error) {
      this.end(error);
      this.onTrap();
    } finally {
      this.isComputing = false;
    }
  }
}
