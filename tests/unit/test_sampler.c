/* test_sampler.c: greedy, each filter alone, the distribution, and what a seed promises. */
#include "load_file.h"

#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "base/rng.h"

#define N_DRAWS 20000
/* four standard deviations of a proportion over N_DRAWS draws: 4 * sqrt(0.25 / 20000) */
#define SHARE_TOLERANCE 0.0142

static const float logits[6] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.0f};

static void draw(const bitnet_sampler_desc *d, double share[6]) {
    bitnet_sampler s;
    char scratch[6 * 8];
    int count[6] = {0};
    assert_true(bitnet_sampler_scratch_size(6) <= sizeof scratch);
    bitnet_sampler_init(&s, d);
    for (int i = 0; i < N_DRAWS; i++)
        count[bitnet_sampler_next(&s, logits, 6, scratch)]++;
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
    assert_int_equal(bitnet_sampler_next(&s, logits, 6, NULL), 1);
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
    char scratch[48];
    bitnet_sampler_init(&a, &(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 1});
    bitnet_sampler_init(&b, &(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 1});
    bitnet_sampler_init(&c, &(bitnet_sampler_desc){.temp = 1, .top_p = 1, .seed = 2});
    int n_other = 0;
    for (int i = 0; i < 100; i++) {
        bitnet_token t = bitnet_sampler_next(&a, logits, 6, scratch);
        assert_int_equal(t, bitnet_sampler_next(&b, logits, 6, scratch));
        n_other += t != bitnet_sampler_next(&c, logits, 6, scratch);
    }
    assert_true(n_other > 20);
}

static void a_logit_that_is_not_finite_is_an_error_and_no_token(void **state) {
    (void)state;
    float bad[3] = {1, NAN, 2};
    bitnet_sampler s;
    bitnet_sampler_init(&s, &(bitnet_sampler_desc){0});
    assert_int_equal(bitnet_sampler_next(&s, bad, 3, NULL), BITNET_E_BACKEND);
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
                 {{.min_p = -0.1f}, "min_p"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bitnet_error err = {0};
        assert_int_equal(bitnet_sampler_check(&cases[i].d, &err), BITNET_E_INVAL);
        assert_string_equal(err.id, "sampler.range");
        assert_non_null(strstr(err.text, cases[i].name));
    }
    bitnet_sampler_desc d = bitnet_sampler_default();
    assert_int_equal(bitnet_sampler_check(&d, NULL), BITNET_OK);
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
        cmocka_unit_test(our_exp_log_sin_and_cos_agree_with_libm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
