/* op_trend.h: whether the latest operations take longer, or fail more often, than those before.
 *
 * Durations: Theil and Sen's slope, the median of the slopes of all pairs (Sen, JASA 63, 1968), which a
 * few outliers do not move; its 95 % interval from the variance of Kendall's S without ties, which makes
 * it wider than it need be where durations are equal. Success: Newcombe's score interval of a difference
 * (Statistics in Medicine 17, 1998, method 10).
 */
#ifndef BITNET_OP_TREND_H
#define BITNET_OP_TREND_H

#include "bitnet/op_stats.h"

typedef struct bitnet_op_outcome {
    double duration_s; /* NaN: not measured, or failed */
    bool ok;
} bitnet_op_outcome;

/* latest [n], the oldest first, n <= BITNET_OP_TREND_SPAN; out of `count` operations, of which `n_failed`
 * failed, those of `latest` included. */
void bitnet_op_trend_of(bitnet_op_trend *out, const bitnet_op_outcome *latest, int32_t n,
                        uint64_t count, uint64_t n_failed);

#endif
