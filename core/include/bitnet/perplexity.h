/* perplexity.h: how well a model predicts a text: exp of the mean negative log-likelihood per token.
 *
 * The tokens are cut into chunks of n_ctx - 1, each computed on its own behind one BOS token, so that
 * every token is predicted once, from all before it in its chunk. A model without BOS gets chunks of
 * n_ctx whose first token is not predicted.
 */
#ifndef BITNET_PERPLEXITY_H
#define BITNET_PERPLEXITY_H

#include "bitnet/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_perplexity {
    double perplexity; /* exp(nll) */
    double nll;        /* mean negative log-likelihood, nats per token */
    double nll_stderr; /* standard error of that mean */
    int32_t n_tokens;  /* predicted tokens */
    int32_t n_chunks;
    int32_t chunk_size; /* tokens of the text in a chunk that is not the last */
} bitnet_perplexity;

/* {0} is valid but for model, tokens and n_tokens. */
typedef struct bitnet_perplexity_desc {
    const bitnet_model *model;
    const bitnet_token *tokens; /* without BOS */
    int32_t n_tokens;           /* >= 2 */
    int32_t n_ctx;              /* 0 = the smaller of 512 and what the model was trained with */
    int32_t n_batch;            /* 0 = 128 */
    /* after each pass, on the calling thread; non-zero ends the run with E_CANCELLED */
    int (*progress)(void *user, int32_t done, int32_t total, const bitnet_perplexity *so_far);
    void *user;
} bitnet_perplexity_desc;

BITNET_API bitnet_status bitnet_perplexity_run(bitnet_perplexity *out,
                                               const bitnet_perplexity_desc *desc,
                                               bitnet_error *err);

/* The same pass by pass, for callers with an event loop. desc->tokens are borrowed until free; nothing is
 * allocated after create. desc->progress is not called. */
typedef struct bitnet_evaluation bitnet_evaluation;
BITNET_API bitnet_status bitnet_evaluation_create(bitnet_evaluation **out,
                                                  const bitnet_perplexity_desc *desc,
                                                  bitnet_error *err);
/* One pass of at most n_batch tokens: OK to go on, DONE when that was the last one, and from then on. */
BITNET_API bitnet_status bitnet_evaluation_step(bitnet_evaluation *e, bitnet_perplexity *so_far,
                                                bitnet_error *err);
BITNET_API int32_t bitnet_evaluation_total(const bitnet_evaluation *e); /* tokens to predict */
BITNET_API void bitnet_evaluation_free(bitnet_evaluation *e);           /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
