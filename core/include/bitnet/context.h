/* context.h: one mutable timeline of tokens: its KV cache and the logits after its last token.
 *
 * One thread at a time. Everything is allocated in bitnet_ctx_create; no later call allocates.
 */
#ifndef BITNET_CONTEXT_H
#define BITNET_CONTEXT_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Past about 32 tokens a ternary matmul no longer waits for its weights. */
#define BITNET_BATCH_DEFAULT 32

typedef struct bitnet_ctx bitnet_ctx;

/* {0} is valid but for `model`. */
typedef struct bitnet_ctx_desc {
    const bitnet_model *model; /* borrowed; must outlive the context */
    int32_t n_ctx;             /* window in tokens; 0 = what the model was trained with */
    int32_t n_batch;           /* most tokens per forward pass; 0 = 32 */
    bool all_logits;           /* keep logits of every token of a pass, not of the last one only */
} bitnet_ctx_desc;

BITNET_API bitnet_status bitnet_ctx_create(bitnet_ctx **out, const bitnet_ctx_desc *desc,
                                           bitnet_error *err);
BITNET_API void bitnet_ctx_free(bitnet_ctx *ctx); /* NULL is fine */

/* Make the timeline equal tok[0..n): the common prefix is kept, the rest of the old timeline is
 * forgotten, the new tokens are computed. Logits of tok[n-1] are ready afterwards. n >= 1.
 *   E_CTX_FULL  n > n_ctx;  E_INVAL  a token outside the vocabulary.  Nothing changes on these. */
BITNET_API bitnet_status bitnet_ctx_sync(bitnet_ctx *ctx, const bitnet_token *tok, int32_t n);

/* How many leading tokens of tok[0..n) the timeline already holds: what sync would not compute
 * again. */
BITNET_API int32_t bitnet_ctx_match(const bitnet_ctx *ctx, const bitnet_token *tok, int32_t n);

/* Forget the whole timeline. */
BITNET_API void bitnet_ctx_clear(bitnet_ctx *ctx);

/* Append one token and compute its logits. E_CTX_FULL when the window is full. */
BITNET_API bitnet_status bitnet_ctx_decode(bitnet_ctx *ctx, bitnet_token next);

/* Keys and values of positions first .. first + n - 1 as bytes, to be loaded into a context of the
 * same model later. save returns the bytes needed, bitnet_model_ctx_size(model, n), and writes when
 * cap is enough; the timeline must hold the positions. load makes the timeline tok[0 .. first + n),
 * the positions before `first` being there already. E_INVAL: the sizes do not fit, or they are not.
 */
BITNET_API size_t bitnet_ctx_save(const bitnet_ctx *ctx, int32_t first, int32_t n, void *out,
                                  size_t cap);
BITNET_API bitnet_status bitnet_ctx_load(bitnet_ctx *ctx, const bitnet_token *tok, int32_t first,
                                         int32_t n, const void *data, size_t size);

BITNET_API const float *
bitnet_ctx_logits(const bitnet_ctx *ctx); /* [n_vocab] f32, until the next call */
/* With all_logits: those after token i of the last forward pass (a sync of more than n_batch new
 * tokens takes several); NULL without all_logits or past the pass's tokens. */
BITNET_API const float *bitnet_ctx_logits_at(const bitnet_ctx *ctx, int32_t i);
BITNET_API int32_t bitnet_ctx_len(const bitnet_ctx *ctx);
BITNET_API int32_t bitnet_ctx_size(const bitnet_ctx *ctx);     /* n_ctx */
BITNET_API uint64_t bitnet_ctx_kv_used(const bitnet_ctx *ctx); /* bytes of KV cache in use */

#ifdef __cplusplus
}
#endif
#endif
