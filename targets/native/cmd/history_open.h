/* history_open.h: where the history is when nobody says so, and the exit codes of its faults. */
#ifndef BITNET_CMD_HISTORY_OPEN_H
#define BITNET_CMD_HISTORY_OPEN_H

#include "dash/store.h"

enum { HISTORY_PATH_MAX = 4096 };

/* The default: libbitnet/history.db in $XDG_STATE_HOME, else in ~/.local/state. `should_create`
 * makes the folders that are missing, for their owner alone. */
bitnet_status history_default_path(char out[HISTORY_PATH_MAX], bool should_create,
                                   bitnet_error *err);

/* desc.location NULL: the default. */
bitnet_status history_open(store **out, store_desc desc, bitnet_error *err);

/* Says what is wrong and returns its sysexit: 75 while another process writes, 78 for a newer or
 * older version of the tables, 65 for what is damaged or not ours, 73 for what cannot be created. */
int history_fail(const bitnet_error *err);

#endif
