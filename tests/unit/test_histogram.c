/* test_histogram.c: the buckets lie where the header says, percentiles are within the bound of the
 * values that went in, and histograms add up: merged, exported and imported.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* Half of a bucket beside its lower edge: 2^e / 16 / 2 of at least 2^e. */
#define BOUND (1.0 / 32)

#define N_VALUES 5000
static bitnet_histogram a, b, c;
static double values[N_VALUES];

static void clear(void) {
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
}

static int by_value(const void *x, const void *y) {
    double d = *(const double *)x - *(const double *)y;
    return (d > 0) - (d < 0);
}

static void every_edge_opens_its_own_bucket(void **state) {
    (void)state;
    for (int32_t i = 0; i < BITNET_HISTOGRAM_BUCKETS; i++) {
        double low = ldexp(1 + (i % 16) / 16.0, -30 + i / 16), high = bitnet_histogram_edge(i + 1);
        if (bitnet_histogram_edge(i) != low)
            fail_msg("edge %d is %a, the header says %a", (int)i, bitnet_histogram_edge(i), low);
        int32_t at_low = bitnet_histogram_bucket_of(low),
                at_end = bitnet_histogram_bucket_of(nextafter(high, 0));
        if (at_low != i || at_end != i)
            fail_msg("bucket %d: its edge is in %d, its last value in %d", (int)i, (int)at_low,
                     (int)at_end);
    }
}

static void what_lies_outside_falls_into_the_end_buckets(void **state) {
    (void)state;
    static const double low[] = {0, -0.0, -1, 1e-300, -(double)INFINITY, 5e-324};
    static const double high[] = {0x1p34, 1e300, (double)INFINITY};
    for (size_t i = 0; i < sizeof low / sizeof *low; i++)
        assert_int_equal(bitnet_histogram_bucket_of(low[i]), 0);
    for (size_t i = 0; i < sizeof high / sizeof *high; i++)
        assert_int_equal(bitnet_histogram_bucket_of(high[i]), BITNET_HISTOGRAM_BUCKETS - 1);
    clear();
    bitnet_histogram_add(&a, 0);
    bitnet_histogram_add(&a, 1e300);
    assert_true(bitnet_histogram_quantile(&a, 0.5) < 1e-8);
    assert_true(bitnet_histogram_quantile(&a, 1.0) > 1e9);
}

static void an_empty_histogram_has_no_quantile_and_nan_is_no_value(void **state) {
    (void)state;
    clear();
    bitnet_histogram_add(&a, (double)NAN);
    assert_int_equal(a.n, 0);
    assert_true(isnan(bitnet_histogram_quantile(&a, 0.5)));
    assert_int_equal(bitnet_histogram_export(&a, NULL, 0), 0);
}

static void quantiles_are_within_the_bound_of_sorting(void **state) {
    (void)state;
    static const double q[] = {0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
    uint64_t rng = rng_seed(1);
    for (int n = 1; n <= N_VALUES; n = n * 3 + 1) {
        clear();
        for (int i = 0; i < n; i++) { /* over nine decades, 1 us to 1000 s */
            values[i] = pow(10, 9 * (double)rng_float(&rng) - 6);
            bitnet_histogram_add(&a, values[i]);
        }
        qsort(values, (size_t)n, sizeof *values, by_value);
        assert_int_equal(a.n, n);
        for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
            double rank = ceil(q[i] * n), got = bitnet_histogram_quantile(&a, q[i]);
            double want = values[rank < 1 ? 0 : (int)rank - 1];
            if (!(fabs(got / want - 1) <= BOUND))
                fail_msg("quantile %g of %d is %g, sorted %g", q[i], n, got, want);
        }
    }
}

static void merged_halves_are_the_whole(void **state) {
    (void)state;
    clear();
    uint64_t rng = rng_seed(2);
    for (int i = 0; i < N_VALUES; i++) {
        double v = pow(10, 6 * (double)rng_float(&rng) - 5);
        bitnet_histogram_add(&a, v);
        bitnet_histogram_add(i % 3 ? &b : &c, v);
    }
    assert_true(b.n > 0 && c.n > 0);
    bitnet_histogram_merge(&b, &c);
    assert_int_equal(b.n, N_VALUES);
    assert_memory_equal(&a, &b, sizeof a);
}

static void a_full_bucket_takes_no_more_and_n_stays_the_sum(void **state) {
    (void)state;
    clear();
    int32_t i = bitnet_histogram_bucket_of(1.0);
    bitnet_bucket nearly = {(uint32_t)i, UINT32_MAX - 1};
    assert_int_equal(bitnet_histogram_import(&a, &nearly, 1, NULL), BITNET_OK);
    bitnet_histogram_add(&a, 1.0);
    bitnet_histogram_add(&a, 1.0);
    bitnet_histogram_add(&a, 2.0);
    assert_int_equal(a.count[i], UINT32_MAX);
    assert_int_equal(a.n, (uint64_t)UINT32_MAX + 1);
    bitnet_histogram_merge(&b, &a);
    bitnet_histogram_merge(&b, &a);
    assert_int_equal(b.count[i], UINT32_MAX);
    assert_int_equal(b.n, (uint64_t)UINT32_MAX + 2);
}

static void export_and_import_give_the_histogram_back(void **state) {
    (void)state;
    static bitnet_bucket out[BITNET_HISTOGRAM_BUCKETS];
    clear();
    uint64_t rng = rng_seed(3);
    for (int i = 0; i < N_VALUES; i++)
        bitnet_histogram_add(&a, pow(10, 4 * (double)rng_float(&rng) - 3));
    int32_t n = bitnet_histogram_export(&a, NULL, 0);
    assert_int_equal(bitnet_histogram_export(&a, out, BITNET_HISTOGRAM_BUCKETS), n);
    uint64_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        assert_true(out[i].count > 0 && (i == 0 || out[i].index > out[i - 1].index));
        sum += out[i].count;
    }
    assert_int_equal(sum, N_VALUES);
    assert_int_equal(bitnet_histogram_import(&b, out, n, NULL), BITNET_OK);
    assert_memory_equal(&a, &b, sizeof a);
    bitnet_histogram_merge(&c, &a), bitnet_histogram_merge(&c, &a);
    assert_int_equal(bitnet_histogram_import(&b, out, n, NULL), BITNET_OK); /* adds */
    assert_memory_equal(&b, &c, sizeof b);
    memset(out, 0x5a, sizeof out); /* what there is no room for is not written */
    assert_int_equal(bitnet_histogram_export(&a, out, 2), n);
    assert_true(out[1].count > 0 && out[1].index > out[0].index);
    assert_int_equal(out[2].index, 0x5a5a5a5a);
}

static void import_refuses_what_export_never_writes(void **state) {
    (void)state;
    static const struct {
        bitnet_bucket in[3];
        const char *id;
    } cases[] = {
        {{{1, 1}, {2, 1}, {1024, 1}}, "histogram.index"},
        {{{1, 1}, {2, 1}, {UINT32_MAX, 1}}, "histogram.index"},
        {{{1, 1}, {3, 1}, {2, 1}}, "histogram.order"},
        {{{1, 1}, {2, 1}, {2, 1}}, "histogram.order"},
        {{{1, 1}, {2, 1}, {3, 0}}, "histogram.count"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clear();
        bitnet_histogram_add(&a, 0.25);
        bitnet_histogram_merge(&b, &a);
        bitnet_error err = {0};
        assert_int_equal(bitnet_histogram_import(&a, cases[i].in, 3, &err), BITNET_E_FORMAT);
        assert_string_equal(err.id, cases[i].id);
        assert_non_null(strstr(err.text, "bucket 2"));
        assert_memory_equal(&a, &b, sizeof a); /* as it was */
    }
    assert_int_equal(bitnet_histogram_import(&a, NULL, 0, NULL), BITNET_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_edge_opens_its_own_bucket),
        cmocka_unit_test(what_lies_outside_falls_into_the_end_buckets),
        cmocka_unit_test(an_empty_histogram_has_no_quantile_and_nan_is_no_value),
        cmocka_unit_test(quantiles_are_within_the_bound_of_sorting),
        cmocka_unit_test(merged_halves_are_the_whole),
        cmocka_unit_test(a_full_bucket_takes_no_more_and_n_stays_the_sum),
        cmocka_unit_test(export_and_import_give_the_histogram_back),
        cmocka_unit_test(import_refuses_what_export_never_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
