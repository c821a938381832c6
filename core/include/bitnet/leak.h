/* leak.h: does memory grow without end? A line through a whole run, with what chance leaves open.
 *
 * Samples of any rate go in, as many as there are; 512 points of equal numbers of samples cover the run from
 * its beginning, and each becomes the mean of twice as many when there is no more room. Nothing is
 * allocated. The slope is that of least squares. Its interval is Newey and West's (Econometrica 55,
 * 1987) with Bartlett's weights over a quarter of the points, and, since so wide a band makes the
 * variance itself uncertain, the critical value that Kiefer and Vogelsang (Econometric Theory 21, 2005) give
 * for it: the samples of a heap depend on each other, and a t test would take noise for growth.
 *
 * A step (a model that is loaded, a cache that fills) tilts the line through the whole run, too. So
 * the interval reaches over those of the run and of its two halves: what grew in one half only leaves
 * 0 inside. What a test holds (tests/unit/test_leak.c): a run of ten minutes at one sample a second that
 * does not leak is called growing in less than 5 % of looks, be it noise, a collector's sawtooth or a
 * step, and 1 MB a minute is found in noise of 5 MB. A collector's period that is longer than half of
 * the run looks like growth, and so does a warm-up that goes on in both halves.
 */
#ifndef BITNET_LEAK_H
#define BITNET_LEAK_H

#include "bitnet/tracker.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITNET_LEAK_POINTS  512
#define BITNET_LEAK_ENOUGH  120          /* samples before there is a slope */
#define BITNET_LEAK_EACH_NS 10000000000u /* between two records of bitnet_leak_record */

typedef enum bitnet_leak_verdict {
    BITNET_LEAK_NOT_ENOUGH, /* samples: nothing can be said */
    BITNET_LEAK_NONE,       /* no growth that chance could not have made */
    BITNET_LEAK_GROWING,    /* low is above 0 */
} bitnet_leak_verdict;

typedef struct bitnet_leak_result {
    uint64_t n;              /* samples so far */
    double slope, low, high; /* bytes per second, 95 % confidence; NaN: not enough samples */
    bitnet_leak_verdict verdict;
} bitnet_leak_result;

/* {0} is valid, and empty. The members are the library's. */
typedef struct bitnet_leak {
    double t[BITNET_LEAK_POINTS], y[BITNET_LEAK_POINTS]; /* seconds since the first sample; bytes */
    int32_t n_points;
    uint32_t stride, n_pending; /* samples in a point; in the one being made */
    double t_sum, y_sum;        /* of the pending ones */
    uint64_t n, first_ns, last_ns, recorded_ns;
} bitnet_leak;

/* Time is monotonic. A sample that is not later than the one before, or not finite, is left out. */
BITNET_API void bitnet_leak_add(bitnet_leak *l, uint64_t t_ns, double bytes);
BITNET_API bitnet_leak_result bitnet_leak_get(const bitnet_leak *l);
/* Adds a sample and, every ten seconds once there are enough, pushes MEMORY_SLOPE, _LOW and _HIGH. */
BITNET_API void bitnet_leak_record(bitnet_leak *l, bitnet_ring *ring, uint64_t t_ns, double bytes);

#ifdef __cplusplus
}
#endif
#endif
