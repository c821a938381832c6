/* writer.h: the one thread that writes the history, so that the hub never waits for a disk.
 *
 *     if (!writer_put(w, instance, message, now)) ...   the queue is full: read no more from it
 *     ... `committed` is called; wake the loop, and there:
 *     n = writer_take_commits(w, commits, N)            acknowledge each
 *
 * Messages are committed in batches, every 100 ms or 5,000 of them, in the order in which they were
 * put. What could not be written is kept and tried again, a second apart at most, with nothing
 * acknowledged meanwhile; after a failed write or sync the database is opened anew and looked at
 * before. A message that the store cannot take is replaced by a gap of reason "refused", so that its number
 * is accounted for. In the time between batches the thread rolls up and forgets (store_maintain).
 *
 * The functions may be called from any one thread; the callbacks are called from the writer's and
 * must not call back. Clocks are the system's.
 */
#ifndef BITNET_DASH_WRITER_H
#define BITNET_DASH_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/status.h"
#include "dash/store.h"

struct message;
typedef struct writer writer;

typedef struct writer_desc {
    store *store; /* open to write; the writer's from now on, if writer_open succeeds */
    void (*committed)(void *user);             /* there is something to take */
    void (*log)(void *user, const char *line); /* about trouble, once in ten seconds at most */
    void *user;
    int32_t batch_ms, batch_max; /* 0: 100 and 5,000 */
    int32_t messages_max;        /* in the queue; 0: 100,000 */
    size_t bytes_max;            /* in the queue, about; 0: 64 MiB */
} writer_desc;

bitnet_status writer_open(writer **out, const writer_desc *desc, bitnet_error *err);
/* Commits what is queued, if it can be within `patience_ms`, checkpoints and closes the store. NULL
 * is fine. Messages that were not committed are gone, and nobody was told otherwise. */
void writer_stop(writer *w, uint32_t patience_ms);

/* For one message more, however large: then only a lack of memory makes writer_put refuse it. */
bool writer_has_room(writer *w);
/* Takes the JSON out of `message` (its json is NULL afterwards), heard at `wall_ms`. False, and
 * nothing taken, when the queue is full. */
bool writer_put(writer *w, const char *instance, struct message *message, int64_t wall_ms);

typedef struct writer_commit {
    char instance[STORE_INSTANCE_MAX];
    int64_t seq; /* all up to here are kept */
} writer_commit;

/* One for each producer with a commit since the last call, at most `cap`; the rest next time. */
int writer_take_commits(writer *w, writer_commit *out, int cap);

typedef enum writer_state { WRITER_OK, WRITER_STORE_FULL, WRITER_IO_ERROR } writer_state;

typedef struct writer_status {
    writer_state state;
    char sentence[240]; /* what is wrong; "" when nothing is */
    int32_t n_queued;   /* the batch being written included */
    size_t bytes_queued;
    uint64_t n_committed, n_duplicates, n_refused; /* messages, since the start */
} writer_status;

writer_status writer_get_status(writer *w);

#endif
