/* errors.ts: the one error class. `code` is stable and dotted, the id of the C library's error where that is
 * the source ("gguf.magic"), and the message is the same sentence that the command line prints.
 *
 * Codes made here: fetch.http, fetch.network, fetch.length, blob.read (the bytes did not come), load.sha256
 * (others came), storage.busy (a tab loads it), wasm.tier, wasm.selftest, wasm.start, wasm.trap, worker.failed (the
 * module), session.memory (the browser gave too little), predict.header, options, track.url, chat.role,
 * aborted (an evaluation), profile.closed, model.disposed.
 */
export class BitnetError extends Error {
  override readonly name = "BitnetError";

  constructor(
    readonly code: string,
    message: string,
    /** HTTP status of a fetch.http. */
    readonly status?: number,
  ) {
    super(message);
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A file of the user's: not one over HTTP. */
export function unreadable(name: string, error: unknown): BitnetError {
  return new BitnetError("blob.read", `${name}: it cannot be read: ${reasonOf(error)}`);
}

/** What crosses from the worker: an Error's own fields do not survive a structured clone. */
export interface ErrorData {
  code: string;
  message: string;
  status: number | undefined;
}

export function errorData(error: unknown): ErrorData {
  if (error instanceof BitnetError) return { code: error.code, message: error.message, status: error.status };
  if (error instanceof WebAssembly.RuntimeError) {
    return { code: "wasm.trap", message: `The WebAssembly module failed: ${error.message}.`, status: undefined };
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    return { code: "aborted", message: error.message, status: undefined };
  }
  return { code: "worker.failed", message: String(error), status: undefined };
}

export function errorFrom(data: ErrorData): BitnetError {
  return new BitnetError(data.code, data.message, data.status);
}
