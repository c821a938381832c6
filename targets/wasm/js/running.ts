/* running.ts: what a session computes for long: generations, one after the other, and texts whose perplexity is
 * wanted, a pass of one between two steps of the others.
 *
 * A stop takes effect behind the step in hand: one token, one chunk of a prompt, one pass. It comes as a flag in
 * shared memory, looked at between steps, or as a message: then the worker goes back to its event loop behind every
 * step for which no flag stands. With flags it does so every few milliseconds, for new requests and the websocket.
 * The tokens of that time are one message.
 */
import { BitnetError, errorData } from "./errors.js";
import { Breath } from "./host.js";
import type { Reply, StopFlag } from "./rpc.js";
import type { Session } from "./session.js";
import type { GeneratedToken } from "./types.js";

const SLICE_MS = 8;

interface Job {
  id: number; /* of the page's request */
  flag: StopFlag;
  tokens: GeneratedToken[]; /* not sent yet */
}

interface Score {
  id: number;
  flag: StopFlag;
  text: string;
  isStarted: boolean;
}

function isRaised(flag: StopFlag): boolean {
  return flag !== undefined && Atomics.load(flag, 0) !== 0;
}

export class Runner {
  private readonly jobs = new Map<number, Job>(); /* by the engine's request id */
  private readonly scores: Score[] = []; /* the first is being computed */
  private readonly breath = new Breath();
  private isComputing = false;
  private isOver = false;

  /** onSlice is called between slices, and may throw as a step may; onTrap once, with what was thrown: nothing may run
   * in the module any more. */
  constructor(
    private readonly session: Session,
    private readonly post: (reply: Reply) => void,
    private readonly onSlice: () => void,
    private readonly onTrap: (error: unknown) => void,
  ) {}

  /** The engine has accepted `request` for the page's request `id`. */
  add(request: number, id: number, flag: StopFlag): void {
    this.jobs.set(request, { id, flag, tokens: [] });
    void this.compute();
  }

  addScore(id: number, text: string, flag: StopFlag): void {
    this.scores.push({ id, flag, text, isStarted: false });
    void this.compute();
  }

  cancel(id: number): void {
    for (const [request, job] of this.jobs) if (job.id === id) this.session.cancel(request);
    const score = this.scores.find((s) => s.id === id);
    if (score) this.endScore(score, new BitnetError("aborted", "The evaluation was aborted."));
  }

  /** Answers everything with the error and runs nothing more. */
  end(error: unknown): void {
    this.isOver = true;
    for (const { id } of [...this.jobs.values(), ...this.scores]) {
      this.post({ id, type: "error", error: errorData(error) });
    }
    this.jobs.clear();
    this.scores.length = 0;
  }

  private get hasWork(): boolean {
    return !this.isOver && (this.jobs.size > 0 || this.scores.length > 0);
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

  private stopRaised(): void {
    for (const { id, flag } of [...this.jobs.values(), ...this.scores]) if (isRaised(flag)) this.cancel(id);
  }

  private endScore(score: Score, error: unknown): void {
    if (score.isStarted) this.session.scoreEnd();
    this.scores.splice(this.scores.indexOf(score), 1);
    this.post({ id: score.id, type: "error", error: errorData(error) });
  }

  private stepScore(score: Score): void {
    try {
      if (!score.isStarted) this.session.scoreStart(score.text);
      score.isStarted = true;
      if (!this.session.scoreStep()) return;
    } catch (error) {
      if (!(error instanceof BitnetError)) throw error;
      return this.endScore(score, error);
    }
    const { total: _, ...value } = this.session.score();
    this.session.scoreEnd();
    this.scores.shift();
    this.post({ id: score.id, type: "done", value });
  }

  private step(): void {
    this.stopRaised();
    if (this.jobs.size > 0) {
      this.session.step();
      this.handleEvents();
    }
    if (this.scores[0]) this.stepScore(this.scores[0]);
  }

  private sendAll(): void {
    for (const job of this.jobs.values()) this.send(job);
    const score = this.scores[0];
    if (score?.isStarted) this.post({ id: score.id, type: "score", score: this.session.score() });
  }

  private async compute(): Promise<void> {
    if (this.isComputing) return;
    this.isComputing = true;
    try {
      let sliceEnd = performance.now() + SLICE_MS;
      while (this.hasWork) {
        this.step();
        const isSliceOver = !this.hasWork || performance.now() >= sliceEnd; /* a short answer is one, too */
        if (isSliceOver) {
          this.sendAll();
          this.onSlice();
        }
        const needsMessages = [...this.jobs.values(), ...this.scores].some(({ flag }) => flag === undefined);
        if (isSliceOver || needsMessages) await this.breath.take();
        if (isSliceOver) sliceEnd = performance.now() + SLICE_MS;
      }
    } catch (error) {
      this.end(error);
      this.onTrap(error);
    } finally {
      this.isComputing = false;
    }
  }
}
