/* request.c: see request.h. Everything a caller can get wrong in a request is said here. */
#include "engine/request.h"

#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "base/utf8.h"

/* ---- what may be asked for ---------------------------------------------------------------------
 */

static bitnet_status check_utf8(const char *what, const char *text, size_t len, bitnet_error *err) {
    size_t bad = bitnet_utf8_check(text, len);
    if (bad == len) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_FORMAT, "request.utf8",
                       "%s is not valid UTF-8: byte 0x%02x at offset %zu", what,
                       (unsigned)(unsigned char)text[bad], bad);
}

static bitnet_status check_flags(uint32_t flags, uint32_t allowed, bitnet_error *err) {
    if (!(flags & ~allowed)) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_INVAL, "request.flags",
                       "the request has flags 0x%x; allowed with this kind of prompt are 0x%x",
                       flags, allowed);
}

static bitnet_status check_prompt(const bitnet_request *req, bitnet_error *err) {
    int n_given = (req->prompt != NULL) + (req->tokens != NULL) + (req->messages != NULL);
    if (n_given == 0)
        return bitnet_fail(err, BITNET_E_INVAL, "request.empty", "the request has no prompt");
    if (n_given > 1)
        return bitnet_fail(err, BITNET_E_INVAL, "request.prompts",
                           "the request has %d of prompt, tokens and messages; one is allowed",
                           n_given);
    if (req->messages) {
        if (req->n_messages < 1)
            return bitnet_fail(err, BITNET_E_INVAL, "request.empty",
                               "the conversation has no messages");
        return check_flags(req->flags, BITNET_CHAT_ANSWER | BITNET_CHAT_SPLIT, err);
    }
    if (req->tokens) {
        if (req->n_tokens < 1)
            return bitnet_fail(err, BITNET_E_INVAL, "request.empty", "the prompt has no tokens");
        return check_flags(req->flags, 0, err);
    }
    bitnet_status st = check_flags(req->flags, BITNET_TOKENIZE_BOS | BITNET_TOKENIZE_SPECIAL, err);
    return st < 0 ? st : check_utf8("the prompt", req->prompt, req->prompt_len, err);
}

static bitnet_status check_stop(const bitnet_request *req, bitnet_error *err) {
    if (req->n_stop < 0 || req->n_stop > BITNET_MAX_STOP || (req->n_stop > 0 && !req->stop))
        return bitnet_fail(err, BITNET_E_INVAL, "request.stop",
                           "the request has %d stop strings; allowed are 0 to %d", req->n_stop,
                           BITNET_MAX_STOP);
    for (int32_t i = 0; i < req->n_stop; i++) {
        const char *s = req->stop[i];
        size_t len = s ? strlen(s) : 0;
        if (len < 1 || len > BITNET_MAX_STOP_BYTES)
            return bitnet_fail(err, BITNET_E_INVAL, "request.stop",
                               "stop string %d has %zu bytes; allowed are 1 to %d", i, len,
                               BITNET_MAX_STOP_BYTES);
        bitnet_status st = check_utf8("a stop string", s, len, err);
        if (st < 0) return st;
    }
    return BITNET_OK;
}

static bitnet_status check_sampling(const bitnet_request *req, int32_t n_vocab, bitnet_error *err) {
    bitnet_status st = bitnet_sampler_check(&req->sampler, err);
    if (st < 0) return st;
    for (int32_t i = 0; i < req->sampler.n_bias; i++)
        if (req->sampler.bias[i].token >= n_vocab)
            return bitnet_fail(err, BITNET_E_INVAL, "request.bias",
                               "a logit bias is for token %d; the vocabulary has 0 to %d",
                               req->sampler.bias[i].token, n_vocab - 1);
    if (req->n_top_logprobs < 0 || req->n_top_logprobs > BITNET_MAX_LOGPROBS)
        return bitnet_fail(err, BITNET_E_INVAL, "request.logprobs",
                           "n_top_logprobs is %d; allowed are 0 to %d", req->n_top_logprobs,
                           BITNET_MAX_LOGPROBS);
    return BITNET_OK;
}

static bitnet_status check_tokens(const bitnet_token *tok, int32_t n, int32_t n_vocab,
                                  bitnet_error *err) {
    for (int32_t i = 0; i < n; i++)
        if (tok[i] < 0 || tok[i] >= n_vocab)
            return bitnet_fail(err, BITNET_E_INVAL, "request.token",
                               "prompt token %d is %d; the vocabulary has 0 to %d", i, tok[i],
                               n_vocab - 1);
    return BITNET_OK;
}

/* ---- the prompt's tokens -----------------------------------------------------------------------
 */

/* bitnet_tokenize tells a status alone; the sentence is made here. */
static int32_t tokenize_text(bitnet_token *out, int32_t cap, const bitnet_request *req,
                             const bitnet_model *model, bitnet_error *err) {
    uint32_t flags = req->flags ? req->flags : BITNET_TOKENIZE_BOS;
    int32_t n = bitnet_tokenize(model, req->prompt, req->prompt_len, flags, out, cap);
    if (n == BITNET_E_UNSUPPORTED)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "request.tokenizer",
                           "the model file has no tokenizer; give token ids instead of text");
    if (n < 0)
        return bitnet_fail(err, (bitnet_status)n, "request.tokenize",
                           "tokenizing the prompt failed: %s",
                           bitnet_status_text((bitnet_status)n));
    return n;
}

/* Fills out[0 .. *n), at most cap; *n is what the prompt needs. Text is tokenized once: this time
 * counts into TTFT. */
static bitnet_status fill_prompt(bitnet_token *out, int32_t cap, int32_t *n,
                                 const bitnet_request *req, const bitnet_model *model,
                                 bitnet_error *err) {
    if (req->tokens) {
        *n = req->n_tokens;
        memcpy(out, req->tokens, (size_t)(*n < cap ? *n : cap) * sizeof *out);
    } else if (req->messages) {
        *n = bitnet_chat_tokenize(model, req->chat_template, req->messages, req->n_messages,
                                  req->flags | BITNET_CHAT_ANSWER, out, cap, err);
    } else {
        *n = tokenize_text(out, cap, req, model, err);
    }
    if (*n < 0) return (bitnet_status)*n;
    if (*n == 0)
        return bitnet_fail(err, BITNET_E_INVAL, "request.empty",
                           "the prompt is empty and the model has no BOS token");
    if (*n > cap)
        return bitnet_fail(err, BITNET_E_CTX_FULL, "request.too_long",
                           "the prompt has %d tokens and the context window has room for %d; "
                           "shorten it or ask for a larger window",
                           *n, cap);
    return BITNET_OK;
}

/* ---- one allocation: request, tokens, biases ---------------------------------------------------
 */

static request *allocate(const bitnet_request *req, int32_t n_ctx, const bitnet_allocator *a) {
    size_t tokens = ((size_t)n_ctx + 1) * sizeof(bitnet_token);
    size_t biases = (size_t)req->sampler.n_bias * sizeof(bitnet_logit_bias);
    request *r = bitnet_alloc(a, sizeof *r + tokens + biases);
    if (!r) return NULL;
    r->size = sizeof *r + tokens + biases;
    bitnet_sampler_desc d = req->sampler;
    bitnet_logit_bias *copy = (void *)(r->tokens + n_ctx + 1);
    if (biases) memcpy(copy, d.bias, biases);
    d.bias = copy;
    bitnet_sampler_init(&r->sampler, &d);
    for (int32_t i = 0; i < req->n_stop; i++)
        bitnet_stop_add(&r->stop, req->stop[i], strlen(req->stop[i]));
    return r;
}

bitnet_status bitnet_request_create(request **out, const bitnet_request *req,
                                    const bitnet_model *model, int32_t n_ctx,
                                    const bitnet_allocator *a, bitnet_error *err) {
    uint64_t accepted_ns = bitnet_os_now_ns();
    int32_t n_vocab = bitnet_model_get_info(model).n_vocab;
    *out = NULL;
    bitnet_status st = check_sampling(req, n_vocab, err);
    if (st >= 0) st = check_stop(req, err);
    if (st >= 0) st = check_prompt(req, err);
    if (st < 0) return st;
    request *r = allocate(req, n_ctx, a);
    if (!r)
        return bitnet_fail(err, BITNET_E_NOMEM, "request.memory",
                           "no memory for a prompt of up to %d tokens", n_ctx);
    st = fill_prompt(r->tokens, n_ctx, &r->n_prompt, req, model, err);
    if (st >= 0) st = check_tokens(r->tokens, r->n_prompt, n_vocab, err);
    if (st < 0) {
        bitnet_request_free(r, a);
        return st;
    }
    r->timings.n_prompt = r->n_prompt;
    r->max_tokens = req->max_tokens;
    r->has_logprobs = req->has_logprobs;
    r->n_top_logprobs = req->n_top_logprobs;
    r->accepted_ns = accepted_ns;
    r->timings.tokenize_s = (double)(bitnet_os_now_ns() - accepted_ns) * 1e-9;
    *out = r;
    return BITNET_OK;
}

void bitnet_request_free(request *r, const bitnet_allocator *a) {
    if (r) bitnet_free(a, r, r->size);
}
