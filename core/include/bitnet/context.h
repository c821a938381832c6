/* context.h: one mutable timeline of tokens: its KV cache and the logits after its last token.
 *
 * One thread at a time. Everything is allocated in bitnet_ctx_create; no later call allocates.
 */
#ifndef BITNET_CONTEXT_H
#define BITNET_CONTEXT_H

#include "bitnet/logits.h"
#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Past about 32 tokens a ternary matmul no longer waits for its weights; past 128 nothing more is gained
 * (docs/speed.md). */
#define BITNET_BATCH_DEFAULT 128

typedef struct bitnet_ctx bitnet_ctx;

/* {0} is valid but for `model`. */
typedef struct bitnet_ctx_desc {
    const bitnet_model *model; /* borrowed; must outlive the context */
    int32_t n_ctx;             /* window in tokens; 0 = what the model was trained with */
    int32_t n_batch;           /* most tokens per forward pass; 0 = 128 */
    int32_t n_logits; /* rows of logits there is room for: of the last n_logits tokens of a sync,
                         or of all contexts of an extend together; 0 = 1, at most n_batch */
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

/* Several timelines at once: one pass over the weights appends run[i].tok to run[i].ctx for each i and
 * computes the logits after the last n_logits of them. What a timeline becomes does not depend on the
 * others, to the bit. Activations and logits are the first context's: logits of all stand until the
 * next step of theirs or of the first one's.
 *   E_INVAL     a context twice, of another model or with another n_ctx; more tokens than the first
 *               one's n_batch or more rows than its n_logits; more than BITNET_MAX_RUNS runs; a token
 *               outside the vocabulary
 *   E_CTX_FULL  a window is too small.  Nothing changes on these. */
#define BITNET_MAX_RUNS 64
typedef struct bitnet_ctx_run {
    bitnet_ctx *ctx;
    const bitnet_token *tok;
    int32_t n, n_logits; /* tokens; rows of logits wanted, 0 .. n */
} bitnet_ctx_run;
BITNET_API bitnet_status bitnet_ctx_extend(const bitnet_ctx_run *run, int32_t n_run);

/* From the next step on only these logits of a token are sure to be computed; any other may be left out.
 */
BITNET_API void bitnet_ctx_want(bitnet_ctx *ctx, bitnet_want want);
/* Computes what was left out of the rows at hand, and of those that stand with them. */
BITNET_API bitnet_status bitnet_ctx_complete(bitnet_ctx *ctx);

/* Forget all but the first n tokens; no effect when there are no more than that. */
BITNET_API void bitnet_ctx_cut(bitnet_ctx *ctx, int32_t n);

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
/* Row i of those kept, the oldest first; NULL past the last. */
BITNET_API const float *bitnet_ctx_logits_at(const bitnet_ctx *ctx, int32_t i);
/* What is left out of row i, one of those kept. */
BITNET_API bitnet_tail bitnet_ctx_tail_at(const bitnet_ctx *ctx, int32_t i);
BITNET_API int32_t bitnet_ctx_len(const bitnet_ctx *ctx);
BITNET_API const bitnet_token *bitnet_ctx_tokens(const bitnet_ctx *ctx); /* [len] */
BITNET_API int32_t bitnet_ctx_size(const bitnet_ctx *ctx);               /* n_ctx */
BITNET_API uint64_t bitnet_ctx_kv_used(const bitnet_ctx *ctx); /* bytes of KV cache in use */

#ifdef __cplusplus
}
#endif
#endif
