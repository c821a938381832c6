/* check_rope.c: each pair is rotated by its angle and comes out half split, whichever way it came in; the
 * rest of a head stays. */
#include <math.h>
#include <string.h>

#include "check.h"

static void check_one(check *c, bitnet_rope_fn fn, const int32_t shape[3], bool is_norm,
                      check_fill f) {
    const int32_t n_head = shape[0], head_dim = shape[1], n_rot = shape[2];
    const size_t len = (size_t)(n_head * head_dim), half = (size_t)n_rot / 2;
    check_shape(c, "H=%d D=%d n_rot=%d %s %s", (int)n_head, (int)head_dim, (int)n_rot,
                is_norm ? "norm" : "neox", check_fill_name(f));
    float *x = check_f32(c, len, f), *got = check_alloc(c, len * sizeof *got);
    float *want = check_alloc(c, len * sizeof *want);
    float *cosine = check_alloc(c, half * sizeof *cosine),
          *sine = check_alloc(c, half * sizeof *sine);
    for (size_t i = 0; i < half; i++) {
        double angle = (double)i * 0.7 + 0.1;
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    memcpy(got, x, len * sizeof *got);
    memcpy(want, x, len * sizeof *want);
    bitnet_rope_args a = {got, cosine, sine, n_head, head_dim, n_rot, is_norm};
    fn(&a);
    a.x = want;
    bitnet_rope_c(&a);
    check_same(c, "x", CHECK_F32, got, want, len);
    for (size_t i = 0; i < len; i++) { /* two products and a sum: three roundings */
        size_t d = i % (size_t)head_dim, pair = d % half;
        if (d >= (size_t)n_rot) {
            check_same(c, "unrotated x", CHECK_F32, &got[i], &x[i], 1);
            continue;
        }
        const float *head = x + (i - d);
        double p = (double)head[is_norm ? 2 * pair : pair],
               q = (double)head[is_norm ? 2 * pair + 1 : pair + half];
        double co = (double)cosine[pair], si = (double)sine[pair];
        double y = d < half ? p * co - q * si : p * si + q * co;
        double mag = fabs(p * co) + fabs(q * si) + fabs(p * si) + fabs(q * co);
        check_near(c, "x, by definition", i, (double)got[i], y, 3 * CHECK_U * mag + 0x1p-148);
    }
}

void check_rope(check *c, bitnet_rope_fn fn) {
    static const int32_t shapes[][3] = {
        {1, 2, 2}, {3, 64, 64}, {2, 100, 100}, {5, 128, 96}, {1, 1024, 1024}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int f = 0; f < CHECK_N_FILLS; f++) {
            check_one(c, fn, shapes[i], false, (check_fill)f);
            check_one(c, fn, shapes[i], true, (check_fill)f);
        }
}
