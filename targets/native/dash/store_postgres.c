/* store_postgres.c: the history on a PostgreSQL server (14 or newer), through libpq; see store_db.h.
 *
 * The tables are in a schema of their own, "bitnet", of the database that the address names. An
 * advisory lock, held by the connection that writes, lets one process write; its application_name
 * says which. Statements without a result are sent in pipeline mode and answered together, at the
 * latest before the next one with a result: what went wrong with one of them is said there. Samples,
 * of which there are many, go by COPY instead, at the same time. */
#include "dash/store_db.h"
#include "dash/store_schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/base.h"

enum {
    SERVER_MIN = 140000,
    PIPELINE_MAX = 500, /* statements on the way: their answers fit the socket's buffers */
    NUMBER_MAX = 8,
    COPY_MAX = 1 << 20, /* bytes of samples on this side */
};
enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25, OID_FLOAT8 = 701 }; /* pg_type.dat */

#define LOCK_KEY "7093026771" /* any number that is not somebody else's */

struct db_rows {
    db *db;
    PGresult *result;
    int row;
};

struct db {
    PGconn *conn;
    char *location;
    bool is_read_only, is_in_pipeline, has_lock;
    uint32_t deadline_ms;
    int n_waiting; /* statements in the pipeline */
    uint8_t *copy; /* rows of raw, in COPY's binary form; NULL before the first */
    size_t copy_size;
    bool is_prepared[N_SQL];
    db_rows rows[N_SQL];
};

/* --- errors --- */

/* The server's first line, without its password-bearing context. */
static const char *first_line(const char *message, char out[160]) {
    size_t n = strcspn(message, "\n");
    snprintf(out, 160, "%.*s", (int)(n < 150 ? n : 150), message);
    return out;
}

static bitnet_status fail_text(bitnet_error *err, const char *state, const char *message) {
    char why[160];
    first_line(message, why);
    if (strncmp(state, "53", 2) == 0) /* disk_full, out_of_memory, too_many_connections */
        return bitnet_fail(err, BITNET_E_IO, "store.full", "the server has no room left: %s", why);
    if (strcmp(state, "57014") == 0)
        return bitnet_fail(err, BITNET_E_CANCELLED, "store.deadline",
                           "reading the history took longer than allowed: %s", why);
    if (strncmp(state, "XX", 2) == 0)
        return bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt", "the history is damaged: %s",
                           why);
    if (strncmp(state, "28", 2) == 0 || strcmp(state, "42501") == 0)
        return bitnet_fail(err, BITNET_E_IO, "file.permission", "the server refuses us: %s", why);
    return bitnet_fail(err, BITNET_E_IO, "store.io", "the history's server: %s", why);
}

static bitnet_status fail_result(db *d, bitnet_error *err, const PGresult *result) {
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    return fail_text(err, state ? state : "",
                     result && state ? PQresultErrorMessage(result) : PQerrorMessage(d->conn));
}

/* --- the pipeline --- */

static bitnet_status end_pipeline(db *d, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    if (!d->is_in_pipeline) return BITNET_OK;
    if (PQpipelineSync(d->conn) != 1) st = fail_result(d, err, NULL);
    for (bool is_over = st < 0; !is_over;) { /* of each statement its result, then NULL */
        PGresult *result = PQgetResult(d->conn);
        ExecStatusType status = PQresultStatus(result);
        if (!result) {
            is_over = PQstatus(d->conn) != CONNECTION_OK;
            if (is_over && st >= 0) st = fail_result(d, err, NULL);
            continue;
        }
        is_over = status == PGRES_PIPELINE_SYNC;
        if (status == PGRES_FATAL_ERROR && st >= 0) st = fail_result(d, err, result);
        PQclear(result);
    }
    if (PQexitPipelineMode(d->conn) != 1 && st >= 0) st = fail_result(d, err, NULL);
    d->is_in_pipeline = false;
    d->n_waiting = 0;
    return st;
}

/* The tuples of PostgreSQL's documentation, COPY, "Binary Format". */
static const char copy_head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and a NUL: the flags' last */
static const char copy_end[] = "\377\377";

static bitnet_status end_copy(db *d, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    if (d->copy_size == 0) return BITNET_OK;
    PGresult *result = PQexec(
        d->conn, "COPY raw(run, seq, series, n, sum, min, max, last, buckets) FROM STDIN BINARY");
    bool is_open = PQresultStatus(result) == PGRES_COPY_IN;
    if (!is_open) st = fail_result(d, err, result);
    PQclear(result);
    if (is_open && (PQputCopyData(d->conn, copy_head, sizeof copy_head) != 1 ||
                    PQputCopyData(d->conn, (const char *)d->copy, (int)d->copy_size) != 1 ||
                    PQputCopyData(d->conn, copy_end, 2) != 1 || PQputCopyEnd(d->conn, NULL) != 1))
        st = fail_result(d, err, NULL);
    d->copy_size = 0;
    while (is_open && (result = PQgetResult(d->conn))) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK && st >= 0) st = fail_result(d, err, result);
        PQclear(result);
    }
    return st;
}

/* Sends all that was pushed and waits for what it comes to. */
static bitnet_status flush(db *d, bitnet_error *err) {
    bitnet_status st = end_pipeline(d, err);
    if (st >= 0) return end_copy(d, err);
    d->copy_size = 0;
    return st;
}

static bitnet_status postgres_exec(db *d, const char *script, bitnet_error *err) {
    if (!d->conn)
        return bitnet_fail(err, BITNET_E_IO, "store.io", "the history's server is not there");
    bitnet_status st = flush(d, err);
    if (st < 0 && strcmp(script, "ROLLBACK") != 0) return st;
    PGresult *result = PQexec(d->conn, script);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        st = fail_result(d, err, result);
    else if (strcmp(script, "COMMIT") == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        st = bitnet_fail(err, BITNET_E_IO, "store.io", "the server rolled the transaction back");
    PQclear(result);
    return st;
}

/* --- values --- */

typedef struct parameters {
    const char *value[DB_VALUES_MAX];
    int length[DB_VALUES_MAX], format[DB_VALUES_MAX];
    char number[DB_VALUES_MAX][NUMBER_MAX];
} parameters;

static void put_big_endian(char out[NUMBER_MAX], uint64_t v) {
    for (int i = 0; i < NUMBER_MAX; i++)
        out[i] = (char)(v >> (56 - 8 * i));
}

static void fill(parameters *p, const db_value *v, int n) {
    for (int i = 0; i < n; i++) {
        uint64_t bits = (uint64_t)v[i].i;
        p->format[i] = 1; /* binary */
        p->value[i] = NULL;
        p->length[i] = 0;
        if (v[i].is_null) continue;
        if (v[i].type == DB_TEXT || v[i].type == DB_BLOB) {
            p->value[i] = v[i].p;
            p->length[i] = (int)v[i].n;
            continue;
        }
        if (v[i].type == DB_REAL) memcpy(&bits, &v[i].r, sizeof bits);
        put_big_endian(p->number[i], bits);
        p->value[i] = p->number[i];
        p->length[i] = NUMBER_MAX;
    }
}

/* A statement's parameters have the types of the first values that it gets. */
static bitnet_status prepare(db *d, db_sql sql, const db_value *v, int n, bitnet_error *err) {
    static const Oid oid[] = {
        [DB_INT] = OID_INT8, [DB_REAL] = OID_FLOAT8, [DB_TEXT] = OID_TEXT, [DB_BLOB] = OID_BYTEA};
    Oid types[DB_VALUES_MAX];
    char name[16];
    if (d->is_prepared[sql]) return BITNET_OK;
    bitnet_status st = flush(d, err);
    if (st < 0) return st;
    for (int i = 0; i < n; i++)
        types[i] = oid[v[i].type];
    snprintf(name, sizeof name, "s%d", (int)sql);
    PGresult *result = PQprepare(d->conn, name, db_sql_text[sql], n, types);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) st = fail_result(d, err, result);
    PQclear(result);
    d->is_prepared[sql] = st >= 0;
    return st;
}

static void put_size(uint8_t **at, uint64_t v, int bytes) {
    while (bytes-- > 0)
        *(*at)++ = (uint8_t)(v >> (8 * bytes));
}

static bitnet_status copy_row(db *d, const db_value *v, int n, bitnet_error *err) {
    parameters p;
    size_t size = 2;
    if (!d->copy) d->copy = malloc(COPY_MAX);
    if (!d->copy) return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for a server");
    fill(&p, v, n);
    for (int i = 0; i < n; i++)
        size += 4 + (size_t)p.length[i];
    if (d->copy_size + size > COPY_MAX) {
        bitnet_status st = flush(d, err);
        if (st < 0) return st;
    }
    uint8_t *at = d->copy + d->copy_size;
    d->copy_size += size;
    put_size(&at, (uint64_t)n, 2);
    for (int i = 0; i < n; i++) {
        put_size(&at, p.value[i] ? (uint64_t)p.length[i] : UINT32_MAX, 4);
        if (p.value[i]) memcpy(at, p.value[i], (size_t)p.length[i]);
        at += p.length[i];
    }
    return BITNET_OK;
}

static bitnet_status postgres_push(db *d, db_sql sql, const db_value *v, int n, bitnet_error *err) {
    parameters p;
    char name[16];
    if (!d->conn)
        return bitnet_fail(err, BITNET_E_IO, "store.io", "the history's server is not there");
    if (sql == SQL_ADD_RAW) return copy_row(d, v, n, err);
    bitnet_status st = prepare(d, sql, v, n, err);
    if (st >= 0 && d->n_waiting >= PIPELINE_MAX) st = flush(d, err);
    if (st < 0) return st;
    if (!d->is_in_pipeline && PQenterPipelineMode(d->conn) != 1) return fail_result(d, err, NULL);
    d->is_in_pipeline = true;
    fill(&p, v, n);
    snprintf(name, sizeof name, "s%d", (int)sql);
    if (PQsendQueryPrepared(d->conn, name, n, p.value, p.length, p.format, 1) != 1)
        return fail_result(d, err, NULL);
    d->n_waiting++;
    return BITNET_OK;
}

/* --- rows --- */

static void postgres_end(db_rows *rows) {
    PQclear(rows->result);
    rows->result = NULL;
}

static bitnet_status postgres_select(db *d, db_rows **out, db_sql sql, const db_value *v, int n,
                                     bitnet_error *err) {
    parameters p;
    char name[16];
    db_rows *rows = &d->rows[sql];
    *out = rows;
    if (!d->conn)
        return bitnet_fail(err, BITNET_E_IO, "store.io", "the history's server is not there");
    bitnet_status st = prepare(d, sql, v, n, err);
    if (st >= 0) st = flush(d, err);
    if (st < 0) return st;
    postgres_end(rows);
    fill(&p, v, n);
    snprintf(name, sizeof name, "s%d", (int)sql);
    *rows = (db_rows){.db = d, .row = -1};
    rows->result = PQexecPrepared(d->conn, name, n, p.value, p.length, p.format, 1);
    if (PQresultStatus(rows->result) == PGRES_TUPLES_OK) return BITNET_OK;
    st = fail_result(d, err, rows->result);
    postgres_end(rows);
    return st;
}

static bitnet_status postgres_next(db_rows *rows, bitnet_error *err) {
    (void)err;
    if (rows->result && ++rows->row < PQntuples(rows->result)) return BITNET_OK;
    postgres_end(rows);
    return BITNET_DONE;
}

static bool postgres_is_null(db_rows *rows, int column) {
    return PQgetisnull(rows->result, rows->row, column) != 0;
}

static int64_t postgres_get_int(db_rows *rows, int column) {
    const unsigned char *p = (const unsigned char *)PQgetvalue(rows->result, rows->row, column);
    int n = PQgetlength(rows->result, rows->row, column);
    uint64_t v = 0;
    for (int i = 0; i < n && i < NUMBER_MAX; i++)
        v = v << 8 | p[i];
    return (int64_t)v; /* all our columns are BIGINT */
}

static double postgres_get_real(db_rows *rows, int column) {
    uint64_t bits = (uint64_t)postgres_get_int(rows, column);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static const char *postgres_get_text(db_rows *rows, int column) {
    return PQgetvalue(rows->result, rows->row, column);
}

static const void *postgres_get_blob(db_rows *rows, int column, size_t *n) {
    *n = (size_t)PQgetlength(rows->result, rows->row, column);
    return PQgetvalue(rows->result, rows->row, column);
}

/* --- opening --- */

/* The one text that a query answers with, "" for none. */
static bitnet_status ask(db *d, const char *sql, char out[64], bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    PGresult *result = PQexec(d->conn, sql);
    *out = '\0';
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        st = fail_result(d, err, result);
    else if (PQntuples(result) > 0)
        snprintf(out, 64, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return st;
}

static bitnet_status take_lock(db *d, bitnet_error *err) {
    char answer[64];
    bitnet_status st = ask(d, "SELECT pg_try_advisory_lock(" LOCK_KEY ")", answer, err);
    d->has_lock = st >= 0 && *answer == 't';
    if (st < 0 || d->has_lock) return st;
    st = ask(d,
             "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
             " WHERE l.locktype = 'advisory' AND l.granted AND"
             " (l.classid::bigint << 32 | l.objid::bigint) = " LOCK_KEY
             " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
             answer, err);
    if (st < 0) return st;
    return bitnet_fail(err, BITNET_E_IO, "store.locked",
                       "the history on this server is being written by process %s; stop it or name "
                       "another database",
                       strncmp(answer, "bitnet ", 7) == 0 ? answer + 7 : "(unknown)");
}

/* libpq's own would print. */
static void on_notice(void *ctx, const char *message) {
    (void)ctx, (void)message;
}

static bitnet_status connect_to(db *d, bitnet_error *err) {
    char name[32], settings[160], why[160];
    snprintf(name, sizeof name, "bitnet %ld", (long)getpid());
    /* The server keeps to UTF-8 and to names in our schema; a reader sees one state at a time. */
    snprintf(settings, sizeof settings,
             "-c search_path=bitnet -c statement_timeout=%" PRIu32 " -c synchronous_commit=on%s",
             d->deadline_ms,
             d->is_read_only ? " -c default_transaction_read_only=on"
                               " -c default_transaction_isolation=repeatable\\ read"
                             : "");
    const char *const keys[] = {"dbname",          "application_name", "options",
                                "client_encoding", "connect_timeout",  NULL};
    const char *const values[] = {d->location, name, settings, "UTF8", "10", NULL};
    d->conn = PQconnectdbParams(keys, values, 1);
    if (!d->conn) return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for a server");
    PQsetNoticeProcessor(d->conn, on_notice, NULL);
    if (PQstatus(d->conn) != CONNECTION_OK)
        return bitnet_fail(err, BITNET_E_BACKEND, "store.server", "cannot reach the server: %s",
                           first_line(PQerrorMessage(d->conn), why));
    if (PQserverVersion(d->conn) < SERVER_MIN)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "store.server",
                           "the server has version %d of PostgreSQL; 14 or newer is needed",
                           PQserverVersion(d->conn) / 10000);
    return BITNET_OK;
}

static bitnet_status migrate(db *d, int version, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    char bump[96];
    if (version == 0) st = postgres_exec(d, "CREATE SCHEMA IF NOT EXISTS bitnet", err);
    for (; st >= 0 && version < DB_SCHEMA_VERSION; version++) {
        snprintf(bump, sizeof bump, "UPDATE meta SET value = '%d' WHERE key = 'schema_version'",
                 version + 1);
        st = postgres_exec(d, "BEGIN", err);
        if (st >= 0) st = postgres_exec(d, store_migrations[version].postgres, err);
        if (st >= 0 && version == 0)
            st = postgres_exec(d,
                               "INSERT INTO meta VALUES('schema_version', '0'), ('store_id',"
                               " substr(replace(gen_random_uuid()::text, '-', ''), 17, 16))",
                               err);
        if (st >= 0) st = postgres_exec(d, bump, err);
        if (st >= 0) st = postgres_exec(d, "COMMIT", err);
    }
    return st;
}

static bitnet_status settle(db *d, bitnet_error *err) {
    char answer[64];
    int version = 0;
    bitnet_status st = ask(d, "SELECT to_regclass('bitnet.meta')", answer, err);
    if (st >= 0 && *answer) {
        st = ask(d, "SELECT value FROM meta WHERE key = 'schema_version'", answer, err);
        version = (int)strtol(answer, NULL, 10);
    }
    if (st < 0) return st;
    if (version > DB_SCHEMA_VERSION)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "store.newer",
                           "the server has version %d of the tables, this program knows up to %d; "
                           "they were left as they are",
                           version, DB_SCHEMA_VERSION);
    if (d->is_read_only && version == 0)
        return bitnet_fail(err, BITNET_E_NOENT, "store.none", "there is no history on this server");
    if (d->is_read_only && version < DB_SCHEMA_VERSION)
        return bitnet_fail(
            err, BITNET_E_UNSUPPORTED, "store.older",
            "the server has version %d of the tables; it is brought to %d when it is "
            "next written",
            version, DB_SCHEMA_VERSION);
    return d->is_read_only ? BITNET_OK : migrate(d, version, err);
}

static void disconnect(db *d) {
    if (d->has_lock && PQstatus(d->conn) == CONNECTION_OK) /* or when the server notices */
        PQclear(PQexec(d->conn, "SELECT pg_advisory_unlock(" LOCK_KEY ")"));
    d->has_lock = false;
    for (int i = 0; i < N_SQL; i++) {
        postgres_end(&d->rows[i]);
        d->is_prepared[i] = false;
    }
    PQfinish(d->conn);
    d->conn = NULL;
    d->is_in_pipeline = false;
    d->n_waiting = 0;
    d->copy_size = 0;
}

static void postgres_close(db *d) {
    if (!d) return;
    disconnect(d);
    free(d->copy);
    free(d->location);
    free(d);
}

static bitnet_status connect_and_settle(db *d, bitnet_error *err) {
    bitnet_status st = connect_to(d, err);
    if (st >= 0 && !d->is_read_only) st = take_lock(d, err);
    if (st >= 0) st = settle(d, err);
    if (st < 0) disconnect(d);
    return st;
}

static bitnet_status postgres_open(db **out, const db_options *o, bitnet_error *err) {
    db *d = calloc(1, sizeof *d);
    size_t n = strlen(o->location);
    *out = NULL;
    if (d) d->location = malloc(n + 1);
    if (!d || !d->location) {
        free(d);
        return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for the history");
    }
    memcpy(d->location, o->location, n + 1);
    d->is_read_only = o->is_read_only;
    d->deadline_ms = o->is_read_only ? o->deadline_ms : 0;
    bitnet_status st = connect_and_settle(d, err);
    if (st < 0) {
        postgres_close(d);
        return st;
    }
    *out = d;
    return BITNET_OK;
}

/* The lock goes with the old connection, so that it has to be taken again; the server sees to its
 * own data. */
static bitnet_status postgres_reopen(db *d, bitnet_error *err) {
    disconnect(d);
    return connect_and_settle(d, err);
}

/* --- size: the server's own business (autovacuum) --- */

static bitnet_status postgres_shrink(db *d, uint32_t budget_ms, bitnet_error *err) {
    (void)d, (void)budget_ms, (void)err;
    return BITNET_OK;
}

static bitnet_status postgres_size(db *d, uint64_t *bytes, bitnet_error *err) {
    (void)d, (void)err;
    *bytes = 0;
    return BITNET_OK;
}

const db_driver db_postgres = {
    .open = postgres_open,
    .close = postgres_close,
    .reopen = postgres_reopen,
    .exec = postgres_exec,
    .push = postgres_push,
    .select = postgres_select,
    .next = postgres_next,
    .end = postgres_end,
    .is_null = postgres_is_null,
    .get_int = postgres_get_int,
    .get_real = postgres_get_real,
    .get_text = postgres_get_text,
    .get_blob = postgres_get_blob,
    .shrink = postgres_shrink,
    .size = postgres_size,
};
