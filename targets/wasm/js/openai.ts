/* openai.ts: libbitnet/openai: a model behind the shapes of OpenAI's JavaScript client, for code that is written
 * against that. Nothing leaves the page.
 *
 *   import { OpenAI } from "libbitnet/openai";
 *   const client = new OpenAI(await load("model.gguf"));
 *   const stream = await client.chat.completions.create({ messages: [{ role: "user", content: "Hi" }], stream: true });
 *   for await (const chunk of stream) out.append(chunk.choices[0]?.delta.content ?? "");
 *
 * What the engine does not do (tools, several choices, logprobs, images …) is refused, not ignored: an APIError
 * with status 400 and the name of the parameter. temperature is 1 by default, as there; top_k and the like are 0.
 */
import type { BitnetError } from "./errors.js";
import { whenAborted } from "./generation.js";
import type { ChatMessage, FinishReason, GenerateOptions, Generation, Model, Usage } from "./types.js";

/* ---- the shapes ---- */

export interface ChatCompletionMessageParam {
  role: "system" | "developer" | "user" | "assistant";
  content: string | readonly { type: "text"; text: string }[];
}

interface CommonParams {
  /** Only repeated in the answer: the model is the one that was loaded. */
  model?: string;
  max_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  logit_bias?: Readonly<Record<string, number>> | null;
  stop?: string | readonly string[] | null;
  seed?: number | null;
  n?: number | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  user?: string;
}

export interface ChatCompletionCreateParams extends CommonParams {
  messages: readonly ChatCompletionMessageParam[];
  max_completion_tokens?: number | null;
}

export interface CompletionCreateParams extends CommonParams {
  prompt: string;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: 0;
    message: { role: "assistant"; content: string; refusal: null };
    finish_reason: "stop" | "length";
    logprobs: null;
  }[];
  usage: CompletionUsage;
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: {
    index: 0;
    delta: { role?: "assistant"; content?: string };
    finish_reason: "stop" | "length" | null;
    logprobs: null;
  }[];
  /** With include_usage: null but in the last chunk, which has no choices. */
  usage?: CompletionUsage | null;
}

/** With stream, parts of it: the text so far is the sum of theirs. */
export interface Completion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: { index: 0; text: string; finish_reason: "stop" | "length" | null; logprobs: null }[];
  usage?: CompletionUsage | null;
}

/** Leaving the loop early, or `controller.abort()`, ends the generation. */
export interface Stream<T> extends AsyncIterable<T> {
  readonly controller: AbortController;
}

/* ---- errors ---- */

/** As OpenAI's; `code` is the BitnetError's, which is the `cause`. */
export class APIError extends Error {
  override readonly name: string = "APIError";

  constructor(
    readonly status: number | undefined,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get type(): string {
    return this.status === 400 ? "invalid_request_error" : "server_error";
  }
}

/** The request's signal was aborted. */
export class APIUserAbortError extends APIError {
  override readonly name: string = "APIUserAbortError";

  constructor() {
    super(undefined, "aborted", "Request was aborted.");
  }
}

/* What the request itself is to blame for, by the first part of the code. */
const CALLERS_FAULT = /^(options|request|sampler|chat)\b/;

/* By its name: this file is bundled apart from the one that throws, and has no class in common with it. */
function isBitnetError(error: unknown): error is BitnetError {
  return error instanceof Error && error.name === "BitnetError";
}

function mapped(error: unknown): unknown {
  if (!isBitnetError(error)) return error;
  if (error.code === "request.too_long") {
    return new APIError(400, "context_length_exceeded", error.message, null, { cause: error });
  }
  const status = CALLERS_FAULT.test(error.code) ? 400 : error.code === "engine.busy" ? 429 : 500;
  return new APIError(status, error.code, error.message, null, { cause: error });
}

/* ---- from their parameters to ours ---- */

const KNOWN = new Set<string>([
  ...["messages", "prompt", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "user", "seed"],
  ...["frequency_penalty", "presence_penalty", "logit_bias", "stop", "n", "stream", "stream_options", "metadata"],
]);
/** These change nothing at the values given. */
const HARMLESS: Record<string, readonly unknown[]> = {
  logprobs: [false, 0],
  top_logprobs: [0],
  echo: [false],
  best_of: [1],
  store: [false],
  suffix: [""],
  tools: [],
};

function refuse(param: string, message: string): never {
  throw new APIError(400, "unsupported_parameter", message, param);
}

function checkParams(params: CommonParams): void {
  for (const [name, value] of Object.entries(params)) {
    const isUnset = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
    if (KNOWN.has(name) || isUnset || HARMLESS[name]?.includes(value)) continue;
    refuse(name, `The parameter "${name}" is not supported.`);
  }
  if ((params.n ?? 1) !== 1) refuse("n", `n is ${params.n}; one choice is made for a request.`);
}

function generateOptions(params: CommonParams & { max_completion_tokens?: number | null }): GenerateOptions {
  const { stop } = params;
  const maxTokens = params.max_completion_tokens ?? params.max_tokens;
  return {
    temp: params.temperature ?? 1,
    topP: params.top_p ?? 1,
    topK: 0,
    minP: 0,
    frequencyPenalty: params.frequency_penalty ?? 0,
    presencePenalty: params.presence_penalty ?? 0,
    penaltyLastN: -1,
    stop: typeof stop === "string" ? [stop] : (stop ?? []),
    logitBias: params.logit_bias ?? {},
    ...(typeof maxTokens === "number" && { maxTokens }),
    ...(typeof params.seed === "number" && { seed: params.seed }),
  };
}

/** "developer" is OpenAI's later name of "system". */
function chatMessage({ role, content }: ChatCompletionMessageParam, i: number): ChatMessage {
  const parts = typeof content === "string" ? [{ type: "text", text: content }] : content;
  if (!Array.isArray(parts) || parts.some(({ type }) => type !== "text")) {
    refuse(`messages[${i}].content`, `Message ${i} has content that is not text.`);
  }
  return { role: role === "developer" ? "system" : role, content: parts.map(({ text }) => text).join("") };
}

/* ---- from our answers to theirs ---- */

function completionUsage({ promptTokens, completionTokens, totalTokens, cachedTokens }: Usage): CompletionUsage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: totalTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

function finishReason(reason: FinishReason): "stop" | "length" {
  if (reason === "cancelled") throw new APIUserAbortError();
  return reason;
}

/** One request and what is common to all its answers. */
interface Exchange<T extends string> {
  head: { id: string; object: T; created: number; model: string };
  generation: Generation;
  controller: AbortController;
  hasUsage: boolean;
}

type Shapes<Part, Last> = { first: Part[]; part: (text: string) => Part; last: (reason: "stop" | "length") => Last };

/** The parts of an answer as they come: the first ones, text, the reason for the end, and usage if asked for. */
class ChunkStream<H, Choice> implements Stream<H & { choices: Choice[]; usage?: CompletionUsage | null }> {
  readonly controller: AbortController;

  constructor(
    private readonly exchange: Omit<Exchange<string>, "head"> & { head: H },
    private readonly shapes: Shapes<Choice, Choice>,
  ) {
    this.controller = exchange.controller;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<H & { choices: Choice[]; usage?: CompletionUsage | null }, void> {
    const { head, generation, hasUsage } = this.exchange;
    const chunk = (choices: Choice[], usage: CompletionUsage | null = null) => ({
      ...head,
      choices,
      ...(hasUsage && { usage }),
    });
    try {
      for (const choice of this.shapes.first) yield chunk([choice]);
      for await (const { text } of generation) if (text !== "") yield chunk([this.shapes.part(text)]);
      const result = await generation.result;
      yield chunk([this.shapes.last(finishReason(result.finishReason))]);
      if (hasUsage) yield chunk([], completionUsage(result.usage));
    } catch (error) {
      throw mapped(error);
    } finally {
      generation.cancel(); /* a loop that was left before the first token; nothing happens to an ended one */
    }
  }
}

let lastId = 0;

function start<T extends string>(
  model: Model,
  prompt: string | ChatMessage[],
  params: CommonParams,
  { signal }: RequestOptions,
  object: T,
  prefix: string,
): Exchange<T> {
  if (signal?.aborted) throw new APIUserAbortError();
  const controller = new AbortController();
  const generation = model.generate(prompt, { ...generateOptions(params), signal: controller.signal });
  const stopListening = whenAborted(signal, () => controller.abort());
  generation.result.catch(() => undefined).finally(stopListening);
  const created = Math.floor(Date.now() / 1000);
  const id = `${prefix}-${created.toString(36)}${(++lastId).toString(36)}`;
  return {
    head: { id, object, created, model: params.model ?? model.info.name },
    generation,
    controller,
    hasUsage: params.stream_options?.include_usage === true,
  };
}

class ChatCompletions {
  constructor(private readonly model: Model) {}

  create(
    params: ChatCompletionCreateParams & { stream: true },
    options?: RequestOptions,
  ): Promise<Stream<ChatCompletionChunk>>;
  create(
    params: ChatCompletionCreateParams & { stream?: false | null },
    options?: RequestOptions,
  ): Promise<ChatCompletion>;
  create(
    params: ChatCompletionCreateParams,
    options?: RequestOptions,
  ): Promise<ChatCompletion | Stream<ChatCompletionChunk>>;
  async create(
    params: ChatCompletionCreateParams,
    options: RequestOptions = {},
  ): Promise<ChatCompletion | Stream<ChatCompletionChunk>> {
    checkParams(params);
    try {
      const messages = params.messages.map(chatMessage);
      if (params.stream) {
        const exchange = start(this.model, messages, params, options, "chat.completion.chunk", "chatcmpl");
        const common = { index: 0, logprobs: null } as const;
        return new ChunkStream<typeof exchange.head, ChatCompletionChunk["choices"][number]>(exchange, {
          first: [{ ...common, delta: { role: "assistant", content: "" }, finish_reason: null }],
          part: (content) => ({ ...common, delta: { content }, finish_reason: null }),
          last: (finish_reason) => ({ ...common, delta: {}, finish_reason }),
        });
      }
      const { head, generation } = start(this.model, messages, params, options, "chat.completion", "chatcmpl");
      const result = await generation.result;
      const message = { role: "assistant", content: result.text, refusal: null } as const;
      const choice = { index: 0, message, finish_reason: finishReason(result.finishReason), logprobs: null } as const;
      return { ...head, choices: [choice], usage: completionUsage(result.usage) };
    } catch (error) {
      throw mapped(error);
    }
  }
}

class Completions {
  constructor(private readonly model: Model) {}

  create(params: CompletionCreateParams & { stream: true }, options?: RequestOptions): Promise<Stream<Completion>>;
  create(params: CompletionCreateParams & { stream?: false | null }, options?: RequestOptions): Promise<Completion>;
  create(params: CompletionCreateParams, options?: RequestOptions): Promise<Completion | Stream<Completion>>;
  async create(params: CompletionCreateParams, options: RequestOptions = {}): Promise<Completion | Stream<Completion>> {
    checkParams(params);
    try {
      const exchange = start(this.model, params.prompt, params, options, "text_completion", "cmpl");
      const common = { index: 0, logprobs: null } as const;
      if (params.stream) {
        return new ChunkStream<typeof exchange.head, Completion["choices"][number]>(exchange, {
          first: [],
          part: (text) => ({ ...common, text, finish_reason: null }),
          last: (finish_reason) => ({ ...common, text: "", finish_reason }),
        });
      }
      const { text, usage, finishReason: reason } = await exchange.generation.result;
      const choice = { ...common, text, finish_reason: finishReason(reason) };
      return { ...exchange.head, choices: [choice], usage: completionUsage(usage) };
    } catch (error) {
      throw mapped(error);
    }
  }
}

/** The part of OpenAI's client that a text model can answer. The model stays yours to dispose of. */
export class OpenAI {
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: Completions;

  constructor(model: Model) {
    this.chat = { completions: new ChatCompletions(model) };
    this.completions = new Completions(model);
  }
}
