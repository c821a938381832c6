/* request.c: see request.h. Everything a caller can get wrong in a request is said here. */
#include "engine/request.h"

#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "text/utf8.h"

static bitnet_status check_prompt(const bitnet_request *req, bitnet_error *err) {
    if (req->tokens) {
        if (req->n_tokens < 1)
            return bitnet_fail(err, BITNET_E_INVAL, "request.empty", "the prompt has no tokens");
        return BITNET_OK;
    }
    if (!req->prompt)
        return bitnet_fail(err, BITNET_E_INVAL, "request.empty", "the request has no prompt");
    size_t bad = bitnet_utf8_check(req->prompt, req->prompt_len);
    if (bad < req->prompt_len)
        return bitnet_fail(err, BITNET_E_FORMAT, "request.utf8",
                           "the prompt is not valid UTF-8: byte 0x%02x at offset %zu",
                           (unsigned)(unsigned char)req->prompt[bad], bad);
    return BITNET_OK;
}

/* Fills out[0 .. *n), at most cap; *n is what the prompt needs. Text is tokenized once: this time
 * counts into TTFT. */
static bitnet_status fill_prompt(bitnet_token *out, int32_t cap, int32_t *n,
                                 const bitnet_request *req, const bitnet_model *model,
                                 bitnet_error *err) {
    uint32_t flags = req->flags ? req->flags : BITNET_TOKENIZE_BOS;
    if (req->tokens) {
        *n = req->n_tokens;
        memcpy(out, req->tokens, (size_t)(*n < cap ? *n : cap) * sizeof *out);
    } else {
        *n = bitnet_tokenize(model, req->prompt, req->prompt_len, flags, out, cap);
    }
    if (*n == BITNET_E_UNSUPPORTED)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "request.tokenizer",
                           "the model file has no tokenizer; give token ids instead of text");
    if (*n < 0)
        return bitnet_fail(err, (bitnet_status)*n, "request.tokenize",
                           "tokenizing the prompt failed: %s",
                           bitnet_status_text((bitnet_status)*n));
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

static bitnet_status check_tokens(const bitnet_token *tok, int32_t n, int32_t n_vocab,
                                  bitnet_error *err) {
    for (int32_t i = 0; i < n; i++)
        if (tok[i] < 0 || tok[i] >= n_vocab)
            return bitnet_fail(err, BITNET_E_INVAL, "request.token",
                               "prompt token %d is %d; the vocabulary has 0 to %d", i, tok[i],
                               n_vocab - 1);
    return BITNET_OK;
}

bitnet_status bitnet_request_create(request **out, const bitnet_request *req,
                                    const bitnet_model *model, int32_t n_ctx,
                                    const bitnet_allocator *a, bitnet_error *err) {
    uint64_t accepted_ns = bitnet_os_now_ns();
    *out = NULL;
    bitnet_status st = bitnet_sampler_check(&req->sampler, err);
    if (st >= 0) st = check_prompt(req, err);
    if (st < 0) return st;
    size_t size = sizeof(request) + (size_t)n_ctx * sizeof(bitnet_token);
    request *r = bitnet_alloc(a, size);
    if (!r)
        return bitnet_fail(err, BITNET_E_NOMEM, "request.memory",
                           "no memory for a prompt of up to %d tokens", n_ctx);
    r->size = size;
    st = fill_prompt(r->prompt, n_ctx, &r->n_prompt, req, model, err);
    if (st >= 0)
        st = check_tokens(r->prompt, r->n_prompt, bitnet_model_get_info(model).n_vocab, err);
    if (st < 0) {
        bitnet_request_free(r, a);
        return st;
    }
    r->timings.n_prompt = r->n_prompt;
    r->max_tokens = req->max_tokens;
    bitnet_sampler_init(&r->sampler, &req->sampler);
    r->accepted_ns = accepted_ns;
    r->timings.tokenize_s = (double)(bitnet_os_now_ns() - accepted_ns) * 1e-9;
    *out = r;
    return BITNET_OK;
}

void bitnet_request_free(request *r, const bitnet_allocator *a) {
    if (r) bitnet_free(a, r, r->size);
}
