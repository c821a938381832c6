// module.mjs: a wasm module of build/wasm under Node.js, driven through its exports, without worker and page.
//
// Modules are built for browsers; given their bytes and memory they start here too. Only the one-thread
// simd128 module is used: Node.js 18 and 20 have no (right) relaxed SIMD, and threads need web workers.
import { readFileSync } from "node:fs";

export const ROOT = new URL("../../../", import.meta.url);
export const MODEL = readFileSync(new URL("models/bitnet-tales/bitnet-tales.i2_s.gguf", ROOT));
export const GOLDEN = JSON.parse(readFileSync(new URL("tests/golden/bitnet-tales.json", ROOT)));

export const SWITCH = { auto: 0, on: 1, off: 2 }; /* bitnet_switch */
const PAGES_PER_MB = 16;

/** The module's exports, with `memory` added. */
export async function startModule(name = "bitnet-simd128", { maximumMb = 4096, bytes } = {}) {
  const memory = new WebAssembly.Memory({ initial: 8 * PAGES_PER_MB, maximum: maximumMb * PAGES_PER_MB });
  const { default: create } = await import(new URL(`build/wasm/${name}.mjs`, ROOT));
  const lines = [];
  const module = await create({
    wasmBinary: bytes ?? readFileSync(new URL(`build/wasm/${name}.wasm`, ROOT)),
    wasmMemory: memory,
    print: (line) => lines.push(line),
    printErr: (line) => lines.push(line),
  });
  return Object.assign(module, { memory, lines });
}

/** One C session (targets/wasm/exports.h): pointers in, strings and numbers out. */
export class Session {
  constructor(module) {
    this.m = module;
    this.self = module._bitnet_session_create();
  }

  free() {
    this.m._bitnet_session_free(this.self);
  }

  bytes(at, n) {
    return new Uint8Array(this.m.memory.buffer, at, n).slice();
  }

  text(at) {
    const heap = new Uint8Array(this.m.memory.buffer);
    return new TextDecoder().decode(heap.slice(at, heap.indexOf(0, at)));
  }

  put(text) {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    const at = this.m._malloc(bytes.length + 1);
    new Uint8Array(this.m.memory.buffer).set([...bytes, 0], at);
    return [at, bytes.length];
  }

  error() {
    const text = this.text(this.m._bitnet_session_error_text(this.self));
    return { id: this.text(this.m._bitnet_session_error_id(this.self)), text };
  }

  /** The status of load; the file's bytes go where reserve says, and may be rewritten there. */
  load(file, nCtx = 0, staged = SWITCH.auto) {
    this.at = this.m._bitnet_session_reserve(this.self, file.length, 0);
    new Uint8Array(this.m.memory.buffer).set(file, this.at);
    return this.m._bitnet_session_load(this.self, 1, nCtx, 0, 0, staged);
  }

  /** From the first bytes of a file of `size`; undefined when it is refused. */
  plan(bytes, size, { nCtx = 0, cacheType = 0, staged = 0 } = {}) {
    const [at, len] = this.put(bytes);
    const json = this.m._bitnet_session_plan(this.self, at, len, size, nCtx, cacheType, cacheType, staged);
    this.m._free(at);
    return json === 0 ? undefined : JSON.parse(this.text(json));
  }

  info() {
    return JSON.parse(this.text(this.m._bitnet_session_info(this.self)));
  }

  /** The request's id; 0 when refused. sampler: [temp, topK, topP, minP]. */
  submit(prompt, { maxTokens = 40, sampler = [0], seed = 0n } = {}) {
    this.m._bitnet_session_request_start(this.self, seed);
    [maxTokens, ...sampler].forEach((value, field) => this.m._bitnet_session_request_set(this.self, field, value));
    this.m._bitnet_session_request_prompt(this.self, ...this.put(prompt)); /* takes it over */
    return this.m._bitnet_session_submit(this.self);
  }

  poll() {
    const kind = this.m._bitnet_session_poll(this.self);
    if (kind === 0) return undefined;
    const request = this.m._bitnet_session_event_request(this.self);
    if (kind === 1) {
      const n = this.m._bitnet_session_event_n_prompt(this.self);
      const at = this.m._bitnet_session_event_prompt(this.self);
      return { kind: "prompt", request, ids: [...new Int32Array(this.m.memory.buffer, at, n)] };
    }
    const at = this.m._bitnet_session_event_text(this.self);
    const text = new TextDecoder().decode(this.bytes(at, this.m._bitnet_session_event_text_len(this.self)));
    if (kind === 2) return { kind: "token", request, id: this.m._bitnet_session_event_token(this.self), text };
    return { kind: "end", request, text, ...JSON.parse(this.text(this.m._bitnet_session_event_end(this.self))) };
  }

  /** Steps until every request named has ended; onEvent sees all events. Answers by request id. */
  finish(requests, onEvent = () => undefined) {
    const answers = new Map(requests.map((id) => [id, { promptIds: [], ids: [], text: "" }]));
    const open = new Set(requests);
    while (open.size > 0) {
      this.m._bitnet_session_step(this.self);
      for (let event = this.poll(); event; event = this.poll()) {
        const answer = answers.get(event.request);
        if (event.kind === "prompt") answer.promptIds = event.ids;
        if (event.kind === "token") answer.ids.push(event.id);
        if (event.kind !== "prompt") answer.text += event.text;
        if (event.kind === "end") {
          Object.assign(answer, { finishReason: event.finish_reason, timings: event.timings, metrics: event.metrics });
          open.delete(event.request);
        }
        onEvent(event);
      }
    }
    return requests.map((id) => answers.get(id));
  }

  generate(prompt, options) {
    const id = this.submit(prompt, options);
    if (id === 0) throw new Error(`refused: ${this.error().text}`);
    return this.finish([id])[0];
  }

  tokenize(text, flags) {
    const [at, len] = this.put(text);
    const out = this.m._malloc(4 * (len + 1));
    const n = this.m._bitnet_session_tokenize(this.self, at, len, flags, out, len + 1);
    const ids = [...new Int32Array(this.m.memory.buffer, out, Math.max(n, 0))];
    this.m._free(at);
    this.m._free(out);
    return ids;
  }
}

export async function loadedSession(options) {
  const session = new Session(await startModule(options?.name, options));
  const status = session.load(MODEL, options?.nCtx);
  if (status < 0) throw new Error(session.error().text);
  return session;
}
