/* test_speculation.c: guessing ahead changes nothing. An answer with guesses is, event for event and bit
 * for bit, the one without: where it ends, what it leaves in the context and in the tracker, too.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#define MOST_TOKENS 400

typedef struct heard {
    bitnet_token token[MOST_TOKENS];
    bitnet_logprob logprob[MOST_TOKENS][3];
    size_t text_end[MOST_TOKENS + 1]; /* of text after each event with one */
    char text[8192];
    size_t len;
    int32_t n, n_prompt, n_logprobs, stop_after;
    bitnet_finish finish;
    int32_t stop_index, n_end;
    bitnet_timings timings;
    char error[160];
} heard;

static int on_event(void *user, const bitnet_event *ev) {
    heard *h = user;
    if (ev->kind == BITNET_EVENT_PROMPT) {
        h->n_prompt = ev->n_prompt;
        return 0;
    }
    assert_true(h->len + ev->text_len < sizeof h->text);
    memcpy(h->text + h->len, ev->text, ev->text_len);
    h->len += ev->text_len;
    h->text_end[h->n] = h->len;
    if (ev->kind == BITNET_EVENT_TOKEN) {
        h->n_logprobs = ev->n_logprobs;
        assert_true(h->n < MOST_TOKENS && ev->n_logprobs <= 3);
        for (int32_t i = 0; i < ev->n_logprobs; i++)
            h->logprob[h->n][i] = ev->logprobs[i];
        h->token[h->n++] = ev->token;
        return h->n == h->stop_after;
    }
    h->finish = ev->finish, h->stop_index = ev->stop_index, h->timings = ev->timings;
    h->n_end++;
    return 0;
}

typedef struct settings {
    int32_t n_draft, n_draft_min, n_batch;
} settings;
static const settings without = {.n_draft = -1};
static const settings with[] = {
    {.n_draft = 8, .n_draft_min = 8},
    {.n_draft = 1, .n_draft_min = 1},
    {.n_draft = 16, .n_draft_min = 16},
    {.n_draft = 16, .n_draft_min = 16, .n_batch = 4}, /* which leaves room for three */
    {.n_draft = 5},                                   /* as it pays */
    {0},
};
#define N_WITH (sizeof with / sizeof *with)

static bitnet_engine *make_engine(const settings *s, int32_t n_ctx) {
    bitnet_engine *e;
    bitnet_error err = {0};
    bitnet_engine_desc desc = {.model = test_shared.model,
                               .n_ctx = n_ctx,
                               .n_batch = s->n_batch,
                               .n_draft = s->n_draft,
                               .n_draft_min = s->n_draft_min};
    if (bitnet_engine_create(&e, &desc, &err) < 0) fail_msg("%s", err.text);
    return e;
}

static heard *ask(bitnet_engine *e, const bitnet_request *req, int32_t stop_after) {
    heard *h = calloc(1, sizeof *h);
    bitnet_error err = {0};
    assert_non_null(h);
    h->stop_after = stop_after;
    bitnet_engine_run(e, req, on_event, h, &err);
    memcpy(h->error, err.text, sizeof h->error - 1);
    return h;
}

static void assert_same(const heard *got, const heard *want, const settings *s) {
    for (int32_t i = 0; i < got->n && i < want->n; i++)
        if (got->token[i] != want->token[i])
            fail_msg("%d guessed, at least %d: token %d is %d, without guesses %d", s->n_draft,
                     s->n_draft_min, i, got->token[i], want->token[i]);
    assert_int_equal(got->n, want->n);
    assert_string_equal(got->text, want->text);
    assert_memory_equal(got->text_end, want->text_end, sizeof want->text_end);
    assert_int_equal(got->n_logprobs, want->n_logprobs);
    assert_memory_equal(got->logprob, want->logprob, sizeof want->logprob);
    assert_int_equal(got->finish, want->finish);
    assert_int_equal(got->stop_index, want->stop_index);
    assert_int_equal(got->n_end, 1);
    assert_string_equal(got->error, want->error);
    assert_int_equal(got->n_prompt, want->n_prompt);
    assert_int_equal(got->timings.n_generated, want->timings.n_generated);
    assert_int_equal(got->timings.n_prompt_computed, want->timings.n_prompt_computed);
    assert_in_range(got->timings.n_accepted, 0, got->timings.n_drafted);
}

/* What each of `with` was seen to do over all the requests of a test. */
typedef struct tally {
    int32_t n_drafted, n_accepted;
} tally;

/* The same request to engines with and without guesses, then once more to the same ones: what an answer
 * leaves in a context is the same as well. Returns what the first of `with` did. */
static tally compare(const bitnet_request *req, int32_t n_ctx, int32_t stop_after) {
    tally first = {0};
    bitnet_engine *plain = make_engine(&without, n_ctx);
    heard *want[] = {ask(plain, req, stop_after), ask(plain, req, 0)};
    assert_int_equal(want[0]->timings.n_drafted, 0);
    for (size_t i = 0; i < N_WITH; i++) {
        bitnet_engine *e = make_engine(&with[i], n_ctx);
        for (int turn = 0; turn < 2; turn++) {
            heard *got = ask(e, req, turn ? 0 : stop_after);
            assert_same(got, want[turn], &with[i]);
            if (i == 0) first.n_drafted += got->timings.n_drafted;
            if (i == 0) first.n_accepted += got->timings.n_accepted;
            free(got);
        }
        bitnet_engine_free(e);
    }
    free(want[0]), free(want[1]);
    bitnet_engine_free(plain);
    return first;
}

static const char fox[] =
    "The fox said to the bear, I will give you some honey. The fox said to the "
    "bear, I will give you some honey. The fox said to the";

static bitnet_request request(const char *prompt, int32_t max_tokens) {
    return (bitnet_request){
        .prompt = prompt, .prompt_len = strlen(prompt), .max_tokens = max_tokens};
}

static void greedy_answers_are_the_same(void **state) {
    (void)state;
    bitnet_request loops = request("Once upon a time", 120), copies = request(fox, 40);
    tally a = compare(&loops, 0, 0), b = compare(&copies, 0, 0);
    print_message("accepted %d of %d and %d of %d\n", a.n_accepted, a.n_drafted, b.n_accepted,
                  b.n_drafted);
    assert_true(a.n_accepted > 0 && b.n_accepted > 0);
    assert_true(a.n_drafted > a.n_accepted || b.n_drafted > b.n_accepted); /* rejected, too */
}

static void skip_where_slow(void) {
    if (!TEST_IS_SLOW) return;
    print_message(
        "skipped: takes minutes under the thread sanitizer, and threads are the others' subject\n");
    skip();
}

static void sampled_answers_are_the_same_for_every_seed(void **state) {
    (void)state;
    skip_where_slow();
    tally all = {0};
    for (uint64_t seed = 0; seed < 8; seed++) {
        bitnet_request req = request(fox, 60);
        req.sampler = bitnet_sampler_default();
        req.sampler.seed = seed;
        req.sampler.temp = 0.5f + 0.15f * (float)seed;
        if (seed % 4 == 3) req.sampler.top_k = 0; /* all logits */
        tally t = compare(&req, 0, 0);
        all.n_drafted += t.n_drafted, all.n_accepted += t.n_accepted;
    }
    print_message("accepted %d of %d\n", all.n_accepted, all.n_drafted);
    assert_true(all.n_accepted > 0 && all.n_drafted > all.n_accepted);
}

static void penalties_and_biases_see_the_same_tokens(void **state) {
    (void)state;
    tally all = {0};
    for (int i = 0; i < 4; i++) {
        bitnet_request req = request(fox, 60);
        bitnet_logit_bias ban = {300 + i, -INFINITY};
        req.sampler = bitnet_sampler_default();
        req.sampler.seed = (uint64_t)i;
        req.sampler.temp = i % 2 ? 0.7f : 0.0f;
        req.sampler.repeat_penalty = 1.02f;
        req.sampler.frequency_penalty = i < 2 ? 0.02f : 0.3f;
        req.sampler.penalty_last_n = i < 2 ? -1 : 16;
        req.sampler.bias = &ban;
        req.sampler.n_bias = 1;
        tally t = compare(&req, 0, 0);
        all.n_drafted += t.n_drafted, all.n_accepted += t.n_accepted;
    }
    print_message("accepted %d of %d\n", all.n_accepted, all.n_drafted);
    assert_true(all.n_accepted > 0 && all.n_drafted > all.n_accepted);
}

static void logprobs_have_the_same_bits(void **state) {
    (void)state;
    bitnet_request req = request(fox, 40);
    req.has_logprobs = true;
    req.n_top_logprobs = 2;
    assert_true(compare(&req, 0, 0).n_accepted > 0);
}

/* Every place at which an answer can be ended lies inside a guess somewhere. */
static void the_end_is_at_the_same_token_wherever_it_is(void **state) {
    (void)state;
    skip_where_slow();
    tally all = {0};
    for (int32_t n = 1; n <= 24; n++) {
        bitnet_request req = request(fox, n), endless = request(fox, -1);
        tally t = compare(&req, 0, 0); /* max_tokens */
        assert_true(t.n_drafted <= 2 * n);
        compare(&endless, 35 + n, 0); /* the window */
        compare(&endless, 80, n);     /* cancelled by its reader */
        all.n_drafted += t.n_drafted, all.n_accepted += t.n_accepted;
    }
    assert_true(all.n_accepted > 0);
}

static void stop_strings_inside_a_guess_end_the_answer_there(void **state) {
    (void)state;
    skip_where_slow();
    bitnet_request plain = request("Once upon a time", 90);
    bitnet_engine *e = make_engine(&without, 0);
    heard *all = ask(e, &plain, 0);
    bitnet_engine_free(e);
    assert_true(all->len > 140);
    int n_inside = 0;
    for (size_t at = 40; at < 70; at += 3) {
        char word[71] = ""; /* longer than a round of the loop: complete in the second or third */
        memcpy(word, all->text + at, 70);
        const char *const stop = word;
        bitnet_request req = plain;
        req.stop = &stop, req.n_stop = 1;
        compare(&req, 0, 0);
        e = make_engine(&with[0], 0);
        heard *h = ask(e, &req, 0);
        assert_int_equal(h->finish, BITNET_FINISH_STOP);
        n_inside += h->timings.n_drafted > h->timings.n_accepted;
        free(h);
        bitnet_engine_free(e);
    }
    free(all);
    print_message("%d of the stop strings lay inside a guess\n", n_inside);
    assert_true(n_inside > 2);
}

static void without_a_repetition_nothing_is_checked(void **state) {
    (void)state;
    bitnet_request req = request("Once upon a time", 200);
    req.sampler = (bitnet_sampler_desc){.presence_penalty = 100, .penalty_last_n = -1};
    assert_int_equal(compare(&req, 0, 0).n_drafted, 0); /* each token comes once at most */
}

static void requests_in_turn_do_not_see_each_others_guesses(void **state) {
    (void)state;
    bitnet_engine *plain = make_engine(&without, 0), *e = make_engine(&with[0], 0);
    const char *const prompts[] = {fox, "Once upon a time", "The old king", fox};
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        bitnet_request req = request(prompts[i], 50 + (int32_t)i);
        heard *want = ask(plain, &req, 0), *got = ask(e, &req, 0);
        assert_same(got, want, &with[0]);
        free(want), free(got);
    }
    bitnet_engine_free(plain);
    bitnet_engine_free(e);
}

/* Cancelled by somebody else between two tokens of one pass, with others waiting. */
static void a_request_cancelled_inside_a_guess_leaves_the_next_one_alone(void **state) {
    (void)state;
    bitnet_engine *plain = make_engine(&without, 0);
    bitnet_request first = request(fox, 60), second = request("The fox said to the", 30);
    heard *want = ask(plain, &second, 0);
    bitnet_engine_free(plain);
    for (int n_steps = 2; n_steps < 30; n_steps++) {
        bitnet_engine *e = make_engine(&with[0], 0);
        uint32_t id[2];
        heard *h = calloc(2, sizeof *h);
        assert_non_null(h);
        assert_int_equal(bitnet_engine_submit(e, &first, &id[0], NULL), BITNET_OK);
        assert_int_equal(bitnet_engine_submit(e, &second, &id[1], NULL), BITNET_OK);
        for (int i = 0; h[1].n_end == 0; i++) {
            bitnet_event ev;
            if (i == n_steps) bitnet_engine_cancel(e, id[0]);
            bitnet_engine_step(e);
            while (bitnet_engine_poll(e, &ev) == BITNET_OK)
                on_event(&h[ev.request == id[1]], &ev);
        }
        assert_int_equal(h[0].finish, BITNET_FINISH_CANCELLED);
        h[1].timings.n_prompt_computed = want->timings.n_prompt_computed; /* it finds the first's */
        assert_same(&h[1], want, &with[0]);
        free(h);
        bitnet_engine_free(e);
    }
    free(want);
}

static bitnet_status keep_window(void *ctx, const bitnet_window *w) {
    *(bitnet_window *)ctx = *w;
    return BITNET_OK;
}
static void leave_open(void *ctx) {
    (void)ctx;
}

static void each_token_is_recorded_with_its_share_of_the_pass(void **state) {
    (void)state;
    bitnet_tracker *t;
    bitnet_window seen[2];
    assert_int_equal(bitnet_tracker_create(&t, &(bitnet_tracker_desc){0}), BITNET_OK);
    bitnet_tracker_add_sink(t, (bitnet_sink){.write = keep_window, .close = leave_open, .ctx = &seen[1]});
    bitnet_engine_desc desc = {
        .model = test_shared.model, .ring = bitnet_tracker_ring(t), .n_draft = -1};
    for (int i = 0; i < 2; i++) {
        bitnet_engine *e;
        assert_int_equal(bitnet_engine_create(&e, &desc, NULL), BITNET_OK);
        bitnet_request req = request(fox, 60);
        heard *h = ask(e, &req, 0);
        assert_int_equal(h->n, 60);
        assert_int_equal(h->timings.n_accepted > 0, i == 1);
        bitnet_tracker_pump(t, bitnet_os_now_ns());
        const bitnet_window_metric *tpot = &seen[1].metric[BITNET_METRIC_TPOT];
        assert_int_equal(tpot->n, 59);
        assert_true(tpot->sum > 0.5 * h->timings.sample_s && tpot->sum <= h->timings.decode_s);
        assert_int_equal(seen[1].metric[BITNET_METRIC_TOKENS_OUT].n, 60);
        if (i == 0) seen[0] = seen[1];
        free(h);
        bitnet_engine_free(e);
        desc.n_draft = desc.n_draft_min = 8;
    }
    const bitnet_metric same[] = {BITNET_METRIC_KV_USED, BITNET_METRIC_TOKENS_IN};
    for (size_t i = 0; i < 2; i++) { /* places of guesses are not in use */
        assert_int_equal(seen[0].metric[same[i]].n, seen[1].metric[same[i]].n);
        assert_true(seen[0].metric[same[i]].sum == seen[1].metric[same[i]].sum);
        assert_true(seen[0].metric[same[i]].sum > 0);
    }
    bitnet_tracker_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_answers_are_the_same),
        cmocka_unit_test(sampled_answers_are_the_same_for_every_seed),
        cmocka_unit_test(penalties_and_biases_see_the_same_tokens),
        cmocka_unit_test(logprobs_have_the_same_bits),
        cmocka_unit_test(the_end_is_at_the_same_token_wherever_it_is),
        cmocka_unit_test(stop_strings_inside_a_guess_end_the_answer_there),
        cmocka_unit_test(without_a_repetition_nothing_is_checked),
        cmocka_unit_test(requests_in_turn_do_not_see_each_others_guesses),
        cmocka_unit_test(a_request_cancelled_inside_a_guess_leaves_the_next_one_alone),
        cmocka_unit_test(each_token_is_recorded_with_its_share_of_the_pass),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
