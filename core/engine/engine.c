/* engine.c: bitnet/engine.h. One context, a queue of requests, a ring of events.
 *
 * A decode pass may hold, behind the last token, a guess at the next ones. The sampler then takes the
 * rows of logits in order, one a step, exactly as if each token had been decoded alone (a token's logits
 * do not depend on what else is in its pass, to the bit); at the first one that is not the guess the
 * rest of the rows and of the timeline is dropped. So guesses never change what comes out.
 *
 * One lock guards the queue and the ring; it is never held while the model computes. The request at
 * the head of the queue belongs to the thread that steps. An ended request lives until its END
 * event has been polled and the next call of poll or free, because events borrow its memory.
 */
#include "bitnet/engine.h"

#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "cache/prefix.h"
#include "engine/lookup.h"
#include "engine/meter.h"
#include "engine/pace.h"
#include "engine/request.h"
#include "engine/state.h"
#include "model/model.h"
#include "text/tokenizer.h"

#define N_EVENTS      64 /* slots; a step makes at most EVENTS_A_STEP */
#define EVENTS_A_STEP 3  /* PROMPT, TOKEN, END */
#define N_QUEUED      64

typedef struct slot {
    bitnet_event event;
    request *ended; /* END: to be freed after the poll */
} slot;

/* The pass that is being used up, of the request that decodes. */
typedef struct pass {
    bitnet_token draft[BITNET_MAX_DRAFT];
    int32_t n_draft;
    int32_t row;      /* of logits, to be sampled next: row i is checked against draft[i] */
    int32_t n_tokens; /* that it has given so far, */
    uint64_t took_ns; /* and the time these took */
} pass;

struct bitnet_engine {
    const bitnet_model *model;
    bitnet_allocator allocator;
    bitnet_ctx *ctx;
    bitnet_ring *ring;
    bitnet_ops *ops;
    const char *tier;
    bitnet_prefix prefix;
    int32_t n_batch, n_vocab;
    int32_t n_draft, n_draft_min;
    bitnet_lookup lookup;
    bitnet_pace pace;
    pass pass;
    uint64_t memory_size; /* planned for model and context */
    void *scratch;        /* of the sampler */
    char *piece;          /* [piece_cap] bytes of one token, */
    char *chars;          /* [chars_cap] and what they complete: whole characters */
    int32_t piece_cap;
    size_t chars_cap;

    bitnet_os_mutex lock; /* guards everything below */
    request *queue;
    int32_t n_queued;
    uint32_t last_id;
    slot slots[N_EVENTS];
    bitnet_logprob logprobs[N_EVENTS][1 + BITNET_MAX_LOGPROBS];
    uint32_t head, tail; /* next to poll, next to fill */
    request *reap;       /* its END event was polled last */
    bitnet_meter meter;  /* of the requests ended */
    char *text;          /* [N_EVENTS][text_cap] */
    size_t text_cap;
};

const char *bitnet_finish_name(bitnet_finish f) {
    static const char *const names[] = {"none", "stop", "length", "cancelled", "error"};
    return names[f];
}

/* Everything a step needs beside the context: after this only a submit allocates, its request, and a load,
 * the tokens while it runs. */
static bitnet_status make_buffers(bitnet_engine *e, const bitnet_engine_desc *desc,
                                  bitnet_error *err) {
    const bitnet_allocator *a = &e->allocator;
    int32_t longest = e->model->vocab ? bitnet_vocab_max_text(e->model->vocab) : 0;
    e->piece_cap = longest > 0 ? longest : 1;
    e->chars_cap = bitnet_stream_room((size_t)e->piece_cap);
    e->text_cap = bitnet_stop_room(e->chars_cap);
    e->piece = bitnet_alloc(a, (size_t)e->piece_cap);
    e->chars = bitnet_alloc(a, e->chars_cap);
    e->text = bitnet_alloc(a, N_EVENTS * e->text_cap);
    e->scratch = bitnet_alloc(a, bitnet_sampler_scratch_size(e->n_vocab));
    void *lookup = bitnet_alloc(a, bitnet_lookup_size(bitnet_ctx_size(e->ctx)));
    if (lookup) bitnet_lookup_init(&e->lookup, lookup, bitnet_ctx_size(e->ctx));
    e->prefix.fingerprint = bitnet_model_get_info(e->model).fingerprint;
    e->prefix.n_tiers = desc->n_tiers < PREFIX_TIERS ? desc->n_tiers : PREFIX_TIERS;
    for (int32_t i = 0; i < e->prefix.n_tiers; i++)
        e->prefix.tier[i] = desc->tiers[i];
    if (e->prefix.n_tiers > 0) {
        e->prefix.value_size = bitnet_tier_value_size(e->model, bitnet_ctx_size(e->ctx));
        e->prefix.value = bitnet_alloc(a, e->prefix.value_size);
    }
    if (e->piece && e->chars && e->text && e->scratch && lookup &&
        (e->prefix.n_tiers == 0 || e->prefix.value))
        return BITNET_OK;
    return bitnet_fail(err, BITNET_E_NOMEM, "engine.memory", "no memory for the engine's buffers");
}

static uint64_t planned_memory(const bitnet_engine *e) {
    const bitnet_memory_plan p =
        bitnet_model_plan(e->model, bitnet_ctx_size(e->ctx), e->n_batch, 1 + e->n_draft);
    return p.mapped + p.copied + p.kv + p.scratch + p.backend;
}

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

bitnet_status bitnet_engine_create(bitnet_engine **out, const bitnet_engine_desc *desc,
                                   bitnet_error *err) {
    *out = NULL;
    const bitnet_allocator *a = &desc->model->allocator;
    bitnet_engine *e = bitnet_alloc(a, sizeof *e);
    if (!e) return bitnet_fail(err, BITNET_E_NOMEM, "engine.memory", "no memory for an engine");
    if (bitnet_os_mutex_init(&e->lock) < 0) {
        bitnet_free(a, e, sizeof *e);
        return bitnet_fail(err, BITNET_E_NOMEM, "engine.memory", "no lock to be had");
    }
    e->model = desc->model;
    e->allocator = *a;
    e->ring = desc->ring;
    e->ops = desc->ops;
    e->tier = bitnet_model_get_info(desc->model).tier;
    e->n_batch = desc->n_batch > 0 ? desc->n_batch : BITNET_BATCH_DEFAULT;
    e->n_vocab = e->model->hp.n_vocab;
    e->n_draft = desc->n_draft == 0 ? BITNET_DRAFT_DEFAULT : desc->n_draft > 0 ? desc->n_draft : 0;
    e->n_draft = least(least(e->n_draft, BITNET_MAX_DRAFT), e->n_batch - 1);
    e->n_draft_min = desc->n_draft_min;
    bitnet_ctx_desc cd = {.model = desc->model,
                          .n_ctx = desc->n_ctx,
                          .n_batch = e->n_batch,
                          .n_logits = 1 + e->n_draft};
    bitnet_status st = bitnet_ctx_create(&e->ctx, &cd, err);
    if (st >= 0) st = make_buffers(e, desc, err);
    if (st < 0) {
        bitnet_engine_free(e);
        return st;
    }
    e->memory_size = planned_memory(e);
    *out = e;
    return BITNET_OK;
}

void bitnet_engine_free(bitnet_engine *e) {
    if (!e) return;
    while (e->queue) {
        request *r = e->queue;
        e->queue = r->next;
        bitnet_request_free(r, &e->allocator);
    }
    for (; e->head != e->tail; e->head++)
        bitnet_request_free(e->slots[e->head % N_EVENTS].ended, &e->allocator);
    bitnet_request_free(e->reap, &e->allocator);
    if (e->lookup.follower)
        bitnet_free(&e->allocator, e->lookup.follower, bitnet_lookup_size(bitnet_ctx_size(e->ctx)));
    bitnet_ctx_free(e->ctx);
    bitnet_free(&e->allocator, e->piece, (size_t)e->piece_cap);
    bitnet_free(&e->allocator, e->chars, e->chars_cap);
    bitnet_free(&e->allocator, e->text, N_EVENTS * e->text_cap);
    bitnet_free(&e->allocator, e->prefix.value, e->prefix.value_size);
    bitnet_free(&e->allocator, e->scratch, bitnet_sampler_scratch_size(e->n_vocab));
    bitnet_os_mutex_destroy(&e->lock);
    bitnet_allocator a = e->allocator;
    bitnet_free(&a, e, sizeof *e);
}

bitnet_status bitnet_engine_submit(bitnet_engine *e, const bitnet_request *req, uint32_t *id,
                                   bitnet_error *err) {
    request *r;
    bitnet_status st =
        bitnet_request_create(&r, req, e->model, bitnet_ctx_size(e->ctx), &e->allocator, err);
    if (st < 0) return st;
    r->op = bitnet_op_begin(e->ops, "generate", e->tier);
    bitnet_os_mutex_lock(&e->lock);
    bool is_full = e->n_queued >= N_QUEUED;
    if (!is_full) {
        request **end = &e->queue;
        while (*end)
            end = &(*end)->next;
        *end = r;
        e->n_queued++;
        if (++e->last_id == 0) e->last_id = 1; /* 0 means "no request" */
        *id = r->id = e->last_id;
    }
    bitnet_os_mutex_unlock(&e->lock);
    if (is_full) {
        bitnet_op_fail(r->op, "%d requests are waiting already", N_QUEUED);
        bitnet_op_end(r->op);
        bitnet_request_free(r, &e->allocator);
    }
    return is_full ? BITNET_AGAIN : BITNET_OK;
}

void bitnet_engine_cancel(bitnet_engine *e, uint32_t id) {
    bitnet_os_mutex_lock(&e->lock);
    for (request *r = e->queue; r; r = r->next)
        if (r->id == id) atomic_store(&r->is_cancelled, true);
    bitnet_os_mutex_unlock(&e->lock);
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* The caller has made sure that a slot is free. `text` is the slot's own buffer. */
static slot *next_slot(bitnet_engine *e, char **text) {
    uint32_t i = e->tail % N_EVENTS;
    *text = e->text + i * e->text_cap;
    e->slots[i] = (slot){0};
    return &e->slots[i];
}

static void publish(bitnet_engine *e) {
    bitnet_os_mutex_lock(&e->lock);
    e->tail++;
    bitnet_os_mutex_unlock(&e->lock);
}

bitnet_status bitnet_engine_poll(bitnet_engine *e, bitnet_event *out) {
    bitnet_status st = BITNET_AGAIN;
    bitnet_os_mutex_lock(&e->lock);
    request *reap = e->reap;
    e->reap = NULL;
    if (e->head != e->tail) {
        slot *s = &e->slots[e->head++ % N_EVENTS];
        *out = s->event;
        e->reap = s->ended;
        st = BITNET_OK;
    }
    bitnet_os_mutex_unlock(&e->lock);
    bitnet_request_free(reap, &e->allocator);
    return st;
}

static double since(uint64_t from_ns, uint64_t to_ns) {
    return (double)(to_ns - from_ns) * 1e-9;
}

static void emit_prompt(bitnet_engine *e, const request *r) {
    char *text;
    slot *s = next_slot(e, &text);
    s->event = (bitnet_event){.kind = BITNET_EVENT_PROMPT,
                              .request = r->id,
                              .prompt = r->tokens,
                              .n_prompt = r->n_prompt};
    publish(e);
}

/* Returns the stop string that the token completes, or -1. It was sampled at now_ns. */
static int32_t emit_token(bitnet_engine *e, request *r, bitnet_token token, const float *logits,
                          uint64_t now_ns) {
    char *text;
    slot *s = next_slot(e, &text);
    int32_t n = bitnet_token_text(e->model, token, e->piece, e->piece_cap);
    size_t len = bitnet_stream_push(&r->stream, e->piece, n > 0 ? (size_t)n : 0, e->chars);
    int32_t stop_index = bitnet_stop_push(&r->stop, e->chars, len, text, &len);
    r->timings.detokenize_s += since(now_ns, bitnet_os_now_ns());
    s->event = (bitnet_event){.kind = BITNET_EVENT_TOKEN,
                              .request = r->id,
                              .token = token,
                              .text = text,
                              .text_len = len};
    if (r->has_logprobs) {
        bitnet_logprob *out = e->logprobs[s - e->slots];
        s->event.logprobs = out;
        s->event.n_logprobs =
            bitnet_sampler_logprobs(logits, e->n_vocab, token, r->n_top_logprobs, out, e->scratch);
    }
    publish(e);
    return stop_index;
}

/* The text still held back when no stop string came: the start of one, then the bytes of half a
 * character. Stop strings are not looked for in the latter. */
static size_t flush_text(bitnet_engine *e, request *r, char *text) {
    size_t n_stop = bitnet_stop_flush(&r->stop, text);
    size_t n_chars = bitnet_stream_flush(&r->stream, e->chars);
    memcpy(text + n_stop, e->chars, n_chars + 1);
    return n_stop + n_chars;
}

/* Allocates, as nothing else of a step does, and only where operations are recorded. */
static void end_op(request *r, bitnet_finish finish, const bitnet_error *error) {
    bitnet_op_units(r->op, r->timings.n_generated, "token");
    bitnet_op_set_sizes(r->op, r->n_prompt, r->timings.n_generated);
    bitnet_op_set_number(r->op, "request", r->id);
    bitnet_op_set_text(r->op, "finish", bitnet_finish_name(finish));
    if (error) bitnet_op_fail(r->op, "%s", error->text);
    bitnet_op_end(r->op);
    r->op = NULL;
}

/* Takes the request out of the queue and hands it to its END event. stop_index < 0: none came. */
static bitnet_status end_request(bitnet_engine *e, request *r, bitnet_finish finish,
                                 int32_t stop_index, const bitnet_error *error) {
    uint64_t now = bitnet_os_now_ns();
    r->timings.e2e_s = since(r->accepted_ns, now);
    r->timings.decode_s = r->first_token_ns ? since(r->first_token_ns, now) : 0.0;
    r->timings.memory_size = e->memory_size;
    bitnet_meter_push(e->ring, &r->timings, r->id, now);
    end_op(r, finish, error);
    char *text;
    slot *s = next_slot(e, &text);
    text[0] = 0;
    s->event = (bitnet_event){.kind = BITNET_EVENT_END,
                              .request = r->id,
                              .text = text,
                              .text_len = stop_index < 0 ? flush_text(e, r, text) : 0,
                              .finish = finish,
                              .stop_index = stop_index,
                              .timings = r->timings};
    if (error) s->event.error = *error;
    s->ended = r;
    bitnet_os_mutex_lock(&e->lock);
    request **at = &e->queue;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    e->n_queued--;
    bitnet_meter_add(&e->meter, &r->timings);
    e->tail++;
    bitnet_os_mutex_unlock(&e->lock);
    return BITNET_OK;
}

static bitnet_status end_with_error(bitnet_engine *e, request *r, bitnet_status st,
                                    const char *what) {
    bitnet_error err = {0};
    bitnet_fail(&err, st, "engine.step", "%s failed: %s", what, bitnet_status_text(st));
    return end_request(e, r, BITNET_FINISH_ERROR, -1, &err);
}

/* ---- one step ---------------------------------------------------------------------------------
 */

/* The tokens of a pass come at once; each is recorded with its share of the time. */
static void end_pass(bitnet_engine *e, const request *r, uint64_t now_ns) {
    pass *p = &e->pass;
    for (int32_t i = 0; i < p->n_tokens; i++)
        bitnet_ring_push(e->ring, now_ns, BITNET_METRIC_TPOT,
                         (double)p->took_ns * 1e-9 / p->n_tokens, r->id, (uint64_t)p->n_tokens);
    *p = (pass){0};
    bitnet_ctx_cut(e->ctx, r->n_prompt + r->timings.n_generated - 1); /* what was guessed wrong */
}

static void record_token(bitnet_engine *e, request *r, bitnet_token token, uint64_t now_ns) {
    int32_t n_held = r->n_prompt + r->timings.n_generated - 1; /* without guesses */
    if (r->timings.n_generated == 1) {
        r->first_token_ns = now_ns;
        r->timings.ttft_s = since(r->accepted_ns, now_ns);
        bitnet_ring_push(e->ring, now_ns, BITNET_METRIC_TTFT, r->timings.ttft_s, r->id, 0);
    }
    bitnet_ring_push(e->ring, now_ns, BITNET_METRIC_TOKENS_OUT, 1, r->id, (uint64_t)token);
    bitnet_ring_push(e->ring, now_ns, BITNET_METRIC_KV_USED,
                     (double)bitnet_model_ctx_size(e->model, n_held), r->id, 0);
}

/* BITNET_FINISH_NONE to go on. */
static bitnet_finish finish_of(const bitnet_engine *e, const request *r, bitnet_token token,
                               int32_t stop_index) {
    int32_t n_tokens = r->n_prompt + r->timings.n_generated;
    if (stop_index >= 0 || bitnet_token_is_end(e->model, token)) return BITNET_FINISH_STOP;
    bool is_long = r->max_tokens > 0 && r->timings.n_generated >= r->max_tokens;
    return is_long || n_tokens > bitnet_ctx_size(e->ctx) ? BITNET_FINISH_LENGTH
                                                         : BITNET_FINISH_NONE;
}

/* As bitnet_sampler_next. It begins at *now_ns and leaves there when it ended; the time is the request's. */
static bitnet_token timed_next(bitnet_engine *e, request *r, const float *logits,
                               const bitnet_tail *tail, uint64_t *now_ns) {
    bitnet_token token = bitnet_sampler_next(&r->sampler, logits, tail, e->n_vocab, r->tokens,
                                             r->n_prompt + r->timings.n_generated, e->scratch);
    const uint64_t end = bitnet_os_now_ns();
    r->timings.sample_s += since(*now_ns, end);
    *now_ns = end;
    return token;
}

/* From the pass's next row of logits; the status is that of computing those left out, if it had to. */
static bitnet_status draw(bitnet_engine *e, request *r, const float *logits, bitnet_token *out,
                          uint64_t *now_ns) {
    const int32_t row = e->pass.row;
    const bitnet_tail tail = bitnet_ctx_tail_at(e->ctx, row);
    *out = timed_next(e, r, logits, &tail, now_ns);
    const bool is_open = *out == BITNET_TOKEN_OPEN;
    if (row == 0 || is_open) bitnet_wants_result(&r->wants, &tail, is_open);
    if (!is_open) return BITNET_OK;
    bitnet_status st = bitnet_ctx_complete(e->ctx);
    const uint64_t completed = bitnet_os_now_ns();
    r->timings.decode_pass_s += since(*now_ns, completed);
    *now_ns = completed;
    if (st >= 0) *out = timed_next(e, r, logits, NULL, now_ns);
    return st;
}

/* The token behind the pass's next row of logits, which are there since now_ns; the step began at step_ns. */
static bitnet_status sample(bitnet_engine *e, request *r, uint64_t step_ns, uint64_t now_ns) {
    pass *p = &e->pass;
    const float *logits = bitnet_ctx_logits_at(e->ctx, p->row);
    int32_t n_tokens = r->n_prompt + r->timings.n_generated;
    bitnet_token token;
    bitnet_status st = draw(e, r, logits, &token, &now_ns);
    if (st < 0 || token < 0) {
        end_pass(e, r, now_ns);
        if (st < 0) return end_with_error(e, r, st, "computing the logits that were left out");
        return end_with_error(e, r, BITNET_E_BACKEND,
                              "sampling (a logit is not finite, or every token is banned)");
    }
    bool is_first = r->timings.n_generated++ == 0;
    r->tokens[n_tokens] = token;
    record_token(e, r, token, now_ns);
    p->took_ns += now_ns - step_ns;
    p->n_tokens += !is_first;
    bool is_guessed = p->row < p->n_draft && token == p->draft[p->row];
    r->timings.n_accepted += is_guessed;
    int32_t stop_index = emit_token(e, r, token, logits, now_ns);
    bitnet_finish finish = finish_of(e, r, token, stop_index);
    if (is_guessed && finish == BITNET_FINISH_NONE)
        p->row++;
    else
        end_pass(e, r, now_ns);
    return finish == BITNET_FINISH_NONE ? BITNET_OK : end_request(e, r, finish, stop_index, NULL);
}

static void start_prefill(bitnet_engine *e, request *r, uint64_t now_ns) {
    r->state = REQUEST_PREFILL;
    r->started_ns = now_ns;
    if (!r->has_logprobs) r->wants.want = bitnet_sampler_wants(&r->sampler.desc);
    bitnet_ctx_want(e->ctx, bitnet_wants_next(&r->wants));
    bitnet_prefix_fetch(&e->prefix, e->ctx, r->tokens, r->n_prompt);
    r->n_done = bitnet_ctx_match(e->ctx, r->tokens, r->n_prompt);
    if (r->n_done == r->n_prompt) r->n_done--; /* its logits are needed */
    r->timings.n_prompt_computed = r->n_prompt - r->n_done;
    bitnet_ctx_cut(e->ctx, r->n_done);
    emit_prompt(e, r);
}

static bitnet_status step_prefill(bitnet_engine *e, request *r) {
    if (r->state == REQUEST_QUEUED) start_prefill(e, r, bitnet_os_now_ns());
    int32_t n_now = least(r->n_prompt - r->n_done, e->n_batch);
    bool is_last = r->n_done + n_now == r->n_prompt; /* only its logits are wanted */
    bitnet_ctx_run run = {e->ctx, r->tokens + r->n_done, n_now, is_last};
    bitnet_status st = bitnet_ctx_extend(&run, 1);
    if (st < 0) return end_with_error(e, r, st, "prefill");
    r->n_done += n_now;
    if (!is_last) return BITNET_OK;
    bitnet_prefix_store(&e->prefix, e->ctx, r->tokens, r->n_prompt);
    uint64_t done = bitnet_os_now_ns();
    r->state = REQUEST_DECODE;
    r->timings.prefill_s = since(r->started_ns, done);
    uint64_t n = (uint64_t)r->timings.n_prompt_computed;
    bitnet_ring_push(e->ring, done, BITNET_METRIC_TOKENS_IN, (double)n, r->id, 0);
    bitnet_ring_push(e->ring, done, BITNET_METRIC_REUSED, (double)r->n_prompt - (double)n, r->id,
                     0);
    bitnet_ring_push(e->ring, done, BITNET_METRIC_PREFILL_RATE, (double)n / r->timings.prefill_s,
                     r->id, n);
    return sample(e, r, done, done);
}

/* Brings the lookup up to the last token, and what is known of its guesses. */
static void learn(bitnet_engine *e, const request *r) {
    int32_t n_tokens = r->n_prompt + r->timings.n_generated;
    if (r->timings.n_generated == 1) {
        bitnet_lookup_start(&e->lookup, r->tokens);
        bitnet_pace_start(&e->pace);
    }
    while (e->lookup.n < n_tokens) {
        bool is_generated = e->lookup.n >= r->n_prompt;
        int32_t m = bitnet_lookup_add(&e->lookup);
        if (is_generated && m != 0) bitnet_pace_guess(&e->pace, m < 0 ? -m : m, m > 0);
    }
}

/* Fills out with what shall be checked behind the last token. */
static int32_t guess(bitnet_engine *e, const request *r, bitnet_token *out) {
    if (e->n_draft < 1) return 0;
    learn(e, r);
    if (e->lookup.source == 0) return 0;
    int32_t n_tokens = r->n_prompt + r->timings.n_generated;
    int32_t n_max = least(e->n_draft, bitnet_ctx_size(e->ctx) - n_tokens);
    if (r->max_tokens > 0) n_max = least(n_max, r->max_tokens - r->timings.n_generated - 1);
    int32_t n = bitnet_pace_choose(&e->pace, e->lookup.match, n_max);
    if (n < e->n_draft_min) n = least(e->n_draft_min, n_max);
    n = bitnet_lookup_guess(&e->lookup, out, n);
    for (int32_t i = 0; i < n; i++)
        if (bitnet_token_is_end(e->model, out[i])) return i + 1; /* nothing comes behind it */
    return n;
}

static bitnet_status step_decode(bitnet_engine *e, request *r) {
    pass *p = &e->pass;
    uint64_t before = bitnet_os_now_ns();
    if (p->row > 0) return sample(e, r, before, before); /* guessed right: the next row is there */
    bitnet_token tok[1 + BITNET_MAX_DRAFT];
    tok[0] = r->tokens[r->n_prompt + r->timings.n_generated - 1];
    p->n_draft = guess(e, r, tok + 1);
    memcpy(p->draft, tok + 1, (size_t)p->n_draft * sizeof *tok);
    r->timings.n_drafted += p->n_draft;
    bitnet_ctx_want(e->ctx, bitnet_wants_next(&r->wants));
    bitnet_ctx_run run = {e->ctx, tok, 1 + p->n_draft, 1 + p->n_draft};
    uint64_t start = bitnet_os_now_ns();
    bitnet_status st = bitnet_ctx_extend(&run, 1);
    if (st < 0) {
        *p = (pass){0};
        return end_with_error(e, r, st, "decoding");
    }
    const uint64_t done = bitnet_os_now_ns();
    r->timings.decode_pass_s += since(start, done);
    bitnet_pace_pass(&e->pace, p->n_draft, done - start);
    return sample(e, r, before, done);
}

bitnet_status bitnet_engine_step(bitnet_engine *e) {
    bitnet_os_mutex_lock(&e->lock);
    /* one slot stays out of reach: the event polled last still borrows its text */
    bool has_room = e->tail - e->head + EVENTS_A_STEP + 1 <= N_EVENTS;
    request *r = e->queue;
    for (request *c = e->queue; c; c = c->next)
        if (atomic_load(&c->is_cancelled)) r = c; /* ended at once, also when it is not its turn */
    bitnet_os_mutex_unlock(&e->lock);
    if (!r || !has_room) return BITNET_AGAIN;
    if (atomic_load(&r->is_cancelled)) {
        if (e->pass.row > 0 && r->state == REQUEST_DECODE) end_pass(e, r, bitnet_os_now_ns());
        return end_request(e, r, BITNET_FINISH_CANCELLED, -1, NULL);
    }
    return r->state == REQUEST_DECODE ? step_decode(e, r) : step_prefill(e, r);
}

/* ---- of all requests ----------------------------------------------------------------------------
 */

bitnet_metrics bitnet_engine_get_metrics(bitnet_engine *e) {
    bitnet_os_mutex_lock(&e->lock);
    const bitnet_meter sum = e->meter;
    bitnet_os_mutex_unlock(&e->lock);
    return bitnet_meter_read(&sum);
}

void bitnet_engine_reset_metrics(bitnet_engine *e) {
    bitnet_os_mutex_lock(&e->lock);
    e->meter = (bitnet_meter){0};
    bitnet_os_mutex_unlock(&e->lock);
}

bitnet_status bitnet_engine_run(bitnet_engine *e, const bitnet_request *req, bitnet_event_fn fn,
                                void *user, bitnet_error *err) {
    uint32_t id = 0;
    bitnet_status st = bitnet_engine_submit(e, req, &id, err);
    if (st == BITNET_AGAIN)
        return bitnet_fail(err, BITNET_AGAIN, "engine.busy", "%d requests are waiting already",
                           N_QUEUED);
    if (st < 0) return st;
    for (;;) {
        bitnet_event ev;
        while (bitnet_engine_poll(e, &ev) == BITNET_OK) {
            if (fn && fn(user, &ev)) bitnet_engine_cancel(e, ev.request);
            if (ev.kind != BITNET_EVENT_END || ev.request != id) continue;
            if (err) *err = ev.error;
            if (ev.finish == BITNET_FINISH_ERROR) return ev.error.status;
            return ev.finish == BITNET_FINISH_CANCELLED ? BITNET_E_CANCELLED : BITNET_OK;
        }
        bitnet_engine_step(e);
    }
}

/* ---- the timeline as bytes --------------------------------------------------------------------
 */

static bitnet_status check_idle(bitnet_engine *e, bitnet_error *err) {
    bitnet_os_mutex_lock(&e->lock);
    const int32_t n_queued = e->n_queued;
    bitnet_os_mutex_unlock(&e->lock);
    if (n_queued == 0) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_INVAL, "state.busy",
                       "a state is saved or loaded while no request runs; there are %d", n_queued);
}

bitnet_status bitnet_engine_save(bitnet_engine *e, void *out, size_t *size, bitnet_error *err) {
    bitnet_status st = check_idle(e, err);
    if (st < 0) return st;
    const uint64_t need = bitnet_state_size(e->ctx, e->model);
    if (need > SIZE_MAX)
        return bitnet_fail(err, BITNET_E_NOMEM, "state.memory", "the state takes %llu bytes",
                           (unsigned long long)need);
    if (out && *size >= need) bitnet_state_write(e->ctx, e->model, out);
    *size = (size_t)need;
    return BITNET_OK;
}

bitnet_status bitnet_engine_load(bitnet_engine *e, const void *data, size_t size,
                                 bitnet_error *err) {
    bitnet_status st = check_idle(e, err);
    return st < 0 ? st : bitnet_state_read(e->ctx, e->model, data, size, err);
}
