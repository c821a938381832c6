/* test_lookup.c: what guesses ahead. The lookup finds what a search would; the pace takes what pays, on
 * simulated machines and on texts that are known beforehand.
 */
#include "load_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/lookup.h"
#include "engine/pace.h"

/* ---- the lookup --------------------------------------------------------------------------------
 */

typedef struct text {
    bitnet_lookup lookup;
    int32_t *memory;
    size_t size;
} text;

#define CANARY 0x5a5a5a5a

static void text_open(text *t, const bitnet_token *tok, int32_t n_ctx) {
    t->size = bitnet_lookup_size(n_ctx);
    t->memory = malloc(t->size + sizeof *t->memory);
    assert_non_null(t->memory);
    memset(t->memory, 0x11, t->size);
    t->memory[t->size / sizeof *t->memory] = CANARY;
    bitnet_lookup_init(&t->lookup, t->memory, n_ctx);
    bitnet_lookup_start(&t->lookup, tok);
}
static void text_close(text *t) {
    assert_int_equal(t->memory[t->size / sizeof *t->memory], CANARY);
    free(t->memory);
}

static void the_guess_is_what_followed_the_longest_match(void **state) {
    (void)state;
    /* 7 8 9 1 ... 8 9 2 ... 7 8 9: three tokens match the first place, two the later one */
    static const bitnet_token tok[] = {7, 8, 9, 1, 4, 8, 9, 2, 5, 7, 8, 9};
    text t;
    bitnet_token guess[8];
    text_open(&t, tok, 64);
    for (int i = 0; i < 12; i++)
        bitnet_lookup_add(&t.lookup);
    assert_int_equal(t.lookup.match, 3);
    assert_int_equal(bitnet_lookup_guess(&t.lookup, guess, 3), 3);
    assert_memory_equal(guess, ((bitnet_token[]){1, 4, 8}), 3 * sizeof *guess);
    assert_int_equal(bitnet_lookup_guess(&t.lookup, guess, 0), 0);
    text_close(&t);
}

static void of_equal_matches_the_later_one_is_taken_and_a_true_guess_makes_it_longer(void **state) {
    (void)state;
    static const bitnet_token tok[] = {1, 2, 3, 0, 1, 2, 4, 9, 5, 1, 2, 4, 9, 6};
    text t;
    text_open(&t, tok, 64);
    for (int i = 0; i < 11; i++)
        bitnet_lookup_add(&t.lookup);
    assert_int_equal(t.lookup.source, 6);
    assert_int_equal(bitnet_lookup_add(&t.lookup), 2);
    assert_int_equal(t.lookup.source, 7);
    assert_int_equal(t.lookup.match, 3);
    assert_int_equal(bitnet_lookup_add(&t.lookup), 3);
    assert_int_equal(bitnet_lookup_add(&t.lookup), -4); /* 6, not 5 */
    assert_int_equal(t.lookup.source, 0);
    text_close(&t);
}

static void a_loop_is_guessed_beyond_its_own_end(void **state) {
    (void)state;
    static const bitnet_token tok[] = {5, 1, 2, 3, 1, 2, 3}, want[] = {1, 2, 3, 1, 2, 3, 1, 2};
    text t;
    bitnet_token guess[8];
    text_open(&t, tok, 64);
    for (int i = 0; i < 7; i++)
        bitnet_lookup_add(&t.lookup);
    assert_int_equal(bitnet_lookup_guess(&t.lookup, guess, 8), 8);
    assert_memory_equal(guess, want, sizeof want);
    text_close(&t);
}

static void nothing_is_guessed_where_nothing_repeats(void **state) {
    (void)state;
    bitnet_token tok[3000], guess;
    text t;
    for (int i = 0; i < 3000; i++)
        tok[i] = i * 3 + i % 2;
    text_open(&t, tok, 3000);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(bitnet_lookup_add(&t.lookup), 0);
        assert_int_equal(bitnet_lookup_guess(&t.lookup, &guess, 1), 0);
    }
    text_close(&t);
}

/* The longest match, up to LOOKUP_LONGEST, of the end of tok[0 .. n) further to the front. */
static int32_t search(const bitnet_token *tok, int32_t n) {
    int32_t best = 0;
    for (int32_t at = 1; at < n; at++) {
        int32_t m = 0;
        while (m < LOOKUP_LONGEST && m < at && tok[at - 1 - m] == tok[n - 1 - m])
            m++;
        best = m > best ? m : best;
    }
    return best >= LOOKUP_SHORTEST ? best : 0;
}

/* A slot that two runs share loses one of them; of 8 n slots up to 3 n are in use. Measured 0.16
 * over a full window. */
#define LOST_SHARE 0.25

static void it_finds_what_a_search_finds(void **state) {
    (void)state;
    uint64_t rng = 11;
    int n_found = 0, n_lost = 0;
    for (int round = 0; round < 40; round++) {
        bitnet_token tok[400], n_words = 3 + round;
        text t;
        for (int i = 0; i < 400; i++)
            tok[i] = (bitnet_token)(rng_next(&rng) % (uint64_t)n_words);
        text_open(&t, tok, round % 2 ? 400 : 1); /* a window said to be smaller: slots are shared */
        for (int32_t i = 0; i < 400; i++) {
            bitnet_lookup_add(&t.lookup);
            const bitnet_lookup *l = &t.lookup;
            int32_t want = search(tok, i + 1);
            assert_in_range(l->match, 0, LOOKUP_MATCH);
            assert_int_equal(l->source > 0, l->match > 0);
            if (l->source > 0) {
                assert_in_range(l->source, l->match, i);
                assert_memory_equal(tok + l->source - l->match, tok + i + 1 - l->match,
                                    (size_t)l->match * sizeof *tok);
            }
            if (round % 2 == 0) continue;
            n_found += want > 0 && l->match >= want;
            n_lost += l->match < want;
        }
        text_close(&t);
    }
    print_message("%d found, %d lost to shared slots\n", n_found, n_lost);
    assert_true(n_found > 2500 && n_lost < n_found * LOST_SHARE);
}

/* ---- the pace ----------------------------------------------------------------------------------
 */

typedef struct outcome {
    double n_draft; /* mean of a pass */
    double speed;   /* tokens for the time of one plain pass */
} outcome;

/* A machine on which a pass over 1 + d tokens costs 1 + slope d, and a text of which `share` of the
 * guesses come true. What n passes give; the last half of them counts. */
static outcome simulate(bitnet_pace *p, double slope, double share, int n) {
    uint64_t rng = 5;
    double sum = 0, n_tokens = 0, time = 0;
    for (int i = 0; i < n; i++) {
        int32_t d = bitnet_pace_choose(p, 4, 8), n_right = 0;
        bool is_right = true;
        assert_in_range(d, 0, 8);
        bitnet_pace_pass(p, d, (uint64_t)(1e6 * (1 + slope * d)));
        for (int32_t g = 0; is_right && g <= d; g++) {
            is_right = (double)rng_float(&rng) < share;
            bitnet_pace_guess(p, 4 + g, is_right);
            n_right += is_right && g < d;
        }
        if (i < n / 2) continue;
        sum += d, n_tokens += 1 + n_right, time += 1 + slope * d;
    }
    return (outcome){sum / (n - n / 2), n_tokens / time};
}

static outcome simulate_fresh(double slope, double share) {
    bitnet_pace p = {0};
    bitnet_pace_start(&p);
    return simulate(&p, slope, share, 4000);
}

static void it_checks_what_pays_and_loses_nothing_where_nothing_pays(void **state) {
    (void)state;
    static const struct {
        double slope, share, least_speed, most_draft;
    } cases[] = {
        {0.0, 0.95, 6.0, 8},    /* tokens for nothing, nearly all of them right */
        {0.3, 0.95, 1.8, 8},    /* E_8 / c_8 = 2.2 */
        {0.3, 0.1, 0.99, 0.1},  /* half of what is right is not worth its pass */
        {1.0, 0.95, 0.98, 0.2}, /* a token checked costs as much as one decoded */
        {1.0, 0.5, 0.98, 0.1},  {0.0, 0.0, 1.0, 0.1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome o = simulate_fresh(cases[i].slope, cases[i].share);
        print_message("a guess costs %.1f, %.2f are right: %.2f checked a pass, speed %.3f\n",
                      cases[i].slope, cases[i].share, o.n_draft, o.speed);
        assert_true(o.speed >= cases[i].least_speed && o.n_draft <= cases[i].most_draft);
    }
}

static void it_follows_a_text_that_changes(void **state) {
    (void)state;
    bitnet_pace p = {0};
    bitnet_pace_start(&p);
    assert_true(simulate(&p, 0.2, 0.05, 400).n_draft < 0.1);
    assert_true(simulate(&p, 0.2, 0.95, 400).n_draft > 3.0); /* guesses count while it is off */
    assert_true(simulate(&p, 0.2, 0.05, 400).n_draft < 0.1);
}

/* What a pass over 1 + d tokens costs, in passes over one: measured on the BitNet 2B4T shape with AVX-512
 * (docs/speed.md), and on a machine where checking is all but free. */
static const double cost_2b[] = {1, 1.51, 1.83, 2.07, 2.35, 2.91, 3.08, 2.94, 3.21},
                    cost_free[] = {1, 1.05, 1.07, 1.1, 1.12, 1.15, 1.17, 1.2, 1.22};

/* An answer tok[n_prompt .. n) that is known beforehand, in tokens for the time of one plain pass. Passes
 * are longer or shorter by up to `noise`, one in fifty is four times as long. */
static double replay(const bitnet_token *tok, int32_t n_prompt, int32_t n, const double *cost,
                     double noise) {
    text t;
    bitnet_pace p = {0};
    uint64_t rng = 7;
    double time = 0;
    text_open(&t, tok, n);
    bitnet_pace_start(&p);
    while (t.lookup.n <= n_prompt)
        bitnet_lookup_add(&t.lookup);
    while (t.lookup.n < n) {
        bitnet_token guess[8];
        int32_t d = bitnet_pace_choose(&p, t.lookup.match, 8);
        d = bitnet_lookup_guess(&t.lookup, guess, d);
        double factor = 1 + noise * (2 * (double)rng_float(&rng) - 1);
        if (noise > 0 && rng_next(&rng) % 50 == 0) factor *= 4;
        bitnet_pace_pass(&p, d, (uint64_t)(1e7 * cost[d] * factor));
        time += cost[d];
        bool is_right = true;
        for (int32_t i = 0; is_right && t.lookup.n < n; i++) {
            is_right = i < d && tok[t.lookup.n] == guess[i];
            int32_t m = bitnet_lookup_add(&t.lookup);
            if (m != 0) bitnet_pace_guess(&p, m < 0 ? -m : m, m > 0);
        }
    }
    text_close(&t);
    return (n - n_prompt - 1) / time;
}

#define N_TEXT 1500
#define N_EDIT 600

/* tok[n ..) becomes tok[0 .. n) with one token in `every` left out, replaced or put in. */
static int32_t edit(bitnet_token *tok, int32_t n, uint64_t every) {
    uint64_t rng = 3;
    int32_t to = n;
    for (int32_t i = 0; i < n; i++) {
        uint64_t what = rng_next(&rng) % every ? 3 : rng_next(&rng) % 3;
        if (what == 1 || what == 2) tok[to++] = (bitnet_token)(rng_next(&rng) % 4000);
        if (what == 2 || what == 3) tok[to++] = tok[i];
    }
    return to;
}

static void texts_that_repeat_themselves_gain_and_others_lose_nothing(void **state) {
    (void)state;
    size_t len;
    char *valid = test_file_read("tests/golden/bitnet-tales.valid.txt", &len);
    bitnet_token *tok = calloc(2 * len, sizeof *tok);
    assert_non_null(tok);
    for (int noisy = 0; noisy < 2; noisy++) {
        double noise = noisy ? 0.3 : 0.0;
        assert_true(bitnet_tokenize(test_shared.model, valid, len, 0, tok, (int32_t)len) > N_TEXT);
        double prose = replay(tok, 500, N_TEXT, cost_2b, noise),
               prose_free = replay(tok, 500, N_TEXT, cost_free, noise);
        int32_t n = edit(tok, N_EDIT, 20);
        double edited = replay(tok, N_EDIT, n, cost_2b, noise),
               edited_free = replay(tok, N_EDIT, n, cost_free, noise);
        print_message("noise %.1f: prose %.3f and %.3f, one token in 20 changed %.2f and %.2f\n",
                      noise, prose, prose_free, edited, edited_free);
        assert_true(prose > 0.98 && prose_free > 1.0);
        assert_true(edited > 1.3 && edited_free > 2.5);
    }
    free(tok);
    free(valid);
}

static void a_busy_moment_is_not_held_against_the_guesses(void **state) {
    (void)state;
    bitnet_pace p = {0};
    bitnet_pace_start(&p);
    assert_true(simulate(&p, 0.2, 0.95, 400).n_draft > 3.0);
    for (int i = 0; i < 40; i++) { /* eight times as slow, whatever is chosen */
        int32_t d = bitnet_pace_choose(&p, 4, 8);
        bitnet_pace_pass(&p, d, (uint64_t)(8e6 * (1 + 0.2 * d)));
    }
    int n_some = 0;
    for (int i = 0; i < 40; i++) {
        int32_t d = bitnet_pace_choose(&p, 4, 8);
        bitnet_pace_pass(&p, d, (uint64_t)(1e6 * (1 + 0.2 * d)));
        n_some += d >= 3;
    }
    assert_true(n_some > 30);
}

static void a_clock_that_stands_still_breaks_nothing(void **state) {
    (void)state;
    bitnet_pace p = {0};
    bitnet_pace_start(&p);
    for (int i = 0; i < 3000; i++) {
        int32_t d = bitnet_pace_choose(&p, 4 + i % 40, 16);
        assert_in_range(d, 0, 16);
        bitnet_pace_pass(&p, d, i % 7 ? 0 : UINT64_MAX);
        bitnet_pace_guess(&p, 2 + i % 40, i % 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guess_is_what_followed_the_longest_match),
        cmocka_unit_test(of_equal_matches_the_later_one_is_taken_and_a_true_guess_makes_it_longer),
        cmocka_unit_test(a_loop_is_guessed_beyond_its_own_end),
        cmocka_unit_test(nothing_is_guessed_where_nothing_repeats),
        cmocka_unit_test(it_finds_what_a_search_finds),
        cmocka_unit_test(it_checks_what_pays_and_loses_nothing_where_nothing_pays),
        cmocka_unit_test(it_follows_a_text_that_changes),
        cmocka_unit_test(texts_that_repeat_themselves_gain_and_others_lose_nothing),
        cmocka_unit_test(a_busy_moment_is_not_held_against_the_guesses),
        cmocka_unit_test(a_clock_that_stands_still_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, test_shared_open, test_shared_close);
}
