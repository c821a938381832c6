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

/* What a run's row holds, in the order of RUN_COLUMNS (store_sql.def). */
typedef enum run_column {
    RUN_ID,
    RUN_INSTANCE,
    RUN_NAME,
    RUN_BACKEND,
    RUN_TIER,
    RUN_THREADS,
    RUN_MODEL,
    RUN_HOST,
    RUN_BUILD,
    RUN_EPOCH,
    RUN_T_MS,
    RUN_STARTED_MS,
    RUN_LAST_T_MS,
    RUN_HEARD_MS,
    RUN_ENDED_MS,
    RUN_REASON,
    RUN_LAST_SEQ,
    RUN_EXPECTED,
    RUN_N_SHOWN,
    RUN_NUMBER = RUN_N_SHOWN,
    RUN_ROLLED_SEQ,
    RUN_RAW_GONE_MS,
    RUN_MINUTE_GONE_MS,
} run_column;

/* What readers need of a run besides its header. */
typedef struct run_place {
    int64_t number, t_ms, last_t_ms, last_seq, rolled_seq, raw_gone_ms, minute_gone_ms;
} run_place;

/* A read within one state of the database: begin, and end with what it came to. */
bitnet_status store_begin_read(store *s, bitnet_error *err);
bitnet_status store_end_read(store *s, bitnet_status st);
/* The header (may be NULL) as store_run gives it, and the place (may be NULL). store.run.none. */
bitnet_status store_read_run(store *s, const char *id, struct cJSON **header, run_place *place,
                             bitnet_error *err);

/* The series of a run with the names of their metrics, by metric and labels. */
typedef struct series_row {
    int64_t id, metric;
    const char *name, *unit, *kind, *help; /* of the metric */
    char *labels;
} series_row;
typedef struct series_list {
    series_row *at;
    int n;
    struct metric_row {
        int64_t id;
        char *name, *unit, *kind, *help;
    } * metric;
    int n_metrics;
} series_list;
bitnet_status store_read_series(store *s, int64_t run, series_list *out, bitnet_error *err);
void store_free_series(series_list *l);

bitnet_status store_no_memory(bitnet_error *err);
bitnet_status store_exec(store *s, const char *script, bitnet_error *err);

/* The values as the last arguments, at least one. */
#define STORE_PUSH(s, err, sql, ...)                                                               \
    (s)->driver->push((s)->db, SQL_##sql, DB_VALUES(__VA_ARGS__), err)
#define STORE_SELECT(s, rows, err, sql, ...)                                                       \
    (s)->driver->select((s)->db, rows, SQL_##sql, DB_VALUES(__VA_ARGS__), err)

#endif
