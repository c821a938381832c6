/* tier.h: the tier seam: places where computed prefixes may wait to be used again.
 *
 * A tier stores values of any bytes under 64-bit keys. Keys are hints: whoever reads a value
 * compares the tokens inside it before use. A tier that fails is a miss, never an error to the
 * user. The engine asks tiers in the order given, fast ones first, and copies what a slower one had
 * to the faster ones.
 */
#ifndef BITNET_TIER_H
#define BITNET_TIER_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_tier_info {
    uint64_t used, limit;                     /* bytes */
    uint64_t n_hit, n_miss, n_put, n_evicted; /* asking with cap 0 is not counted */
} bitnet_tier_info;

/* All calls come from the thread that steps the engine. */
typedef struct bitnet_tier {
    /* OK: *n is the value's size and, when cap >= *n, dst holds it; cap 0 only asks. AGAIN: not
     * here. */
    bitnet_status (*get)(void *ctx, uint64_t key, void *dst, size_t cap, size_t *n);
    /* Keeps a copy, throwing out what was used longest ago; E_INVAL when n can never fit. */
    bitnet_status (*put)(void *ctx, uint64_t key, const void *src, size_t n);
    void (*drop)(void *ctx, uint64_t key);
    void (*info)(void *ctx, bitnet_tier_info *out);
    void (*close)(void *ctx);
    void *ctx;
} bitnet_tier;

/* Bytes of one value the engine stores for this model and window: a block of 64 tokens' keys and
 * values with all tokens up to its end. */
BITNET_API size_t bitnet_tier_value_size(const bitnet_model *model, int32_t n_ctx);

/* The first tier: memory, least recently used. Everything is allocated here (limit / value_size
 * slots of value_size bytes), nothing later. E_INVAL when not even one slot fits. */
BITNET_API bitnet_status bitnet_tier_mem_open(bitnet_tier *out, uint64_t limit, size_t value_size,
                                              const bitnet_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
