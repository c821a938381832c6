/* test_head.c: the output head in stages (core/backend/cpu_head.c) against the whole one: which logits it
 * may leave out and that all others are the same bits, on every tier; and where it must not be tried.
 */
#include "head_fixture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "format/blocks.h"
#include "kernels/cpu.h"

/* The last group has rows missing, k is no multiple of 256. */
enum { K = 272, N = 20001, MAX_T = 17 };

static head_fixture open_head(const bitnet_cpu_tier *tier, int32_t n_threads, bitnet_type type,
                              const void *data, float scale) {
    const bitnet_backend_desc bd = {
        .n_threads = n_threads, .cpu_mask = tier ? tier->mask : 0, .staged = BITNET_ON};
    const bitnet_tensor t = {
        .name = "head", .type = type, .ne = {K, N}, .data = data, .is_head = true, .scale = scale};
    return head_open(&bd, &t, MAX_T);
}

/* How many were left out. All others are the whole head's bits, none of those wanted is left out, and what
 * is said of those that are is true. */
static int32_t n_left_out(const char *what, const float *got, const float *whole,
                          const bitnet_want *want, const bitnet_tail *tail) {
    static float sorted[N];
    memcpy(sorted, whole, sizeof sorted);
    qsort(sorted, N, sizeof *sorted, larger_first);
    int32_t n = 0;
    double mass = 0.0, all = 0.0;
    for (int32_t r = 0; r < N; r++) {
        const double weight = exp((double)whole[r] - (double)sorted[0]);
        all += weight;
        if (!memcmp(&got[r], &whole[r], sizeof *got)) continue;
        mass += weight;
        if (got[r] != -FLT_MAX)
            fail_msg("%s: row %d is %.9g, of the whole head %.9g", what, r, (double)got[r],
                     (double)whole[r]);
        if (whole[r] >= sorted[want->n_best - 1])
            fail_msg("%s: row %d is left out; its logit %.9g is among the %d largest, down to %.9g",
                     what, r, (double)whole[r], want->n_best, (double)sorted[want->n_best - 1]);
        if (whole[r] >= sorted[0] - want->within && want->within > 0.0f)
            fail_msg("%s: row %d is left out; its logit %.9g is within %g of the largest, %.9g",
                     what, r, (double)whole[r], (double)want->within, (double)sorted[0]);
        if (whole[r] >= tail->below)
            fail_msg("%s: row %d is left out; its logit %.9g is not below %.9g", what, r,
                     (double)whole[r], (double)tail->below);
        n++;
    }
    if (mass > (double)tail->mass || (want->mass > 0.0f && mass > (double)want->mass * all))
        fail_msg("%s: %d rows of mass %g are left out; it was said to be %g, and to be %g at most",
                 what, n, mass, (double)tail->mass, (double)want->mass * all);
    return n;
}

/* Uniform weights, and rows that a sieve could lose: the best one twice, zeros, tiny and large ones. */
static float *weights(void) {
    static float *w;
    if (w) return w;
    w = malloc((size_t)N * K * sizeof *w);
    assert_non_null(w);
    uint64_t rng = rng_seed(8);
    for (size_t i = 0; i < (size_t)N * K; i++)
        w[i] = (float)((int32_t)(rng_next(&rng) >> 40 & 255) - 128) / 256.0f;
    memset(w + (size_t)7 * K, 0, K * sizeof *w);
    for (int32_t j = 0; j < K; j++) {
        w[9 * K + j] *= 0x1p-16f;
        w[11 * K + j] *= 8.0f;
        w[(N - 1) * K + j] = w[11 * K + j];
    }
    return w;
}

static const float *activations(void) {
    static float x[2 * MAX_T * K];
    uint64_t rng = rng_seed(9);
    for (int32_t i = 0; i < 2 * MAX_T * K; i++)
        x[i] = 4.0f * rng_float(&rng) - 2.0f;
    for (int32_t j = 0; j < K; j++) { /* so that the two best rows are the same */
        x[2 * K + j] = weights()[11 * K + j];
        x[3 * K + j] = j == 100 ? 1e6f : 0.0f;
        x[4 * K + j] *= 1e-20f;
    }
    return x;
}

#define BEST(n)                                                                                    \
    { n, 0.0f, 0.0f }
#define WITHIN(gap, mass)                                                                          \
    { 1, gap, mass }
static const bitnet_want wants[MAX_T] = {
    BEST(1),         BEST(5),          BEST(1),
    BEST(2),         BEST(40),         BEST(256),
    WITHIN(3, 0),    WITHIN(0.5f, 0),  WITHIN(0, 0x1p-6f),
    BEST(100),       WITHIN(9, 1e-9f), WITHIN(0, 0x1p-10f),
    WITHIN(3, 0.1f), WITHIN(0, 0.25f), {2, 0.0f, 0.01f},
    {3, 1.0f, 0.5f},
};

static bool is_here(const bitnet_cpu_tier *t) {
    return (bitnet_cpu_flags() & t->mask) == t->mask;
}

static void the_best_are_those_of_the_whole_head_on_every_tier(void **state) {
    (void)state;
    static const bitnet_type types[] = {BITNET_TYPE_F16, BITNET_TYPE_F32};
    float *whole = malloc(2 * (size_t)MAX_T * N * sizeof *whole), *got = whole + (size_t)MAX_T * N;
    uint8_t *data = malloc((size_t)N * K * sizeof(float));
    bitnet_tail tail[MAX_T];
    const bitnet_cpu_tier *tier;
    int32_t n_staged[16] = {0};
    assert_true(whole && data);
    for (int32_t v = 0; (tier = bitnet_cpu_tier_at(v)); v++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            if (!is_here(tier) || (TEST_IS_SLOW && i > 0)) continue;
            bitnet_block_encoder(types[i])(data, weights(), (int64_t)N * K);
            head_fixture h = open_head(tier, 1 + v % 3, types[i], data, i == 0 ? 1.0f : -0.375f);
            head_run(&h, activations(), NULL, 16, 1, whole, tail);
            for (int32_t first = 0, n; first < 16; first += n) {
                n = first < 4 ? 4 : 1; /* some together, the others alone */
                head_run(&h, activations() + first * K, wants + first, n, 1, got, tail);
                for (int32_t t = first; t < first + n; t++) {
                    char what[80];
                    snprintf(what, sizeof what, "%s, %s, row %d", tier->name,
                             bitnet_type_name(types[i]), t);
                    int32_t n_out = n_left_out(what, got + (size_t)(t - first) * N,
                                               whole + (size_t)t * N, &wants[t], &tail[t - first]);
                    n_staged[t] += n_out > N / 2;
                }
            }
            head_close(&h);
        }
    /* of tiny logits all are equally likely, and of the tenth's mass next to nothing may be left out */
    for (int32_t t = 0; t < 16; t++)
        if (t != 4 && t != 10 && n_staged[t] == 0) fail_msg("row %d was never staged", t);
    free(whole);
    free(data);
}

static void rows_that_do_not_lie_together_are_staged_too(void **state) {
    (void)state;
    bitnet_tail tail[MAX_T];
    float *whole = malloc(4 * (size_t)N * sizeof *whole), *got = whole + 2 * (size_t)N;
    uint8_t *data = malloc((size_t)N * K * 2);
    assert_true(whole && data);
    bitnet_block_encoder(BITNET_TYPE_F16)(data, weights(), (int64_t)N * K);
    head_fixture h = open_head(NULL, 2, BITNET_TYPE_F16, data, 1.0f);
    head_run(&h, activations(), NULL, 2, 5, whole, tail);
    head_run(&h, activations(), wants, 2, 5, got, tail);
    for (int32_t t = 0; t < 2; t++) {
        const size_t at = (size_t)t * N;
        int32_t n = n_left_out("apart", got + at, whole + at, &wants[t], &tail[t]);
        assert_in_range(n, N / 2, N);
    }
    head_close(&h);
    free(whole);
    free(data);
}

/* A row whose weights fit no bound is computed always; what is behind it is not lost. */
static void rows_out_of_range_are_always_computed(void **state) {
    (void)state;
    bitnet_tail tail;
    static const float odd[] = {INFINITY, NAN, 1e20f, -3e38f};
    float *whole = malloc(2 * (size_t)N * sizeof *whole), *got = whole + N;
    float *data = malloc((size_t)N * K * sizeof *data);
    assert_true(whole && data);
    memcpy(data, weights(), (size_t)N * K * sizeof *data);
    for (int32_t i = 0; i < 4; i++)
        data[(20 + i) * K + 3] = odd[i];
    for (int32_t j = 0; j < K; j++)
        data[30 * K + j] *= 1e-25f;
    head_fixture h = open_head(NULL, 2, BITNET_TYPE_F32, data, 1.0f);
    head_run(&h, activations(), NULL, 1, 1, whole, &tail);
    head_run(&h, activations(), wants, 1, 1, got, &tail);
    for (int32_t i = 0; i < 4; i++)
        assert_memory_equal(&got[20 + i], &whole[20 + i], sizeof *got);
    int32_t n_out = 0, best = 0;
    for (int32_t r = 1; r < N; r++) {
        n_out += got[r] == -FLT_MAX;
        if (isfinite(whole[r]) && (r < 20 || r >= 24) && whole[r] > whole[best]) best = r;
    }
    assert_in_range(n_out, N / 2, N);
    assert_memory_equal(&got[best], &whole[best], sizeof *got);
    if (memcmp(&got[30], &whole[30], sizeof *got) && whole[30] >= tail.below)
        fail_msg("row 30 is %.9g, of the whole head %.9g, and not below %.9g", (double)got[30],
                 (double)whole[30], (double)tail.below);
    head_close(&h);
    free(whole);
    free(data);
}

static void activations_out_of_range_take_the_whole_head(void **state) {
    (void)state;
    bitnet_tail tail;
    static const float odd[] = {INFINITY, NAN, 1e20f, -3e38f};
    static float x[MAX_T * K];
    float *whole = malloc(2 * (size_t)N * sizeof *whole), *got = whole + N;
    uint8_t *data = malloc((size_t)N * K * 2);
    assert_true(whole && data);
    bitnet_block_encoder(BITNET_TYPE_F16)(data, weights(), (int64_t)N * K);
    head_fixture h = open_head(NULL, 2, BITNET_TYPE_F16, data, 1.0f);
    for (int32_t i = 0; i < 5; i++) {
        memcpy(x, activations(), sizeof x);
        if (i < 4)
            x[3] = odd[i];
        else
            memset(x, 0, sizeof x); /* all logits are equal, none may be left out */
        head_run(&h, x, NULL, 1, 1, whole, &tail);
        head_run(&h, x, wants, 1, 1, got, &tail);
        assert_memory_equal(got, whole, N * sizeof *got);
    }
    head_close(&h);
    free(whole);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_are_those_of_the_whole_head_on_every_tier),
        cmocka_unit_test(rows_that_do_not_lie_together_are_staged_too),
        cmocka_unit_test(rows_out_of_range_are_always_computed),
        cmocka_unit_test(activations_out_of_range_take_the_whole_head),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(weights());
    return failed;
}
