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

struct bitnet_evaluation {
    bitnet_perplexity_desc desc;
    bitnet_ctx *ctx;
    bitnet_token *input; /* [n_ctx] a chunk behind its BOS */
    int32_t n_ctx, n_batch, n_vocab, bos;
    int32_t n_chunks, n_to_predict; /* in all */
    int32_t n_input, at;            /* tokens of the chunk in hand, and those computed */
    double sum, sum_squares;        /* of the negative log-likelihoods */
    bitnet_perplexity so_far;
};
typedef struct bitnet_evaluation evaluation;

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

static bitnet_status add_nll(evaluation *e, double nll, bitnet_error *err) {
    bitnet_perplexity *p = &e->so_far;
    if (isnan(nll))
        return bitnet_fail(err, BITNET_E_FORMAT, "perplexity.nonfinite",
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

/* without BOS the first of a chunk is not predicted, so a last chunk of one is left out */
static void count_chunks(evaluation *e) {
    int32_t n_tokens = e->desc.n_tokens, n_bos = e->bos >= 0, n_chunk = e->n_ctx - n_bos;
    bool is_last_lone = !n_bos && n_tokens % n_chunk == 1;
    e->n_chunks = (n_tokens - 1) / n_chunk + 1 - is_last_lone;
    e->n_to_predict = n_tokens - is_last_lone - (n_bos ? 0 : e->n_chunks);
    e->so_far.chunk_size = n_chunk;
}

static void start_chunk(evaluation *e) {
    const int32_t n_bos = e->bos >= 0, n_chunk = e->so_far.chunk_size;
    const int32_t first = e->so_far.n_chunks++ * n_chunk, left = e->desc.n_tokens - first,
                  n = left < n_chunk ? left : n_chunk;
    if (n_bos) e->input[0] = e->bos;
    memcpy(e->input + n_bos, e->desc.tokens + first, (size_t)n * sizeof *e->input);
    e->n_input = n + n_bos;
    e->at = 0;
    bitnet_ctx_clear(e->ctx);
}

static bool is_chunk_done(const evaluation *e) {
    return e->at >= e->n_input - 1; /* the last one predicts nothing */
}

static bool is_done(const evaluation *e) {
    return is_chunk_done(e) && e->so_far.n_chunks == e->n_chunks;
}

bitnet_status bitnet_evaluation_step(bitnet_evaluation *e, bitnet_perplexity *so_far,
                                     bitnet_error *err) {
    *so_far = e->so_far;
    if (is_done(e)) return BITNET_DONE;
    if (is_chunk_done(e)) start_chunk(e);
    const int32_t last = e->n_input - 1, at = e->at,
                  end = last - at < e->n_batch ? last : at + e->n_batch;
    bitnet_status st = bitnet_ctx_sync(e->ctx, e->input, end);
    if (st < 0)
        bitnet_fail(err, st, "perplexity.pass", "the forward pass failed: %s",
                    bitnet_status_text(st));
    for (int32_t i = at; st >= 0 && i < end; i++)
        st = add_nll(e, nll_of(bitnet_ctx_logits_at(e->ctx, i - at), e->n_vocab, e->input[i + 1]),
                     err);
    *so_far = e->so_far;
    if (st < 0) return st;
    e->at = end;
    return is_done(e) ? BITNET_DONE : BITNET_OK;
}

int32_t bitnet_evaluation_total(const bitnet_evaluation *e) {
    return e->n_to_predict;
}

static bitnet_status check(const evaluation *e, bitnet_error *err) {
    const bitnet_perplexity_desc *d = &e->desc;
    if (d->n_tokens < 2)
        return bitnet_fail(err, BITNET_E_INVAL, "perplexity.tokens",
                           "the text has %d tokens; at least 2 are needed", d->n_tokens);
    for (int32_t i = 0; i < d->n_tokens; i++)
        if (d->tokens[i] < 0 || d->tokens[i] >= e->n_vocab)
            return bitnet_fail(err, BITNET_E_INVAL, "perplexity.tokens",
                               "token %d of the text is %d; allowed are 0 to %d", i, d->tokens[i],
                               e->n_vocab - 1);
    if (e->n_ctx < 2)
        return bitnet_fail(err, BITNET_E_INVAL, "perplexity.ctx",
                           "a window of %d tokens was asked for; at least 2 are needed", e->n_ctx);
    return BITNET_OK;
}

static bitnet_status make_context(evaluation *e, bitnet_error *err) {
    const bitnet_model *m = e->desc.model;
    bitnet_ctx_desc cd = {
        .model = m, .n_ctx = e->n_ctx, .n_batch = e->n_batch, .n_logits = e->n_batch};
    bitnet_status st = bitnet_ctx_create(&e->ctx, &cd, err);
    if (st < 0) return st;
    e->input = bitnet_alloc(&m->allocator, (size_t)e->n_ctx * sizeof *e->input);
    if (e->input) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_NOMEM, "ctx.memory", "no memory for %d tokens", e->n_ctx);
}

bitnet_status bitnet_evaluation_create(bitnet_evaluation **out, const bitnet_perplexity_desc *desc,
                                       bitnet_error *err) {
    const bitnet_allocator *a = &desc->model->allocator;
    bitnet_model_info info = bitnet_model_get_info(desc->model);
    *out = NULL;
    evaluation *e = bitnet_alloc(a, sizeof *e);
    if (!e) return bitnet_fail(err, BITNET_E_NOMEM, "ctx.memory", "no memory for an evaluation");
    *e = (evaluation){.desc = *desc, .n_vocab = info.n_vocab, .bos = info.bos};
    e->n_ctx = desc->n_ctx > 0                  ? desc->n_ctx
               : info.n_ctx_train < DEFAULT_CTX ? info.n_ctx_train
                                                : DEFAULT_CTX;
    e->n_batch = desc->n_batch > 0 ? desc->n_batch : BITNET_BATCH_DEFAULT;
    if (e->n_batch > e->n_ctx) e->n_batch = e->n_ctx;
    bitnet_status st = check(e, err);
    if (st >= 0) st = make_context(e, err);
    if (st < 0) {
        bitnet_evaluation_free(e);
        return st;
    }
    count_chunks(e);
    *out = e;
    return BITNET_OK;
}

void bitnet_evaluation_free(bitnet_evaluation *e) {
    if (!e) return;
    bitnet_allocator a = e->desc.model->allocator;
    bitnet_free(&a, e->input, (size_t)e->n_ctx * sizeof *e->input);
    bitnet_ctx_free(e->ctx);
    bitnet_free(&a, e, sizeof *e);
}

bitnet_status bitnet_perplexity_run(bitnet_perplexity *out, const bitnet_perplexity_desc *desc,
                                    bitnet_error *err) {
    bitnet_evaluation *e;
    *out = (bitnet_perplexity){0};
    bitnet_status st = bitnet_evaluation_create(&e, desc, err);
    while (st == BITNET_OK) {
        st = bitnet_evaluation_step(e, out, err);
        if (st >= 0 && desc->progress &&
            desc->progress(desc->user, out->n_tokens, e->n_to_predict, out))
            st = bitnet_fail(err, BITNET_E_CANCELLED, "perplexity.cancelled",
                             "cancelled after %d of %d tokens", out->n_tokens, e->n_to_predict);
    }
    bitnet_evaluation_free(e);
    return st < 0 ? st : BITNET_OK;
}
