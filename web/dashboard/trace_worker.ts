/* trace_worker.ts: reads a trace away from the page, so that one of 50 MB freezes nothing.
 *
 * In: a Blob, or {args: i} for what slice i carries. Out: TraceAnswer. The text of the file lives only while it is read.
 */
import { parseTexts } from "./protocol";
import { NoTrace, parseTrace, type Trace } from "./trace_parse";

export type TraceQuestion = { read: Blob } | { args: number };
export type TraceAnswer =
  | { kind: "trace"; trace: Trace }
  | { kind: "refused"; why: string }
  | { kind: "args"; slice: number; args: [string, string][] };

const MOST_ARGS = 32;
let args: unknown[] = [];

function answer(message: TraceAnswer, transfer: Transferable[] = []): void {
  postMessage(message, { transfer });
}

async function read(file: Blob): Promise<void> {
  try {
    const parsed = parseTrace(await file.text());
    args = parsed.args;
    const { start, length, self, name } = parsed.trace;
    answer({ kind: "trace", trace: parsed.trace }, [start.buffer, length.buffer, self.buffer, name.buffer]);
  } catch (error) {
    const why = error instanceof NoTrace ? error.message : "The file could not be read; it may be too large for this browser.";
    answer({ kind: "refused", why });
  }
}

addEventListener("message", ({ data }: MessageEvent<TraceQuestion>) => {
  if ("read" in data) void read(data.read);
  else answer({ kind: "args", slice: data.args, args: [...parseTexts(args[data.args], MOST_ARGS)] });
});
