/* test_op_trend.c: a slope that was put in is found, noise has none, and few operations say so.
 */
#include "load_file.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "tracker/op_trend.h"

#define N        BITNET_OP_TREND_SPAN
#define N_ROUNDS 2000
/* Of 95 % intervals 5 % miss, 100 of 2000 with a standard deviation of 10; the rounding of ranks makes
 * them a little wider. */
#define MISSES_MAX 130
#define MISSES_MIN 40

/* 10/20 less 78/80 by a program of its own, which gives the intervals that Newcombe prints in table II:
 * 56/70 less 48/80 from 0.0524 to 0.3339, 9/10 less 3/10 from 0.1705 to 0.8090. */
#define NEWCOMBE_LOW  (-0.6765180365920128)
#define NEWCOMBE_HIGH (-0.2650444977701868)

static bitnet_op_outcome latest[N];

/* Uniform in [-1, 1) */
static double noise(uint64_t *rng) {
    return 2 * (double)rng_float(rng) - 1;
}

/* Seconds: 1, and slope for each operation */
static void fill(double slope, double spread, uint64_t *rng) {
    for (int i = 0; i < N; i++)
        latest[i] = (bitnet_op_outcome){1 + slope * i + spread * noise(rng), true};
}

static void a_known_slope_is_found_exactly_without_noise(void **state) {
    (void)state;
    uint64_t rng = rng_seed(1);
    for (int sign = -1; sign <= 1; sign += 2) {
        bitnet_op_trend t;
        fill(sign * 0.01, 0, &rng);
        bitnet_op_trend_of(&t, latest, N, N, 0);
        assert_int_equal(t.n, N);
        assert_true(fabs(t.slope_s - sign * 0.01) < 1e-12);
        assert_true(fabs(t.low_s - sign * 0.01) < 1e-12 && fabs(t.high_s - sign * 0.01) < 1e-12);
        assert_int_equal(t.duration, sign > 0 ? BITNET_TREND_UP : BITNET_TREND_DOWN);
        double middle = 1 + sign * 0.01 * (N - 1) / 2;
        assert_true(fabs(t.change - sign * 0.01 * (N - 1) / middle) < 1e-12);
    }
}

static void the_interval_holds_the_slope_as_often_as_it_says(void **state) {
    (void)state;
    static const double slopes[] = {0, 0.002, -0.01};
    uint64_t rng = rng_seed(2);
    for (size_t k = 0; k < 3; k++) {
        int n_missed = 0, n_verdicts = 0;
        for (int round = 0; round < N_ROUNDS; round++) {
            bitnet_op_trend t;
            fill(slopes[k], 0.1, &rng);
            bitnet_op_trend_of(&t, latest, N, N, 0);
            n_missed += !(t.low_s <= slopes[k] && slopes[k] <= t.high_s);
            n_verdicts += t.duration != BITNET_TREND_STEADY;
            assert_true(t.low_s <= t.slope_s && t.slope_s <= t.high_s);
        }
        if (n_missed > MISSES_MAX || n_missed < MISSES_MIN)
            fail_msg("slope %g: %d of %d intervals miss it, allowed %d to %d", slopes[k], n_missed,
                     N_ROUNDS, MISSES_MIN, MISSES_MAX);
        if (k == 0) assert_int_equal(n_verdicts, n_missed); /* noise is steady but for these */
        if (k == 2) assert_true(n_verdicts > N_ROUNDS * 99 / 100);
    }
}

static void outliers_do_not_move_the_slope(void **state) {
    (void)state;
    uint64_t rng = rng_seed(3);
    bitnet_op_trend clean, dirty;
    fill(0.01, 0.02, &rng);
    bitnet_op_trend_of(&clean, latest, N, N, 0);
    latest[36].duration_s = 50, latest[38].duration_s = 90, latest[39].duration_s = 70;
    bitnet_op_trend_of(&dirty, latest, N, N, 0);
    if (!(fabs(dirty.slope_s / clean.slope_s - 1) < 0.25)) /* least squares: 120 times the slope */
        fail_msg("the slope went from %g to %g", clean.slope_s, dirty.slope_s);
    assert_int_equal(dirty.duration, BITNET_TREND_UP);
}

static void few_operations_are_not_enough(void **state) {
    (void)state;
    uint64_t rng = rng_seed(4);
    bitnet_op_trend t;
    fill(0.1, 0, &rng);
    for (int n = 0; n <= N; n++) {
        bitnet_op_trend_of(&t, latest, n, (uint64_t)n, 0);
        assert_int_equal(t.n, n);
        bool is_enough = n >= BITNET_OP_TREND_MIN;
        assert_int_equal(t.duration, is_enough ? BITNET_TREND_UP : BITNET_TREND_UNKNOWN);
        assert_int_equal(isnan(t.slope_s) || isnan(t.low_s) || isnan(t.high_s) || isnan(t.change),
                         !is_enough);
        is_enough = n >= BITNET_OP_RECENT + BITNET_OP_TREND_MIN;
        assert_int_equal(t.success, is_enough ? BITNET_TREND_STEADY : BITNET_TREND_UNKNOWN);
        assert_int_equal(isnan(t.rate_recent) || isnan(t.difference) || isnan(t.low), !is_enough);
        assert_int_equal((uint64_t)t.n_recent + t.n_before, n);
    }
    for (int i = 0; i < N; i++) /* failures have no duration that counts */
        if (i % 5) latest[i] = (bitnet_op_outcome){(double)NAN, false};
    bitnet_op_trend_of(&t, latest, N, N, N - N / 5);
    assert_int_equal(t.n, N / 5);
    assert_int_equal(t.duration, BITNET_TREND_UNKNOWN);
}

static void equal_durations_are_steady(void **state) {
    (void)state;
    uint64_t rng = rng_seed(5);
    bitnet_op_trend t;
    fill(0, 0, &rng);
    bitnet_op_trend_of(&t, latest, N, N, 0);
    assert_int_equal(t.duration, BITNET_TREND_STEADY);
    assert_true(t.slope_s == 0 && t.change == 0);
}

static void success_is_compared_with_all_before(void **state) {
    (void)state;
    bitnet_op_trend t;
    for (int i = 0; i < N; i++)
        latest[i] = (bitnet_op_outcome){1, i < 20 || i % 2}; /* 10 of the last 20 fail */
    bitnet_op_trend_of(&t, latest, N, 100, 12);              /* 2 of the 80 before */
    assert_int_equal(t.n_recent, 20);
    assert_int_equal(t.n_before, 80);
    assert_true(fabs(t.rate_recent - 0.5) < 1e-12 && fabs(t.rate_before - 78.0 / 80) < 1e-12);
    assert_true(fabs(t.difference + 0.475) < 1e-12);
    assert_int_equal(t.success, BITNET_TREND_DOWN);
    if (!(fabs(t.low - NEWCOMBE_LOW) < 1e-12 && fabs(t.high - NEWCOMBE_HIGH) < 1e-12))
        fail_msg("10/20 less 78/80: %.15g to %.15g, expected %.15g to %.15g", t.low, t.high,
                 NEWCOMBE_LOW, NEWCOMBE_HIGH);
    bitnet_op_trend_of(&t, latest, N, 100, 50); /* 40 of 80 before: the same rate */
    assert_int_equal(t.success, BITNET_TREND_STEADY);
    assert_true(t.difference == 0 && t.low < 0 && t.high > 0);
    for (int i = 0; i < N; i++)
        latest[i].ok = true;
    bitnet_op_trend_of(&t, latest, N, 100, 60); /* 60 of 80 failed before */
    assert_int_equal(t.success, BITNET_TREND_UP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_slope_is_found_exactly_without_noise),
        cmocka_unit_test(the_interval_holds_the_slope_as_often_as_it_says),
        cmocka_unit_test(outliers_do_not_move_the_slope),
        cmocka_unit_test(few_operations_are_not_enough),
        cmocka_unit_test(equal_durations_are_steady),
        cmocka_unit_test(success_is_compared_with_all_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
