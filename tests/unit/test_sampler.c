/* test_sampler.c: greedy, each filter alone, the distribution, what a seed promises; bias and
 * penalties; and everything at once against a slow sampler written from docs/sampling.md.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmath.h"
#include "base/rng.h"

#define N_DRAWS 20000
/* four standard deviations of a proportion over N_DRAWS draws: 4 * sqrt(0.25 / 20000) */
#define SHARE_TOLERANCE 0.0142

static const float logits[6] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.0f};

static void draw(const bitnet_sampler_desc *d, double share[6]) {
    bitnet_sampler s;
    _Alignas(4) char scratch[6 * 12];
    int count[6] = {0};
    assert_true(bitnet_sampler_scratch_size(6) <= sizeof scratch);
    bitnet_sampler_init(&s, d);
    for (int i = 0; i < N_DRAWS; i++)
        count[bitnet_sampler_next(&s, logits, NULL, 6, NULL, 0, scratch)]++;
    for (int i = 0; i < 6; i++)
        share[i] = (double)count[i] / N_DRAWS;
}

/* The shares a filter should leave: softmax of z/T over the kept ids. */
static void expect(const double share[6], const int kept[6], double temp) {
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += kept[i] ? exp((double)logits[i] / temp) : 0;
    for (int i = 0; i < 6; i++) {
        double want = kept[i] ? exp((double)logits[i] / temp) / sum : 0;
        if (!kept[i] ? share[i] != 0.0 : fabs(share[i] - want) > SHARE_TOLERANCE)
            fail_msg("id %d drawn in a share of %.4f, expected %.4f", i, share[i], want);
    }
}

static void greedy_takes_the_largest_and_the_lowest_id_of_equals(void **state) {
    (void)state;
    bitnet_sampler s;
    bitnet_sampler_desc d = {0};
    bitnet_sampler_init(&s, &d);
    assert_int_equal(bitnet_sampler_next(&s, logits, NULL, 6, NULL, 0, NULL), 1);
}

static void without_filters_the_draws_follow_the_softmax(void **state) {
    (void)state;
    double share[6];
    draw(&(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 7}, share);
    expect(share, (int[6]){1, 1, 1, 1, 1, 1}, 1.0);
    draw(&(bitnet_sampler_desc){.temp = 2.5f, .top_p = 1, .seed = 8}, share);
    expect(share, (int[6]){1, 1, 1, 1, 1, 1}, 2.5);
}

static void top_k_keeps_k_and_the_lower_id_of_equals(void **state) {
    (void)state;
    double share[6];
    draw(&(bitnet_sampler_desc){.temp = 1, .top_k = 3, .top_p = 1}, share);
    expect(share, (int[6]){0, 1, 1, 1, 0, 0}, 1.0);
    draw(&(bitnet_sampler_desc){.temp = 1, .top_k = 1, .top_p = 1}, share);
    expect(share, (int[6]){0, 1, 0, 0, 0, 0}, 1.0);
}

static void top_p_keeps_the_shortest_prefix_of_untempered_probabilities(void **state) {
    (void)state;
    /* probabilities: .380 .380 .140 .051 .019 .007 (ids 1 3 2 0 5 4 by size): .76 < .8 <= .90 */
    double share[6];
    draw(&(bitnet_sampler_desc){.temp = 5, .top_p = 0.8f}, share);
    expect(share, (int[6]){0, 1, 1, 1, 0, 0}, 5.0);
    draw(&(bitnet_sampler_desc){.temp = 1, .top_p = 0.01f}, share);
    expect(share, (int[6]){0, 1, 0, 0, 0, 0}, 1.0);
}

static void min_p_drops_what_is_far_below_the_largest(void **state) {
    (void)state;
    double share[6]; /* relative to the largest: 1 1 .368 .135 .050 .018 */
    draw(&(bitnet_sampler_desc){.temp = 1, .top_p = 1, .min_p = 0.2f}, share);
    expect(share, (int[6]){0, 1, 1, 1, 0, 0}, 1.0);
    draw(&(bitnet_sampler_desc){.temp = 1, .top_p = 1, .min_p = 1.0f}, share);
    expect(share, (int[6]){0, 1, 0, 1, 0, 0}, 1.0);
}

static void a_seed_fixes_the_sequence_and_another_seed_changes_it(void **state) {
    (void)state;
    bitnet_sampler a, b, c;
    _Alignas(4) char scratch[6 * 12];
    bitnet_sampler_init(&a, &(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 1});
    bitnet_sampler_init(&b, &(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 1});
    bitnet_sampler_init(&c, &(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 2});
    int n_other = 0;
    for (int i = 0; i < 100; i++) {
        bitnet_token t = bitnet_sampler_next(&a, logits, NULL, 6, NULL, 0, scratch);
        assert_int_equal(t, bitnet_sampler_next(&b, logits, NULL, 6, NULL, 0, scratch));
        n_other += t != bitnet_sampler_next(&c, logits, NULL, 6, NULL, 0, scratch);
    }
    assert_true(n_other > 20);
}

static void a_logit_that_is_not_finite_is_an_error_and_no_token(void **state) {
    (void)state;
    float bad[3] = {1, NAN, 2};
    bitnet_sampler s;
    bitnet_sampler_init(&s, &(bitnet_sampler_desc){0});
    assert_int_equal(bitnet_sampler_next(&s, bad, NULL, 3, NULL, 0, NULL), BITNET_E_BACKEND);
}

static void each_field_out_of_range_is_named(void **state) {
    (void)state;
    static const struct {
        bitnet_sampler_desc d;
        const char *name;
    } cases[] = {{{.temp = NAN}, "temp"},
                 {{.temp = -1}, "temp"},
                 {{.top_k = -1}, "top_k"},
                 {{.top_p = 1.5f}, "top_p"},
                 {{.min_p = -0.1f}, "min_p"},
                 {{.repeat_penalty = -1}, "repeat_penalty"},
                 {{.frequency_penalty = 101}, "frequency_penalty"},
                 {{.presence_penalty = NAN}, "presence_penalty"},
                 {{.penalty_last_n = -2}, "penalty_last_n"},
                 {{.n_bias = 1}, "n_bias"},
                 {{.n_bias = -1}, "n_bias"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bitnet_error err = {0};
        assert_int_equal(bitnet_sampler_check(&cases[i].d, &err), BITNET_E_INVAL);
        assert_string_equal(err.id, "sampler.range");
        assert_non_null(strstr(err.text, cases[i].name));
    }
    bitnet_sampler_desc d = bitnet_sampler_default();
    assert_int_equal(bitnet_sampler_check(&d, NULL), BITNET_OK);
}

static void each_bias_out_of_range_is_named(void **state) {
    (void)state;
    static const struct {
        bitnet_logit_bias bias;
        const char *text;
    } cases[] = {{{-1, 0}, "token -1"},
                 {{7, NAN}, "token 7 is nan"},
                 {{7, 10001}, "token 7 is 10001"},
                 {{7, INFINITY}, "token 7 is inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bitnet_error err = {0};
        bitnet_logit_bias b[2] = {{3, -INFINITY}, cases[i].bias};
        bitnet_sampler_desc d = {.bias = b, .n_bias = 2};
        assert_int_equal(bitnet_sampler_check(&d, &err), BITNET_E_INVAL);
        assert_string_equal(err.id, "sampler.bias");
        if (!strstr(err.text, cases[i].text))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].text);
    }
}

/* ---- bias and penalties ------------------------------------------------------------------------
 */

static bitnet_token greedy(const bitnet_sampler_desc *d, const bitnet_token *recent,
                           int32_t n_recent) {
    bitnet_sampler s;
    _Alignas(4) char scratch[6 * 12];
    float before[6];
    memcpy(before, logits, sizeof before);
    bitnet_sampler_init(&s, d);
    bitnet_token t = bitnet_sampler_next(&s, logits, NULL, 6, recent, n_recent, scratch);
    assert_memory_equal(before, logits, sizeof before); /* a copy is changed, never the logits */
    return t;
}

static void a_bias_is_added_and_biases_of_one_token_add_up(void **state) {
    (void)state; /* logits: 1 3 2 3 -1 0 */
    bitnet_logit_bias b[] = {{2, 0.5f}, {2, 0.75f}, {4, 3.5f}, {900, 50.0f}};
    assert_int_equal(greedy(&(bitnet_sampler_desc){.bias = b, .n_bias = 1}, NULL, 0), 1);
    assert_int_equal(greedy(&(bitnet_sampler_desc){.bias = b, .n_bias = 4}, NULL, 0), 2);
}

static void a_banned_token_is_never_drawn_and_banning_all_is_an_error(void **state) {
    (void)state;
    double share[6];
    bitnet_logit_bias ban[] = {{1, -INFINITY}, {2, -INFINITY}, {0, -INFINITY},
                               {3, -INFINITY}, {4, -INFINITY}, {5, -INFINITY}};
    draw(&(bitnet_sampler_desc){.temp = 1, .bias = ban, .n_bias = 2, .seed = 3}, share);
    expect(share, (int[6]){1, 0, 0, 1, 1, 1}, 1.0);
    draw(&(bitnet_sampler_desc){.temp = 100, .top_k = 3, .bias = ban, .n_bias = 5}, share);
    expect(share, (int[6]){0, 0, 0, 0, 0, 1}, 1.0);
    assert_int_equal(greedy(&(bitnet_sampler_desc){.bias = ban, .n_bias = 6}, NULL, 0),
                     BITNET_E_BACKEND);
}

static void the_repeat_penalty_divides_what_is_positive_and_multiplies_what_is_not(void **state) {
    (void)state;
    /* 3/2 = 1.5 for ids 1 and 3 leaves id 2 with 2 */
    bitnet_sampler_desc d = {.repeat_penalty = 2, .penalty_last_n = -1};
    assert_int_equal(greedy(&d, (bitnet_token[]){1, 3, 1}, 3), 2);
    /* a reward (below 1): 2 / 0.5 = 4; for id 4, -1 * 0.5 stays below */
    d.repeat_penalty = 0.5f;
    assert_int_equal(greedy(&d, (bitnet_token[]){4, 2}, 2), 2);
}

static void presence_counts_once_and_frequency_counts_each(void **state) {
    (void)state;
    bitnet_token recent[] = {1, 1, 1, 3};
    bitnet_sampler_desc presence = {.presence_penalty = 0.9f, .penalty_last_n = 64};
    assert_int_equal(greedy(&presence, recent, 4), 1); /* 2.1 2.1 against 2 */
    bitnet_sampler_desc frequency = {.frequency_penalty = 0.4f, .penalty_last_n = 64};
    assert_int_equal(greedy(&frequency, recent, 4), 3); /* 1.8 2.6 against 2 */
}

static void only_the_last_n_tokens_are_penalized(void **state) {
    (void)state;
    bitnet_token recent[] = {1, 1, 1, 5, 3};
    bitnet_sampler_desc d = {.presence_penalty = 2, .penalty_last_n = 2};
    assert_int_equal(greedy(&d, recent, 5), 1);
    d.penalty_last_n = -1;
    assert_int_equal(greedy(&d, recent, 5), 2);
    d.penalty_last_n = 0;
    assert_int_equal(greedy(&d, recent, 5), 1);
}

static void a_penalty_that_overflows_neither_bans_nor_breaks(void **state) {
    (void)state;
    double share[6];
    bitnet_sampler_desc d = {.temp = 1, .repeat_penalty = 1e-44f, .penalty_last_n = -1};
    bitnet_sampler s;
    _Alignas(4) char scratch[6 * 12];
    bitnet_sampler_init(&s, &d);
    assert_int_equal(bitnet_sampler_next(&s, logits, NULL, 6, (bitnet_token[]){2}, 1, scratch), 2);
    draw(&d, share); /* nothing recent: untouched */
    expect(share, (int[6]){1, 1, 1, 1, 1, 1}, 1.0);
}

/* ---- all of it against a slow double reference -------------------------------------------------
 */

#define N_REF 97

typedef struct ref {
    double z[N_REF];
    int order[N_REF]; /* ids by (z descending, id ascending) */
} ref;

static const ref *sorting;
static int by_logit(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    double zi = sorting->z[i], zj = sorting->z[j];
    return zi != zj ? (zi < zj ? 1 : -1) : i - j;
}

static void ref_adjust(ref *r, const bitnet_sampler_desc *d, const float *z,
                       const bitnet_token *recent, int n_recent) {
    for (int i = 0; i < N_REF; i++)
        r->z[i] = (double)z[i];
    for (int i = 0; i < d->n_bias; i++)
        r->z[d->bias[i].token] += (double)d->bias[i].bias;
    int first =
        d->penalty_last_n < 0 || d->penalty_last_n > n_recent ? 0 : n_recent - d->penalty_last_n;
    for (int id = 0; id < N_REF; id++) {
        int n = 0;
        for (int i = first; i < n_recent; i++)
            n += recent[i] == id;
        if (n == 0) continue;
        double rep = (double)d->repeat_penalty;
        r->z[id] = r->z[id] <= 0 ? r->z[id] * rep : r->z[id] / rep;
        r->z[id] -= n * (double)d->frequency_penalty + (double)d->presence_penalty;
    }
}

/* The first n of r->order that the filters keep. */
static int ref_filter(ref *r, const bitnet_sampler_desc *d) {
    for (int i = 0; i < N_REF; i++)
        r->order[i] = i;
    sorting = r;
    qsort(r->order, N_REF, sizeof *r->order, by_logit);
    int n = N_REF;
    if (d->top_k > 0 && d->top_k < n) n = d->top_k;
    while (n > 0 && isinf(r->z[r->order[n - 1]]))
        n--;
    double max = r->z[r->order[0]], total = 0, seen = 0;
    for (int i = 0; i < n; i++)
        total += exp(r->z[r->order[i]] - max);
    if (d->top_p > 0 && d->top_p < 1) {
        int keep = 0;
        while (keep < n && seen < (double)d->top_p * total)
            seen += exp(r->z[r->order[keep++]] - max);
        n = keep;
    }
    if (d->min_p > 0)
        while (n > 1 && r->z[r->order[n - 1]] < max + log((double)d->min_p))
            n--;
    return n;
}

static bitnet_token ref_next(const bitnet_sampler_desc *d, const float *z,
                             const bitnet_token *recent, int n_recent, double u) {
    ref r;
    ref_adjust(&r, d, z, recent, n_recent);
    int n = ref_filter(&r, d);
    if (d->temp <= 0) return r.order[0];
    double mass = 0, max = r.z[r.order[0]];
    for (int i = 0; i < n; i++)
        mass += exp((r.z[r.order[i]] - max) / (double)d->temp);
    double left = u * mass;
    for (int i = 0; i < n; i++) {
        left -= exp((r.z[r.order[i]] - max) / (double)d->temp);
        if (left < 0) return r.order[i];
    }
    return r.order[n - 1];
}

/* Bit b of `on` switches the b-th parameter on: all combinations are tried. Values are multiples of
 * 1/64, so that f32 and double agree on every sum and ties are real ties. */
static bitnet_sampler_desc random_desc(uint64_t *rng, unsigned on, bitnet_logit_bias bias[4]) {
    for (int i = 0; i < 4; i++)
        bias[i] = (bitnet_logit_bias){(bitnet_token)(rng_next(rng) % N_REF),
                                      i == 3 ? -INFINITY
                                             : (float)((int)(rng_next(rng) % 512) - 256) / 64};
    static const float temps[] = {0.25f, 0.5f, 1.0f, 2.0f};
    return (bitnet_sampler_desc){
        .temp = on & 1 ? temps[rng_next(rng) % 4] : 0,
        .top_k = on & 2 ? 1 + (int32_t)(rng_next(rng) % 120) : 0,
        .top_p = on & 4 ? rng_float(rng) : 1,
        .min_p = on & 8 ? rng_float(rng) * rng_float(rng) : 0,
        .repeat_penalty = on & 16 ? 2 : 1,
        .frequency_penalty = on & 32 ? (float)(rng_next(rng) % 64) / 64 : 0,
        .presence_penalty = on & 64 ? (float)(rng_next(rng) % 256) / 64 - 2 : 0,
        .penalty_last_n = (int32_t)(rng_next(rng) % 40) - 1,
        .bias = bias,
        .n_bias = on & 128 ? 4 : 0,
        .seed = rng_next(rng)};
}

static void every_combination_draws_what_the_slow_reference_draws(void **state) {
    (void)state;
    uint64_t rng = rng_seed(5);
    int n_not_best = 0;
    for (unsigned round = 0; round < 256 * 40; round++) {
        float z[N_REF];
        bitnet_token recent[60];
        bitnet_logit_bias bias[4];
        _Alignas(4) char scratch[N_REF * 12];
        for (int i = 0; i < N_REF; i++)
            z[i] = (float)((int)(rng_next(&rng) % 640) - 320) / 64;
        for (int i = 0; i < 60; i++)
            recent[i] = (bitnet_token)(rng_next(&rng) % N_REF);
        bitnet_sampler_desc d = random_desc(&rng, round % 256, bias);
        assert_int_equal(bitnet_sampler_check(&d, NULL), BITNET_OK);
        bitnet_sampler s;
        bitnet_sampler_init(&s, &d);
        uint64_t draws = s.rng;
        for (int i = 0; i < 4; i++) {
            int n_recent = (int)(rng_next(&rng) % 61);
            bitnet_token want = ref_next(&d, z, recent, n_recent, (double)rng_float(&draws));
            bitnet_token got = bitnet_sampler_next(&s, z, NULL, N_REF, recent, n_recent, scratch);
            if (got != want)
                fail_msg("round %u, draw %d: token %d (%.3f), expected %d (%.3f)", round, i, got,
                         (double)z[got], want, (double)z[want]);
            n_not_best +=
                got != ref_next(&(bitnet_sampler_desc){.repeat_penalty = 1}, z, NULL, 0, 0);
        }
    }
    assert_true(n_not_best > 10000); /* the draws are not all the argmax */
}

/* ---- logprobs ----------------------------------------------------------------------------------
 */

/* half an ulp of the f32 that holds it, in relation, plus doubles' noise */
#define LOGPROB_TOLERANCE 6.1e-8

static void logprobs_are_the_log_softmax_best_first_and_sum_to_one(void **state) {
    (void)state;
    _Alignas(4) char scratch[6 * 12];
    bitnet_logprob got[7];
    static const int best[6] = {1, 3, 2, 0, 5, 4};
    double sum = 0, total = 0;
    for (int i = 0; i < 6; i++)
        sum += exp((double)logits[i]);
    assert_int_equal(bitnet_sampler_logprobs(logits, 6, 4, 20, got, scratch), 7);
    for (int i = 0; i < 7; i++) {
        int id = i == 0 ? 4 : best[i - 1];
        double want = (double)logits[id] - log(sum);
        assert_int_equal(got[i].token, id);
        if (!(fabs((double)got[i].logprob - want) <= LOGPROB_TOLERANCE * fabs(want)))
            fail_msg("id %d: %.9g, expected %.9g", id, (double)got[i].logprob, want);
        if (i > 0) total += exp((double)got[i].logprob);
    }
    if (!(fabs(total - 1) < 6 * LOGPROB_TOLERANCE * 5)) fail_msg("they sum to %.12g", total);
    assert_int_equal(bitnet_sampler_logprobs(logits, 6, 2, 0, got, NULL), 1);
    assert_int_equal(bitnet_sampler_logprobs(logits, 6, 2, 3, got, scratch), 4);
}

static void logprobs_of_a_wide_vocabulary_stay_finite_and_refuse_what_is_not(void **state) {
    (void)state;
    enum { n = 5000 };
    static float z[n];
    static int32_t scratch[n * 3];
    bitnet_logprob got[3];
    for (int i = 0; i < n; i++)
        z[i] = i == 77 ? 3e38f : -3e38f;
    assert_int_equal(bitnet_sampler_logprobs(z, n, 3, 2, got, scratch), 3);
    assert_true(got[0].logprob < -3e38f && got[1].logprob == 0.0f && got[1].token == 77);
    assert_int_equal(got[2].token, 0);
    assert_int_equal(bitnet_sampler_logprobs(z, n, n, 0, got, scratch), BITNET_E_INVAL);
    assert_int_equal(bitnet_sampler_logprobs(z, n, -1, 0, got, scratch), BITNET_E_INVAL);
    z[9] = NAN;
    assert_int_equal(bitnet_sampler_logprobs(z, n, 3, 2, got, scratch), BITNET_E_BACKEND);
}

/* 4 ulp of a double */
#define FMATH_TOLERANCE 9e-16

static void our_exp_log_sin_and_cos_agree_with_libm(void **state) {
    (void)state;
    uint64_t rng = rng_seed(3);
    for (int i = 0; i < 100000; i++) {
        double u = (double)rng_float(&rng), x = (u - 0.5) * 1200, s, c;
        if (!(fabs(fmath_exp(x) / exp(x) - 1) < FMATH_TOLERANCE))
            fail_msg("exp(%.17g): %.17g, libm %.17g", x, fmath_exp(x), exp(x));
        double p = exp(x);
        if (!(fabs(fmath_log(p) - log(p)) <= FMATH_TOLERANCE * fmax(1, fabs(log(p)))))
            fail_msg("log(%.17g): %.17g, libm %.17g", p, fmath_log(p), log(p));
        double a = u * 131072;
        fmath_sincos(a, &s, &c);
        if (!(fabs(s - sin(a)) < FMATH_TOLERANCE && fabs(c - cos(a)) < FMATH_TOLERANCE))
            fail_msg("sin, cos of %.17g: %.17g %.17g, libm %.17g %.17g", a, s, c, sin(a), cos(a));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_largest_and_the_lowest_id_of_equals),
        cmocka_unit_test(without_filters_the_draws_follow_the_softmax),
        cmocka_unit_test(top_k_keeps_k_and_the_lower_id_of_equals),
        cmocka_unit_test(top_p_keeps_the_shortest_prefix_of_untempered_probabilities),
        cmocka_unit_test(min_p_drops_what_is_far_below_the_largest),
        cmocka_unit_test(a_seed_fixes_the_sequence_and_another_seed_changes_it),
        cmocka_unit_test(a_logit_that_is_not_finite_is_an_error_and_no_token),
        cmocka_unit_test(each_field_out_of_range_is_named),
        cmocka_unit_test(each_bias_out_of_range_is_named),
        cmocka_unit_test(a_bias_is_added_and_biases_of_one_token_add_up),
        cmocka_unit_test(a_banned_token_is_never_drawn_and_banning_all_is_an_error),
        cmocka_unit_test(the_repeat_penalty_divides_what_is_positive_and_multiplies_what_is_not),
        cmocka_unit_test(presence_counts_once_and_frequency_counts_each),
        cmocka_unit_test(only_the_last_n_tokens_are_penalized),
        cmocka_unit_test(a_penalty_that_overflows_neither_bans_nor_breaks),
        cmocka_unit_test(every_combination_draws_what_the_slow_reference_draws),
        cmocka_unit_test(logprobs_are_the_log_softmax_best_first_and_sum_to_one),
        cmocka_unit_test(logprobs_of_a_wide_vocabulary_stay_finite_and_refuse_what_is_not),
        cmocka_unit_test(our_exp_log_sin_and_cos_agree_with_libm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
