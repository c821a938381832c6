/* prefix.c: see prefix.h. */
#include "cache/prefix.h"

#include <string.h>

#include "base/hash.h"

/* Value of block b: the tokens 0 .. (b+1)*64-1, then what bitnet_ctx_save wrote of the last 64. */
size_t bitnet_tier_value_size(const bitnet_model *model, int32_t n_ctx) {
    return (size_t)n_ctx * sizeof(bitnet_token) +
           (size_t)bitnet_model_ctx_size(model, PREFIX_BLOCK);
}

static uint64_t extend_key(uint64_t key, const bitnet_token *tok) {
    for (int32_t i = 0; i < PREFIX_BLOCK; i++)
        key = hash_word(key, (uint64_t)(uint32_t)tok[i]);
    return key;
}

/* True when the value in p->value is block b of this very prompt and the context took it. */
static bool use_value(bitnet_prefix *p, bitnet_ctx *ctx, const bitnet_token *tok, int32_t b,
                      size_t size) {
    int32_t end = (b + 1) * PREFIX_BLOCK;
    size_t tokens_size = (size_t)end * sizeof *tok;
    if (size < tokens_size || memcmp(p->value, tok, tokens_size) != 0) return false;
    return bitnet_ctx_load(ctx, tok, b * PREFIX_BLOCK, PREFIX_BLOCK,
                           (const char *)p->value + tokens_size, size - tokens_size) == BITNET_OK;
}

static bool fetch_block(bitnet_prefix *p, bitnet_ctx *ctx, const bitnet_token *tok, int32_t b,
                        uint64_t key) {
    for (int32_t i = 0; i < p->n_tiers; i++) {
        size_t size = 0;
        if (p->tier[i].get(p->tier[i].ctx, key, p->value, p->value_size, &size) != BITNET_OK ||
            size > p->value_size)
            continue;
        if (!use_value(p, ctx, tok, b, size)) continue;
        for (int32_t above = 0; above < i; above++)
            p->tier[above].put(p->tier[above].ctx, key, p->value, size);
        return true;
    }
    return false;
}

void bitnet_prefix_fetch(bitnet_prefix *p, bitnet_ctx *ctx, const bitnet_token *tok, int32_t n) {
    int32_t known = bitnet_ctx_match(ctx, tok, n);
    uint64_t key = p->fingerprint;
    for (int32_t b = 0; (b + 1) * PREFIX_BLOCK < n; b++) {
        key = extend_key(key, tok + b * PREFIX_BLOCK);
        if ((b + 1) * PREFIX_BLOCK <= known) continue;
        if (!fetch_block(p, ctx, tok, b, key)) return;
    }
}

void bitnet_prefix_store(bitnet_prefix *p, const bitnet_ctx *ctx, const bitnet_token *tok,
                         int32_t n) {
    uint64_t key = p->fingerprint;
    for (int32_t b = 0; (b + 1) * PREFIX_BLOCK <= n; b++) {
        key = extend_key(key, tok + b * PREFIX_BLOCK);
        size_t tokens_size = (size_t)(b + 1) * PREFIX_BLOCK * sizeof *tok, size = 0;
        for (int32_t i = 0; i < p->n_tiers; i++) {
            size_t there;
            if (p->tier[i].get(p->tier[i].ctx, key, NULL, 0, &there) == BITNET_OK) continue;
            if (size == 0) { /* made once, for the first tier that lacks it */
                memcpy(p->value, tok, tokens_size);
                size = tokens_size + bitnet_ctx_save(ctx, b * PREFIX_BLOCK, PREFIX_BLOCK,
                                                     (char *)p->value + tokens_size,
                                                     p->value_size - tokens_size);
            }
            p->tier[i].put(p->tier[i].ctx, key, p->value, size);
        }
    }
}
