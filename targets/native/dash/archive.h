/* archive.h: the hub's store seam (hub.h) over the one thread that writes (writer.h) and a connection
 * that reads.
 *
 *     archive_open(&history, &desc, &err)
 *     hub_create(&(hub_desc){.store = archive_store(history), ...})
 *     ... `committed` is called, on the writer's thread; wake the loop, and there:
 *     archive_deliver(history, hub)
 *
 * Everything but the callback belongs to the thread of the loop.
 */
#ifndef BITNET_DASH_ARCHIVE_H
#define BITNET_DASH_ARCHIVE_H

#include "dash/hub.h"
#include "dash/writer.h"

typedef struct archive archive;

typedef struct archive_desc {
    const char *location;          /* of the store: a path or postgres://..., see store.h */
    const char *retention;         /* NULL: the default */
    void (*committed)(void *user); /* archive_deliver is due */
    void (*log)(void *user, const char *line);
    void *user;
} archive_desc;

/* Errors of store_open and writer_open. */
bitnet_status archive_open(archive **out, const archive_desc *desc, bitnet_error *err);
/* Commits what is queued, for at most 10 s. NULL is fine. */
void archive_close(archive *h);

hub_store archive_store(archive *h);
/* Tells the hub what has become durable. */
void archive_deliver(archive *h, hub *to);
writer_status archive_status(archive *h);
const char *archive_location(const archive *h);

#endif
