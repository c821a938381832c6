/* generation.ts: the page's end of one generate request: an iterable of tokens, and the result. */
import type { GenerateRequest, StopFlag, WorkerClient } from "./rpc.js";
import type { GeneratedToken, GenerateOptions, GenerateResult, Generation } from "./types.js";

/** Calls onAbort once, now or later; the returned function stops listening. */
export function whenAborted(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal?.aborted) onAbort();
  else signal?.addEventListener("abort", onAbort, { once: true });
  return () => signal?.removeEventListener("abort", onAbort);
}

/** Raises the flag of a request, and sends word to a worker that sees no flags, or waits. */
export function stop(client: WorkerClient, id: number, flag: StopFlag): void {
  if (flag) Atomics.store(flag, 0, 1);
  client.call({ op: "abort", target: id }).done.catch(() => undefined); /* it has failed: nothing runs */
}

/** Tokens wait here between the worker, which sends them when it likes, and the reader, who may be slow. */
class TokenQueue {
  private readonly tokens: GeneratedToken[] = [];
  private end: { error: unknown } | "open" | "closed" = "open";
  private readonly waiting: (() => void)[] = []; /* a reader each */

  push(tokens: GeneratedToken[]): void {
    this.tokens.push(...tokens);
    this.wake();
  }

  close(): void {
    this.end = "closed";
    this.wake();
  }

  fail(error: unknown): void {
    this.end = { error };
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  async next(): Promise<GeneratedToken | undefined> {
    for (;;) {
      const token = this.tokens.shift();
      if (token) return token;
      if (this.end === "closed") return undefined;
      if (this.end !== "open") throw this.end.error;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }
}

export class WorkerGeneration implements Generation {
  readonly result: Promise<GenerateResult>;
  readonly cancel: () => void;
  private readonly queue = new TokenQueue();

  constructor(client: WorkerClient, request: GenerateRequest, options: Pick<GenerateOptions, "signal" | "onToken">) {
    const promptTokenIds: number[] = [];
    const tokenIds: number[] = [];
    let text = "";
    let callbackError: { error: unknown } | undefined;
    const tell = (token: GeneratedToken): void => {
      if (callbackError) return;
      try {
        options.onToken?.(token);
      } catch (error) {
        callbackError = { error };
        this.cancel();
      }
    };
    const take = (tokens: GeneratedToken[]): void => {
      for (const t of tokens) {
        if (t.token >= 0) tokenIds.push(t.token);
        text += t.text;
      }
      this.queue.push(tokens);
      tokens.forEach(tell);
    };
    const call = client.call(request, (reply) => {
      if (reply.type === "prompt") promptTokenIds.push(...reply.tokenIds);
      if (reply.type === "tokens") take(reply.tokens);
    });
    this.cancel = () => stop(client, call.id, request.flag);
    const stopListening = whenAborted(options.signal, this.cancel);
    this.result = call.done.then(({ text: tail, finishReason, usage, timings, metrics }) => {
      if (tail !== "") take([{ token: -1, text: tail }]);
      if (callbackError) throw callbackError.error;
      this.queue.close();
      const seed = String(request.seed);
      return { text, promptTokenIds, tokenIds, finishReason, usage, timings, metrics, seed };
    });
    /* Those who only iterate get the error there; it must not count as unhandled here. */
    this.result.catch((error: unknown) => this.queue.fail(error)).finally(stopListening);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GeneratedToken, void, undefined> {
    let isWhole = false;
    try {
      for (let token = await this.queue.next(); token; token = await this.queue.next()) yield token;
      isWhole = true;
    } finally {
      if (!isWhole) this.cancel();
    }
  }
}
