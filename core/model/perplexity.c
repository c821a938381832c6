/* perplexity.c: see bitnet/perplexity.h. Logits are f32 and have the same bits on every target
 * (docs/model.md); from there on it is double, with our own exp and log in a fixed order, so the figure
 * has the same bits everywhere too.
 */
#include "bitnet/perplexity.h"

#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "bitnet/context.h"
#include "bitnet/tokenizer.h"
#include "model/model.h"

#define DEFAULT_CTX 512

typedef struct evaluation {
    const bitnet_perplexity_desc *desc;
    bitnet_ctx *ctx;
    bitnet_token *input; /* [n_ctx] a chunk behind its BOS */
    int32_t n_ctx, n_vocab, bos, n_to_predict;
    double sum, sum_squares; /* of the negative log-likelihoods */
    bitnet_perplexity so_far;
    bitnet_error *err;
} evaluation;

/* -log softmax(logits)[next], or NaN when a logit is not finite. */
static double nll_of(const float *logits, int32_t n_vocab, bitnet_token next) {
    float max = logits[0], zero = 0.0f; /* 0 times infinity or NaN is NaN */
    for (int32_t i = 0; i < n_vocab; i++) {
        max = logits[i] > max ? logits[i] : max;
        zero += logits[i] * 0.0f;
    }
    if (zero != 0.0f) return (double)NAN;
    return fmath_log_sum_exp(logits, n_vocab, max) - ((double)logits[next] - (double)max);
}

static bitnet_status add_nll(evaluation *e, double nll) {
    bitnet_perplexity *p = &e->so_far;
    if (isnan(nll))
        return bitnet_fail(e->err, BITNET_E_FORMAT, "perplexity.nonfinite",
                           "the logits for token %d of the text are not finite", p->n_tokens);
    p->n_tokens++;
    e->sum += nll;
    e->sum_squares += nll * nll;
    double n = p->n_tokens, mean = e->sum / n, variance = e->sum_squares / n - mean * mean;
    p->nll = mean;
    p->nll_stderr = n > 1 && variance > 0 ? sqrt(variance / (n - 1)) : 0.0;
    p->perplexity = fmath_exp(mean < 700.0 ? mean : 700.0);
    return BITNET_OK;
}

/* input [n] of one chunk; the tokens from `first` on are to be predicted, each from those before. */
static bitnet_status evaluate_chunk(evaluation *e, int32_t n, int32_t n_batch) {
    bitnet_ctx_clear(e->ctx);
    e->so_far.n_chunks++;
    for (int32_t at = 0; at < n - 1; at += n_batch) { /* the last one predicts nothing */
        int32_t end = at + n_batch < n - 1 ? at + n_batch : n - 1;
        bitnet_status st = bitnet_ctx_sync(e->ctx, e->input, end);
        if (st < 0)
            return bitnet_fail(e->err, st, "perplexity.pass", "the forward pass failed: %s",
                               bitnet_status_text(st));
        for (int32_t i = at; st >= 0 && i < end; i++)
            st = add_nll(e,
                         nll_of(bitnet_ctx_logits_at(e->ctx, i - at), e->n_vocab, e->input[i + 1]));
        if (st < 0) return st;
        if (e->desc->progress &&
            e->desc->progress(e->desc->user, e->so_far.n_tokens, e->n_to_predict, &e->so_far))
            return bitnet_fail(e->err, BITNET_E_CANCELLED, "perplexity.cancelled",
                               "cancelled after %d of %d tokens", e->so_far.n_tokens,
                               e->n_to_predict);
    }
    return BITNET_OK;
}

static bitnet_status evaluate(evaluation *e, int32_t n_batch) {
    const bitnet_perplexity_desc *d = e->desc;
    int32_t n_bos = e->bos >= 0, n_chunk = e->n_ctx - n_bos;
    /* without BOS the first of a chunk is not predicted, so a last chunk of one is left out */
    int32_t n_chunks = (d->n_tokens - 1) / n_chunk + 1;
    bool is_last_lone = !n_bos && d->n_tokens % n_chunk == 1;
    if (is_last_lone) n_chunks--;
    e->n_to_predict = d->n_tokens - is_last_lone - (n_bos ? 0 : n_chunks);
    e->so_far.chunk_size = n_chunk;
    for (int32_t c = 0; c < n_chunks; c++) {
        int32_t first = c * n_chunk, left = d->n_tokens - first,
                n = left < n_chunk ? left : n_chunk;
        if (n_bos) e->input[0] = e->bos;
        memcpy(e->input + n_bos, d->tokens + first, (size_t)n * sizeof *e->input);
        bitnet_status st = evaluate_chunk(e, n + n_bos, n_batch);
        if (st < 0) return st;
    }
    return BITNET_OK;
}

static bitnet_status check(const evaluation *e) {
    const bitnet_perplexity_desc *d = e->desc;
    if (d->n_tokens < 2)
        return bitnet_fail(e->err, BITNET_E_INVAL, "perplexity.tokens",
                           "the text has %d tokens; at least 2 are needed", d->n_tokens);
    for (int32_t i = 0; i < d->n_tokens; i++)
        if (d->tokens[i] < 0 || d->tokens[i] >= e->n_vocab)
            return bitnet_fail(e->err, BITNET_E_INVAL, "perplexity.tokens",
                               "token %d of the text is %d; allowed are 0 to %d", i, d->tokens[i],
                               e->n_vocab - 1);
    if (e->n_ctx < 2)
        return bitnet_fail(e->err, BITNET_E_INVAL, "perplexity.ctx",
                           "a window of %d tokens was asked for; at least 2 are needed", e->n_ctx);
    return BITNET_OK;
}

bitnet_status bitnet_perplexity_run(bitnet_perplexity *out, const bitnet_perplexity_desc *desc,
                                    bitnet_error *err) {
    const bitnet_model *m = desc->model;
    bitnet_model_info info = bitnet_model_get_info(m);
    evaluation e = {.desc = desc, .n_vocab = info.n_vocab, .bos = info.bos, .err = err};
    *out = (bitnet_perplexity){0};
    e.n_ctx = desc->n_ctx > 0                  ? desc->n_ctx
              : info.n_ctx_train < DEFAULT_CTX ? info.n_ctx_train
                                               : DEFAULT_CTX;
    int32_t n_batch = desc->n_batch > 0 ? desc->n_batch : BITNET_BATCH_DEFAULT;
    if (n_batch > e.n_ctx) n_batch = e.n_ctx;
    bitnet_ctx_desc cd = {.model = m, .n_ctx = e.n_ctx, .n_batch = n_batch, .n_logits = n_batch};
    bitnet_status st = check(&e);
    if (st >= 0) st = bitnet_ctx_create(&e.ctx, &cd, err);
    if (st < 0) return st;
    size_t size = (size_t)e.n_ctx * sizeof *e.input;
    e.input = bitnet_alloc(&m->allocator, size);
    if (e.input)
        st = evaluate(&e, n_batch);
    else
        st = bitnet_fail(err, BITNET_E_NOMEM, "ctx.memory", "no memory for %d tokens", e.n_ctx);
    bitnet_free(&m->allocator, e.input, size);
    bitnet_ctx_free(e.ctx);
    *out = e.so_far;
    return st;
}
