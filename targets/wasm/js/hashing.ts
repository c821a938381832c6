/* hashing.ts: SHA-256 of bytes that lie in a module's heap, without a copy (targets/wasm/exports_hash.c). */
import { BitnetError } from "./errors.js";
import type { Instance } from "./glue.js";

const DIGEST_SIZE = 32;

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One digest: any number of updates, then hex, once. */
export class HeapHash {
  private readonly hash: number;

  constructor(private readonly instance: Instance) {
    this.hash = instance.glue._bitnet_hash_create();
    if (this.hash === 0) throw new BitnetError("session.memory", "The browser gives no memory for a checksum.");
  }

  update(pointer: number, size: number): void {
    this.instance.glue._bitnet_hash_update(this.hash, pointer, size);
  }

  hex(): string {
    const { glue, memory } = this.instance;
    const at = glue._malloc(DIGEST_SIZE) >>> 0;
    if (at === 0) throw new BitnetError("session.memory", "The browser gives no memory for a checksum.");
    glue._bitnet_hash_final(this.hash, at);
    const digest = new Uint8Array(memory.buffer, at, DIGEST_SIZE).slice();
    glue._free(at);
    return hexOf(digest);
  }
}
