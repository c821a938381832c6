/* store.h: the history of the hub: every window, operation and gap that a producer sent, kept in a
 * SQLite file or on a PostgreSQL server (docs/history.md). No socket, no thread, no clock.
 *
 * A run is one producer instance, from its hello to its bye; it comes back as the same run after a
 * reconnection. A message is what the hub passes on to viewers (docs/protocol.md), already checked.
 * Samples and the sequence number up to which they are complete are committed together; a number
 * that was committed before is ignored, so a message may be put as often as its sender likes.
 *
 *     store_begin(s); store_put(s, instance, message, now); ... store_commit(s)    then acknowledge
 *
 * Samples are kept as they came ("raw"), then per minute, then per hour. A store is used by one
 * thread at a time. One store writes at a time, any number read.
 *
 * Errors: store.locked (another process writes), store.newer, store.older, store.foreign,
 * store.corrupt, store.full, store.io, store.gone, store.read_only, store.create, store.open,
 * file.permission, store.network, store.none, store.run.*, store.deadline, store.busy, store.driver,
 * store.message.
 */
#ifndef BITNET_DASH_STORE_H
#define BITNET_DASH_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/status.h"
#include "dash/buckets.h"

struct cJSON;

typedef struct store store;

enum {
    STORE_ID_MAX = 17,            /* of the store: 16 hex digits and terminator */
    STORE_RUN_MAX = 27,           /* of a run: a ULID and terminator */
    STORE_INSTANCE_MAX = 33,      /* of a producer: 1 to 32 hex digits and terminator */
    STORE_LABELS_MAX = 16 * 1024, /* of labels as text, terminator included */
};

/* How long each resolution is kept, in milliseconds; raw <= minute <= hour. A run goes when its last
 * hour does. */
typedef struct store_retention {
    int64_t raw_ms, minute_ms, hour_ms;
    uint64_t
        size; /* bytes; above it the oldest raw samples, then the oldest runs go early. 0 = no limit */
} store_retention;

/* "raw=1d,minute=30d,hour=2y,size=10G"; what it does not name keeps its default: those of the
 * example, but no limit to the size. */
bitnet_status store_retention_parse(store_retention *out, const char *text, bitnet_error *err);

typedef struct store_desc {
    const char *location;  /* a path, postgres://... or postgresql://... */
    bool is_read_only;     /* needs no lock, and a store that exists */
    uint32_t deadline_ms;  /* for one read of a read-only store; 0 = none */
    const char *retention; /* NULL: the default */
} store_desc;

bitnet_status store_open(store **out, const store_desc *desc, bitnet_error *err);
void store_close(store *s); /* NULL is fine; what was not committed is not kept */
/* Made with the store, never changed: 16 hex digits. */
const char *store_id(const store *s);

/* --- writing --- */

/* The number up to which everything of this producer is committed; 0 when it is not known. Also of a
 * read-only store. */
bitnet_status store_last_seq(store *s, const char *instance, int64_t *seq, bitnet_error *err);

bitnet_status store_begin(store *s, bitnet_error *err);
bitnet_status store_commit(store *s, bitnet_error *err);
void store_rollback(store *s);
/* Takes a hello, window, op, gap, bye or alert; `wall_ms` is when it was heard. BITNET_DONE: its
 * number was stored before, nothing was done. BITNET_E_INVAL: the message is not what it should be,
 * or its run said no hello. After a failure the transaction must be rolled back; after BITNET_E_INVAL
 * more may be put before, to learn what else is wrong. */
bitnet_status store_put(store *s, const char *instance, const struct cJSON *message,
                        int64_t wall_ms, bitnet_error *err);
/* The last sequence number that a message takes: "to" of a gap, "seq" of a window or an op; 0 for
 * one that has none. */
int64_t store_message_seq(const struct cJSON *message);
/* Rolls up, forgets and shrinks for about `budget_ms`, in short transactions of its own; BITNET_DONE
 * when nothing was left to do. `wall_ms` is now. */
bitnet_status store_maintain(store *s, int64_t wall_ms, uint32_t budget_ms, bitnet_error *err);
/* After a failure to write: connects anew, the lock still held, and checks what is there. */
bitnet_status store_recover(store *s, bitnet_error *err);

/* --- reading --- */

typedef struct store_filter {
    int64_t since_ms;         /* started at or after; 0 = any */
    const char *name, *model; /* exactly; NULL = any */
    int32_t limit;            /* newest first; 0 = 1000 */
} store_filter;

/* An array of objects with a run's header: id, instance, name, backend, tier, threads, model, host,
 * build, epoch, t_ms, started_ms, last_t_ms, heard_ms, ended_ms, reason, last_seq, expected. What is
 * not known is left out. cJSON_Delete it. */
bitnet_status store_runs(store *s, const store_filter *filter, struct cJSON **out,
                         bitnet_error *err);
/* The one run that `word` names: an id, a prefix of one, or "latest" (the last that was heard). */
bitnet_status store_find_run(store *s, const char *word, char id[STORE_RUN_MAX], bitnet_error *err);
/* The header of one run as above. */
bitnet_status store_run(store *s, const char *id, struct cJSON **out, bitnet_error *err);
typedef struct store_totals {
    int64_t samples;      /* measured values in what is kept of its windows, rolled up or not */
    int64_t lost_samples; /* in gaps, but for what was given up because of its age */
} store_totals;
bitnet_status store_run_totals(store *s, const char *id, store_totals *out, bitnet_error *err);
/* An array, one object for each series with samples: name, unit, kind, help, labels (when it has
 * any), n, sum, mean, min, max, last and, of histograms, p50, p90, p95, p99; over the whole run. */
bitnet_status store_summaries(store *s, const char *id, struct cJSON **out, bitnet_error *err);

/* Labels as store_query wants them, whatever order they came in. False when it is not what labels may be: an
 * object of at most 16 texts, keys of at most 64 bytes, values of at most 256. */
bool store_labels_text(const struct cJSON *labels, char out[STORE_LABELS_MAX]);

typedef enum store_resolution { STORE_AUTO, STORE_RAW, STORE_MINUTE, STORE_HOUR } store_resolution;

typedef struct store_query {
    const char *run, *metric;
    const char *labels;     /* canonical: {"key":"value",...} by key; NULL or "": the one without */
    int64_t from_ms, to_ms; /* [from, to) of the producer's clock */
    store_resolution
        resolution; /* AUTO: the finest that still has the range and gives few thousand points */
} store_query;

typedef struct store_point {
    int64_t t_ms; /* end of the window; start of the minute or hour */
    int64_t span_ms;
    int64_t n;
    double sum, min, max, last;
    const buckets *buckets; /* without pairs when it is no histogram */
} store_point;

/* The part [*from_ms, *to_ms) of the query's time in which the run can have points; empty when there is none. */
bitnet_status store_extent(store *s, const store_query *q, int64_t *from_ms, int64_t *to_ms,
                           bitnet_error *err);
/* In order of sequence (raw) or time. `used` (may be NULL) is the resolution; false ends it. */
bitnet_status store_points(store *s, const store_query *q, store_resolution *used,
                           bool (*visit)(void *user, const store_point *p), void *user,
                           bitnet_error *err);

enum {
    STORE_HELLO = 1,
    STORE_WINDOW = 2,
    STORE_OP = 4,
    STORE_GAP = 8,
    STORE_BYE = 16,
    STORE_ALL = 31,
};

/* The messages of a run as its producer sent them, of the kinds given, in order of sequence; false
 * ends it. Windows that are no longer kept are within gaps of reason "retention". */
bitnet_status store_replay(store *s, const char *id, int kinds,
                           bool (*visit)(void *user, const struct cJSON *message), void *user,
                           bitnet_error *err);
/* An array of the alerts of one run, or of all (id NULL), newest first: {t_ms, kind, run, data}. */
bitnet_status store_events(store *s, const char *id, int64_t since_ms, int32_t limit,
                           struct cJSON **out, bitnet_error *err);

#endif
