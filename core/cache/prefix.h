/* prefix.h: which computed prefixes to keep in the tiers, and the longest one to take from them.
 *
 * A prompt is cut into blocks of 64 tokens. The key of a block is a hash of the model's fingerprint
 * and of every token up to the block's end, so a block is found only behind the same beginning; its
 * value carries those tokens, and they are compared before the keys and values are used.
 */
#ifndef BITNET_PREFIX_H
#define BITNET_PREFIX_H

#include <stdbool.h>

#include "bitnet/context.h"
#include "bitnet/tier.h"

#define PREFIX_BLOCK 64
#define PREFIX_TIERS 4

typedef struct bitnet_prefix {
    bitnet_tier tier[PREFIX_TIERS]; /* fast to slow; closed by their owner */
    int32_t n_tiers;
    uint64_t fingerprint;
    void *value; /* room for one */
    size_t value_size;
} bitnet_prefix;

/* Extends the timeline of ctx along tok[0..n) from the tiers as far as they reach, leaving at least
 * one token to compute. Allocates nothing. */
void bitnet_prefix_fetch(bitnet_prefix *p, bitnet_ctx *ctx, const bitnet_token *tok, int32_t n);
/* Offers every whole block of the timeline tok[0..n), which ctx holds, to the tiers that lack it.
 */
void bitnet_prefix_store(bitnet_prefix *p, const bitnet_ctx *ctx, const bitnet_token *tok,
                         int32_t n);

#endif
