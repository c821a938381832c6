/* test_engine.c: requests in, events out: order, limits, cancelling, stop strings, logprobs, a
 * conversation's turns, what a request may not be; and that bitnet_ctx keeps, extends and forgets a
 * timeline without changing a bit of the answer.
 */
#include "load_file.h"
#include "tiny_model.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct log {
    bitnet_event_kind kind[512];
    bitnet_token token[512];
    char text[4096];
    int n, n_tokens, stop_after;
    bitnet_finish finish;
    int32_t stop_index;
    bitnet_timings timings;
    bitnet_logprob logprobs[512][3];
    int32_t n_logprobs;
} log_t;

static int on_event(void *user, const bitnet_event *ev) {
    log_t *l = user;
    l->kind[l->n++] = ev->kind;
    assert_int_equal(ev->text ? strlen(ev->text) : 0, ev->text_len);
    if (ev->kind != BITNET_EVENT_PROMPT)
        strncat(l->text, ev->text, sizeof l->text - strlen(l->text) - 1);
    if (ev->kind == BITNET_EVENT_TOKEN) {
        l->n_logprobs = ev->n_logprobs;
        assert_in_range(ev->n_logprobs, 0, 3);
        for (int32_t i = 0; i < ev->n_logprobs; i++)
            l->logprobs[l->n_tokens][i] = ev->logprobs[i];
        l->token[l->n_tokens++] = ev->token;
    }
    if (ev->kind == BITNET_EVENT_END)
        l->finish = ev->finish, l->stop_index = ev->stop_index, l->timings = ev->timings;
    return l->stop_after > 0 && l->n_tokens >= l->stop_after;
}

static bitnet_engine *make_engine(int32_t n_ctx) {
    bitnet_engine *e;
    bitnet_error err = {0};
    if (bitnet_engine_create(&e, &(bitnet_engine_desc){.model = test_shared.model, .n_ctx = n_ctx},
                             &err) < 0)
        fail_msg("%s", err.text);
    return e;
}

static bitnet_status run(bitnet_engine *e, const char *prompt, int32_t max_tokens, log_t *l,
                         bitnet_error *err) {
    bitnet_request req = {.prompt = prompt, .prompt_len = strlen(prompt), .max_tokens = max_tokens};
    return bitnet_engine_run(e, &req, on_event, l, err);
}

static void events_come_as_prompt_tokens_end(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    log_t l = {0};
    assert_int_equal(run(e, "Once upon a time", 8, &l, NULL), BITNET_OK);
    assert_int_equal(l.n, 10);
    assert_int_equal(l.kind[0], BITNET_EVENT_PROMPT);
    for (int i = 1; i < 9; i++)
        assert_int_equal(l.kind[i], BITNET_EVENT_TOKEN);
    assert_int_equal(l.kind[9], BITNET_EVENT_END);
    assert_int_equal(l.finish, BITNET_FINISH_LENGTH);
    assert_string_equal(l.text, " there was a king who had three sons");
    assert_int_equal(l.timings.n_prompt, 5);
    assert_int_equal(l.timings.n_generated, 8);
    assert_true(l.timings.ttft_s > 0 && l.timings.ttft_s <= l.timings.e2e_s);
    assert_true(l.timings.decode_s > 0 && l.timings.sample_s > 0 && l.timings.prefill_s > 0);
    bitnet_engine_free(e);
}

static void a_shared_prefix_is_not_computed_again_and_changes_nothing(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    log_t first = {0}, again = {0}, other = {0};
    run(e, "Once upon a time there was a little boy", 12, &first, NULL);
    run(e, "Once upon a time there was a little boy", 12, &again, NULL);
    assert_int_equal(again.timings.n_prompt_computed, 1);
    assert_string_equal(again.text, first.text);
    run(e, "Once upon a time there was a little girl", 12, &other, NULL);
    assert_int_equal(other.timings.n_prompt_computed, 1);
    bitnet_engine *fresh = make_engine(0);
    log_t want = {0};
    run(fresh, "Once upon a time there was a little girl", 12, &want, NULL);
    assert_string_equal(other.text, want.text);
    bitnet_engine_free(fresh);
    bitnet_engine_free(e);
}

static void the_callback_can_stop_it_and_the_engine_goes_on(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    log_t l = {.stop_after = 3}, next = {0};
    assert_int_equal(run(e, "The fox", 100, &l, NULL), BITNET_E_CANCELLED);
    assert_int_equal(l.finish, BITNET_FINISH_CANCELLED);
    assert_int_equal(l.n_tokens, 3);
    assert_int_equal(run(e, "Once upon a time", 4, &next, NULL), BITNET_OK);
    assert_string_equal(next.text, " there was a king");
    bitnet_engine_free(e);
}

static void a_full_window_ends_with_length(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(16);
    log_t l = {0};
    assert_int_equal(run(e, "Once upon a time", -1, &l, NULL), BITNET_OK);
    assert_int_equal(l.finish, BITNET_FINISH_LENGTH);
    assert_int_equal(l.timings.n_generated,
                     16 - 5 + 1); /* the last one needs no place of its own */
    bitnet_engine_free(e);
}

static void a_prompt_as_long_as_the_window_is_answered_and_one_longer_is_refused(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(5);
    log_t l = {0};
    bitnet_error err = {0};
    assert_int_equal(run(e, "Once upon a time", -1, &l, &err), BITNET_OK);
    assert_int_equal(l.n_tokens, 1);
    assert_int_equal(run(e, "Once upon a time there", -1, &l, &err), BITNET_E_CTX_FULL);
    assert_string_equal(err.id, "request.too_long");
    assert_non_null(strstr(err.text, "6 tokens"));
    assert_non_null(strstr(err.text, "room for 5"));
    bitnet_engine_free(e);
}

static void bad_requests_are_refused_with_the_place(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    static const bitnet_token over[] = {1, 4096}, below[] = {-1};
    static const bitnet_logit_bias bias = {4096, 1};
    static const bitnet_message hello = {"user", "Hello", 5};
    static char long_stop[BITNET_MAX_STOP_BYTES + 2];
    memset(long_stop, 'x', BITNET_MAX_STOP_BYTES + 1);
    const struct {
        bitnet_request req;
        const char *id, *text;
    } cases[] = {
        {{.prompt = "a\xff", .prompt_len = 2}, "request.utf8", "0xff at offset 1"},
        {{.prompt = NULL}, "request.empty", "no prompt"},
        {{.tokens = over, .n_tokens = 0}, "request.empty", "no tokens"},
        {{.tokens = over, .n_tokens = 2}, "request.token", "token 1 is 4096"},
        {{.tokens = below, .n_tokens = 1}, "request.token", "is -1"},
        {{.tokens = over, .n_tokens = 1, .flags = 1}, "request.flags", "0x1; allowed"},
        {{.prompt = "a", .prompt_len = 1, .flags = 8}, "request.flags", "0x8; allowed"},
        {{.prompt = "a", .prompt_len = 1, .tokens = over, .n_tokens = 1},
         "request.prompts",
         "2 of"},
        {{.messages = &hello, .n_messages = 0}, "request.empty", "no messages"},
        {{.prompt = "a", .prompt_len = 1, .sampler = {.top_p = 7}}, "sampler.range", "top_p is 7"},
        {{.prompt = "a", .prompt_len = 1, .sampler = {.bias = &bias, .n_bias = 1}},
         "request.bias",
         "token 4096; the vocabulary has 0 to 4095"},
        {{.prompt = "a", .prompt_len = 1, .stop = (const char *[]){"ok", ""}, .n_stop = 2},
         "request.stop",
         "stop string 1 has 0 bytes"},
        {{.prompt = "a", .prompt_len = 1, .stop = (const char *[]){"ok", long_stop}, .n_stop = 2},
         "request.stop",
         "stop string 1 has 257 bytes"},
        {{.prompt = "a", .prompt_len = 1, .stop = (const char *[]){"ok"}, .n_stop = 17},
         "request.stop",
         "17 stop strings"},
        {{.prompt = "a", .prompt_len = 1, .stop = (const char *[]){"a\xe2"}, .n_stop = 1},
         "request.utf8",
         "stop string"},
        {{.prompt = "a", .prompt_len = 1, .n_top_logprobs = 21}, "request.logprobs", "is 21"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bitnet_error err = {0};
        uint32_t id;
        assert_true(bitnet_engine_submit(e, &cases[i].req, &id, &err) < 0);
        assert_string_equal(err.id, cases[i].id);
        if (!strstr(err.text, cases[i].text))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].text);
    }
    bitnet_engine_free(e);
}

/* ---- stop strings, logprobs, penalties ---------------------------------------------------------
 */

/* Greedy, this prompt gives " there was a king who had three sons, and the youngest ..." */
static log_t ask(bitnet_engine *e, bitnet_request req) {
    log_t l = {0};
    bitnet_error err = {0};
    if (!req.messages && !req.tokens) req.prompt = "Once upon a time", req.prompt_len = 16;
    if (req.max_tokens == 0) req.max_tokens = 12;
    if (bitnet_engine_run(e, &req, on_event, &l, &err) < 0) fail_msg("%s", err.text);
    return l;
}

static void a_stop_string_ends_the_text_before_it(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    const char *stop[] = {"zebra", "o had th", "king who had no"};
    log_t l = ask(e, (bitnet_request){.stop = stop, .n_stop = 3});
    assert_string_equal(l.text, " there was a king wh");
    assert_int_equal(l.finish, BITNET_FINISH_STOP);
    assert_int_equal(l.stop_index, 1);
    assert_int_equal(l.n_tokens, 7); /* " three" is the token that completes it */
    assert_int_equal(l.timings.n_generated, 7);
    bitnet_engine_free(e);
}

static void held_text_comes_out_at_the_end_when_no_stop_string_came(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    const char *stop[] = {" king who had nothing"};
    log_t l = ask(e, (bitnet_request){.stop = stop, .n_stop = 1, .max_tokens = 6});
    assert_string_equal(l.text, " there was a king who had");
    assert_int_equal(l.finish, BITNET_FINISH_LENGTH);
    assert_int_equal(l.stop_index, -1);
    log_t more = ask(e, (bitnet_request){.stop = stop, .n_stop = 1, .max_tokens = 8});
    assert_string_equal(more.text, " there was a king who had three sons");
    bitnet_engine_free(e);
}

/* the sum of two roundings of doubles to f32 near 1 */
#define SUM_TOLERANCE 1.2e-7

static void logprobs_come_with_each_token_and_greedy_tokens_are_the_likeliest(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    log_t without = ask(e, (bitnet_request){.n_top_logprobs = 2});
    assert_int_equal(without.n_logprobs, 0);
    log_t l = ask(e, (bitnet_request){.has_logprobs = true, .n_top_logprobs = 2});
    assert_int_equal(l.n_logprobs, 3);
    for (int i = 0; i < l.n_tokens; i++) {
        const bitnet_logprob *p = l.logprobs[i];
        assert_int_equal(p[0].token, l.token[i]);
        assert_int_equal(p[1].token, l.token[i]);
        assert_true(p[0].logprob == p[1].logprob && p[1].logprob >= p[2].logprob);
        assert_true(p[0].logprob < 0);
        double sum = exp((double)p[1].logprob) + exp((double)p[2].logprob);
        if (!(sum <= 1 + SUM_TOLERANCE)) fail_msg("two probabilities sum to %.9g", sum);
    }
    bitnet_engine_free(e);
}

static void logprobs_are_the_models_own_whatever_the_sampler_was_told(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    log_t plain =
        ask(e, (bitnet_request){.has_logprobs = true, .n_top_logprobs = 2, .max_tokens = 1});
    bitnet_logit_bias ban = {plain.token[0], -INFINITY};
    log_t l = ask(e, (bitnet_request){.has_logprobs = true,
                                      .n_top_logprobs = 1,
                                      .max_tokens = 1,
                                      .sampler = {.bias = &ban, .n_bias = 1}});
    assert_int_equal(l.token[0], plain.logprobs[0][2].token); /* the second likeliest */
    assert_true(l.logprobs[0][0].logprob == plain.logprobs[0][2].logprob);
    assert_int_equal(l.logprobs[0][1].token, plain.token[0]);
    bitnet_engine_free(e);
}

static void biases_and_stop_strings_are_copied_at_submit(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    char stop[] = "who";
    const char *stops[] = {stop};
    bitnet_logit_bias ban[] = {{4000, -INFINITY}};
    bitnet_request req = {.prompt = "Once upon a time",
                          .prompt_len = 16,
                          .max_tokens = 12,
                          .stop = stops,
                          .n_stop = 1,
                          .sampler = {.bias = ban, .n_bias = 1}};
    uint32_t id;
    log_t l = {0};
    bitnet_event ev = {0};
    assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_OK);
    memset(stop, 'e', 3);
    ban[0].token = -5, ban[0].bias = NAN;
    stops[0] = NULL;
    while (ev.kind != BITNET_EVENT_END) {
        bitnet_engine_step(e);
        while (bitnet_engine_poll(e, &ev) == BITNET_OK)
            on_event(&l, &ev);
    }
    assert_string_equal(l.text, " there was a king ");
    bitnet_engine_free(e);
}

static void penalties_look_at_the_prompt_and_at_what_was_generated(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    bitnet_sampler_desc no_repeat = {.presence_penalty = 100, .penalty_last_n = -1};
    log_t l = ask(e, (bitnet_request){.max_tokens = 60, .sampler = no_repeat});
    bool seen[4096] = {false};
    bitnet_token prompt[16];
    int32_t n =
        bitnet_tokenize(test_shared.model, "Once upon a time", 16, BITNET_TOKENIZE_BOS, prompt, 16);
    assert_int_equal(n, 5);
    for (int32_t i = 0; i < n; i++)
        seen[prompt[i]] = true;
    for (int i = 0; i < l.n_tokens; i++) {
        if (seen[l.token[i]]) fail_msg("token %d (%d) has been there before", i, l.token[i]);
        seen[l.token[i]] = true;
    }
    log_t plain = ask(e, (bitnet_request){.max_tokens = 60});
    bool repeats = false;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < plain.n_tokens; i++)
        repeats |= seen[plain.token[i]], seen[plain.token[i]] = true;
    assert_true(repeats); /* without the penalty they do come again */
    bitnet_engine_free(e);
}

static void a_thousand_bans_hold_and_one_more_is_refused(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(8);
    static bitnet_logit_bias ban[1024];
    log_t l = {0};
    bitnet_error err = {0};
    for (int i = 0; i < 1024; i++)
        ban[i] = (bitnet_logit_bias){i, -INFINITY};
    bitnet_request req = {
        .prompt = "x", .prompt_len = 1, .max_tokens = 4, .sampler = {.bias = ban, .n_bias = 1024}};
    assert_int_equal(bitnet_engine_run(e, &req, on_event, &l, &err), BITNET_OK);
    for (int i = 0; i < l.n_tokens; i++)
        assert_true(l.token[i] >= 1024);
    req.sampler.n_bias = 1025;
    assert_int_equal(bitnet_engine_run(e, &req, on_event, &l, &err), BITNET_E_INVAL);
    assert_string_equal(err.id, "sampler.range");
    bitnet_engine_free(e);
}

/* ---- conversations -----------------------------------------------------------------------------
 */

static void the_next_turn_of_a_conversation_computes_its_new_tokens_only(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    bitnet_message m[3] = {{"user", "Once upon a time", 16}};
    log_t one = ask(e, (bitnet_request){.messages = m, .n_messages = 1, .max_tokens = 40});
    assert_true(strncmp(one.text, " there was a king who had three sons", 36) == 0);
    assert_int_equal(one.timings.n_prompt_computed, 5);
    m[1] = (bitnet_message){"assistant", one.text, strlen(one.text)};
    m[2] = (bitnet_message){"user", " The fox said", 13};
    log_t two = ask(e, (bitnet_request){.messages = m, .n_messages = 3, .max_tokens = 10});
    assert_true(two.timings.n_prompt >= 5 + 40);
    assert_in_range(two.timings.n_prompt_computed, 1, 6);
    bitnet_engine *fresh = make_engine(0);
    log_t want = ask(fresh, (bitnet_request){.messages = m, .n_messages = 3, .max_tokens = 10});
    assert_int_equal(want.timings.n_prompt_computed, want.timings.n_prompt);
    assert_string_equal(two.text, want.text);
    bitnet_engine_free(fresh);
    bitnet_engine_free(e);
}

typedef struct prompt {
    bitnet_token id[64];
    int32_t n;
} prompt;

static int keep_prompt(void *user, const bitnet_event *ev) {
    prompt *p = user;
    if (ev->kind != BITNET_EVENT_PROMPT) return 0;
    assert_in_range(ev->n_prompt, 1, 64);
    memcpy(p->id, ev->prompt, (size_t)ev->n_prompt * sizeof *p->id);
    p->n = ev->n_prompt;
    return 0;
}

static void a_conversation_reaches_a_model_in_the_template_of_its_family(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    tiny_loaded t;
    bitnet_engine *e;
    bitnet_error err = {0};
    shape.has_eot = true;
    if (tiny_model_load(&t, &shape, NULL, &err) < 0) fail_msg("%s", err.text);
    assert_string_equal(bitnet_model_get_info(t.model).chat_template, "bitnet");
    assert_string_equal(bitnet_chat_template(t.model), "bitnet");
    bitnet_engine_desc desc = {.model = t.model};
    assert_int_equal(bitnet_engine_create(&e, &desc, &err), BITNET_OK);
    const bitnet_message m = {"user", " ab\n", 4}; /* trimmed */
    prompt got = {.n = 0};
    bitnet_request req = {.messages = &m, .n_messages = 1, .max_tokens = 1};
    assert_int_equal(bitnet_engine_run(e, &req, keep_prompt, &got, &err), BITNET_OK);
    /* a token per byte; 256 is <s>, 257 <|eot_id|> */
    static const char words[] = "\1User: ab\2Assistant: ";
    assert_int_equal(got.n, sizeof words - 1);
    for (int32_t i = 0; i < got.n; i++) {
        int32_t want = words[i] <= 2 ? 255 + words[i] : words[i];
        if (got.id[i] != want) fail_msg("prompt token %d is %d, expected %d", i, got.id[i], want);
    }
    bitnet_engine_free(e);
    tiny_model_close(&t);
}

static void a_conversation_that_cannot_be_told_in_this_vocabulary_is_refused(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    bitnet_message m = {"user", "Hello", 5}, spoiled = {"user", "a\xff", 2};
    bitnet_error err = {0};
    uint32_t id;
    bitnet_request req = {.messages = &m, .n_messages = 1, .chat_template = "chatml"};
    assert_int_equal(bitnet_engine_submit(e, &req, &id, &err), BITNET_E_UNSUPPORTED);
    assert_true(err.text[0] != 0);
    req.chat_template = "no such family";
    assert_int_equal(bitnet_engine_submit(e, &req, &id, &err), BITNET_E_INVAL);
    req = (bitnet_request){.messages = &spoiled, .n_messages = 1};
    assert_int_equal(bitnet_engine_submit(e, &req, &id, &err), BITNET_E_FORMAT);
    bitnet_engine_free(e);
}

static void queued_requests_run_in_turn_and_a_cancelled_one_ends_at_once(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    uint32_t id[3];
    bitnet_request req = {.prompt = "The old king", .prompt_len = 12, .max_tokens = 4};
    for (int i = 0; i < 3; i++)
        assert_int_equal(bitnet_engine_submit(e, &req, &id[i], NULL), BITNET_OK);
    bitnet_engine_cancel(e, id[2]);
    bitnet_event ev;
    uint32_t ended[3];
    int n_ended = 0;
    bool was_cancelled = false;
    while (n_ended < 3) {
        bitnet_engine_step(e);
        while (bitnet_engine_poll(e, &ev) == BITNET_OK) {
            if (ev.kind != BITNET_EVENT_END) continue;
            was_cancelled |= ev.request == id[2] && ev.finish == BITNET_FINISH_CANCELLED;
            ended[n_ended++] = ev.request;
        }
    }
    assert_true(was_cancelled);
    assert_int_equal(ended[0], id[2]);
    assert_int_equal(ended[1], id[0]);
    assert_int_equal(ended[2], id[1]);
    assert_int_equal(bitnet_engine_step(e), BITNET_AGAIN);
    bitnet_engine_free(e);
}

static void a_reader_that_is_behind_stops_the_engine_and_loses_nothing(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    uint32_t id;
    bitnet_request req = {.prompt = "The old king", .prompt_len = 12, .max_tokens = 150};
    assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_OK);
    while (bitnet_engine_step(e) != BITNET_AGAIN) {
    }
    bitnet_event ev;
    int n_tokens = 0;
    bool is_ended = false;
    while (!is_ended) {
        while (bitnet_engine_poll(e, &ev) == BITNET_OK) {
            n_tokens += ev.kind == BITNET_EVENT_TOKEN;
            is_ended |= ev.kind == BITNET_EVENT_END;
        }
        bitnet_engine_step(e);
    }
    assert_int_equal(n_tokens, 150);
    bitnet_engine_free(e);
}

static void too_many_waiting_requests_are_turned_away(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    uint32_t id;
    bitnet_request req = {.prompt = "x", .prompt_len = 1, .max_tokens = 1};
    for (int i = 0; i < 64; i++)
        assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_OK);
    assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_AGAIN);
    bitnet_engine_free(e); /* with all of them still waiting */
}

/* ---- two threads ------------------------------------------------------------------------------
 */

static atomic_bool stop_stepping;
static void *step_forever(void *engine) {
    while (!stop_stepping)
        bitnet_engine_step(engine);
    return NULL;
}

static void submit_poll_and_cancel_work_from_another_thread(void **state) {
    (void)state;
    bitnet_engine *e = make_engine(0);
    pthread_t thread;
    stop_stepping = false;
    assert_int_equal(pthread_create(&thread, NULL, step_forever, e), 0);
    for (int round = 0; round < 6; round++) {
        uint32_t id;
        bitnet_request req = {.prompt = "Once upon a time", .prompt_len = 16, .max_tokens = 30};
        assert_int_equal(bitnet_engine_submit(e, &req, &id, NULL), BITNET_OK);
        int n_tokens = 0;
        bitnet_event ev = {0};
        while (ev.kind != BITNET_EVENT_END) {
            if (bitnet_engine_poll(e, &ev) != BITNET_OK) continue;
            n_tokens += ev.kind == BITNET_EVENT_TOKEN;
            if (ev.kind == BITNET_EVENT_TOKEN) assert_int_equal(strlen(ev.text), ev.text_len);
            if (round % 2 && n_tokens == 5) bitnet_engine_cancel(e, id);
        }
        if (round % 2 == 0)
            assert_int_equal(n_tokens, 30);
        else
            assert_int_equal(ev.finish == BITNET_FINISH_CANCELLED || n_tokens == 30, true);
    }
    stop_stepping = true;
    pthread_join(thread, NULL);
    bitnet_engine_free(e);
}

static void *run_alone(void *text) {
    bitnet_engine *e = make_engine(64);
    log_t *l = calloc(1, sizeof *l);
    run(e, "Once upon a time", 20, l, NULL);
    strcpy(text, l->text);
    free(l);
    bitnet_engine_free(e);
    return NULL;
}

static void two_contexts_on_one_model_do_not_disturb_each_other(void **state) {
    (void)state;
    static char text[3][4096];
    pthread_t id[2];
    run_alone(text[2]);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&id[i], NULL, run_alone, text[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    assert_string_equal(text[0], text[2]);
    assert_string_equal(text[1], text[2]);
    assert_true(strlen(text[2]) > 20);
}

/* ---- the timeline ------------------------------------------------------------------------------
 */

static void rewinding_and_extending_gives_the_bits_of_a_fresh_context(void **state) {
    (void)state;
    bitnet_ctx *a, *b;
    bitnet_ctx_desc cd = {.model = test_shared.model, .n_ctx = 64};
    size_t bytes = (size_t)bitnet_model_get_info(test_shared.model).n_vocab * sizeof(float);
    bitnet_token first[] = {4094, 3675, 662, 258, 542, 443, 309},
                 second[] = {4094, 3675, 662, 11, 12};
    assert_int_equal(bitnet_ctx_create(&a, &cd, NULL), BITNET_OK);
    assert_int_equal(bitnet_ctx_create(&b, &cd, NULL), BITNET_OK);
    assert_null(bitnet_ctx_logits(a));
    assert_int_equal(bitnet_ctx_sync(a, first, 7), BITNET_OK);
    assert_int_equal(bitnet_ctx_match(a, second, 5), 3);
    assert_int_equal(bitnet_ctx_sync(a, second, 5), BITNET_OK);
    assert_int_equal(bitnet_ctx_len(a), 5);
    assert_int_equal(bitnet_ctx_sync(b, second, 5), BITNET_OK);
    assert_memory_equal(bitnet_ctx_logits(a), bitnet_ctx_logits(b), bytes);
    assert_int_equal(bitnet_ctx_sync(a, second, 4),
                     BITNET_OK); /* a shorter one: the last is computed again */
    assert_int_equal(bitnet_ctx_len(a), 4);
    assert_int_equal(bitnet_ctx_decode(a, 12), BITNET_OK);
    assert_memory_equal(bitnet_ctx_logits(a), bitnet_ctx_logits(b), bytes);
    assert_true(bitnet_ctx_kv_used(a) > 0 &&
                bitnet_ctx_kv_used(a) == bitnet_model_ctx_size(test_shared.model, 5));
    bitnet_ctx_free(a);
    bitnet_ctx_free(b);
}

static void a_full_or_wrong_timeline_is_refused_and_left_alone(void **state) {
    (void)state;
    bitnet_ctx *c;
    bitnet_ctx_desc cd = {.model = test_shared.model, .n_ctx = 3};
    bitnet_token four[] = {1, 2, 3, 4}, bad[] = {1, 5000};
    assert_int_equal(bitnet_ctx_create(&c, &cd, NULL), BITNET_OK);
    assert_int_equal(bitnet_ctx_sync(c, four, 3), BITNET_OK);
    assert_int_equal(bitnet_ctx_sync(c, four, 4), BITNET_E_CTX_FULL);
    assert_int_equal(bitnet_ctx_decode(c, 4), BITNET_E_CTX_FULL);
    assert_int_equal(bitnet_ctx_sync(c, bad, 2), BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_sync(c, four, 0), BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_decode(c, -1), BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_len(c), 3);
    assert_non_null(bitnet_ctx_logits(c));
    bitnet_ctx_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_as_prompt_tokens_end),
        cmocka_unit_test(a_shared_prefix_is_not_computed_again_and_changes_nothing),
        cmocka_unit_test(the_callback_can_stop_it_and_the_engine_goes_on),
        cmocka_unit_test(a_full_window_ends_with_length),
        cmocka_unit_test(a_prompt_as_long_as_the_window_is_answered_and_one_longer_is_refused),
        cmocka_unit_test(bad_requests_are_refused_with_the_place),
        cmocka_unit_test(a_stop_string_ends_the_text_before_it),
        cmocka_unit_test(held_text_comes_out_at_the_end_when_no_stop_string_came),
        cmocka_unit_test(logprobs_come_with_each_token_and_greedy_tokens_are_the_likeliest),
        cmocka_unit_test(logprobs_are_the_models_own_whatever_the_sampler_was_told),
        cmocka_unit_test(biases_and_stop_strings_are_copied_at_submit),
        cmocka_unit_test(penalties_look_at_the_prompt_and_at_what_was_generated),
        cmocka_unit_test(a_thousand_bans_hold_and_one_more_is_refused),
        cmocka_unit_test(the_next_turn_of_a_conversation_computes_its_new_tokens_only),
        cmocka_unit_test(a_conversation_reaches_a_model_in_the_template_of_its_family),
        cmocka_unit_test(a_conversation_that_cannot_be_told_in_this_vocabulary_is_refused),
        cmocka_unit_test(queued_requests_run_in_turn_and_a_cancelled_one_ends_at_once),
        cmocka_unit_test(a_reader_that_is_behind_stops_the_engine_and_loses_nothing),
        cmocka_unit_test(too_many_waiting_requests_are_turned_away),
        cmocka_unit_test(submit_poll_and_cancel_work_from_another_thread),
        cmocka_unit_test(two_contexts_on_one_model_do_not_disturb_each_other),
        cmocka_unit_test(rewinding_and_extending_gives_the_bits_of_a_fresh_context),
        cmocka_unit_test(a_full_or_wrong_timeline_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
