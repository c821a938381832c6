/* probe.h: what JavaScript may ask of a module before, or without, a model: whether its kernels are
 * right, and how fast they are here (js/selftest.ts, js/threads.ts, js/predict.ts).
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

/* Rates of this machine over a buffer of `size` bytes, which stands for weights. */
typedef struct bitnet_probe bitnet_probe;
typedef enum bitnet_probe_kind {
    BITNET_PROBE_READ,   /* bytes a second: every byte is loaded */
    BITNET_PROBE_TERN,   /* bytes a second: tern_matmul of one token */
    BITNET_PROBE_PROMPT, /* multiply-adds a second: tern_matmul of 32 tokens, weights in a cache */
    BITNET_PROBE_F16,    /* bytes a second: f16_matmul of one token */
    BITNET_PROBE_SCAN,   /* bytes a second: scan6 of one token */
    BITNET_PROBE_FLOATS, /* floats a second, on one thread: a mean of rmsnorm, act_quant and gate_silu */
    BITNET_PROBE_FORK, /* runs of the pool a second that have nothing to do */
} bitnet_probe_kind;

/* NULL: out of memory. On one thread until told otherwise. */
EXPORT bitnet_probe *bitnet_probe_create(size_t size);
EXPORT void bitnet_probe_free(bitnet_probe *p); /* NULL is fine */
/* From now on with n_threads, or as many as start; how many that are. Returns when all are awake. */
EXPORT int32_t bitnet_probe_threads(bitnet_probe *p, int32_t n_threads);
/* Goes on through the buffer, `piece` bytes to a run of the pool, until `ms` have passed; one run at least. */
EXPORT double bitnet_probe_rate(bitnet_probe *p, bitnet_probe_kind kind, size_t piece, double ms);

#endif
