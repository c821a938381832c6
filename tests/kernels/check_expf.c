/* check_expf.c: EXP of the contract against libm in double. */
#include <math.h>

#include "check.h"

#define EXP_ULP 0.97 /* what kernels.h states */

static double error_in_ulp(float x) {
    double exact = exp((double)x);
    int exponent;
    frexp(exact, &exponent);
    return fabs((double)bitnet_expf(x) - exact) / ldexp(1.0, exponent - 24);
}

void check_expf(check *c) {
    double worst = 0.0;
    float worst_x = 0.0f;
    check_shape(c, "grid and random arguments");
    for (int i = 0; i < 300000; i++) {
        float x = i < 175000 ? -87.0f + (float)i * 0.001f : check_unit(c) * 20.0f;
        if (x > 88.0f) continue;
        double off = error_in_ulp(x);
        if (!(off <= worst)) worst = off, worst_x = x;
    }
    check_true(c, worst <= EXP_ULP, "off by %.4f ulp at %.9g, stated %.2f", worst, (double)worst_x,
               EXP_ULP);
    check_near(c, "exp of", 0, (double)bitnet_expf(0.0f), 1.0, 0.0);
    check_near(c, "clamped exp of", 0, (double)bitnet_expf(-1e30f), exp(-87.0),
               exp(-87.0) * 2 * CHECK_U);
    check_near(c, "clamped exp of", 1, (double)bitnet_expf(HUGE_VALF), exp(88.0),
               exp(88.0) * 2 * CHECK_U);
    check_near(c, "exp of NaN", 2, (double)bitnet_expf(nanf("")), exp(-87.0),
               exp(-87.0) * 2 * CHECK_U);
}
