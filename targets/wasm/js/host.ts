/* host.ts: where the package runs: a browser, or Node.js with its worker_threads. A port is one end of the wire
 * between a page and its worker; everything else is written against browsers.
 *
 * Node's own modules are imported by a name that bundlers do not see, and never where a browser is.
 */
import { BitnetError, reasonOf, unreadable } from "./errors.js";

interface NodeEmitter {
  on(event: "message", listener: (data: unknown) => void): void;
  on(event: "error" | "messageerror", listener: (error: Error) => void): void;
  on(event: "exit", listener: (code: number) => void): void;
}
interface NodeWorker extends NodeEmitter {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
}
interface NodeModules {
  "node:worker_threads": {
    Worker: new (url: URL, options: { execArgv: string[] }) => NodeWorker;
    parentPort: NodeWorker | null;
  };
  "node:fs/promises": {
    readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
    stat(path: string): Promise<{ isFile(): boolean }>;
  };
  "node:fs": { openAsBlob?(path: string): Promise<Blob> };
  "node:url": { fileURLToPath(url: string): string };
}

interface NodeGlobals {
  setImmediate(callback: () => void): void;
}

/** Web workers of a browser have no `document`, but all have `self`; Node has neither. */
export const IS_NODE = typeof self === "undefined" && "process" in globalThis;

function importNode<K extends keyof NodeModules>(name: K): Promise<NodeModules[K]> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Promise<NodeModules[K]>;
}

/* ---- the page's end ---- */

export interface WorkerPort {
  listen(onMessage: (message: unknown) => void, onFailure: (what: string) => void): void;
  post(message: unknown, transfer: Transferable[]): void;
  /** Whether a Node.js process must wait for this worker. */
  keepAlive(isNeeded: boolean): void;
  terminate(): void;
}

const LOST_ANSWER = "A message from the worker could not be read.";

function browserPort(worker: Worker): WorkerPort {
  return {
    listen: (onMessage, onFailure) => {
      worker.onmessage = ({ data }: MessageEvent<unknown>) => onMessage(data);
      worker.onerror = (event) => {
        event.preventDefault();
        const what = event.message ? `failed: ${event.message}` : "could not be started (is worker.js there?)";
        onFailure(`The worker ${what}.`);
      };
      worker.onmessageerror = () => onFailure(LOST_ANSWER);
    },
    post: (message, transfer) => worker.postMessage(message, transfer),
    keepAlive: () => undefined,
    terminate: () => worker.terminate(),
  };
}

async function nodePort(url: URL): Promise<WorkerPort> {
  const { Worker } = await importNode("node:worker_threads");
  const worker = new Worker(url, { execArgv: [] }); /* of the main thread, which may not fit a file */
  return {
    listen: (onMessage, onFailure) => {
      worker.on("message", onMessage);
      worker.on("messageerror", () => onFailure(LOST_ANSWER));
      worker.on("error", ({ message }) => onFailure(`The worker failed: ${message}.`));
      worker.on("exit", (code) => onFailure(`The worker ended with status ${code}.`));
    },
    post: (message, transfer) => worker.postMessage(message, transfer),
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  };
}

/* The URL is spelled out where Worker is called: bundlers look for exactly this. */
export async function startWorker(url: string | undefined): Promise<WorkerPort> {
  if (IS_NODE) return nodePort(url === undefined ? new URL("./worker.js", import.meta.url) : new URL(url));
  try {
    if (url !== undefined) return browserPort(new Worker(url, { type: "module" }));
    return browserPort(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  } catch (error) {
    throw new BitnetError("worker.failed", `The worker could not be started: ${reasonOf(error)}`);
  }
}

/* ---- the worker's end ---- */

/** Where this runs, for people: "Chrome 156 on Linux", "Node.js v20.19.2". */
export function hostName(): string {
  const { process, navigator } = globalThis as { process?: { version?: string }; navigator?: { userAgent?: string } };
  if (IS_NODE) return `Node.js ${process?.version ?? ""}`.trim();
  const agent = navigator?.userAgent ?? "";
  const browser = /(Firefox|Edg|OPR|Chrome|HeadlessChrome|Version)\/(\d+)(?!.*(Edg|OPR)\/)/.exec(agent);
  const system = /\(([^;)]+)/.exec(agent)?.[1] ?? "";
  const name = browser?.[1] === "Version" ? "Safari" : browser?.[1] === "Edg" ? "Edge" : browser?.[1];
  return name === undefined ? agent.slice(0, 100) : `${name} ${browser?.[2]} on ${system}`;
}

/** 64 random bits, not all 0. Node.js 18 has no global crypto, and two engines need no secret to differ. */
export function randomInstance(): bigint {
  const word = (): bigint => BigInt(Math.floor(Math.random() * 2 ** 32));
  return (word() << 32n) | word() || 1n;
}

/** Whose request it was cannot be told: the page learns it as it learns of every failure of the worker itself. */
function failOnLostRequest(): never {
  throw new Error("a message to it could not be read");
}

/** Before it returns a browser's worker listens: what arrives earlier would be lost. */
export function listenInWorker(
  onMessage: (message: unknown) => void,
): (message: unknown, transfer: Transferable[]) => void {
  if (!IS_NODE) {
    self.onmessage = ({ data }: MessageEvent<unknown>) => onMessage(data);
    self.onmessageerror = failOnLostRequest;
    return (message, transfer) => self.postMessage(message, { transfer });
  }
  let port: NodeWorker | undefined;
  void importNode("node:worker_threads").then(({ parentPort }) => {
    port = parentPort ?? undefined; /* it keeps what arrives until somebody listens */
    port?.on("message", onMessage);
    port?.on("messageerror", failOnLostRequest);
  });
  return (message, transfer) => port?.postMessage(message, transfer);
}

/** Lets every message that has arrived be handled. In browsers a timer would cost 4 ms; in Node.js a port that is
 * written to from its own handler would keep all others waiting. */
export class Breath {
  private readonly channel = IS_NODE ? undefined : new MessageChannel();

  take(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.channel) return void (globalThis as unknown as NodeGlobals).setImmediate(resolve);
      this.channel.port1.onmessage = () => resolve();
      this.channel.port2.postMessage(0);
    });
  }
}

/* ---- files, which fetch does not read in Node.js ---- */

/** The file, when `source` is a path or a file: URL in Node.js; undefined for everything that fetch can get. Read as
 * it is used, and by Node.js 18 at once. */
export async function openLocal(source: string): Promise<Blob | undefined> {
  if (!IS_NODE || /^(https?|data|blob):/i.test(source)) return undefined;
  const [fs, { readFile, stat }, { fileURLToPath }] = await Promise.all([
    importNode("node:fs"),
    importNode("node:fs/promises"),
    importNode("node:url"),
  ]);
  try {
    const path = /^file:/i.test(source) ? fileURLToPath(source) : source;
    if (!(await stat(path)).isFile()) throw new Error("it is no file"); /* openAsBlob takes folders, and says nothing */
    return fs.openAsBlob ? await fs.openAsBlob(path) : new Blob([await readFile(path)]);
  } catch (error) {
    throw unreadable(source, error);
  }
}

/** A module's bytes: Node.js has no fetch for files, which the Emscripten code would use. */
export async function wasmBinary(url: URL): Promise<{ wasmBinary?: ArrayBuffer }> {
  const file = await openLocal(url.href);
  return file ? { wasmBinary: await file.arrayBuffer() } : {};
}
