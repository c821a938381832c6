/* test_planes.c: f16 rows of the head that were split where they lie (core/backend/cpu_planes.c) against the
 * same rows left alone: as embeddings, as the whole head and as the head in stages, on every tier.
 */
#include "head_fixture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/rng.h"
#include "kernels/cpu.h"

static const bitnet_backend_ops *const ops = &bitnet_backend_cpu;

enum { K = 512, N = 4096, N_BEST = 8, MAX_T = 4 };
static uint16_t rows[N * K];
static float x[MAX_T * K];

static float gaussian(uint64_t *rng) {
    float sum = 0.0f;
    for (int i = 0; i < 12; i++)
        sum += rng_float(rng);
    return sum - 6.0f;
}

/* What a head may hold: rows as they are trained, with outliers, of one number, of zeros of both signs, of
 * subnormals, of anything finite. */
static uint16_t weight(uint64_t *rng, int32_t r, int32_t c) {
    const uint16_t any = (uint16_t)(rng_next(rng) >> 40);
    switch (r % 8) {
    case 0:
        return f32_to_f16(0.02f * gaussian(rng) * (c == r % K ? 40.0f : 1.0f));
    case 1:
        return (any & 0x7c00) == 0x7c00 ? any & 0x83ff : any;
    case 2:
        return r % 16 == 2 ? any & 0x8000 : any & 0x83ff;
    case 3:
        return f32_to_f16((float)(r % 64) * 0.01f);
    default:
        return f32_to_f16(0.02f * gaussian(rng));
    }
}

static void fill(void) {
    uint64_t rng = rng_seed(7);
    for (int32_t r = 0; r < N; r++)
        for (int32_t c = 0; c < K; c++)
            rows[r * K + c] = weight(&rng, r, c);
    for (int32_t i = 0; i < MAX_T * K; i++)
        x[i] = gaussian(&rng);
}

typedef struct head {
    head_fixture on;
    uint16_t *mine; /* the rows, when they were split */
} head;

static head open_head(const bitnet_cpu_tier *tier, int32_t n_threads, bool is_split) {
    head h = {.mine = is_split ? malloc(sizeof rows) : NULL};
    const bitnet_backend_desc bd = {.n_threads = n_threads,
                                    .cpu_mask = tier ? tier->mask : 0,
                                    .staged = is_split ? BITNET_ON : BITNET_OFF};
    bitnet_tensor t = {.name = "head",
                       .type = BITNET_TYPE_F16,
                       .ne = {K, N},
                       .data = rows,
                       .is_head = true,
                       .scale = 1.0f};
    if (is_split) t.data = t.rewrite = memcpy(h.mine, rows, sizeof rows);
    h.on = head_open(&bd, &t, MAX_T);
    if (is_split && !memcmp(h.mine, rows, sizeof rows)) fail_msg("the rows were left as they are");
    return h;
}

static void close_head(head *h) {
    head_close(&h->on);
    free(h->mine);
}

/* Logits [MAX_T][N]: the whole, or with the N_BEST largest among them. */
static void run_head(const head *h, bool is_whole, float *y) {
    bitnet_want want[MAX_T];
    bitnet_tail tail[MAX_T];
    for (int32_t i = 0; i < MAX_T; i++)
        want[i] = (bitnet_want){.n_best = N_BEST};
    head_run(&h->on, x, is_whole ? NULL : want, MAX_T, 1, y, tail);
}

typedef void (*check_fn)(const char *what, const head *split, const head *left);

static void on_every_tier(check_fn check) {
    const bitnet_cpu_tier *tier;
    fill();
    for (int32_t v = 0; (tier = bitnet_cpu_tier_at(v)); v++)
        for (int32_t n_threads = 1; n_threads <= 3 && !(tier->flag & ~bitnet_cpu_flags());
             n_threads += 2) {
            head split = open_head(tier, n_threads, true), left = open_head(tier, 1, false);
            check(tier->name, &split, &left);
            close_head(&split);
            close_head(&left);
        }
}

static void check_rows(const char *what, const head *split, const head *left) {
    (void)left;
    bitnet_buf *y;
    float row[K];
    assert_int_equal(ops->alloc(split->on.be, sizeof row, &y), BITNET_OK);
    for (bitnet_token r = 0; r < N; r++) {
        const bitnet_batch batch = {.tok = &r, .n_tok = 1};
        assert_int_equal(ops->begin(split->on.be, &batch), BITNET_OK);
        ops->embed(split->on.be, y, split->on.w);
        assert_int_equal(ops->end(split->on.be), BITNET_OK);
        assert_int_equal(ops->read(split->on.be, row, y, 0, sizeof row), BITNET_OK);
        for (int32_t c = 0; c < K; c++) {
            const float was = f16_to_f32(rows[r * K + c]);
            if (memcmp(&row[c], &was, sizeof was) != 0)
                fail_msg("%s: weight %d of row %d is %.9g, and was %.9g", what, c, r,
                         (double)row[c], (double)was);
        }
    }
    ops->free(split->on.be, y);
}

static void every_weight_comes_back_to_the_bit(void **state) {
    (void)state;
    on_every_tier(check_rows);
}

static float got[MAX_T * N], whole[MAX_T * N];

static void check_whole(const char *what, const head *split, const head *left) {
    run_head(split, true, got);
    run_head(left, true, whole);
    for (int32_t i = 0; i < MAX_T * N; i++)
        if (memcmp(&got[i], &whole[i], sizeof *got) != 0)
            fail_msg("%s: logit %d of token %d is %.9g, of rows left alone %.9g", what, i % N,
                     i / N, (double)got[i], (double)whole[i]);
}

static void the_whole_head_has_the_same_bits(void **state) {
    (void)state;
    on_every_tier(check_whole);
}

static void check_stages(const char *what, const head *split, const head *left) {
    static float sorted[N];
    run_head(split, false, got);
    run_head(left, true, whole);
    for (int32_t t = 0; t < MAX_T; t++) {
        const float *mine = got + t * N, *all = whole + t * N;
        int32_t n_left_out = 0;
        memcpy(sorted, all, sizeof sorted);
        qsort(sorted, N, sizeof *sorted, larger_first);
        for (int32_t r = 0; r < N; r++) {
            const bool is_left_out = mine[r] == -FLT_MAX;
            n_left_out += is_left_out;
            if (is_left_out ? all[r] >= sorted[N_BEST - 1] : memcmp(&mine[r], &all[r], 4) != 0)
                fail_msg("%s: logit %d of token %d is %.9g, of rows left alone %.9g", what, r, t,
                         (double)mine[r], (double)all[r]);
        }
        if (n_left_out < N / 2) fail_msg("%s: %d of %d rows were left out", what, n_left_out, N);
    }
}

static void in_stages_the_largest_logits_have_the_same_bits(void **state) {
    (void)state;
    on_every_tier(check_stages);
}

static void rows_as_they_are_trained_take_what_was_planned_beside_them(void **state) {
    (void)state;
    uint64_t rng = rng_seed(7);
    for (int32_t i = 0; i < N * K; i++)
        rows[i] = f32_to_f16(0.02f * gaussian(&rng));
    static uint8_t anything;
    const bitnet_tensor t = {.type = BITNET_TYPE_F16,
                             .ne = {K, N},
                             .rewrite = &anything,
                             .is_head = true,
                             .scale = 1.0f};
    head h = open_head(NULL, 1, true), other = open_head(NULL, 1, false);
    bitnet_backend_info split, left;
    ops->info(h.on.be, &split);
    ops->info(other.on.be, &left);
    const uint64_t took = split.memory_used - left.memory_used,
                   planned = ops->bind_plan(h.on.be, &t);
    const uint64_t copy = (uint64_t)N * K; /* what 6 + 2 bits beside the rows would take */
    if (took > planned + copy / 8 || took < copy / 8 || planned > copy / 2)
        fail_msg("%llu bytes were taken, %llu planned; the rows are %llu", (unsigned long long)took,
                 (unsigned long long)planned, 2 * (unsigned long long)copy);
    close_head(&h);
    close_head(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_comes_back_to_the_bit),
        cmocka_unit_test(the_whole_head_has_the_same_bits),
        cmocka_unit_test(in_stages_the_largest_logits_have_the_same_bits),
        cmocka_unit_test(rows_as_they_are_trained_take_what_was_planned_beside_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
