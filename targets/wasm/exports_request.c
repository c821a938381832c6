/* exports_request.c: see exports.h: what is asked of a loaded model. Requests are put together call by
 * call, since JavaScript should not know how C lays out a struct.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "plan.h"
#include "session.h"

static bitnet_status no_memory(bitnet_session *s) {
    return bitnet_fail(&s->err, BITNET_E_NOMEM, "session.memory",
                       "the browser gives no memory for a request");
}

/* ---- a request in the making ------------------------------------------------ */

static void clear_draft(bitnet_draft *d) {
    const int32_t n_stop =
        d->request.n_stop < BITNET_MAX_STOP ? d->request.n_stop : BITNET_MAX_STOP;
    free((void *)(uintptr_t)d->request.prompt);
    for (int32_t i = 0; i < d->request.n_messages; i++)
        free((void *)(uintptr_t)d->messages[i].content);
    for (int32_t i = 0; i < n_stop; i++)
        free((void *)(uintptr_t)d->stop[i]);
    d->request = (bitnet_request){0};
}

void bitnet_session_request_start(bitnet_session *s, uint64_t seed) {
    bitnet_draft *d = &s->draft;
    clear_draft(d);
    d->request.stop = d->stop;
    d->request.sampler = bitnet_sampler_default();
    d->request.sampler.bias = d->bias;
    d->request.sampler.seed = seed;
}

/* Converting a double outside int32 traps in WebAssembly; the least one is what the library's own checks
 * refuse. */
static int32_t to_int(double v) {
    return v >= INT32_MIN && v <= INT32_MAX ? (int32_t)v : INT32_MIN;
}

void bitnet_session_request_set(bitnet_session *s, bitnet_request_field field, double value) {
    bitnet_request *r = &s->draft.request;
    switch (field) {
    case BITNET_REQUEST_MAX_TOKENS:
        r->max_tokens = to_int(value);
        break;
    case BITNET_REQUEST_TEMP:
        r->sampler.temp = (float)value;
        break;
    case BITNET_REQUEST_TOP_K:
        r->sampler.top_k = to_int(value);
        break;
    case BITNET_REQUEST_TOP_P:
        r->sampler.top_p = (float)value;
        break;
    case BITNET_REQUEST_MIN_P:
        r->sampler.min_p = (float)value;
        break;
    case BITNET_REQUEST_REPEAT_PENALTY:
        r->sampler.repeat_penalty = (float)value;
        break;
    case BITNET_REQUEST_FREQUENCY_PENALTY:
        r->sampler.frequency_penalty = (float)value;
        break;
    case BITNET_REQUEST_PRESENCE_PENALTY:
        r->sampler.presence_penalty = (float)value;
        break;
    case BITNET_REQUEST_PENALTY_LAST_N:
        r->sampler.penalty_last_n = to_int(value);
        break;
    }
}

void bitnet_session_request_prompt(bitnet_session *s, char *text, size_t len) {
    free((void *)(uintptr_t)s->draft.request.prompt);
    s->draft.request.prompt = text;
    s->draft.request.prompt_len = len;
}

bitnet_status bitnet_session_request_message(bitnet_session *s, bitnet_role role, char *text,
                                             size_t len) {
    static const char *const roles[] = {"system", "user", "assistant"};
    bitnet_draft *d = &s->draft;
    bitnet_request *r = &d->request;
    if (r->n_messages == d->messages_cap) {
        const int32_t cap = d->messages_cap ? 2 * d->messages_cap : 16;
        bitnet_message *more = realloc(d->messages, (size_t)cap * sizeof *more);
        if (!more) {
            free(text);
            return no_memory(s);
        }
        d->messages = more;
        d->messages_cap = cap;
    }
    d->messages[r->n_messages++] =
        (bitnet_message){.role = roles[role], .content = text, .content_len = len};
    r->messages = d->messages;
    return BITNET_OK;
}

/* Those too many are counted, and refused by submit. */
void bitnet_session_request_stop(bitnet_session *s, char *text) {
    bitnet_draft *d = &s->draft;
    const int32_t i = d->request.n_stop++;
    if (i < BITNET_MAX_STOP)
        d->stop[i] = text;
    else
        free(text);
}

void bitnet_session_request_bias(bitnet_session *s, bitnet_token token, double bias) {
    bitnet_draft *d = &s->draft;
    const int32_t i = d->request.sampler.n_bias++;
    if (i < MAX_BIAS) d->bias[i] = (bitnet_logit_bias){token, (float)bias};
}

uint32_t bitnet_session_submit(bitnet_session *s) {
    uint32_t id = 0;
    const uint64_t start = bitnet_os_now_ns();
    bitnet_status st = bitnet_engine_submit(s->engine, &s->draft.request, &id, &s->err);
    if (s->profile)
        bitnet_profile_tell(s->profile, BITNET_SPAN_SUBMIT, start, bitnet_os_now_ns(), id);
    if (st == BITNET_AGAIN)
        bitnet_fail(&s->err, st, "engine.busy", "too many requests are waiting already");
    clear_draft(&s->draft);
    return st == BITNET_OK ? id : 0;
}

/* ---- running it ------------------------------------------------------------- */

bitnet_status bitnet_session_step(bitnet_session *s) {
    if (!s->profile) return bitnet_engine_step(s->engine);
    bitnet_profile_step_begin(s->profile);
    bitnet_status st = bitnet_engine_step(s->engine);
    bitnet_profile_step_end(s->profile, 0);
    return st;
}
void bitnet_session_cancel(bitnet_session *s, uint32_t id) {
    bitnet_engine_cancel(s->engine, id);
}

int32_t bitnet_session_poll(bitnet_session *s) {
    if (bitnet_engine_poll(s->engine, &s->event) != BITNET_OK) return 0;
    if (s->event.kind == BITNET_EVENT_END) s->err = s->event.error;
    if (s->profile && s->event.kind != BITNET_EVENT_PROMPT)
        bitnet_profile_set_phase(s->profile, s->event.kind == BITNET_EVENT_TOKEN
                                                 ? BITNET_PHASE_DECODE
                                                 : BITNET_PHASE_PREFILL);
    return 1 + (int32_t)s->event.kind;
}

uint32_t bitnet_session_event_request(const bitnet_session *s) {
    return s->event.request;
}
bitnet_token bitnet_session_event_token(const bitnet_session *s) {
    return s->event.token;
}
const char *bitnet_session_event_text(const bitnet_session *s) {
    return s->event.text;
}
size_t bitnet_session_event_text_len(const bitnet_session *s) {
    return s->event.text_len;
}
const bitnet_token *bitnet_session_event_prompt(const bitnet_session *s) {
    return s->event.prompt;
}
int32_t bitnet_session_event_n_prompt(const bitnet_session *s) {
    return s->event.n_prompt;
}

/* An object; null for what was not measured. */
static size_t put_metrics(char *out, size_t at, const bitnet_metrics *m) {
    const bitnet_metrics_field *f;
    for (int32_t i = 0; (f = bitnet_metrics_field_at(i)); i++) {
        const double v = bitnet_metrics_value(m, i);
        char number[32] = "null";
        if (!isnan(v)) snprintf(number, sizeof number, "%.9g", v);
        at += (size_t)snprintf(out + at, SESSION_JSON_CAP - at, "%c\"%s\":%s", i ? ',' : '{',
                               f->name, number);
    }
    return at + (size_t)snprintf(out + at, SESSION_JSON_CAP - at, "}");
}

const char *bitnet_session_event_end(bitnet_session *s) {
    const bitnet_timings *t = &s->event.timings;
    /* at least one token is computed of a prompt that was begun: its logits are needed */
    const int32_t n_cached = t->n_prompt_computed > 0 ? t->n_prompt - t->n_prompt_computed : 0;
    const bitnet_metrics m = bitnet_metrics_of(t);
    size_t at = (size_t)snprintf(
        s->json, SESSION_JSON_CAP,
        "{\"finish_reason\":\"%s\",\"usage\":{\"promptTokens\":%d,\"completionTokens\":%d,"
        "\"totalTokens\":%d,\"cachedTokens\":%d},\"timings\":{\"n_prompt\":%d,"
        "\"n_prompt_computed\":%d,\"n_generated\":%d,\"n_drafted\":%d,\"n_accepted\":%d,"
        "\"tokenize_s\":%.9g,\"prefill_s\":%.9g,\"ttft_s\":%.9g,\"decode_s\":%.9g,"
        "\"decode_pass_s\":%.9g,\"sample_s\":%.9g,\"detokenize_s\":%.9g,\"e2e_s\":%.9g},"
        "\"metrics\":",
        bitnet_finish_name(s->event.finish), t->n_prompt, t->n_generated,
        t->n_prompt + t->n_generated, n_cached, t->n_prompt, t->n_prompt_computed, t->n_generated,
        t->n_drafted, t->n_accepted, t->tokenize_s, t->prefill_s, t->ttft_s, t->decode_s,
        t->decode_pass_s, t->sample_s, t->detokenize_s, t->e2e_s);
    at = put_metrics(s->json, at, &m);
    snprintf(s->json + at, SESSION_JSON_CAP - at, "}");
    return s->json;
}

const char *bitnet_session_metrics(bitnet_session *s) {
    const bitnet_metrics m = bitnet_engine_get_metrics(s->engine);
    put_metrics(s->json, 0, &m);
    return s->json;
}
void bitnet_session_reset_metrics(bitnet_session *s) {
    bitnet_engine_reset_metrics(s->engine);
}

/* ---- answers of any length -------------------------------------------------- */

void bitnet_session_result_free(bitnet_session *s) {
    free(s->result);
    s->result = NULL;
    s->result_size = 0;
}

/* Room for an answer; NULL with the reason in err. */
static void *make_result(bitnet_session *s, size_t size) {
    bitnet_session_result_free(s);
    s->result = malloc(size ? size : 1);
    s->result_size = s->result ? size : 0;
    if (!s->result)
        bitnet_fail(&s->err, BITNET_E_NOMEM, "session.memory",
                    "the browser gives no memory for an answer of %zu bytes", size);
    return s->result;
}

const void *bitnet_session_result(const bitnet_session *s) {
    return s->result;
}
size_t bitnet_session_result_size(const bitnet_session *s) {
    return s->result_size;
}

/* ---- text ------------------------------------------------------------------- */

int32_t bitnet_session_tokenize(bitnet_session *s, const char *text, size_t len, uint32_t flags,
                                bitnet_token *out, int32_t cap) {
    int32_t n = bitnet_tokenize(s->model, text, len, flags, out, cap);
    if (n < 0)
        bitnet_fail(&s->err, (bitnet_status)n, "tokenize", "the text cannot be tokenized: %s",
                    bitnet_status_text((bitnet_status)n));
    return n;
}

bitnet_status bitnet_session_detokenize(bitnet_session *s, const bitnet_token *ids, int32_t n) {
    int32_t size = bitnet_detokenize(s->model, ids, n, NULL, 0);
    if (size < 0)
        return bitnet_fail(&s->err, (bitnet_status)size, "detokenize",
                           "the tokens cannot be made text: %s",
                           bitnet_status_text((bitnet_status)size));
    char *out = make_result(s, (size_t)size);
    if (!out) return BITNET_E_NOMEM;
    bitnet_detokenize(s->model, ids, n, out, size);
    return BITNET_OK;
}

bitnet_status bitnet_session_chat_text(bitnet_session *s) {
    const bitnet_request *r = &s->draft.request;
    int32_t size = bitnet_chat_render(s->model, NULL, r->messages, r->n_messages,
                                      BITNET_CHAT_ANSWER, NULL, 0, &s->err);
    char *out = size < 0 ? NULL : make_result(s, (size_t)size);
    if (out)
        bitnet_chat_render(s->model, NULL, r->messages, r->n_messages, BITNET_CHAT_ANSWER, out,
                           size, &s->err);
    clear_draft(&s->draft);
    return size < 0 ? (bitnet_status)size : out ? BITNET_OK : BITNET_E_NOMEM;
}

/* ---- the state of the KV cache ---------------------------------------------- */

bitnet_status bitnet_session_save(bitnet_session *s) {
    size_t size = 0;
    bitnet_status st = bitnet_engine_save(s->engine, NULL, &size, &s->err);
    if (st < 0) return st;
    void *out = make_result(s, size);
    return out ? bitnet_engine_save(s->engine, out, &size, &s->err) : BITNET_E_NOMEM;
}

bitnet_status bitnet_session_restore(bitnet_session *s, const void *data, size_t size) {
    return bitnet_engine_load(s->engine, data, size, &s->err);
}

/* ---- perplexity ------------------------------------------------------------- */

void bitnet_session_score_end(bitnet_session *s) {
    bitnet_evaluation_free(s->score.evaluation);
    free(s->score.tokens);
    s->score = (bitnet_score){0};
}

bitnet_status bitnet_session_score_start(bitnet_session *s, const char *text, size_t len) {
    bitnet_session_score_end(s);
    const int32_t n = bitnet_session_tokenize(s, text, len, 0, NULL, 0);
    if (n < 0) return (bitnet_status)n;
    s->score.tokens = malloc(((size_t)n + 1) * sizeof *s->score.tokens);
    if (!s->score.tokens) return no_memory(s);
    bitnet_session_tokenize(s, text, len, 0, s->score.tokens, n);
    const bitnet_perplexity_desc desc = {
        .model = s->model, .tokens = s->score.tokens, .n_tokens = n, .n_batch = WASM_BATCH};
    bitnet_status st = bitnet_evaluation_create(&s->score.evaluation, &desc, &s->err);
    if (st < 0) bitnet_session_score_end(s);
    return st;
}

bitnet_status bitnet_session_score_step(bitnet_session *s) {
    return bitnet_evaluation_step(s->score.evaluation, &s->score.so_far, &s->err);
}

const char *bitnet_session_score(bitnet_session *s) {
    const bitnet_perplexity *p = &s->score.so_far;
    snprintf(s->json, SESSION_JSON_CAP,
             "{\"perplexity\":%.17g,\"standardError\":%.17g,\"nTokens\":%d,\"total\":%d}",
             p->perplexity, p->perplexity * p->nll_stderr, p->n_tokens,
             bitnet_evaluation_total(s->score.evaluation));
    return s->json;
}

void bitnet_session_free_requests(bitnet_session *s) {
    bitnet_session_score_end(s);
    bitnet_session_result_free(s);
    clear_draft(&s->draft);
    free(s->draft.messages);
}
