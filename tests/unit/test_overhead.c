/* test_overhead.c: the tracker's cost as it measures it, on tokens whose cost is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "bitnet/overhead.h"

#define PUMP_NS 100000000u

static double noise(uint64_t *rng, double sigma) { /* about normal: twelve uniform ones */
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)rng_float(rng);
    return sigma * sum;
}

/* Tokens of 4 ms with relative noise from block to block; each pump adds `cost_s` to the block it is in. */
static void decode(bitnet_overhead *o, int n_blocks, double cost_s, double sigma, uint64_t seed) {
    uint64_t rng = rng_seed(seed), t0 = 0, now = 0;
    double factor = 1;
    int n_pumps = 0;
    bitnet_window w = {0};
    for (int i = 0; i < n_blocks * BITNET_OVERHEAD_PUMPS; i++) {
        if (i % BITNET_OVERHEAD_PUMPS == 0) factor = exp(noise(&rng, sigma));
        now += PUMP_NS;
        n_pumps++;
        if (!bitnet_overhead_due(o)) continue;
        double token_s = 0.004 * factor, busy_s = (double)(now - t0) / 1e9;
        bitnet_window_metric *m = &w.metric[BITNET_METRIC_TPOT];
        m->n = (uint64_t)((busy_s - cost_s) / token_s);
        m->sum = (double)m->n * token_s + cost_s;
        w.t0_ns = t0, w.t1_ns = now;
        t0 = now;
        bitnet_overhead_window(o, &w);
    }
    assert_int_equal(n_pumps, n_blocks * BITNET_OVERHEAD_PUMPS);
}

static void a_known_cost_is_found_within_its_interval(void **state) {
    (void)state;
    static const double costs[] = {0, 0.001, 0.005}; /* of a pump of 100 ms: 0, 1 and 5 % */
    for (size_t c = 0; c < 3; c++) {
        int n_inside = 0;
        for (uint64_t seed = 1; seed <= 100; seed++) {
            bitnet_overhead o = {0};
            decode(&o, 1000, costs[c], 0.02, seed);
            bitnet_overhead_result r = bitnet_overhead_get(&o);
            double truth = 0.1 / (0.1 - costs[c]) - 1;
            assert_true(r.n > 400 && r.low < r.high);
            /* the share is of a block with one pump, not with none: 1/30 of it, and 2 % of noise */
            if (r.low - truth / 30 <= truth && truth <= r.high + truth / 30) n_inside++;
            if (fabs(r.share - truth) > 0.01) fail_msg("%g instead of %g", r.share, truth);
        }
        if (n_inside < 90)
            fail_msg("cost %g: the interval holds the truth %d times of 100", costs[c], n_inside);
    }
}

static void there_is_no_answer_before_there_are_enough_pairs(void **state) {
    (void)state;
    bitnet_overhead o = {0};
    assert_true(isnan(bitnet_overhead_get(&o).share));
    decode(&o, 2 * (BITNET_OVERHEAD_ENOUGH - 1), 0, 0.02, 1);
    assert_int_equal(bitnet_overhead_get(&o).n, BITNET_OVERHEAD_ENOUGH - 1);
    assert_true(isnan(bitnet_overhead_get(&o).share));
}

static void blocks_that_do_more_than_decode_do_not_count(void **state) {
    (void)state;
    bitnet_overhead o = {0};
    bitnet_window w = {0};
    w.metric[BITNET_METRIC_TPOT] = (bitnet_window_metric){.n = 10, .sum = 0.04};
    uint64_t now = 0;
    for (int i = 0; i < 600; i++) {
        now += PUMP_NS;
        if (!bitnet_overhead_due(&o)) continue;
        w.t0_ns = w.t1_ns, w.t1_ns = now;
        bitnet_overhead_window(&o, &w);
    }
    assert_int_equal(bitnet_overhead_get(&o).n, 0);
}

static void half_of_the_blocks_leave_their_first_pumps_out(void **state) {
    (void)state;
    bitnet_overhead o = {0};
    int n_due = 0;
    bitnet_window w = {0};
    for (int i = 0; i < 200 * BITNET_OVERHEAD_PUMPS; i++) {
        if (!bitnet_overhead_due(&o)) continue;
        n_due++;
        bitnet_overhead_window(&o, &w);
    }
    assert_int_equal(n_due, 100 * BITNET_OVERHEAD_PUMPS + 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_cost_is_found_within_its_interval),
        cmocka_unit_test(there_is_no_answer_before_there_are_enough_pairs),
        cmocka_unit_test(blocks_that_do_more_than_decode_do_not_count),
        cmocka_unit_test(half_of_the_blocks_leave_their_first_pumps_out),
    };
    return cmocka_run_group_tests_name("overhead", tests, NULL, NULL);
}
