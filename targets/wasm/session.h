/* session.h (internal): what a session is made of, for the exports_*.c. exports.h says what they do. */
#ifndef BITNET_SESSION_H
#define BITNET_SESSION_H

#include <stdbool.h>

#include "bitnet/bitnet.h"
#include "exports.h"
#include "files.h"
#include "json.h"
#include "transport_mail.h"
#include "transport_ws.h"

#define MAX_BIAS 1024 /* as many as the sampler allows */

/* A request that is being put together; the texts are malloc'ed and its own. */
typedef struct bitnet_draft {
    bitnet_request request;
    bitnet_message *messages; /* [messages_cap] */
    int32_t messages_cap;
    const char *stop[BITNET_MAX_STOP];
    bitnet_logit_bias bias[MAX_BIAS];
} bitnet_draft;

/* A text whose perplexity is being computed; evaluation is NULL when there is none. */
typedef struct bitnet_score {
    bitnet_evaluation *evaluation;
    bitnet_token *tokens;
    bitnet_perplexity so_far;
} bitnet_score;

struct bitnet_session {
    wasm_files files;
    bitnet_model *model;
    bitnet_engine *engine;
    bitnet_tier prefixes; /* of earlier prompts; close is NULL when there is no room for any */
    int32_t n_ctx;

    bitnet_tracker *tracker;
    bitnet_ring *engine_ring, *monitor_ring;
    bitnet_ops *ops;
    bitnet_overhead overhead;
    bitnet_sink report;         /* write is NULL while nobody listens */
    bitnet_ws *ws;              /* the report's transport; NULL when it goes to the mailbox */
    bitnet_mail *mail;          /* outlives the report: its last message is read after it */
    bitnet_transport transport; /* the report's; owned by it */
    uint64_t patient_until_ns;
    uint64_t sampled_ns; /* when the heap was last sampled */
    bitnet_leak leak;    /* of the heap */

    bitnet_draft draft;
    bitnet_score score;
    bitnet_profile *profile;    /* or NULL */
    bitnet_work work;           /* what exports_profile.c answered last */
    bitnet_session_spans spans; /* likewise */
    bitnet_event event;         /* the one polled last */
    void *result;               /* [result_size] bytes that the last call answered, malloc'ed */
    size_t result_size;
    bitnet_error err;
    char json[SESSION_JSON_CAP];
};

/* Gives back what exports_request.c holds; before the engine and the model go. */
void bitnet_session_free_requests(bitnet_session *s);

#endif
