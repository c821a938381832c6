/* slope.h: the line of least squares through a series whose errors depend on each other. leak.h says
 * after whom.
 */
#ifndef BITNET_SLOPE_H
#define BITNET_SLOPE_H

#include <stdint.h>

#define SLOPE_MIN_POINTS 8

typedef struct bitnet_slope {
    double value, low, high; /* y per t; 95 % confidence */
} bitnet_slope;

/* n >= SLOPE_MIN_POINTS, t grows, all finite. */
bitnet_slope bitnet_slope_fit(const double *t, const double *y, int32_t n);

#endif
