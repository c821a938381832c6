/* features.ts: what this browser can run: tiers and threads, each with a sentence that says why. Asked of the engine
 * with small modules; the real one is tested once it has started (selftest.ts).
 *
 * A tier with SIMD counts only when the engine accepts its instructions and gets a sum right with them, from both of
 * its compilers: engines start with a fast compiler and replace hot code, and one of V8's was seen to
 * compute relaxed dot products wrongly. The relaxed dot is tested as the kernels use it: any int8 in the
 * first operand, 0 … 127 in the second (outside that, hardware may differ).
 */
import { IS_NODE } from "./host.js";
import type { Tier } from "./types.js";

type SimdTier = Exclude<Tier, "c">;

/* v128 at 48 = v128 at 48 + dot(v128 at 0, v128 at 16), repeated n times; exported as f(n), memory as m:
 *   (loop (v128.store offset=48 (i32.const 0) …) (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) */
const ZERO = [0x41, 0];
const LOAD = (offset: number): number[] => [...ZERO, 0xfd, 0x00, 4, offset];
const DOT: Record<SimdTier, number[]> = {
  /* i32x4.dot_i16x8_s, i32x4.add */
  simd128: [...LOAD(0), ...LOAD(16), 0xfd, 0xba, 0x01, ...LOAD(48), 0xfd, 0xae, 0x01],
  /* i32x4.relaxed_dot_i8x16_i7x16_add_s */
  relaxed: [...LOAD(0), ...LOAD(16), ...LOAD(48), 0xfd, 0x93, 0x02],
};

function section(id: number, content: number[]): number[] {
  return [id, content.length, ...content];
}

const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

function testModule(tier: SimdTier): Uint8Array<ArrayBuffer> {
  const body = [0, 0x03, 0x40, ...ZERO, ...DOT[tier], 0xfd, 0x0b, 4, 48];
  body.push(0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x0b);
  return new Uint8Array([
    ...HEADER,
    ...section(1, [1, 0x60, 1, 0x7f, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]),
    ...section(7, [2, 1, 0x6d, 2, 0, 1, 0x66, 0, 0]),
    ...section(10, [1, body.length, ...body]),
  ]);
}

/** Whether the engine knows the tier's instructions; says nothing about what they compute. */
export function isSupported(tier: Tier): boolean {
  return tier === "c" || WebAssembly.validate(testModule(tier));
}

/* Fixed inputs with both extremes: first operands over the whole signed range, second ones over 0 … 127. */
const FIRST = [-128, 127, -1, 0, 1, 100, -100, 55, 127, 127, -128, -128, 3, -77, 64, -5];
const SECOND = [127, 127, 1, 2, 0, 2, 1, 64, 127, 0, 127, 126, 2, 33, 1, 90];

function expectedSums(tier: SimdTier, times: number): number[] {
  const perLane = tier === "relaxed" ? 4 : 2;
  return [0, 1, 2, 3].map((lane) => {
    let sum = 0;
    for (let i = lane * perLane; i < (lane + 1) * perLane; i++) sum += FIRST[i]! * SECOND[i]!;
    return (sum * times) | 0;
  });
}

class Probe {
  private readonly run: (times: number) => void;
  private readonly memory: ArrayBuffer;

  constructor(private readonly tier: SimdTier) {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(testModule(tier)));
    this.run = exports["f"] as (times: number) => void;
    this.memory = (exports["m"] as WebAssembly.Memory).buffer;
    const Operand = tier === "relaxed" ? Int8Array : Int16Array;
    const lanes = 16 / Operand.BYTES_PER_ELEMENT;
    new Operand(this.memory, 0, lanes).set(FIRST.slice(0, lanes));
    new Operand(this.memory, 16, lanes).set(SECOND.slice(0, lanes));
  }

  isRight(times: number): boolean {
    const sums = new Int32Array(this.memory, 48, 4).fill(0);
    this.run(times);
    return expectedSums(this.tier, times).every((sum, lane) => sum === sums[lane]);
  }
}

/** Dot products from cold code, from a loop long enough to be recompiled, and from the recompiled code. */
export async function selfTest(tier: Tier): Promise<boolean> {
  if (tier === "c") return true;
  const probe = new Probe(tier);
  if (!probe.isRight(1) || !probe.isRight(2_000_000)) return false;
  await new Promise((resolve) => setTimeout(resolve, 5));
  return probe.isRight(1) && probe.isRight(1000);
}

export interface Choice<T> {
  value: T;
  reason: string;
}

/* Of its versions some have no relaxed SIMD and some a wrong one; and threads need the workers of browsers. */
const NODE_REASON = "Under Node.js the package runs its SIMD128 module on one thread.";

/** The tiers that work here, the fastest first, each tested only when it is asked for. */
export async function* workingTiers(): AsyncGenerator<Choice<Tier>> {
  if (IS_NODE) return yield { value: "simd128", reason: NODE_REASON };
  const hasRelaxed = isSupported("relaxed");
  if (hasRelaxed && (await selfTest("relaxed"))) {
    yield { value: "relaxed", reason: "This browser has relaxed SIMD, and it passes the self-test." };
  }
  const why = hasRelaxed ? "computes relaxed SIMD dot products wrongly" : "has no relaxed SIMD";
  const hasSimd = isSupported("simd128");
  if (hasSimd && (await selfTest("simd128"))) yield { value: "simd128", reason: `This browser ${why}.` };
  const what = hasSimd ? "computes wrongly with WebAssembly SIMD" : "has no WebAssembly SIMD";
  yield { value: "c", reason: `This browser ${what}: plain code runs, several times slower.` };
}

/* (memory 1 1 shared) (func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)))) */
const WAIT = [0, ...ZERO, ...ZERO, 0x42, 0, 0xfe, 0x01, 2, 0, 0x1a, 0x0b];
const SHARED_MODULE = new Uint8Array([
  ...HEADER,
  ...section(1, [1, 0x60, 0, 0]),
  ...section(3, [1, 0]),
  ...section(5, [1, 3, 1, 1]),
  ...section(10, [1, WAIT.length, ...WAIT]),
]);

/** Why modules cannot have threads here, as a sentence; undefined when they can. An isolated page is the usual way to
 * shared memory and not the only one, so what counts is whether memory can be sent to another thread. */
export function whyNoThreads(): string | undefined {
  if (IS_NODE) return NODE_REASON;
  try {
    if (typeof SharedArrayBuffer !== "undefined" && WebAssembly.validate(SHARED_MODULE)) {
      const { port1, port2 } = new MessageChannel();
      port1.postMessage(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }));
      port1.close();
      port2.close();
      return undefined;
    }
  } catch {
    /* said below */
  }
  if (globalThis.crossOriginIsolated) return "This browser gives WebAssembly no shared memory, which threads need.";
  const headers = "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";
  return `The page is not cross-origin isolated: threads need the headers ${headers}.`;
}
