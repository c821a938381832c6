/* check_act_quant.c: xq, s and xsum against C, against exact arithmetic in double, against a
 * published vector, and on values that lie halfway between two integers. */
#include <math.h>

#include "check.h"

/* zlib's CRC-32, bit by bit. */
static uint32_t crc32(const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* The formula in double. Products and quotients of two floats, rounded to double and then to float,
 * are correctly rounded floats (53 >= 2 * 24 + 2), so this must agree exactly. */
static void check_definition(check *c, const int8_t *xq, float s, int32_t xsum, const float *x,
                             int32_t k) {
    double amax = (double)1e-5f;
    int64_t sum = 0;
    for (int32_t i = 0; i < k; i++)
        amax = check_max(amax, fabs((double)x[i]));
    float s_want = (float)(127.0 / amax);
    check_same(c, "s, by definition", CHECK_F32, &s, &s_want, 1);
    for (int32_t i = 0; i < k; i++) {
        double q = nearbyint((double)(float)((double)x[i] * (double)s_want));
        int32_t got = xq[i], want = (int32_t)fmin(fmax(q, -128.0), 127.0);
        sum += want;
        if (!check_same(c, "xq, by definition", CHECK_I32, &got, &want, 1)) return;
    }
    check_true(c, sum == xsum, "xsum is %d, expected %lld", (int)xsum, (long long)sum);
}

static void check_one(check *c, bitnet_act_quant_fn fn, const float *x, int32_t k) {
    int8_t *got = check_alloc(c, (size_t)k), *want = check_alloc(c, (size_t)k);
    float s[2] = {-1.0f, -1.0f};
    int32_t xsum[2] = {-1, -1};
    fn(got, &s[0], &xsum[0], x, k);
    bitnet_act_quant_c(want, &s[1], &xsum[1], x, k);
    check_same(c, "xq", CHECK_I8, got, want, (size_t)k);
    check_same(c, "s", CHECK_F32, &s[0], &s[1], 1);
    check_same(c, "xsum", CHECK_I32, &xsum[0], &xsum[1], 1);
    check_definition(c, got, s[0], xsum[0], x, k);
}

/* formats page 1.10 */
static void check_published_vector(check *c, bitnet_act_quant_fn fn) {
    static const int8_t first[] = {-127, -53, 20, 94, -89, -15, 58, -124, -51, 23, 97, -86};
    const int32_t k = 256;
    check_shape(c, "published vector");
    float *x = check_alloc(c, (size_t)k * sizeof *x);
    int8_t *xq = check_alloc(c, (size_t)k);
    float s = 0.0f, s_want = 40.6399994f;
    int32_t xsum = 0;
    for (int32_t i = 0; i < k; i++)
        x[i] = (float)(29 * i % 101 - 50) / 16.0f;
    fn(xq, &s, &xsum, x, k);
    check_same(c, "s", CHECK_F32, &s, &s_want, 1);
    check_same(c, "xq", CHECK_I8, xq, first, sizeof first);
    check_true(c, xsum == -474, "xsum is %d, expected -474", (int)xsum);
    uint32_t crc = crc32(xq, (size_t)k);
    check_true(c, crc == 0x565be571u, "crc of xq is %08x, expected 565be571", (unsigned)crc);
}

static void check_ties(check *c, bitnet_act_quant_fn fn) {
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, -2, 126};
    static const float values[] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f};
    check_shape(c, "halfway values");
    float *x = check_f32(c, 128, CHECK_ZERO);
    int8_t *xq = check_alloc(c, 128);
    float s;
    int32_t xsum;
    for (int i = 0; i < 8; i++)
        x[i] = values[i]; /* absmax 127, so s = 1 */
    fn(xq, &s, &xsum, x, 128);
    check_same(c, "xq", CHECK_I8, xq, want, sizeof want);
}

void check_act_quant(check *c, bitnet_act_quant_fn fn) {
    static const int32_t ks[] = {1, 7, 33, 100, 128, 192, 256, 384, 1024, 2560, 6912, 8640};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++)
        for (int f = 0; f < CHECK_N_FILLS; f++) {
            check_shape(c, "k=%d %s", (int)ks[i], check_fill_name((check_fill)f));
            check_one(c, fn, check_f32(c, (size_t)ks[i], (check_fill)f), ks[i]);
        }
    check_published_vector(c, fn);
    check_ties(c, fn);
}
