/* rates.h: how fast this machine's kernels are over weights, or a buffer that stands for them: what a model's speed can
 * be told from before it runs, or beside it. Natively and in the browser; one thread calls.
 */
#ifndef BITNET_RATES_H
#define BITNET_RATES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __EMSCRIPTEN__
#include <emscripten/emscripten.h>
#define RATES_EXPORT EMSCRIPTEN_KEEPALIVE /* js/threads.ts, js/predict.ts, js/profile.ts */
#else
#define RATES_EXPORT
#endif

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

/* Reads size bytes, a multiple of 1024; returns something that depends on all of them. */
typedef uint64_t (*bitnet_probe_reader)(const void *bytes, size_t size);

/* NULL: out of memory. On one thread, and with all kernels of this CPU, until told otherwise. */
RATES_EXPORT bitnet_probe *bitnet_probe_create(size_t size);
RATES_EXPORT void bitnet_probe_free(bitnet_probe *p); /* NULL is fine */
/* From now on with n_threads, or as many as start; how many that are. Returns when all are awake. */
RATES_EXPORT int32_t bitnet_probe_threads(bitnet_probe *p, int32_t n_threads);
/* Goes on through the buffer, `piece` bytes to a run of the pool, until `ms` have passed; one run at least. */
RATES_EXPORT double bitnet_probe_rate(bitnet_probe *p, bitnet_probe_kind kind, size_t piece,
                                      double ms);
/* Goes over memory of the caller's in place of the buffer, one piece after the other; its bytes may be anything.
 * A piece is never larger than the smallest of them. */
typedef struct bitnet_probe_memory {
    const uint8_t *data;
    size_t size;
} bitnet_probe_memory;
#define BITNET_PROBE_MEMORIES 64
void bitnet_probe_go_over(bitnet_probe *p, const bitnet_probe_memory *memory, int32_t n);
/* Kernels that cpu_mask allows (bitnet/backend.h); READ with loads as wide as the CPU has. */
void bitnet_probe_use(bitnet_probe *p, uint32_t cpu_mask, bitnet_probe_reader reader);

#endif
