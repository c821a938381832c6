/* test_staged.c: whole requests with the head in stages: the tokens are those of the whole head for every
 * setting of the sampler; what bitnet_ctx_complete gives, and when it fails; what the sampler asks for.
 */
#include "load_file.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "bitnet/backend.h"
#include "engine/wants.h"

static const bitnet_logit_bias bans[] = {{11, -INFINITY}, {300, -2.0f}};
static const bitnet_logit_bias lifts[] = {{11, 3.0f}, {300, -2.0f}};

static const struct {
    const char *name;
    bitnet_sampler_desc d;
} cases[] = {
    {"greedy", {.temp = 0.0f}},
    {"greedy, repeats penalised", {.repeat_penalty = 1.3f, .penalty_last_n = 20}},
    {"greedy, repeats rewarded", {.repeat_penalty = 0.9f, .penalty_last_n = 20}},
    {"greedy, all repeats penalised", {.presence_penalty = 2.0f, .penalty_last_n = -1}},
    {"greedy, tokens banned", {.bias = bans, .n_bias = 2}},
    {"greedy, a token lifted", {.bias = lifts, .n_bias = 2}},
    {"defaults", {.temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}},
    {"top-k, penalties",
     {.temp = 1.0f, .top_k = 8, .frequency_penalty = 0.5f, .penalty_last_n = 64}},
    {"top-k of all", {.temp = 1.0f, .top_k = 100000, .top_p = 0.9f}},
    {"top-p", {.temp = 0.8f, .top_p = 0.95f}},
    {"top-p, narrow", {.temp = 1.5f, .top_p = 0.5f}},
    {"top-p, wide", {.temp = 1.0f, .top_p = 0.999f}},
    {"top-p and min-p", {.temp = 0.8f, .top_p = 0.95f, .min_p = 0.05f}},
    {"min-p", {.temp = 1.2f, .min_p = 0.1f}},
    {"min-p, wide", {.temp = 0.7f, .min_p = 0.001f}},
    {"min-p of the best alone", {.temp = 0.7f, .min_p = 1.0f}},
    {"nothing cut", {.temp = 1.0f}},
};
enum { N_CASES = sizeof cases / sizeof *cases, N_TOKENS = 48 };

typedef struct tokens {
    bitnet_token id[N_TOKENS];
    int32_t n;
} tokens;

static int keep_tokens(void *user, const bitnet_event *ev) {
    tokens *t = user;
    if (ev->kind == BITNET_EVENT_TOKEN) t->id[t->n++] = ev->token;
    return 0;
}

static void run_cases(const bitnet_model_desc *how, tokens got[N_CASES]) {
    static const char prompt[] = "Once upon a time there was a little";
    test_model t;
    bitnet_engine *e;
    test_model_open_as(&t, how);
    bitnet_engine_desc ed = {.model = t.model};
    assert_int_equal(bitnet_engine_create(&e, &ed, NULL), BITNET_OK);
    for (int i = 0; i < N_CASES; i++) {
        bitnet_request req = {.prompt = prompt,
                              .prompt_len = strlen(prompt),
                              .max_tokens = TEST_IS_SLOW ? 8 : N_TOKENS,
                              .sampler = cases[i].d};
        got[i].n = 0;
        assert_int_equal(bitnet_engine_run(e, &req, keep_tokens, &got[i], NULL), BITNET_OK);
        assert_true(got[i].n > 0);
    }
    bitnet_engine_free(e);
    test_model_close(&t);
}

static void tokens_are_those_of_the_whole_head_for_every_setting(void **state) {
    (void)state;
    static tokens want[N_CASES], got[N_CASES];
    const bitnet_model_desc whole = {.n_threads = 1, .staged = BITNET_OFF};
    run_cases(&whole, want);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        const bitnet_model_desc how = {.n_threads = n_threads,
                                       .cpu_mask = n_threads == 3 ? BITNET_CPU_C_ONLY : 0,
                                       .staged = BITNET_ON};
        run_cases(&how, got);
        for (int i = 0; i < N_CASES; i++) {
            assert_int_equal(got[i].n, want[i].n);
            for (int32_t k = 0; k < want[i].n; k++)
                if (got[i].id[k] != want[i].id[k])
                    fail_msg("%s, %d threads: token %d is %d, of the whole head %d", cases[i].name,
                             n_threads, k, got[i].id[k], want[i].id[k]);
        }
    }
}

static void completed_logits_are_those_of_a_step_that_wanted_all(void **state) {
    (void)state;
    static const bitnet_token prompt[] = {1, 50, 60, 70, 80};
    static float all[3 * 4096];
    const bitnet_model_desc how = {.n_threads = 2, .staged = BITNET_ON};
    test_model t;
    bitnet_ctx *c;
    test_model_open_as(&t, &how);
    const bitnet_ctx_desc cd = {.model = t.model, .n_ctx = 32, .n_logits = 3};
    const size_t n_vocab = (size_t)bitnet_model_get_info(t.model).n_vocab;
    assert_true(n_vocab <= 4096);
    assert_int_equal(bitnet_ctx_create(&c, &cd, NULL), BITNET_OK);
    assert_int_equal(bitnet_ctx_complete(c), BITNET_E_INVAL); /* there are none yet */
    assert_int_equal(bitnet_ctx_sync(c, prompt, 5), BITNET_OK);
    for (int32_t i = 0; i < 3; i++) {
        assert_true(bitnet_ctx_tail_at(c, i).below == -INFINITY);
        memcpy(all + (size_t)i * n_vocab, bitnet_ctx_logits_at(c, i), n_vocab * sizeof *all);
    }
    bitnet_ctx_want(c, (bitnet_want){.n_best = 3});
    assert_non_null(bitnet_ctx_logits(c)); /* fewer are wanted: those at hand will do */
    bitnet_ctx_cut(c, 2);
    assert_int_equal(bitnet_ctx_sync(c, prompt, 5), BITNET_OK);
    for (int32_t i = 0; i < 3; i++) {
        const float *row = bitnet_ctx_logits_at(c, i);
        int32_t n_out = 0;
        for (size_t k = 0; k < n_vocab; k++)
            n_out += row[k] == -FLT_MAX;
        assert_true(n_out > 0);
        assert_true(bitnet_ctx_tail_at(c, i).below > -INFINITY);
    }
    assert_int_equal(bitnet_ctx_complete(c), BITNET_OK);
    for (int32_t i = 0; i < 3; i++) {
        assert_memory_equal(bitnet_ctx_logits_at(c, i), all + (size_t)i * n_vocab,
                            n_vocab * sizeof *all);
        assert_true(bitnet_ctx_tail_at(c, i).below == -INFINITY);
    }
    bitnet_ctx_want(c, (bitnet_want){.n_best = 4});
    assert_null(bitnet_ctx_logits(c)); /* more than was wanted before */
    bitnet_ctx_free(c);
    test_model_close(&t);
}

/* The CPU backend, but for the second look at a step's rows (a head without an embedding before it), which
 * fails. */
static bool is_second_look;
static void embed_first(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w) {
    is_second_look = false;
    bitnet_backend_cpu.embed(be, y, w);
}
static bitnet_status end_or_fail(bitnet_backend *be) {
    const bitnet_status st = bitnet_backend_cpu.end(be);
    const bool fails = is_second_look;
    is_second_look = true;
    return fails ? BITNET_E_NOMEM : st;
}

static void a_request_whose_logits_cannot_be_completed_ends_with_that_status(void **state) {
    (void)state;
    bitnet_backend_ops ops = bitnet_backend_cpu;
    ops.embed = embed_first;
    ops.end = end_or_fail;
    const bitnet_model_desc how = {.n_threads = 1, .staged = BITNET_ON, .backend = &ops};
    test_model t;
    bitnet_engine *e;
    tokens got = {.n = 0};
    bitnet_error err = {0};
    test_model_open_as(&t, &how);
    assert_int_equal(bitnet_engine_create(&e, &(bitnet_engine_desc){.model = t.model}, NULL),
                     BITNET_OK);
    const bitnet_request req = {.prompt = "Once upon a time there was a little",
                                .prompt_len = 35,
                                .max_tokens = N_TOKENS,
                                .sampler = {.temp = 3.0f, .top_p = 0.8f, .min_p = 0.001f}};
    assert_int_equal(bitnet_engine_run(e, &req, keep_tokens, &got, &err), BITNET_E_NOMEM);
    assert_string_equal(err.id, "engine.step");
    if (!strstr(err.text, "left out")) fail_msg("\"%s\"", err.text);
    assert_true(got.n > 0);
    bitnet_engine_free(e);
    test_model_close(&t);
}

/* A few large logits and a long tail; some of it left out. */
static bitnet_tail leave_out(float *some, const float *all, int32_t n, float below, double slack) {
    float max = -INFINITY;
    double mass = 0.0;
    for (int32_t i = 0; i < n; i++)
        max = fmaxf(max, all[i]);
    for (int32_t i = 0; i < n; i++) {
        const bool is_out = all[i] < below && i % 7 != 0; /* not all that lie below */
        some[i] = is_out ? -FLT_MAX : all[i];
        if (is_out) mass += exp((double)all[i] - (double)max);
    }
    return (bitnet_tail){below, (float)(mass * slack)};
}

static void a_token_from_some_logits_is_the_one_from_all_or_open(void **state) {
    (void)state;
    enum { N = 2000 };
    static float all[N], some[N];
    static int32_t scratch[4 * N];
    assert_true(sizeof scratch >= bitnet_sampler_scratch_size(N));
    uint64_t rng = rng_seed(77);
    int32_t n_open = 0, n_decided = 0, n_cut = 0;
    for (int32_t round = 0; round < 3000; round++) {
        const float spread = 1.0f + 6.0f * rng_float(&rng);
        for (int32_t i = 0; i < N; i++) /* sums of four are near a bell */
            all[i] = spread *
                     (rng_float(&rng) + rng_float(&rng) + rng_float(&rng) + rng_float(&rng) - 2.0f);
        const int c = round % N_CASES;
        bitnet_sampler_desc d = cases[c].d;
        if (d.temp <= 0.0f || d.top_k > 0) d = (bitnet_sampler_desc){.temp = 1.0f, .top_p = 0.8f};
        d.seed = (uint64_t)round;
        bitnet_tail tail = leave_out(some, all, N, spread * (2.0f * rng_float(&rng) - 0.5f),
                                     1.00001 + (double)(round % 3));
        bitnet_sampler a, b;
        bitnet_sampler_init(&a, &d);
        bitnet_sampler_init(&b, &d);
        bitnet_token got = bitnet_sampler_next(&b, some, &tail, N, NULL, 0, scratch);
        n_cut += bitnet_sampler_wants(&d).n_best > 0;
        if (got == BITNET_TOKEN_OPEN) {
            n_open++;
            got = bitnet_sampler_next(&b, all, NULL, N, NULL, 0, scratch);
        } else {
            n_decided++;
        }
        const bitnet_token want = bitnet_sampler_next(&a, all, NULL, N, NULL, 0, scratch);
        if (got != want || a.rng != b.rng)
            fail_msg("round %d, %s: token %d, of all logits %d", round, cases[c].name, got, want);
    }
    print_message("%d decided, %d open\n", n_decided, n_open);
    assert_true(n_decided > 500 && n_open > 500 && n_cut > 1000);
}

static void what_decides_is_asked_for(void **state) {
    (void)state;
    static const struct {
        bitnet_sampler_desc d;
        int32_t n_best;
    } wanted[] = {
        {{.temp = 0.0f}, 1},
        {{.repeat_penalty = 1.1f, .penalty_last_n = 64}, 65},
        {{.repeat_penalty = 0.9f, .penalty_last_n = 64}, 0},
        {{.presence_penalty = -0.1f, .penalty_last_n = 64}, 0},
        {{.presence_penalty = 0.1f, .penalty_last_n = -1}, 0},
        {{.presence_penalty = 0.1f, .penalty_last_n = 0}, 1},
        {{.bias = bans, .n_bias = 2}, 3},
        {{.bias = lifts, .n_bias = 2}, 0},
        {{.temp = 1.0f, .top_k = 40, .top_p = 0.95f}, 40},
        {{.temp = 1.0f, .top_k = 40, .bias = bans, .n_bias = 2}, 42},
        {{.temp = 1.0f, .top_p = 0.95f, .bias = bans, .n_bias = 2}, 0},
        {{.temp = 1.0f}, 0},
        {{.temp = 1.0f, .top_p = 0.95f}, 1},
        {{.temp = 1.0f, .min_p = 0.05f}, 1},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (bitnet_sampler_wants(&wanted[i].d).n_best != wanted[i].n_best)
            fail_msg("case %zu: the best %d are wanted, expected %d", i,
                     bitnet_sampler_wants(&wanted[i].d).n_best, wanted[i].n_best);
    const bitnet_want both =
        bitnet_sampler_wants(&(bitnet_sampler_desc){.temp = 1.0f, .top_p = 0.95f, .min_p = 0.05f});
    assert_true(both.within >= 2.995732f && both.within < 2.9959f && both.mass > 0.0f);
}

static void after_misses_fewer_and_fewer_steps_try(void **state) {
    (void)state;
    static const bitnet_tail hit = {3.0f, 0.0f}, all = {-INFINITY, 0.0f};
    bitnet_wants w = {.want = {.n_best = 1}};
    int32_t tries[4] = {0};
    for (int i = 0; i < 400; i++) {
        bool is_try = bitnet_wants_next(&w).n_best == 1;
        tries[i / 100] += is_try;
        bitnet_wants_result(&w, &all, false); /* nothing was left out, wanted or not */
    }
    assert_int_equal(tries[0], 7); /* 0, 2, 5, 10, 19, 36, 69: each wait twice the last, up to 32 */
    assert_int_equal(tries[3], 4); /* 300, 333, 366, 399 */
    while (bitnet_wants_next(&w).n_best == 0)
        bitnet_wants_result(&w, &all, false);
    bitnet_wants_result(&w, &hit, false);
    assert_int_equal(bitnet_wants_next(&w).n_best, 1);
    bitnet_wants_result(&w, &hit, true); /* open: the token was not decided */
    assert_int_equal(bitnet_wants_next(&w).n_best, 0);
    bitnet_wants_result(&w, &all, false);
    assert_int_equal(bitnet_wants_next(&w).n_best, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_the_whole_head_for_every_setting),
        cmocka_unit_test(completed_logits_are_those_of_a_step_that_wanted_all),
        cmocka_unit_test(a_request_whose_logits_cannot_be_completed_ends_with_that_status),
        cmocka_unit_test(a_token_from_some_logits_is_the_one_from_all_or_open),
        cmocka_unit_test(what_decides_is_asked_for),
        cmocka_unit_test(after_misses_fewer_and_fewer_steps_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
