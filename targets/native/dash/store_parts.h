/* store_parts.h: what the files of the store share; see store.h. */
#ifndef BITNET_DASH_STORE_PARTS_H
#define BITNET_DASH_STORE_PARTS_H

#include "dash/store.h"
#include "dash/store_db.h"

enum { STORE_RUNS_CACHED = 160 }; /* producers that a hub holds, and some */

typedef struct run_entry run_entry; /* of a run that is being written: store_put.c */

struct store {
    const db_driver *driver;
    db *db;
    bool is_read_only, is_in_transaction;
    char id[STORE_ID_MAX];
    store_retention keep;
    run_entry *runs; /* the one used last first */
    int n_runs;
    /* store_roll.c */
    int64_t roll_windows;          /* what a slice takes of them */
    int64_t trim_run, trim_series; /* where the search for what is too old goes on */
    int64_t next_trim_ms;
};

/* Forgets what is known of the runs being written: it may not be what the database holds. */
void store_forget_runs(store *s);
/* Writes how far each run has been heard; part of a commit. */
bitnet_status store_put_heard(store *s, bitnet_error *err);

bitnet_status store_no_memory(bitnet_error *err);
bitnet_status store_exec(store *s, const char *script, bitnet_error *err);

/* The values as the last arguments, at least one. */
#define STORE_PUSH(s, err, sql, ...)                                                               \
    (s)->driver->push((s)->db, SQL_##sql, DB_VALUES(__VA_ARGS__), err)
#define STORE_SELECT(s, rows, err, sql, ...)                                                       \
    (s)->driver->select((s)->db, rows, SQL_##sql, DB_VALUES(__VA_ARGS__), err)

#endif
