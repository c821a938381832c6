/* store_db.h: what the history needs of a database. Two drivers: store_sqlite.c, store_postgres.c.
 *
 * Every statement is in store_sql.def, in words that both understand, with $1, $2, ... in the order
 * in which they first occur; values are bound, never pasted. Results are read to their end or
 * closed, and are pages, never whole tables: one driver holds them in memory, and a long read keeps
 * the other's log from shrinking. One thread per db.
 */
#ifndef BITNET_DASH_STORE_DB_H
#define BITNET_DASH_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/status.h"

typedef enum db_sql {
#define SQL(name, text) SQL_##name,
#include "dash/store_sql.def"
#undef SQL
    N_SQL
} db_sql;
extern const char *const db_sql_text[N_SQL];

enum { DB_VALUES_MAX = 20, DB_SCHEMA_VERSION = 1 };

typedef struct db_value {
    enum { DB_INT, DB_REAL, DB_TEXT, DB_BLOB } type;
    bool is_null;
    int64_t i;
    double r;
    const void *p; /* text or bytes, borrowed for the call */
    size_t n;
} db_value;

typedef struct db db;
typedef struct db_rows db_rows;

/* A file or a server, and how to be sure that it is ours. */
typedef struct db_options {
    const char *location;
    bool is_read_only;
    uint32_t deadline_ms; /* of a transaction that reads, or one such statement; 0 = none */
} db_options;

typedef struct db_driver {
    /* Opens or, when writing, creates what `location` names, migrated to DB_SCHEMA_VERSION. Refuses
     * what is another's, newer, damaged or already being written, and leaves it as it was. */
    bitnet_status (*open)(db **out, const db_options *options, bitnet_error *err);
    void (*close)(db *d);
    /* A new connection after a failed write or sync, the lock still held; checks the data. */
    bitnet_status (*reopen)(db *d, bitnet_error *err);
    bitnet_status (*exec)(db *d, const char *script, bitnet_error *err);
    /* A statement without a result. May be sent later, but before the next select or exec; what
     * goes wrong with it is then said there. */
    bitnet_status (*push)(db *d, db_sql sql, const db_value *v, int n, bitnet_error *err);
    bitnet_status (*select)(db *d, db_rows **out, db_sql sql, const db_value *v, int n,
                            bitnet_error *err);
    /* BITNET_OK: a row is at hand. BITNET_DONE: there is none, and the rows are closed. */
    bitnet_status (*next)(db_rows *rows, bitnet_error *err);
    void (*end)(db_rows *rows); /* before the last row; fine on closed rows */
    bool (*is_null)(db_rows *rows, int column);
    int64_t (*get_int)(db_rows *rows, int column);
    double (*get_real)(db_rows *rows, int column);
    const char *(*get_text)(db_rows *rows, int column); /* until the next row; "" for NULL */
    const void *(*get_blob)(db_rows *rows, int column, size_t *n);
    /* Gives freed pages back for at most about `budget_ms`; bytes in use. */
    bitnet_status (*shrink)(db *d, uint32_t budget_ms, bitnet_error *err);
    bitnet_status (*size)(db *d, uint64_t *bytes, bitnet_error *err);
} db_driver;

extern const db_driver db_sqlite;
#ifdef BITNET_POSTGRES
extern const db_driver db_postgres;
#endif

static inline db_value db_i(int64_t i) {
    return (db_value){.type = DB_INT, .i = i};
}
static inline db_value db_r(double r) {
    return (db_value){.type = DB_REAL, .r = r};
}
db_value db_t(const char *text);            /* NULL is NULL */
db_value db_b(const void *bytes, size_t n); /* none is NULL */
static inline db_value db_null(db_value v) {
    v.is_null = true;
    return v;
}

/* db_push(d, err, SQL_X, values...): the values as a list of any length but none. */
#define DB_VALUES(...)                                                                             \
    (const db_value[]){__VA_ARGS__}, (int)(sizeof((db_value[]){__VA_ARGS__}) / sizeof(db_value))

#endif
