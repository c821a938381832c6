/* exports.c: see exports.h: a session's life, its model, its tracker. exports_request.c has the rest.
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
#include "plan.h"
#include "session.h"

#define RING_CAP    8192
#define SPOOL_BYTES (1u << 20) /* three minutes of a tab that decodes and whose hub is away */
#define PATIENCE    500000000u  /* ns that records wait in the rings for a first connection */
#define SAMPLE_EACH 1000000000u /* ns between two samples of the heap */

/* ---- life ------------------------------------------------------------------ */

/* The tracker has one sink for its whole life and the rings outlive every report: reporting can
 * start and stop while the engine runs. */
static bitnet_status forward_window(void *ctx, const bitnet_window *w) {
    bitnet_session *s = ctx;
    bitnet_overhead_window(&s->overhead, w);
    return s->report.write ? s->report.write(s->report.ctx, w) : BITNET_OK;
}

static bitnet_status forward_op(void *ctx, const char *json, size_t n) {
    bitnet_session *s = ctx;
    return s->report.op ? s->report.op(s->report.ctx, json, n) : BITNET_OK;
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
    bitnet_session_free_requests(s);
    bitnet_session_profile_close(s);
    bitnet_engine_free(s->engine);
    if (s->prefixes.close) s->prefixes.close(s->prefixes.ctx);
    bitnet_model_free(s->model);
    bitnet_ops_free(s->ops);
    if (s->tracker) bitnet_session_track_close(s);
    bitnet_tracker_free(s->tracker);
    bitnet_mail_free(s->mail);
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
    bitnet_ops_desc ops = {.listener = bitnet_tracker_take_op, .listener_ctx = s->tracker};
    if (bitnet_ops_create(&s->ops, &ops) < 0) goto fail;
    bitnet_sink sink = {.write = forward_window, .op = forward_op, .ctx = s};
    if (bitnet_tracker_add_sink(s->tracker, sink) < 0) goto fail;
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
    wasm_how how = {n_ctx, cache_type_k, cache_type_v, staged};
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
                                   .ops = s->ops,
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
    at = json_put_string(out, SESSION_JSON_CAP, at, "chatTemplate", i.chat_template);
    snprintf(out + at, SESSION_JSON_CAP - at,
             "\"threads\":%d,\"nCtx\":%d,\"nCtxTrain\":%d,\"nLayer\":%d,\"nEmbd\":%d,\"nVocab\":%d,"
             "\"nParams\":%" PRIu64 ",\"fileSize\":%" PRIu64 ",\"weightSize\":%" PRIu64
             ",\"tokenBytes\":%" PRIu64 ",\"contextSize\":%" PRIu64 "}",
             i.n_threads, s->n_ctx, i.n_ctx_train, i.n_layer, i.n_embd, i.n_vocab, i.n_params,
             i.file_size, i.weight_size, i.token_bytes, bitnet_model_ctx_size(s->model, s->n_ctx));
    return out;
}

/* ---- tracker --------------------------------------------------------------- */

static bitnet_status open_transport(bitnet_session *s, const char *url) {
    if (url) return bitnet_transport_ws_open(&s->transport, &s->ws, url);
    if (!s->mail) s->mail = bitnet_mail_create();
    if (!s->mail) return BITNET_E_NOMEM;
    s->transport = bitnet_mail_transport(s->mail);
    return BITNET_OK;
}

bitnet_status bitnet_session_track_open(bitnet_session *s, const char *url, const char *name,
                                        const char *host, uint64_t instance) {
    bitnet_session_track_close(s);
    bitnet_status st = open_transport(s, url);
    if (st >= 0) {
        bitnet_model_info info = bitnet_model_get_info(s->model);
        bitnet_report_desc rd = {.name = name,
                                 .backend = "wasm",
                                 .tier = info.tier,
                                 .model = info.name,
                                 .host = host,
                                 .n_threads = info.n_threads,
                                 .spool_bytes = SPOOL_BYTES,
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

const char *bitnet_session_track_take(bitnet_session *s) {
    return s->mail ? bitnet_mail_take(s->mail) : NULL;
}

int32_t bitnet_session_track_state(const bitnet_session *s, int32_t *close_code) {
    *close_code = 0;
    return s->ws ? (int32_t)bitnet_ws_get_state(s->ws, close_code) : -1;
}

void bitnet_session_js_heap(bitnet_session *s, double bytes) {
    bitnet_ring_push(s->monitor_ring, bitnet_os_now_ns(), BITNET_METRIC_JS_HEAP, bytes, 0, 0);
}

static void sample(bitnet_session *s, uint64_t now) {
    double heap = (double)bitnet_os_rss();
    s->sampled_ns = now;
    bitnet_ring_push(s->monitor_ring, now, BITNET_METRIC_MEMORY, heap, 0, 0);
    bitnet_leak_record(&s->leak, s->monitor_ring, now, heap);
    bitnet_profile_record(s->profile, s->tracker, s->monitor_ring, now);
    if (s->model)
        bitnet_ring_push(s->monitor_ring, now, BITNET_METRIC_THREADS,
                         bitnet_model_get_info(s->model).n_threads, 0, 0);
}

void bitnet_session_pump(bitnet_session *s) {
    uint64_t now = bitnet_os_now_ns();
    if (s->ws) bitnet_ws_pump(s->ws, now);
    if (now - s->sampled_ns >= SAMPLE_EACH) sample(s, now);
    bool is_waiting =
        s->ws && now < s->patient_until_ns && s->transport.n_opened(s->transport.ctx) == 0;
    if (is_waiting || !bitnet_overhead_due(&s->overhead)) return;
    bitnet_overhead_record(&s->overhead, s->monitor_ring, now);
    bitnet_tracker_pump(s->tracker, now);
}
