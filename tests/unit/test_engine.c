/* test_engine.c: requests in, events out: order, limits, cancelling, what a request may not be; and
 * that bitnet_ctx keeps, extends and forgets a timeline without changing a bit of the answer.
 */
#include "load_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static test_model model;

static int open_model(void **state) {
    (void)state;
    test_model_open(&model, 1, 0, NULL);
    return 0;
}
static int close_model(void **state) {
    (void)state;
    test_model_close(&model);
    return 0;
}

typedef struct log {
    bitnet_event_kind kind[512];
    bitnet_token token[512];
    char text[4096];
    int n, n_tokens, stop_after;
    bitnet_finish finish;
    bitnet_timings timings;
} log_t;

static int on_event(void *user, const bitnet_event *ev) {
    log_t *l = user;
    l->kind[l->n++] = ev->kind;
    if (ev->kind == BITNET_EVENT_TOKEN) {
        l->token[l->n_tokens++] = ev->token;
        strncat(l->text, ev->text, sizeof l->text - strlen(l->text) - 1);
    }
    if (ev->kind == BITNET_EVENT_END) l->finish = ev->finish, l->timings = ev->timings;
    return l->stop_after > 0 && l->n_tokens >= l->stop_after;
}

static bitnet_engine *make_engine(int32_t n_ctx) {
    bitnet_engine *e;
    bitnet_error err = {0};
    if (bitnet_engine_create(&e, &(bitnet_engine_desc){.model = model.model, .n_ctx = n_ctx},
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
    static const struct {
        bitnet_request req;
        const char *id, *text;
    } cases[] = {
        {{.prompt = "a\xff", .prompt_len = 2}, "request.utf8", "0xff at offset 1"},
        {{.prompt = NULL}, "request.empty", "no prompt"},
        {{.tokens = over, .n_tokens = 0}, "request.empty", "no tokens"},
        {{.tokens = over, .n_tokens = 2}, "request.token", "token 1 is 4096"},
        {{.tokens = below, .n_tokens = 1}, "request.token", "is -1"},
        {{.prompt = "a", .prompt_len = 1, .sampler = {.top_p = 7}}, "sampler.range", "top_p is 7"},
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
    bitnet_ctx_desc cd = {.model = model.model, .n_ctx = 64};
    size_t bytes = (size_t)bitnet_model_get_info(model.model).n_vocab * sizeof(float);
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
                bitnet_ctx_kv_used(a) == bitnet_model_ctx_size(model.model, 5));
    bitnet_ctx_free(a);
    bitnet_ctx_free(b);
}

static void a_full_or_wrong_timeline_is_refused_and_left_alone(void **state) {
    (void)state;
    bitnet_ctx *c;
    bitnet_ctx_desc cd = {.model = model.model, .n_ctx = 3};
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
        cmocka_unit_test(queued_requests_run_in_turn_and_a_cancelled_one_ends_at_once),
        cmocka_unit_test(a_reader_that_is_behind_stops_the_engine_and_loses_nothing),
        cmocka_unit_test(too_many_waiting_requests_are_turned_away),
        cmocka_unit_test(submit_poll_and_cancel_work_from_another_thread),
        cmocka_unit_test(two_contexts_on_one_model_do_not_disturb_each_other),
        cmocka_unit_test(rewinding_and_extending_gives_the_bits_of_a_fresh_context),
        cmocka_unit_test(a_full_or_wrong_timeline_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
