/* test_alloc.c: memory. Decoding allocates nothing; and when the n-th allocation fails, for every
 * n, loading and running ends with a clear error, leaks nothing and can be tried again.
 */
#include "load_file.h"
#include "count_alloc.h"

#include <stdlib.h>
#include <string.h>

static long calls_at_first_token, calls_at_end;
static int32_t n_accepted;
static int note_calls(void *user, const bitnet_event *ev) {
    const count_alloc *c = user;
    if (ev->kind == BITNET_EVENT_PROMPT) calls_at_first_token = c->n_calls;
    if (ev->kind == BITNET_EVENT_END)
        calls_at_end = c->n_calls, n_accepted = ev->timings.n_accepted;
    return 0;
}

static void prefill_and_decoding_allocate_nothing(void **state) {
    (void)state;
    count_alloc c = {0};
    bitnet_allocator a = count_alloc_of(&c);
    test_model t;
    test_model_open(&t, 2, 0, &a);
    assert_true(c.n_calls > 50); /* the counter sees the library's allocations */
    bitnet_engine *e;
    assert_int_equal(bitnet_engine_create(&e, &(bitnet_engine_desc){.model = t.model}, NULL),
                     BITNET_OK);
    bitnet_request req = {.prompt = "Once upon a time",
                          .prompt_len = 16,
                          .max_tokens = 300,
                          .stop = (const char *[]){"no such words", "\n\n\n\n"},
                          .n_stop = 2,
                          .has_logprobs = true,
                          .n_top_logprobs = BITNET_MAX_LOGPROBS,
                          .sampler = {.temp = 0.7f,
                                      .top_k = 40,
                                      .top_p = 0.95f,
                                      .repeat_penalty = 1.1f,
                                      .frequency_penalty = 0.1f,
                                      .penalty_last_n = -1,
                                      .bias = &(bitnet_logit_bias){7, -1},
                                      .n_bias = 1,
                                      .seed = 4}};
    assert_int_equal(bitnet_engine_run(e, &req, note_calls, &c, NULL), BITNET_OK);
    assert_int_equal(calls_at_end, calls_at_first_token);
    bitnet_engine_free(e);
    test_model_close(&t);
    assert_int_equal(c.live, 0);
}

static void guessing_ahead_allocates_nothing(void **state) {
    (void)state;
    count_alloc c = {0};
    bitnet_allocator a = count_alloc_of(&c);
    test_model t;
    test_model_open(&t, 2, 0, &a);
    bitnet_engine *e;
    bitnet_engine_desc desc = {
        .model = t.model, .n_draft = BITNET_MAX_DRAFT, .n_draft_min = BITNET_MAX_DRAFT};
    assert_int_equal(bitnet_engine_create(&e, &desc, NULL), BITNET_OK);
    bitnet_request req = {.prompt = "Once upon a time", .prompt_len = 16, .max_tokens = 300};
    assert_int_equal(bitnet_engine_run(e, &req, note_calls, &c, NULL), BITNET_OK);
    assert_int_equal(calls_at_end, calls_at_first_token);
    assert_true(n_accepted > 100);
    bitnet_engine_free(e);
    test_model_close(&t);
    assert_int_equal(c.live, 0);
}

/* The whole life of a request. Returns the status of the first call that failed. */
static bitnet_status whole_run(const bitnet_allocator *a, bitnet_error *err) {
    source_file f;
    bitnet_model *model = NULL;
    bitnet_engine *engine = NULL;
    bitnet_status st = source_file_open(&f, NULL, err);
    bitnet_model_desc md = {.source = &f.source, .n_threads = 2, .allocator = *a};
    if (st >= 0) st = bitnet_model_load(&model, &md, err);
    if (st >= 0)
        st = bitnet_engine_create(&engine, &(bitnet_engine_desc){.model = model, .n_ctx = 32}, err);
    bitnet_request req = {.prompt = "Once upon a time", .prompt_len = 16, .max_tokens = 2};
    if (st >= 0) st = bitnet_engine_run(engine, &req, NULL, NULL, err);
    bitnet_message hello = {"user", "Once upon a time", 16};
    bitnet_request turn = {.messages = &hello, .n_messages = 1, .max_tokens = 2};
    if (st >= 0) st = bitnet_engine_run(engine, &turn, NULL, NULL, err);
    bitnet_engine_free(engine);
    bitnet_model_free(model);
    source_file_close(&f);
    return st;
}

static void fail_each(bool is_sticky) {
    count_alloc c = {0};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_error err = {0};
    assert_int_equal(whole_run(&a, &err), BITNET_OK);
    long n_sites = c.n_calls;
    for (long n = 1; n <= n_sites; n++) {
        c = (count_alloc){.fail_at = n, .is_sticky = is_sticky};
        err = (bitnet_error){0};
        bitnet_status st = whole_run(&a, &err);
        /* a pool without a worker is a smaller pool, so a success is allowed; a wrong status is not
         */
        if (st != BITNET_E_NOMEM && st != BITNET_OK)
            fail_msg("allocation %ld: status %d (%s)", n, st, err.text);
        if (st < 0 && !err.text[0]) fail_msg("allocation %ld: no sentence", n);
        if (c.live != 0) fail_msg("allocation %ld: %zu bytes leaked (%s)", n, c.live, err.text);
    }
    print_message("%ld allocation sites\n", n_sites);
    c = (count_alloc){0};
    assert_int_equal(whole_run(&a, &err), BITNET_OK);
}

static void each_allocation_may_fail_once(void **state) {
    (void)state;
    fail_each(false);
}
static void each_allocation_may_fail_and_all_after_it(void **state) {
    (void)state;
    fail_each(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefill_and_decoding_allocate_nothing),
        cmocka_unit_test(guessing_ahead_allocates_nothing),
        cmocka_unit_test(each_allocation_may_fail_once),
        cmocka_unit_test(each_allocation_may_fail_and_all_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
