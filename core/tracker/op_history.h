/* op_history.h: the last records, copied; the oldest goes when there is no more room.
 *
 * A record and all its text lie in one block of the size it needs. Where memory is refused the new
 * record is not kept; nothing else changes.
 */
#ifndef BITNET_OP_HISTORY_H
#define BITNET_OP_HISTORY_H

#include "bitnet/op_stats.h"

typedef struct bitnet_op_history {
    struct bitnet_op_kept **kept; /* [cap], a ring; NULL when cap is 0 */
    int32_t cap, n, next;
} bitnet_op_history;

bitnet_status bitnet_op_history_init(bitnet_op_history *h, int32_t cap, const bitnet_allocator *a);
void bitnet_op_history_free(bitnet_op_history *h, const bitnet_allocator *a);
void bitnet_op_history_add(bitnet_op_history *h, const bitnet_op_record *r,
                           const bitnet_allocator *a);
/* 0 is the newest; NULL past the oldest. */
const bitnet_op_record *bitnet_op_history_get(const bitnet_op_history *h, int32_t i);

#endif
