/* request.h: a request's life inside the engine: queued, prefill, decode, ended. Everything it needs
 * is in one allocation made at submit; nothing is allocated later. */
#ifndef BITNET_REQUEST_H
#define BITNET_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bitnet/engine.h"
#include "engine/stop.h"
#include "engine/stream.h"
#include "engine/wants.h"

typedef enum request_state { REQUEST_QUEUED, REQUEST_PREFILL, REQUEST_DECODE } request_state;

typedef struct request {
    struct request *next; /* in the engine's queue, oldest first */
    uint32_t id;
    request_state state;
    atomic_bool is_cancelled; /* set by any thread, read by the one that steps */
    int32_t n_prompt, n_done; /* prompt tokens in all; in the context so far */
    int32_t max_tokens;
    bool has_logprobs;
    int32_t n_top_logprobs;
    bitnet_sampler sampler; /* its biases follow the tokens in this allocation */
    bitnet_wants wants;
    bitnet_stream stream;
    bitnet_stop stop;
    bitnet_timings timings;
    bitnet_op *op; /* what is recorded of it; NULL = nothing */
    uint64_t accepted_ns, started_ns, first_token_ns;
    size_t size; /* of this allocation */
    bitnet_token
        tokens[]; /* the prompt's n_prompt, then what was generated: the window of tokens that
                              the penalties look at. Room for a full window and the one token that is
                              sampled behind it. */
} request;

/* Checks, copies and tokenizes; see bitnet_engine_submit for the failures. */
bitnet_status bitnet_request_create(request **out, const bitnet_request *req,
                                    const bitnet_model *model, int32_t n_ctx,
                                    const bitnet_allocator *a, bitnet_error *err);
void bitnet_request_free(request *r, const bitnet_allocator *a);

#endif
