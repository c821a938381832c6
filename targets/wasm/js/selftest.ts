/* selftest.ts: whether the kernels of a started module are right on this machine (targets/wasm/probe/selftest.c):
 * before anything is loaded, when the engine's fast compiler made them, and again after they have been hot long
 * enough for its other one to have made them anew.
 */
import { BitnetError } from "./errors.js";
import { textAt, type Instance } from "./glue.js";

const SEED = 1; /* the one with recorded results */
const START_ROUNDS = 2;
const WARM_ROUNDS = 4;
/* Slices of a few milliseconds of computing (running.ts). V8 replaces a hot function within tens of them. */
const WARM_SLICES = [25, 250];

/** Of the slot that computes wrongly; undefined when all bits are right. */
export function wrongKernel({ glue, memory }: Instance, rounds = START_ROUNDS): string | undefined {
  const slot = glue._bitnet_selftest(SEED, rounds);
  return slot === 0 ? undefined : textAt(memory, slot);
}

/** The tests after warm-up. afterSlice throws when one fails: what the module says from then on is worth nothing. */
export class WarmTest {
  private slices = 0;

  constructor(private readonly instance: Instance) {}

  afterSlice(): void {
    if (!WARM_SLICES.includes(++this.slices)) return;
    const slot = wrongKernel(this.instance, WARM_ROUNDS);
    if (slot === undefined) return;
    throw new BitnetError("wasm.selftest", `This browser began to compute wrongly (${slot}); load the model again.`);
  }
}
