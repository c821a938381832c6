/* store_schema.c: the tables (docs/history.md). A migration, once released, is never changed: a new
 * version is one more entry.
 *
 * Rows hold small numbers instead of names: `run` is a run's number, `series` is a number within its
 * run, given in the order in which they came. A run is written at its end and read by sequence, so
 * its keys begin with (run, seq); minutes and hours are read a series at a time, and theirs with
 * (run, series). */
#include "dash/store_schema.h"

/* The two databases spell the types differently, and only SQLite knows STRICT and WITHOUT ROWID. */
#define TABLES_1(INT, REAL, BLOB, TABLE_END, KEYED_END)                                            \
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)" KEYED_END                       \
    "CREATE TABLE run(number " INT " PRIMARY KEY, id TEXT NOT NULL UNIQUE,"                        \
    " instance TEXT NOT NULL UNIQUE, name TEXT NOT NULL, backend TEXT NOT NULL,"                   \
    " tier TEXT NOT NULL, threads " INT " NOT NULL, model TEXT NOT NULL, host TEXT, build TEXT,"   \
    " epoch " INT ", t_ms " INT " NOT NULL, started_ms " INT ", expected TEXT,"                    \
    " skew_ms " INT " NOT NULL, heard_ms " INT " NOT NULL, last_t_ms " INT ", ended_ms " INT ","   \
    " reason TEXT, last_seq " INT " NOT NULL, rolled_seq " INT " NOT NULL, raw_gone_ms " INT ","   \
    " minute_gone_ms " INT ")" TABLE_END "CREATE TABLE metric(run " INT " NOT NULL, id " INT       \
    " NOT NULL, name TEXT NOT NULL,"                                                               \
    " unit TEXT NOT NULL, kind TEXT NOT NULL, help TEXT NOT NULL, PRIMARY KEY(run, id))" KEYED_END \
    "CREATE TABLE series(run " INT " NOT NULL, id " INT " NOT NULL, metric " INT " NOT NULL,"      \
    " labels TEXT NOT NULL, PRIMARY KEY(run, id))" KEYED_END "CREATE TABLE windows(run " INT       \
    " NOT NULL, seq " INT " NOT NULL, t_ms " INT " NOT NULL,"                                      \
    " span_ms " INT " NOT NULL, dropped " INT " NOT NULL, PRIMARY KEY(run, seq))" KEYED_END        \
    "CREATE INDEX windows_by_time ON windows(run, t_ms);"                                          \
    "CREATE TABLE raw(run " INT " NOT NULL, seq " INT " NOT NULL, series " INT                     \
    " NOT NULL," SAMPLE(                                                                           \
        INT, REAL,                                                                                 \
        BLOB) "PRIMARY KEY(run, seq, series))" KEYED_END "CREATE TABLE minute(run " INT            \
              " NOT NULL, series " INT " NOT NULL, t_ms " INT " NOT NULL," SAMPLE(                 \
                  INT, REAL,                                                                       \
                  BLOB) "PRIMARY KEY(run, series, t_ms))" KEYED_END "CREATE TABLE hour(run " INT   \
                        " NOT NULL, series " INT " NOT NULL, t_ms " INT " NOT NULL," SAMPLE(       \
                            INT, REAL,                                                             \
                            BLOB) "PRIMARY KEY(run, series, t_ms))" KEYED_END                      \
                                  "CREATE TABLE op(run " INT " NOT NULL, seq " INT                 \
                                  " NOT NULL, t_ms " INT " NOT NULL,"                              \
                                  " id " INT " NOT NULL, parent " INT                              \
                                  " NOT NULL, op TEXT NOT NULL, strategy TEXT,"                    \
                                  " duration_s " REAL " NOT NULL, ok " INT                         \
                                  " NOT NULL, error TEXT, units " REAL ", unit TEXT,"              \
                                  " quality " REAL ", peak_memory " REAL ", peak_gpu_memory " REAL \
                                  ", cpu " REAL ","                                                \
                                  " gpu " REAL ", meta TEXT, PRIMARY KEY(run, seq))" KEYED_END     \
                                  "CREATE TABLE gap(run " INT " NOT NULL, seq " INT                \
                                  " NOT NULL, seq_to " INT " NOT NULL,"                            \
                                  " n " INT " NOT NULL, reason TEXT NOT NULL, heard_ms " INT       \
                                  " NOT NULL,"                                                     \
                                  " PRIMARY KEY(run, seq))" KEYED_END "CREATE TABLE event(id " INT \
                                  " PRIMARY KEY, run " INT ", t_ms " INT " NOT NULL,"              \
                                  " kind TEXT NOT NULL, data TEXT NOT NULL)" TABLE_END

#define SAMPLE(INT, REAL, BLOB)                                                                    \
    "n " INT " NOT NULL, sum " REAL " NOT NULL, min " REAL " NOT NULL, max " REAL " NOT NULL,"     \
    " last " REAL " NOT NULL, buckets " BLOB ", "

const store_migration store_migrations[] = {
    {TABLES_1("INTEGER", "REAL", "BLOB", " STRICT;", " STRICT, WITHOUT ROWID;"),
     TABLES_1("BIGINT", "DOUBLE PRECISION", "BYTEA", ";", ";")},
};
