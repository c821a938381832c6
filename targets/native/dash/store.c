/* store.c: opening, transactions and retention of the history; see store.h. */
#include "dash/store.h"
#include "dash/store_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

const char *const db_sql_text[N_SQL] = {
#define SQL(name, text) text,
#include "dash/store_sql.def"
#undef SQL
};

#define DAY_MS (24 * 3600 * INT64_C(1000))

db_value db_t(const char *text) {
    return (db_value){.type = DB_TEXT, .is_null = !text, .p = text, .n = text ? strlen(text) : 0};
}

db_value db_b(const void *bytes, size_t n) {
    return (db_value){.type = DB_BLOB, .is_null = n == 0, .p = bytes, .n = n};
}

bitnet_status store_no_memory(bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_NOMEM, "store.memory", "no memory for the history");
}

bitnet_status store_exec(store *s, const char *script, bitnet_error *err) {
    return s->driver->exec(s->db, script, err);
}

/* --- retention --- */

static bool is_word(const char *p, size_t n, const char *word) {
    return strlen(word) == n && memcmp(p, word, n) == 0;
}

/* A whole number and one of the units, up to a comma or the end; moves *at there. */
static bool read_amount(const char **at, const char *units, const int64_t *factor, int64_t *out) {
    char *end;
    if (!isdigit((unsigned char)**at)) return false;
    errno = 0;
    long long v = strtoll(*at, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (errno || !unit || (end[1] && end[1] != ',')) return false;
    *at = end + 1;
    return !__builtin_mul_overflow(v, factor[unit - units], out);
}

static bool read_retention(store_retention *r, const char *at) {
    static const int64_t times[] = {60 * 1000, 3600 * 1000, DAY_MS, 7 * DAY_MS, 365 * DAY_MS};
    static const int64_t sizes[] = {1 << 10, 1 << 20, 1 << 30, INT64_C(1) << 40};
    while (*at) {
        size_t n = strcspn(at, "=");
        const char *name = at;
        if (!at[n]) return false;
        at += n + 1;
        int64_t size = 0;
        int64_t *to = is_word(name, n, "raw")      ? &r->raw_ms
                      : is_word(name, n, "minute") ? &r->minute_ms
                      : is_word(name, n, "hour")   ? &r->hour_ms
                      : is_word(name, n, "size")   ? &size
                                                   : NULL;
        if (!to || !(to == &size ? read_amount(&at, "KMGT", sizes, to)
                                 : read_amount(&at, "mhdwy", times, to)))
            return false;
        if (to == &size) r->size = (uint64_t)size;
        if (*at == ',' && *++at == '\0') return false;
    }
    return r->raw_ms <= r->minute_ms && r->minute_ms <= r->hour_ms;
}

bitnet_status store_retention_parse(store_retention *out, const char *text, bitnet_error *err) {
    *out =
        (store_retention){.raw_ms = DAY_MS, .minute_ms = 30 * DAY_MS, .hour_ms = 2 * 365 * DAY_MS};
    bitnet_escaped e;
    if (!text || read_retention(out, text)) return BITNET_OK;
    return bitnet_fail(
        err, BITNET_E_INVAL, "store.retention",
        "retention is \"%s\"; raw=1d,minute=30d,hour=2y,size=10G is the form, with m, "
        "h, d, w or y, no less for each than for the one before",
        bitnet_escape(&e, text, strlen(text)));
}

/* --- opening --- */

static bool is_server(const char *location) {
    return strncmp(location, "postgres://", 11) == 0 || strncmp(location, "postgresql://", 13) == 0;
}

static bitnet_status choose_driver(store *s, const char *location, bitnet_error *err) {
    s->driver = &db_sqlite;
    if (!is_server(location)) return BITNET_OK;
#ifdef BITNET_POSTGRES
    (void)err;
    s->driver = &db_postgres;
    return BITNET_OK;
#else
    return bitnet_fail(err, BITNET_E_UNSUPPORTED, "store.driver",
                       "this bitnet was built without PostgreSQL (libpq); name a file");
#endif
}

static bitnet_status read_id(store *s, bitnet_error *err) {
    db_rows *rows;
    bitnet_status st = STORE_SELECT(s, &rows, err, GET_META, db_t("store_id"));
    if (st >= 0) st = s->driver->next(rows, err);
    if (st < 0) return st;
    if (st == BITNET_OK) {
        snprintf(s->id, sizeof s->id, "%s", s->driver->get_text(rows, 0));
        s->driver->end(rows);
    }
    if (strlen(s->id) == sizeof s->id - 1) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt", "the history has lost its id");
}

bitnet_status store_open(store **out, const store_desc *desc, bitnet_error *err) {
    store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return store_no_memory(err);
    s->is_read_only = desc->is_read_only;
    bitnet_status st = store_retention_parse(&s->keep, desc->retention, err);
    if (st >= 0) st = choose_driver(s, desc->location, err);
    const db_options options = {.location = desc->location,
                                .is_read_only = desc->is_read_only,
                                .deadline_ms = desc->deadline_ms};
    if (st >= 0) st = s->driver->open(&s->db, &options, err);
    if (st >= 0) st = read_id(s, err);
    if (st < 0) {
        store_close(s);
        return st;
    }
    *out = s;
    return BITNET_OK;
}

void store_close(store *s) {
    if (!s) return;
    if (s->db) {
        store_rollback(s);
        s->driver->close(s->db);
    }
    store_forget_runs(s);
    free(s);
}

const char *store_id(const store *s) {
    return s->id;
}

/* --- transactions --- */

bitnet_status store_begin(store *s, bitnet_error *err) {
    if (s->is_read_only)
        return bitnet_fail(err, BITNET_E_INVAL, "store.read_only", "the history is open to read");
    bitnet_status st = store_exec(s, "BEGIN", err);
    if (st >= 0) s->is_in_transaction = true;
    return st;
}

bitnet_status store_commit(store *s, bitnet_error *err) {
    bitnet_status st = store_put_heard(s, err);
    if (st >= 0) st = store_exec(s, "COMMIT", err);
    if (st >= 0) s->is_in_transaction = false;
    return st;
}

void store_rollback(store *s) {
    store_forget_runs(s);
    if (!s->is_in_transaction) return;
    s->is_in_transaction = false;
    store_exec(s, "ROLLBACK", NULL); /* fails where the database has done so itself */
}

bitnet_status store_recover(store *s, bitnet_error *err) {
    store_rollback(s);
    return s->driver->reopen(s->db, err);
}
