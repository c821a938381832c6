/* slope.c: see slope.h. The variance of the slope is the long-run variance of the scores (t - mean) *
 * residual, over the square of the sum of (t - mean)^2.
 */
#include "tracker/slope.h"

#include <math.h>

/* Bartlett's window over n / 4 lags, and the 97.5 % quantile of t that belongs to b = 1/4: 1.9600 + 2.9694 b +
 * 0.4160 b^2 - 0.5324 b^3 (Kiefer and Vogelsang 2005, table 1). */
#define BAND           4
#define CRITICAL_VALUE 2.7200

typedef struct line {
    const double *t, *y;
    double t_mean, y_mean, slope;
} line;

static double score(const line *l, int32_t i) {
    double x = l->t[i] - l->t_mean;
    return x * (l->y[i] - l->y_mean - l->slope * x);
}

/* The sum over all pairs of scores with Bartlett's weights, 1 - lag / band. A pair that is `lag` apart lies
 * within band - lag of the sums over band scores in a row, so it is the sum of their squares over band. */
static double long_run_variance(const line *l, int32_t n) {
    int32_t band = n / BAND;
    double row = 0, squares = 0;
    for (int32_t i = 0; i < n + band - 1; i++) {
        if (i < n) row += score(l, i);
        if (i >= band) row -= score(l, i - band);
        squares += row * row;
    }
    return squares / band;
}

bitnet_slope bitnet_slope_fit(const double *t, const double *y, int32_t n) {
    line l = {.t = t, .y = y, .t_mean = t[0], .y_mean = y[0]}; /* equal values have an exact mean */
    double xx = 0, xy = 0;
    for (int32_t i = 0; i < n; i++) {
        l.t_mean += (t[i] - t[0]) / n;
        l.y_mean += (y[i] - y[0]) / n;
    }
    for (int32_t i = 0; i < n; i++) {
        double x = t[i] - l.t_mean;
        xx += x * x;
        xy += x * (y[i] - l.y_mean);
    }
    l.slope = xy / xx;
    double error = sqrt(long_run_variance(&l, n) * n / (n - 2)) / xx;
    return (bitnet_slope){l.slope, l.slope - CRITICAL_VALUE * error,
                          l.slope + CRITICAL_VALUE * error};
}
