/* overhead.h: what the tracker costs, measured while it works.
 *
 * Decoding is cut into blocks of three pumps. In half of them, at random, all pumps but the last are left
 * out: nothing is drained, measured or sent meanwhile, and the records wait in their rings. From a block
 * with and one without, side by side, comes one ratio of the time that a token takes. The answer is the
 * median of the last 511 ratios with its 95 % confidence interval from order statistics (Conover, Practical
 * Nonparametric Statistics, 3.2), which no outlier moves. What a push costs the thread that decodes is in
 * both blocks; it is counted in instructions (docs/speed.md).
 *
 *     five times a second: if (bitnet_overhead_due(&o)) bitnet_tracker_pump(...)
 *     a sink of that tracker:  bitnet_overhead_window(&o, window)
 *     bitnet_overhead_record(&o, ring, now)    the answer, as metrics
 *
 * One thread. {0} is valid; nothing is allocated.
 */
#ifndef BITNET_OVERHEAD_H
#define BITNET_OVERHEAD_H

#include <stdbool.h>

#include "bitnet/tracker.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BITNET_OVERHEAD_PUMPS  3 /* of a block */
#define BITNET_OVERHEAD_PAIRS  511
#define BITNET_OVERHEAD_ENOUGH 20 /* pairs; before, there is no answer */

/* The time of the tokens of one block. */
typedef struct bitnet_overhead_block {
    uint64_t n;
    double sum_s, span_s;
} bitnet_overhead_block;

typedef struct bitnet_overhead {
    uint64_t rng;
    int32_t pump;   /* of the block, 0 .. BITNET_OVERHEAD_PUMPS - 1 */
    bool is_quiet;  /* this block leaves pumps out */
    bool is_second; /* of its pair */

    bitnet_overhead_block block[2];      /* without, with */
    double ratio[BITNET_OVERHEAD_PAIRS]; /* with / without, a ring */
    int32_t n_ratios, next;
    uint64_t recorded_ns;
} bitnet_overhead;

typedef struct bitnet_overhead_result {
    int32_t n;               /* pairs */
    double share, low, high; /* 0.002: a token takes 0.2 % longer; NaN before there are enough */
} bitnet_overhead_result;

/* Whether the next pump is to be done; counts it. */
BITNET_API bool bitnet_overhead_due(bitnet_overhead *o);
BITNET_API void bitnet_overhead_window(bitnet_overhead *o, const bitnet_window *w);
BITNET_API bitnet_overhead_result bitnet_overhead_get(const bitnet_overhead *o);
/* Every ten seconds, once there are enough pairs: the metrics tracker_overhead, _low and _high. */
BITNET_API void bitnet_overhead_record(bitnet_overhead *o, bitnet_ring *ring, uint64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
