/* check_elementwise.c: gate_relu2, gate_silu and add, against their formulas in double. y may be
 * one of the inputs. */
#include <math.h>
#include <string.h>

#include "check.h"

static const size_t lengths[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 100, 6912};
#define N_LENGTHS (sizeof lengths / sizeof lengths[0])

/* Two products of floats, each rounded once from the exact double. */
void check_gate_relu2(check *c, bitnet_gate_relu2_fn fn) {
    for (size_t l = 0; l < N_LENGTHS; l++)
        for (int f = 0; f < CHECK_N_FILLS; f++) {
            const size_t n = lengths[l];
            check_shape(c, "n=%zu %s", n, check_fill_name((check_fill)f));
            float *gate = check_f32(c, n, (check_fill)f), *up = check_f32(c, n, CHECK_RANDOM);
            float *y = check_alloc(c, n * sizeof *y), *want = check_alloc(c, n * sizeof *want);
            for (size_t i = 0; i < n; i++) {
                double g = fmax((double)gate[i], 0.0);
                want[i] = (float)((double)(float)(g * g) * (double)up[i]);
            }
            fn(y, gate, up, n);
            check_same(c, "y", CHECK_F32, y, want, n);
            fn(gate, gate, up, n);
            check_same(c, "y in place", CHECK_F32, gate, want, n);
        }
}

/* EXP is within 1 ulp = 2 U, then come a sum, a quotient and a product. Gates within +-80: beyond
 * 87 EXP is clamped, and the true result is below 1e-36. */
void check_gate_silu(check *c, bitnet_gate_silu_fn fn) {
    for (size_t l = 0; l < N_LENGTHS; l++) {
        const size_t n = lengths[l];
        check_shape(c, "n=%zu", n);
        float *gate = check_f32(c, n, CHECK_RANDOM), *up = check_f32(c, n, CHECK_RANDOM);
        float *y = check_alloc(c, n * sizeof *y), *want = check_alloc(c, n * sizeof *want);
        for (size_t i = 0; i < n; i++)
            gate[i] = fminf(fmaxf(gate[i], -80.0f), 80.0f);
        fn(y, gate, up, n);
        bitnet_gate_silu_c(want, gate, up, n);
        check_same(c, "y", CHECK_F32, y, want, n);
        for (size_t i = 0; i < n; i++) {
            double g = (double)gate[i], exact = g / (1.0 + exp(-g)) * (double)up[i];
            if (!check_near(c, "y, by definition", i, (double)y[i], exact,
                            6 * CHECK_U * fabs(exact)))
                break;
        }
        fn(gate, gate, up, n);
        check_same(c, "y in place", CHECK_F32, gate, want, n);
    }
}

void check_add(check *c, bitnet_add_fn fn) {
    for (size_t l = 0; l < N_LENGTHS; l++)
        for (int f = 0; f < CHECK_N_FILLS; f++) {
            const size_t n = lengths[l];
            check_shape(c, "n=%zu %s", n, check_fill_name((check_fill)f));
            float *y = check_f32(c, n, CHECK_RANDOM), *x = check_f32(c, n, (check_fill)f);
            float *want = check_alloc(c, n * sizeof *want);
            for (size_t i = 0; i < n; i++)
                want[i] = (float)((double)y[i] + (double)x[i]);
            fn(y, x, n);
            check_same(c, "y", CHECK_F32, y, want, n);
        }
}
