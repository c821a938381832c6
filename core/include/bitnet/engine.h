/* engine.h: requests in, events out. `step` is the only primitive.
 *
 *     bitnet_request req = { .prompt = "Once upon a time", .prompt_len = 16, .max_tokens = 64 };
 *     bitnet_engine_run(engine, &req, on_event, user, &err);
 *
 * Synchronous use is a loop over step (that is what run does); asynchronous use is a thread that
 * loops over step; in a browser the worker returns to its event loop between steps. No second
 * scheduler exists. submit, poll and cancel may be called from any thread; step from one.
 */
#ifndef BITNET_ENGINE_H
#define BITNET_ENGINE_H

#include "bitnet/chat.h"
#include "bitnet/context.h"
#include "bitnet/ops.h"
#include "bitnet/metrics.h"
#include "bitnet/sampler.h"
#include "bitnet/tier.h"
#include "bitnet/tokenizer.h"
#include "bitnet/tracker.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bitnet_engine bitnet_engine;

/* {0} is valid but for `model`. */
typedef struct bitnet_engine_desc {
    const bitnet_model *model; /* borrowed */
    int32_t n_ctx;             /* 0 = the model's own */
    int32_t n_batch;           /* prompt tokens per step; 0 = 128 */
    bitnet_ring *ring;         /* tracker ring of the thread that steps; NULL = not tracked */
    bitnet_ops *ops;           /* each request is an operation "generate" of it; NULL = not recorded */
    const bitnet_tier *tiers;  /* caches of prompt prefixes, fast to slow; copied, not closed */
    int32_t n_tiers;           /* at most 4; 0 = only what the context itself still holds */
    /* Guessing ahead (docs/sampling.md), which changes no token: */
    int32_t n_draft;     /* most tokens guessed in a pass, as it pays; 0 = 8, < 0 = off */
    int32_t n_draft_min; /* at least so many where there is a guess, paying or not */
} bitnet_engine_desc;

#define BITNET_MAX_STOP       16  /* stop strings of a request, */
#define BITNET_MAX_STOP_BYTES 256 /* of 1 to this many bytes each */
#define BITNET_MAX_LOGPROBS   20

#define BITNET_MAX_DRAFT     16 /* n_draft; less than n_batch and the window, too */
#define BITNET_DRAFT_DEFAULT 8

/* Exactly one of prompt, tokens and messages; everything is copied. */
typedef struct bitnet_request {
    const char *prompt;         /* UTF-8 */
    size_t prompt_len;          /* bytes */
    const bitnet_token *tokens; /* used as they are, nothing is prepended */
    int32_t n_tokens;
    const bitnet_message *messages; /* a conversation, to be answered as the assistant */
    int32_t n_messages;
    const char *chat_template;   /* NULL = the model's own family (bitnet/chat.h) */
    int32_t max_tokens;          /* <= 0: until an end token or a full window */
    uint32_t flags;              /* prompt: BITNET_TOKENIZE_*, 0 = BITNET_TOKENIZE_BOS;
                                    messages: BITNET_CHAT_SPLIT or 0; tokens: 0 */
    const char *const *stop;     /* [n_stop] UTF-8; generation ends where the first of these is */
    int32_t n_stop;              /*          complete; it and what follows are not given out */
    bool has_logprobs;           /* TOKEN events carry the token's logprob */
    int32_t n_top_logprobs;      /* and those of the likeliest; 0 .. BITNET_MAX_LOGPROBS */
    bitnet_sampler_desc sampler; /* {0} is greedy */
} bitnet_request;

typedef enum bitnet_finish {
    BITNET_FINISH_NONE,
    BITNET_FINISH_STOP,   /* an end token or a stop string (bitnet_event.stop_index tells) */
    BITNET_FINISH_LENGTH, /* max_tokens reached, or the window is full */
    BITNET_FINISH_CANCELLED,
    BITNET_FINISH_ERROR,
} bitnet_finish;

typedef enum bitnet_event_kind {
    BITNET_EVENT_PROMPT,
    BITNET_EVENT_TOKEN,
    BITNET_EVENT_END
} bitnet_event_kind;

typedef struct bitnet_event {
    bitnet_event_kind kind;
    uint32_t request;
    const bitnet_token *prompt; /* PROMPT: the prompt's tokens, */
    int32_t n_prompt;           /*         borrowed until the next poll or the callback's return */
    bitnet_token token;         /* TOKEN */
    const bitnet_logprob
        *logprobs;        /* TOKEN: the token's own, then the likeliest; borrowed likewise */
    int32_t n_logprobs;   /*        0 when not asked for */
    const char *text;     /* TOKEN: whole UTF-8 characters, may be empty; END: what was held back */
    size_t text_len;      /*        borrowed likewise, zero-terminated */
    bitnet_finish finish; /* END */
    int32_t stop_index;   /* END: which stop string ended it, -1 = none */
    bitnet_timings timings; /* END; bitnet_metrics_of has what follows from them */
    bitnet_error error;     /* END with FINISH_ERROR */
} bitnet_event;

/* Return non-zero to cancel the request. Must not call the engine but for cancel. */
typedef int (*bitnet_event_fn)(void *user, const bitnet_event *event);

BITNET_API bitnet_status bitnet_engine_create(bitnet_engine **out, const bitnet_engine_desc *desc,
                                              bitnet_error *err);
BITNET_API void bitnet_engine_free(bitnet_engine *e);
/* Copies and tokenizes the prompt; an empty one is answered from BOS alone.
 *   E_CTX_FULL     the prompt needs more tokens than the window has, both numbers in err
 *   E_FORMAT       the prompt, a message or a stop string is not valid UTF-8
 *   E_INVAL        no prompt or two, no tokens; flags, a sampler field, a stop string, a logit bias,
 *                  a number of logprobs or a token out of range
 *   E_UNSUPPORTED  text for a model without a tokenizer, messages for a vocabulary without the
 *                  template's tokens
 *   AGAIN          64 requests are waiting */
BITNET_API bitnet_status bitnet_engine_submit(bitnet_engine *e, const bitnet_request *req,
                                              uint32_t *id, bitnet_error *err);
/* One prefill chunk or one token of the oldest request; a token that was checked ahead costs its
 * sampling alone. AGAIN: nothing to do, or the reader is behind. Allocates nothing. */
BITNET_API bitnet_status bitnet_engine_step(bitnet_engine *e);
BITNET_API bitnet_status bitnet_engine_poll(bitnet_engine *e, bitnet_event *out); /* OK or AGAIN */
BITNET_API void bitnet_engine_cancel(bitnet_engine *e, uint32_t id);
/* Of all requests that have ended since the engine was made, or since the last reset. From any thread. */
BITNET_API bitnet_metrics bitnet_engine_get_metrics(bitnet_engine *e);
BITNET_API void bitnet_engine_reset_metrics(bitnet_engine *e);
/* submit, step and poll until this request has ended. Returns the END event's status. */
BITNET_API bitnet_status bitnet_engine_run(bitnet_engine *e, const bitnet_request *req,
                                           bitnet_event_fn fn, void *user, bitnet_error *err);
/* The timeline that the last request left, as bytes: a prompt that begins with its tokens is not computed
 * again, also after a load into another engine of the same model with the same cache types. For the
 * thread that steps, while no request waits or runs: E_INVAL state.busy otherwise. *size is the room at
 * `out` and becomes what is needed; nothing is written when that is more (out NULL: to ask). */
BITNET_API bitnet_status bitnet_engine_save(bitnet_engine *e, void *out, size_t *size,
                                            bitnet_error *err);
/* A refusal leaves the timeline as it was:
 *   E_FORMAT       state.magic, state.length, state.checksum, state.token: not a state, or damaged
 *   E_UNSUPPORTED  state.version, state.model, state.cache_type: of something else
 *   E_CTX_FULL     state.ctx: longer than the window
 *   E_NOMEM        state.memory: the tokens are copied meanwhile */
BITNET_API bitnet_status bitnet_engine_load(bitnet_engine *e, const void *data, size_t size,
                                            bitnet_error *err);
BITNET_API const char *
bitnet_finish_name(bitnet_finish f); /* "stop", "length", "cancelled", "error" */

#ifdef __cplusplus
}
#endif
#endif
