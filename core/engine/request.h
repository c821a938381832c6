/* request.h: a request's life inside the engine: queued, prefill, decode, ended. */
#ifndef BITNET_REQUEST_H
#define BITNET_REQUEST_H

#include <stdatomic.h>

#include "bitnet/engine.h"
#include "engine/stream.h"

typedef enum request_state { REQUEST_QUEUED, REQUEST_PREFILL, REQUEST_DECODE } request_state;

typedef struct request {
    struct request *next; /* in the engine's queue, oldest first */
    uint32_t id;
    request_state state;
    atomic_bool is_cancelled; /* set by any thread, read by the one that steps */
    int32_t n_prompt, n_done; /* prompt tokens in all; in the context so far */
    int32_t max_tokens;
    bitnet_token last;
    bitnet_sampler sampler;
    bitnet_stream stream;
    bitnet_timings timings;
    uint64_t accepted_ns, started_ns, first_token_ns;
    size_t size;           /* of this allocation */
    bitnet_token prompt[]; /* room for a full window */
} request;

/* Checks, copies and tokenizes; see bitnet_engine_submit for the failures. */
bitnet_status bitnet_request_create(request **out, const bitnet_request *req,
                                    const bitnet_model *model, int32_t n_ctx,
                                    const bitnet_allocator *a, bitnet_error *err);
void bitnet_request_free(request *r, const bitnet_allocator *a);

#endif
