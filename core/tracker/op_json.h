/* op_json.h: records and statistics of operations as JSON, for whoever has a message to put them in.
 */
#ifndef BITNET_OP_JSON_H
#define BITNET_OP_JSON_H

#include "bitnet/op_stats.h"
#include "tracker/json_writer.h"

/* "id":7,"parent":0,"op":"generate", ... without the braces: the members of the message `op`. */
void bitnet_op_record_put(bitnet_json_writer *w, const bitnet_op_record *r);
/* The whole document; counts may be NULL. */
void bitnet_op_stats_put(bitnet_json_writer *w, const bitnet_op_stats *s,
                         const bitnet_ops_counts *counts);

#endif
