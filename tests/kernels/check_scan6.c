/* check_scan6.c: scan6 and scan2: tails of rows and tokens, codes and activations at their bounds, and
 * that what they make of packed rows lies within the bound that the head relies on. */
#include <math.h>

#include "check.h"

/* ---- the bound that the head relies on --------------------------------------------------------------
 */

enum { N = 16, K = 1552, K_PAD = 1792 };

/* A token's halves and the double-precision lengths that the bound is made of. */
typedef struct token {
    float *x;
    int8_t *hi, *lo;
    int32_t hi_sum, lo_sum; /* plain */
    float scale;
    double norm, off;
} token;

static token make_token(check *c) {
    token t = {check_f32(c, K, CHECK_RANDOM), check_alloc(c, K_PAD), check_alloc(c, K_PAD),
               .scale = 1.0f / 64}; /* |x| <= 128 */
    memset(t.hi, 0, K_PAD);
    memset(t.lo, 0, K_PAD);
    for (int j = 0; j < K; j++) {
        int32_t v = (int32_t)lrintf(t.x[j] / t.scale), h = (v + 64) >> 7;
        t.hi[j] = (int8_t)h, t.lo[j] = (int8_t)(v - 128 * h);
        t.hi_sum += t.hi[j], t.lo_sum += t.lo[j];
        t.norm += (double)t.x[j] * (double)t.x[j];
        t.off += pow((double)t.x[j] - (double)v * (double)t.scale, 2);
    }
    t.norm = sqrt(t.norm), t.off = sqrt(t.off);
    return t;
}

/* What comes out is within off |x| + |w~| |x - x~| of the product, and roundings of f32. */
static void check_rows(check *c, const char *what, const token *t, const float *w, const float *y,
                       const bitnet_scan_row *row, bool is_second) {
    for (int r = 0; r < N; r++) {
        double want = 0.0, norm = (double)row[r].norm;
        double off = (double)(is_second ? row[r].off2 : row[r].off);
        for (int j = 0; j < K; j++)
            want += (double)w[r * K + j] * (double)t->x[j];
        check_near(c, what, (size_t)r, (double)y[r], want,
                   off * t->norm + (norm + off) * t->off + 4 * CHECK_U * 128 * norm * t->norm);
        /* and it is worth something: steps of max / 31 are off by half of one at most, then by an eighth */
        check_true(c, off <= (double)row[r].d * (is_second ? 0.13 : 0.51) * sqrt(K) + 1e-30,
                   "%s: row %d: off is %g, its step %g", what, r, off, (double)row[r].d);
    }
}

static void check_bound(check *c, bitnet_scan6_fn six, bitnet_scan2_fn two) {
    static const check_fill fills[] = {CHECK_RANDOM, CHECK_SPIKE, CHECK_ZERO};
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        check_shape(c, "packed rows, %s", check_fill_name(fills[i]));
        float *w = check_f32(c, N * K, fills[i]), d[N], y[N];
        uint8_t *codes = check_alloc(c, N * K * 3 / 4), *more = check_alloc(c, N * K_PAD / 4);
        token t = make_token(c);
        int32_t sum6[] = {32 * t.hi_sum, 32 * t.lo_sum}, all[N];
        bitnet_scan_row row[N];
        for (int32_t r = 0; r < N; r++) {
            bitnet_scan_pack(codes, r, more + r * K_PAD / 4, w + r * K, K, &row[r]);
            d[r] = row[r].d;
            all[r] = r;
        }
        six(&(bitnet_scan6_args){y, N, codes, d, t.hi, t.lo, &sum6[0], &sum6[1], &t.scale, N, K,
                                 1});
        check_rows(c, "6 bits, by their bound", &t, w, y, row, false);
        two(&(bitnet_scan2_args){y, all, more, d, t.hi, t.lo, 3 * t.hi_sum, 3 * t.lo_sum, t.scale,
                                 N, K_PAD});
        check_rows(c, "8 bits, by their bound", &t, w, y, row, true);
    }
}

/* ---- scan6 ---------------------------------------------------------------------------------------
 */

static bitnet_scan6_args make_args(check *c, int32_t n, int32_t k, int32_t m, check_fill f) {
    const size_t rows = ((size_t)n + 15) / 16 * 16, tokens = (size_t)m;
    int32_t *sums = check_alloc(c, 2 * tokens * sizeof *sums);
    float *scale = check_alloc(c, tokens * sizeof *scale), *d = check_alloc(c, rows * sizeof *d);
    uint8_t *w = check_alloc(c, rows * (size_t)k * 3 / 4);
    bitnet_scan6_args a = {.w = w, .d = d, .scale = scale, .n = n, .k = k, .m = m, .ldy = n + 3};
    for (size_t i = 0; i < rows * (size_t)k * 3 / 4; i++)
        w[i] = f == CHECK_MAX || f == CHECK_MIN ? 0xff : (uint8_t)check_below(c, 256);
    for (size_t i = 0; i < rows; i++)
        d[i] = check_unit(c);
    a.hi = check_i8(c, tokens * (size_t)k, f), a.lo = check_i8(c, tokens * (size_t)k, f);
    a.hi_sum = sums, a.lo_sum = sums + tokens;
    for (size_t t = 0; t < tokens; t++) {
        scale[t] = check_unit(c);
        sums[t] = sums[tokens + t] = 0;
        for (size_t j = 0; j < (size_t)k; j++) {
            sums[t] += 32 * a.hi[t * (size_t)k + j];
            sums[tokens + t] += 32 * a.lo[t * (size_t)k + j];
        }
    }
    return a;
}

static void compare(check *c, bitnet_scan6_fn fn, int32_t n, int32_t k, int32_t m, check_fill f) {
    check_shape(c, "n=%d k=%d m=%d %s", (int)n, (int)k, (int)m, check_fill_name(f));
    bitnet_scan6_args got = make_args(c, n, k, m, f), want = got;
    const size_t len = (size_t)m * (size_t)got.ldy;
    got.y = check_alloc(c, len * sizeof(float));
    want.y = check_alloc(c, len * sizeof(float));
    fn(&got);
    bitnet_scan6_c(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, len);
}

void check_scan6(check *c, bitnet_scan6_fn fn) {
    static const int32_t ns[] = {0, 1, 15, 16, 17, 64, 81}, ks[] = {16, 48, 1024, 2560};
    static const int32_t ms[] = {1, 2, 5};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
            for (size_t l = 0; l < sizeof ms / sizeof ms[0]; l++)
                for (int f = 0; f < CHECK_N_FILLS; f++)
                    if (f == CHECK_RANDOM || ns[i] == 17)
                        compare(c, fn, ns[i], ks[j], ms[l], (check_fill)f);
    check_bound(c, fn, bitnet_scan2_c);
}

/* ---- scan2 ---------------------------------------------------------------------------------------
 */

static void compare2(check *c, bitnet_scan2_fn fn, int32_t n, int32_t k, check_fill f) {
    enum { ROWS = 40 };
    check_shape(c, "n=%d k=%d %s", (int)n, (int)k, check_fill_name(f));
    float *d = check_f32(c, ROWS, CHECK_RANDOM), *y = check_f32(c, ROWS, CHECK_RANDOM);
    float *want = check_alloc(c, ROWS * sizeof *want);
    int32_t *row = check_alloc(c, (size_t)n * sizeof *row), at = -1;
    uint8_t *w = check_alloc(c, ROWS * (size_t)k / 4);
    for (size_t i = 0; i < ROWS * (size_t)k / 4; i++)
        w[i] = f == CHECK_MAX || f == CHECK_MIN ? 0xff : (uint8_t)check_below(c, 256);
    for (int32_t i = 0; i < n; i++)
        row[i] = at += 1 + (int32_t)check_below(c, 3);
    bitnet_scan2_args a = {.y = y, .row = row, .w = w, .d = d, .scale = 0.01f, .n = n, .k = k};
    a.hi = check_i8(c, (size_t)k, f), a.lo = check_i8(c, (size_t)k, f);
    for (int32_t j = 0; j < k; j++)
        a.hi_sum += 3 * a.hi[j], a.lo_sum += 3 * a.lo[j];
    memcpy(want, y, ROWS * sizeof *want);
    fn(&a);
    a.y = want;
    bitnet_scan2_c(&a);
    check_same(c, "y", CHECK_F32, y, want, ROWS);
}

void check_scan2(check *c, bitnet_scan2_fn fn) {
    static const int32_t ns[] = {0, 1, 2, 3, 13}, ks[] = {256, 512, 2560};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
            for (int f = 0; f < CHECK_N_FILLS; f++)
                compare2(c, fn, ns[i], ks[j], (check_fill)f);
    check_bound(c, bitnet_scan6_c, fn);
}
