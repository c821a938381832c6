/* probe.h: what JavaScript may ask of a module before, or without, a model: whether its kernels are
 * right (js/selftest.ts); how fast they are here is ../../rates.h.
 *
 * No session is needed. One thread calls.
 */
#ifndef BITNET_WASM_PROBE_H
#define BITNET_WASM_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include <emscripten/emscripten.h>

#define EXPORT EMSCRIPTEN_KEEPALIVE

/* Runs every kernel of the module that has variants, on `rounds` sets of inputs drawn from `seed`, beside
 * the plain C one; and with seed 1 the plain C ones against recorded results. NULL: all bits are right;
 * else the name of a slot that is wrong, or "memory". About a millisecond a round with SIMD, warm. */
EXPORT const char *bitnet_selftest(uint32_t seed, int32_t rounds);

#endif
