/* starting.ts: from what this browser can do to a module that runs, computes rightly and knows how many threads pay. */
import { BitnetError } from "./errors.js";
import { isSupported, selfTest, workingTiers, type Choice } from "./features.js";
import { startModule, type Instance } from "./glue.js";
import { wrongKernel } from "./selftest.js";
import { mostThreads, tuneThreads, type MostThreads } from "./threads.js";
import type { Tier } from "./types.js";

export interface StartRequest {
  tier: Tier | undefined;
  threads: number | undefined;
  baseUrl: string | undefined;
}

export interface Started {
  instance: Instance;
  tier: Choice<Tier>;
  /** Takes a short probe where the number was left open. As late as can be: right after the start the engine's own
   * threads still compile the module, and the cores are theirs. */
  pickThreads(): Choice<number>;
}

async function* tiersToTry(forced: Tier | undefined): AsyncGenerator<Choice<Tier>> {
  if (forced === undefined) return yield* workingTiers();
  if (!isSupported(forced)) throw new BitnetError("wasm.tier", `This browser cannot run the tier ${forced}.`);
  if (!(await selfTest(forced))) {
    throw new BitnetError("wasm.selftest", `This browser computes wrong sums in the tier ${forced}.`);
  }
  yield { value: forced, reason: "This tier was asked for." };
}

async function startWithThreads(
  tier: Tier,
  most: MostThreads,
  baseUrl: string | undefined,
): Promise<{ instance: Instance; most: MostThreads }> {
  const one = { value: 1, reason: "This browser refuses shared memory for threads.", mayTune: false };
  for (const choice of [most, one]) {
    const instance = await startModule(tier, choice.value, baseUrl);
    if (instance) return { instance, most: choice };
  }
  throw new BitnetError("session.memory", "The browser gives this page no memory for a WebAssembly module.");
}

/** The fastest tier whose module passes its self-test here. */
export async function startBest(request: StartRequest): Promise<Started> {
  const wrong: string[] = [];
  for await (const tier of tiersToTry(request.tier)) {
    const { instance, most } = await startWithThreads(tier.value, mostThreads(request.threads), request.baseUrl);
    const slot = wrongKernel(instance);
    if (slot === undefined) {
      const pickThreads = (): Choice<number> => (most.mayTune ? tuneThreads(instance, most.value) : most);
      return { instance, tier: { ...tier, reason: wrong.at(-1) ?? tier.reason }, pickThreads };
    }
    wrong.push(`This browser computes wrongly in the tier ${tier.value} (${slot}).`);
    instance.stopThreads();
  }
  throw new BitnetError("wasm.selftest", wrong.at(-1)!);
}
