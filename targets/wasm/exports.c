/* exports.c: see exports.h.
 *
 * The tracker is made with the session, because the engine pushes into a ring from its first step; a
 * report may be opened and closed behind it at any time.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "bitnet/bitnet.h"
#include "exports.h"
#include "files.h"
#include "json.h"
#include "plan.h"
#include "transport_ws.h"

#define RING_CAP    4096
#define PATIENCE    500000000u  /* ns that records wait in the rings for a first connection */
#define MEMORY_EACH 1000000000u /* ns between two records of the memory metric */

struct bitnet_session {
    wasm_files files;
    bitnet_model *model;
    bitnet_engine *engine;
    bitnet_tier prefixes; /* of earlier prompts; close is NULL when there is no room for any */
    int32_t n_ctx;

    bitnet_tracker *tracker;
    bitnet_ring *engine_ring, *monitor_ring;
    bitnet_sink report;         /* write is NULL while nobody listens */
    bitnet_ws *ws;              /* the report's transport */
    bitnet_transport transport; /* the same; owned by the report */
    uint64_t patient_until_ns;
    uint64_t memory_ns; /* when the memory metric was last recorded */

    bitnet_event event; /* the one polled last */
    bitnet_error err;
    char json[SESSION_JSON_CAP];
};

/* ---- life ------------------------------------------------------------------ */

/* The tracker has one sink for its whole life and the rings outlive every report: reporting can
 * start and stop while the engine runs. */
static bitnet_status forward_window(void *ctx, const bitnet_window *w) {
    bitnet_session *s = ctx;
    return s->report.write ? s->report.write(s->report.ctx, w) : BITNET_OK;
}

void bitnet_session_track_close(bitnet_session *s) {
    if (!s->report.write) return;
    bitnet_tracker_pump(s->tracker, bitnet_os_now_ns());
    s->report.close(s->report.ctx);
    s->report = (bitnet_sink){0};
    s->ws = NULL;
}

void bitnet_session_free(bitnet_session *s) {
    if (!s) return;
    bitnet_engine_free(s->engine);
    if (s->prefixes.close) s->prefixes.close(s->prefixes.ctx);
    bitnet_model_free(s->model);
    if (s->tracker) bitnet_session_track_close(s);
    bitnet_tracker_free(s->tracker);
    wasm_files_free(&s->files);
    free(s);
}

bitnet_session *bitnet_session_create(void) {
    bitnet_session *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    if (bitnet_tracker_create(&s->tracker, &(bitnet_tracker_desc){.ring_cap = RING_CAP}) < 0)
        goto fail;
    s->engine_ring = bitnet_tracker_ring(s->tracker);
    s->monitor_ring = bitnet_tracker_ring(s->tracker);
    if (!s->engine_ring || !s->monitor_ring) goto fail;
    if (bitnet_tracker_add_sink(s->tracker, (bitnet_sink){.write = forward_window, .ctx = s}) < 0)
        goto fail;
    return s;
fail:
    bitnet_session_free(s);
    return NULL;
}

void *bitnet_session_reserve(bitnet_session *s, size_t size, double room) {
    if (s->model) {
        bitnet_fail(&s->err, BITNET_E_INVAL, "session.order", "reserve comes before load");
        return NULL;
    }
    return wasm_files_add(&s->files, size, room, &s->err);
}

void bitnet_session_unreserve(bitnet_session *s) {
    if (!s->model) wasm_files_drop(&s->files);
}

bitnet_status bitnet_session_load(bitnet_session *s, int32_t n_threads, int32_t n_ctx,
                                  bitnet_kv_type cache_type_k, bitnet_kv_type cache_type_v,
                                  bitnet_switch staged) {
    if (s->files.n == 0 || s->model)
        return bitnet_fail(&s->err, BITNET_E_INVAL, "session.order",
                           "load comes after reserve, once");
    wasm_how how = {n_threads, n_ctx, cache_type_k, cache_type_v, staged};
    wasm_plan plan;
    bitnet_model *header = NULL;
    bitnet_status st = wasm_plan_make(&plan, &how, &header, s->files.file, s->files.n, &s->err);
    bitnet_model_free(header);
    if (st < 0) return st;
    const bitnet_model_desc md = {.files = s->files.file,
                                  .n_files = s->files.n,
                                  .n_threads = n_threads,
                                  .cache_type_k = cache_type_k,
                                  .cache_type_v = cache_type_v,
                                  .staged = how.staged};
    st = bitnet_model_load(&s->model, &md, &s->err);
    if (st < 0) return st;
    s->n_ctx = how.n_ctx;
    bool has_tier =
        bitnet_tier_mem_open(&s->prefixes, wasm_prefix_size(plan.file),
                             bitnet_tier_value_size(s->model, s->n_ctx), NULL) == BITNET_OK;
    const bitnet_engine_desc ed = {.model = s->model,
                                   .n_batch = WASM_BATCH,
                                   .n_ctx = s->n_ctx,
                                   .ring = s->engine_ring,
                                   .tiers = &s->prefixes,
                                   .n_tiers = has_tier};
    return bitnet_engine_create(&s->engine, &ed, &s->err);
}

const char *bitnet_session_error_id(const bitnet_session *s) {
    return s->err.id ? s->err.id : "";
}
const char *bitnet_session_error_text(const bitnet_session *s) {
    return s->err.text;
}

/* ---- JSON, for what is asked once per model or answer ----------------------- */

char *session_json(bitnet_session *s) {
    return s->json;
}
bitnet_error *session_error(bitnet_session *s) {
    return &s->err;
}

const char *bitnet_session_info(bitnet_session *s) {
    bitnet_model_info i = bitnet_model_get_info(s->model);
    char *out = s->json;
    size_t at = 1;
    out[0] = '{';
    at = json_put_string(out, SESSION_JSON_CAP, at, "arch", i.arch);
    at = json_put_string(out, SESSION_JSON_CAP, at, "name", i.name);
    at = json_put_string(out, SESSION_JSON_CAP, at, "backend", i.backend);
    at = json_put_string(out, SESSION_JSON_CAP, at, "tier", i.tier);
    at = json_put_string(out, SESSION_JSON_CAP, at, "tokenizer", i.tokenizer);
    snprintf(out + at, SESSION_JSON_CAP - at,
             "\"threads\":%d,\"nCtx\":%d,\"nCtxTrain\":%d,\"nLayer\":%d,\"nEmbd\":%d,\"nVocab\":%d,"
             "\"nParams\":%" PRIu64 ",\"fileSize\":%" PRIu64 ",\"weightSize\":%" PRIu64
             ",\"tokenBytes\":%" PRIu64 ",\"contextSize\":%" PRIu64 "}",
             i.n_threads, s->n_ctx, i.n_ctx_train, i.n_layer, i.n_embd, i.n_vocab, i.n_params,
             i.file_size, i.weight_size, i.token_bytes, bitnet_model_ctx_size(s->model, s->n_ctx));
    return out;
}

/* ---- requests -------------------------------------------------------------- */

uint32_t bitnet_session_submit(bitnet_session *s, const char *prompt, size_t len,
                               int32_t max_tokens, const bitnet_sampler_desc *sampler) {
    bitnet_request req = {
        .prompt = prompt, .prompt_len = len, .max_tokens = max_tokens, .sampler = *sampler};
    uint32_t id = 0;
    bitnet_status st = bitnet_engine_submit(s->engine, &req, &id, &s->err);
    if (st == BITNET_AGAIN)
        bitnet_fail(&s->err, st, "engine.busy", "too many requests are waiting already");
    return st == BITNET_OK ? id : 0;
}

bitnet_sampler_desc *bitnet_session_sampler(uint64_t seed) {
    bitnet_sampler_desc *d = malloc(sizeof *d);
    if (d) {
        *d = bitnet_sampler_default();
        d->seed = seed;
    }
    return d;
}

/* Converting a double outside int32 traps in WebAssembly; -1 is what the sampler's own check
 * refuses. */
static int32_t to_int(double v) {
    return v >= 0 && v <= INT32_MAX ? (int32_t)v : -1;
}

void bitnet_session_sampler_set(bitnet_sampler_desc *d, bitnet_sampler_field field, double value) {
    switch (field) {
    case BITNET_SAMPLER_TEMP:
        d->temp = (float)value;
        break;
    case BITNET_SAMPLER_TOP_K:
        d->top_k = to_int(value);
        break;
    case BITNET_SAMPLER_TOP_P:
        d->top_p = (float)value;
        break;
    case BITNET_SAMPLER_MIN_P:
        d->min_p = (float)value;
        break;
    }
}

bitnet_status bitnet_session_step(bitnet_session *s) {
    return bitnet_engine_step(s->engine);
}
void bitnet_session_cancel(bitnet_session *s, uint32_t id) {
    bitnet_engine_cancel(s->engine, id);
}

int32_t bitnet_session_poll(bitnet_session *s) {
    if (bitnet_engine_poll(s->engine, &s->event) != BITNET_OK) return 0;
    if (s->event.kind == BITNET_EVENT_END) s->err = s->event.error;
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

const char *bitnet_session_event_end(bitnet_session *s) {
    const bitnet_timings *t = &s->event.timings;
    snprintf(s->json, SESSION_JSON_CAP,
             "{\"finish_reason\":\"%s\",\"timings\":{\"n_prompt\":%d,\"n_prompt_computed\":%d,"
             "\"n_generated\":%d,\"n_drafted\":%d,\"n_accepted\":%d,\"tokenize_s\":%.9g,\"prefill_"
             "s\":%.9g,\"ttft_s\":%.9g,"
             "\"decode_s\":%.9g,\"sample_s\":%.9g,\"e2e_s\":%.9g}}",
             bitnet_finish_name(s->event.finish), t->n_prompt, t->n_prompt_computed, t->n_generated,
             t->n_drafted, t->n_accepted, t->tokenize_s, t->prefill_s, t->ttft_s, t->decode_s,
             t->sample_s, t->e2e_s);
    return s->json;
}

int32_t bitnet_session_tokenize(bitnet_session *s, const char *text, size_t len, uint32_t flags,
                                bitnet_token *out, int32_t cap) {
    int32_t n = bitnet_tokenize(s->model, text, len, flags, out, cap);
    if (n < 0)
        bitnet_fail(&s->err, (bitnet_status)n, "tokenize", "the text cannot be tokenized: %s",
                    bitnet_status_text((bitnet_status)n));
    return n;
}

/* ---- tracker --------------------------------------------------------------- */

bitnet_status bitnet_session_track_open(bitnet_session *s, const char *url, const char *name,
                                        uint64_t instance) {
    bitnet_session_track_close(s);
    bitnet_status st = bitnet_transport_ws_open(&s->transport, &s->ws, url);
    if (st >= 0) {
        bitnet_model_info info = bitnet_model_get_info(s->model);
        bitnet_report_desc rd = {.name = name,
                                 .backend = "wasm",
                                 .tier = info.tier,
                                 .model = info.name,
                                 .n_threads = info.n_threads,
                                 .instance = instance};
        st = bitnet_report_open(&s->report, s->transport, &rd);
        if (st < 0) s->transport.close(s->transport.ctx);
    }
    if (st < 0) {
        s->ws = NULL;
        return bitnet_fail(&s->err, st, "track.memory", "no memory for the tracker");
    }
    s->patient_until_ns = bitnet_os_now_ns() + PATIENCE;
    return BITNET_OK;
}

int32_t bitnet_session_track_state(const bitnet_session *s, int32_t *close_code) {
    *close_code = 0;
    return s->ws ? (int32_t)bitnet_ws_get_state(s->ws, close_code) : -1;
}

void bitnet_session_pump(bitnet_session *s) {
    uint64_t now = bitnet_os_now_ns();
    if (s->ws) bitnet_ws_pump(s->ws, now);
    if (now - s->memory_ns >= MEMORY_EACH) {
        s->memory_ns = now;
        bitnet_ring_push(s->monitor_ring, now, BITNET_METRIC_MEMORY, (double)bitnet_os_rss(), 0, 0);
    }
    bool is_waiting =
        s->ws && now < s->patient_until_ns && s->transport.n_opened(s->transport.ctx) == 0;
    if (!is_waiting) bitnet_tracker_pump(s->tracker, now);
}
