/* exports.h: what JavaScript may call (js/session.ts). Numbers and pointers into the heap; no
 * policy.
 *
 * Everything belongs to one opaque session: the file's bytes, the model, its engine, the tracker.
 * There is no file-scope state, so a module may hold several. One thread calls, and it owns the
 * session.
 *
 * Life: create, reserve (JavaScript writes the file there as it arrives), load, then any mix of
 * submit, step, poll, cancel, tokenize, track_* and pump; free at any point. A call that fails
 * answers a negative bitnet_status, or 0 where it answers a pointer or an id, and leaves the reason
 * in error_id and error_text until the next call that can fail. Strings that a call returns live
 * until the next call.
 */
#ifndef BITNET_EXPORTS_H
#define BITNET_EXPORTS_H

#include <emscripten/emscripten.h>

#include "bitnet/engine.h"
#include "bitnet/profile.h"

#define EXPORT EMSCRIPTEN_KEEPALIVE

typedef struct bitnet_session bitnet_session;

EXPORT bitnet_session *bitnet_session_create(void); /* NULL: out of memory */
EXPORT void bitnet_session_free(bitnet_session *s); /* NULL is fine */
/* From the first len bytes of a file of file_size: what the model is and takes, as JSON (the members are in
 * plan.c); or {"needMore": n}, when the first n bytes are needed; NULL when it will not do. n_ctx 0: what
 * load would choose. */
EXPORT const char *bitnet_session_plan(bitnet_session *s, const uint8_t *bytes, size_t len,
                                       double file_size, int32_t n_ctx, bitnet_kv_type cache_type_k,
                                       bitnet_kv_type cache_type_v, bitnet_switch staged);
/* Room for a file of `size` bytes, in a heap that has `room` bytes beside it; once, or once for each part of a
 * split file, in any order. NULL: the browser does not give that much. unreserve takes the last one back. */
EXPORT void *bitnet_session_reserve(bitnet_session *s, size_t size, double room);
EXPORT void bitnet_session_unreserve(bitnet_session *s);
/* n_ctx 0: as long as the model was trained for, unless keys and values would be large beside the file.
 * staged: BITNET_AUTO makes the head's copy where that is small beside it. */
EXPORT bitnet_status bitnet_session_load(bitnet_session *s, int32_t n_threads, int32_t n_ctx,
                                         bitnet_kv_type cache_type_k, bitnet_kv_type cache_type_v,
                                         bitnet_switch staged);
EXPORT const char *bitnet_session_error_id(const bitnet_session *s);
EXPORT const char *bitnet_session_error_text(const bitnet_session *s);
/* The members of ModelInfo in js/types.ts that come from the file, as JSON. */
EXPORT const char *bitnet_session_info(bitnet_session *s);

/* A request is put together call by call: start, set and the others in any order, then submit, which ends
 * it whatever the outcome. A `text` was malloc'ed by the caller and is the session's from the call on.
 * Sampling has the library's defaults; everything is checked by submit. */
typedef enum bitnet_request_field {
    BITNET_REQUEST_MAX_TOKENS, /* <= 0: until the model stops */
    BITNET_REQUEST_TEMP,
    BITNET_REQUEST_TOP_K,
    BITNET_REQUEST_TOP_P,
    BITNET_REQUEST_MIN_P,
    BITNET_REQUEST_REPEAT_PENALTY,
    BITNET_REQUEST_FREQUENCY_PENALTY,
    BITNET_REQUEST_PRESENCE_PENALTY,
    BITNET_REQUEST_PENALTY_LAST_N,
} bitnet_request_field;
typedef enum bitnet_role {
    BITNET_ROLE_SYSTEM,
    BITNET_ROLE_USER,
    BITNET_ROLE_ASSISTANT,
} bitnet_role;
EXPORT void bitnet_session_request_start(bitnet_session *s, uint64_t seed);
EXPORT void bitnet_session_request_set(bitnet_session *s, bitnet_request_field field, double value);
/* Either a prompt or messages. */
EXPORT void bitnet_session_request_prompt(bitnet_session *s, char *text, size_t len);
EXPORT bitnet_status bitnet_session_request_message(bitnet_session *s, bitnet_role role, char *text,
                                                    size_t len);
EXPORT void bitnet_session_request_stop(bitnet_session *s, char *text); /* terminated */
EXPORT void bitnet_session_request_bias(bitnet_session *s, bitnet_token token, double bias);
EXPORT uint32_t bitnet_session_submit(bitnet_session *s); /* the request's id; 0: refused */

/* One prefill chunk or one token. */
EXPORT bitnet_status bitnet_session_step(bitnet_session *s);
EXPORT void bitnet_session_cancel(bitnet_session *s, uint32_t id);

/* 0 when there is no event; else 1 + its bitnet_event_kind, and event_* describe it until the next
 * poll. After an END with an error, error_id and error_text are its. */
EXPORT int32_t bitnet_session_poll(bitnet_session *s);
EXPORT uint32_t bitnet_session_event_request(const bitnet_session *s);
EXPORT bitnet_token bitnet_session_event_token(const bitnet_session *s);
EXPORT const char *bitnet_session_event_text(const bitnet_session *s);
EXPORT size_t bitnet_session_event_text_len(const bitnet_session *s);
EXPORT const bitnet_token *bitnet_session_event_prompt(const bitnet_session *s);
EXPORT int32_t bitnet_session_event_n_prompt(const bitnet_session *s);
/* Of an END event, as JSON: finish_reason, timings and metrics with the names of `bitnet run --json`, usage with
 * those of js/types.ts. */
EXPORT const char *bitnet_session_event_end(bitnet_session *s);
/* The metrics of all requests that have ended since load or the last reset, as JSON. */
EXPORT const char *bitnet_session_metrics(bitnet_session *s);
EXPORT void bitnet_session_reset_metrics(bitnet_session *s);

/* As bitnet_tokenize: the number of tokens needed, or a negative status. */
EXPORT int32_t bitnet_session_tokenize(bitnet_session *s, const char *text, size_t len,
                                       uint32_t flags, bitnet_token *out, int32_t cap);

/* These answer with bytes, which stay until the next of them or result_free. */
EXPORT const void *bitnet_session_result(const bitnet_session *s);
EXPORT size_t bitnet_session_result_size(const bitnet_session *s);
EXPORT void bitnet_session_result_free(bitnet_session *s);
/* Not always valid UTF-8: tokens may end within a character. */
EXPORT bitnet_status bitnet_session_detokenize(bitnet_session *s, const bitnet_token *ids,
                                               int32_t n);
/* The messages of the request in the making as the model's template writes them; ends it. */
EXPORT bitnet_status bitnet_session_chat_text(bitnet_session *s);
/* The KV cache, as bitnet_engine_save; restore is bitnet_engine_load. */
EXPORT bitnet_status bitnet_session_save(bitnet_session *s);
EXPORT bitnet_status bitnet_session_restore(bitnet_session *s, const void *data, size_t size);

/* Perplexity of a text, one at a time: start, step until BITNET_DONE, end at any point. score: so far, as
 * JSON with the names of js/types.ts. */
EXPORT bitnet_status bitnet_session_score_start(bitnet_session *s, const char *text, size_t len);
EXPORT bitnet_status bitnet_session_score_step(bitnet_session *s);
EXPORT const char *bitnet_session_score(bitnet_session *s);
EXPORT void bitnet_session_score_end(bitnet_session *s);

/* Reports under a name to the hub at url, or, when that is NULL, to the mailbox that track_take empties;
 * needs a loaded model. `host` is the browser, for people; `instance` is random and not 0. */
EXPORT bitnet_status bitnet_session_track_open(bitnet_session *s, const char *url, const char *name,
                                               const char *host, uint64_t instance);
EXPORT void bitnet_session_track_close(bitnet_session *s);
/* A bitnet_ws_state, or -1 when not tracking; *close_code is that of the last connection, 0 = none.
 */
EXPORT int32_t bitnet_session_track_state(const bitnet_session *s, int32_t *close_code);
/* The oldest message in the mailbox, also after track_close; NULL when there is none. */
EXPORT const char *bitnet_session_track_take(bitnet_session *s);
/* What the page measured of its own heap, in bytes: the module sees only its memory. */
EXPORT void bitnet_session_js_heap(bitnet_session *s, double bytes);
/* About ten times a second, also while nobody listens: it empties the rings. */
EXPORT void bitnet_session_pump(bitnet_session *s);

/* Profiling (exports_profile.c; bitnet/profile.h says what is measured): open, then any of the others, close. Steps
 * and submits are spans of thread 0. Rates are those of bitnet_bounds. What is asked for is overwritten by the next
 * of these; label and kernel are NULL past the last kernel, layer past the last layer, spans past the last thread. */
typedef struct bitnet_session_spans {
    const bitnet_profile_span *span; /* [n], until clear or the next step */
    int32_t n;
    double offset_ns, error_ns; /* as bitnet_clock; an error of -1: nothing is known */
    double n_dropped;           /* of all threads */
} bitnet_session_spans;
EXPORT bitnet_status bitnet_session_profile_open(bitnet_session *s, int32_t spans_cap, double read,
                                                 double i8, double f32);
EXPORT void bitnet_session_profile_close(bitnet_session *s); /* also when none is open */
EXPORT const char *bitnet_session_profile_label(bitnet_session *s, int32_t i);
EXPORT const bitnet_work *bitnet_session_profile_kernel(bitnet_session *s, int32_t i,
                                                        bitnet_phase phase);
EXPORT const bitnet_work *bitnet_session_profile_layer(bitnet_session *s, int32_t i);
EXPORT const bitnet_session_spans *bitnet_session_profile_spans(bitnet_session *s, int32_t thread);
EXPORT void bitnet_session_profile_clear(bitnet_session *s);

/* SHA-256 of bytes in the heap (exports_hash.c). final writes 32 bytes and frees. */
typedef struct bitnet_hash bitnet_hash;
EXPORT bitnet_hash *bitnet_hash_create(void); /* NULL: out of memory */
EXPORT void bitnet_hash_update(bitnet_hash *h, const void *bytes, size_t n);
EXPORT void bitnet_hash_final(bitnet_hash *h, uint8_t digest[32]);

#endif
