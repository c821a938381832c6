/* history.h: the hub's store seam (hub.h) over the one thread that writes (writer.h) and a connection
 * that reads.
 *
 *     history_open(&history, &desc, &err)
 *     hub_create(&(hub_desc){.store = history_store(history), ...})
 *     ... `committed` is called, on the writer's thread; wake the loop, and there:
 *     history_deliver(history, hub)
 *
 * Everything but the callback belongs to the thread of the loop.
 */
#ifndef BITNET_DASH_HISTORY_H
#define BITNET_DASH_HISTORY_H

#include "dash/hub.h"
#include "dash/writer.h"

typedef struct history history;

typedef struct history_desc {
    const char *location;          /* of the store: a path or postgres://..., see store.h */
    const char *retention;         /* NULL: the default */
    void (*committed)(void *user); /* history_deliver is due */
    void (*log)(void *user, const char *line);
    void *user;
} history_desc;

/* Errors of store_open and writer_open. */
bitnet_status history_open(history **out, const history_desc *desc, bitnet_error *err);
/* Commits what is queued, for at most 10 s. NULL is fine. */
void history_close(history *h);

hub_store history_store(history *h);
/* Tells the hub what has become durable. */
void history_deliver(history *h, hub *to);
writer_status history_status(history *h);
const char *history_location(const history *h);

/* Where the history is kept when nobody says: $XDG_STATE_HOME/libbitnet/history.db, or that of
 * ~/.local/state; its folder is made. False where there is no home. */
bool history_default_path(char *out, size_t cap);

#endif
