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

/* A sampler for submit with the library's defaults, to be given back with free(); NULL: out of
 * memory. Values are checked by submit. */
typedef enum bitnet_sampler_field {
    BITNET_SAMPLER_TEMP,
    BITNET_SAMPLER_TOP_K,
    BITNET_SAMPLER_TOP_P,
    BITNET_SAMPLER_MIN_P,
} bitnet_sampler_field;
EXPORT bitnet_sampler_desc *bitnet_session_sampler(uint64_t seed);
EXPORT void bitnet_session_sampler_set(bitnet_sampler_desc *d, bitnet_sampler_field field,
                                       double value);
/* The request's id, 0 when it was refused. max_tokens <= 0: until the model stops. */
EXPORT uint32_t bitnet_session_submit(bitnet_session *s, const char *prompt, size_t len,
                                      int32_t max_tokens, const bitnet_sampler_desc *sampler);
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
/* Of an END event: finish_reason and timings, as JSON with the names of `bitnet run --json`. */
EXPORT const char *bitnet_session_event_end(bitnet_session *s);

/* As bitnet_tokenize: the number of tokens needed, or a negative status. */
EXPORT int32_t bitnet_session_tokenize(bitnet_session *s, const char *text, size_t len,
                                       uint32_t flags, bitnet_token *out, int32_t cap);

/* Reports to the hub at url under a name; needs a loaded model. `instance` is random and not 0. */
EXPORT bitnet_status bitnet_session_track_open(bitnet_session *s, const char *url, const char *name,
                                               uint64_t instance);
EXPORT void bitnet_session_track_close(bitnet_session *s);
/* A bitnet_ws_state, or -1 when not tracking; *close_code is that of the last connection, 0 = none.
 */
EXPORT int32_t bitnet_session_track_state(const bitnet_session *s, int32_t *close_code);
/* About ten times a second, also while nobody listens: it empties the rings. */
EXPORT void bitnet_session_pump(bitnet_session *s);

/* SHA-256 of bytes in the heap (exports_hash.c). final writes 32 bytes and frees. */
typedef struct bitnet_hash bitnet_hash;
EXPORT bitnet_hash *bitnet_hash_create(void); /* NULL: out of memory */
EXPORT void bitnet_hash_update(bitnet_hash *h, const void *bytes, size_t n);
EXPORT void bitnet_hash_final(bitnet_hash *h, uint8_t digest[32]);

#endif
