/* store_replay.c: the messages of a run made again from its rows; see store.h.
 *
 * The form is one and the same however the samples came: metrics in the order of the hello, labelled
 * series by metric and labels, fields in the order of docs/protocol.md. So what was exported,
 * imported and exported again is the same, byte for byte. */
#include "dash/store.h"
#include "dash/store_parts.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"

enum { PAGE_SEQS = 200 }; /* sequence numbers whose messages are in memory at once */

typedef struct page_item {
    int64_t seq;
    cJSON *json;
} page_item;

typedef struct sample_item { /* of one window, to be put in order */
    int rank;
    cJSON *json;
} sample_item;

typedef struct replay {
    store *s;
    run_place run;
    series_list series;
    int64_t n_ranks;
    int *rank;           /* of a series, by its number, in series.at; -1 = none */
    sample_item *sample; /* [series.n] */
    page_item item[PAGE_SEQS];
    int n;
    int kinds;
    bool (*visit)(void *user, const cJSON *message);
    void *user;
    bool is_over; /* the visitor has had enough */
} replay;

/* --- pieces --- */

static bool add_text(cJSON *o, const char *name, const char *value) {
    return cJSON_AddStringToObject(o, name, value) != NULL;
}

static bool add_number(cJSON *o, const char *name, double value) {
    return cJSON_AddNumberToObject(o, name, value) != NULL;
}

/* Moves what is there of `names` from one object to the other, in their order. */
static bool move_fields(cJSON *from, cJSON *to, const char *const *names) {
    for (; *names; names++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(from, *names);
        if (item && !cJSON_AddItemToObjectCS(to, *names, item)) {
            cJSON_Delete(item);
            return false;
        }
    }
    return true;
}

static bool add_metrics(cJSON *hello, const series_list *l) {
    cJSON *array = cJSON_AddArrayToObject(hello, "metrics");
    bool ok = array != NULL;
    for (int i = 0; i < l->n_metrics && ok; i++) {
        cJSON *o = cJSON_CreateObject();
        ok = o && add_text(o, "name", l->metric[i].name) &&
             add_text(o, "unit", l->metric[i].unit) && add_text(o, "kind", l->metric[i].kind) &&
             add_text(o, "help", l->metric[i].help);
        if (!(ok && cJSON_AddItemToArray(array, o))) cJSON_Delete(o);
    }
    return ok;
}

static cJSON *make_hello(cJSON *header, const series_list *l) {
    static const char *const first[] = {"name", "instance", "epoch", NULL};
    static const char *const rest[] = {"backend", "tier", "threads",    "model",    "host",
                                       "build",   "t_ms", "started_ms", "expected", NULL};
    cJSON *o = cJSON_CreateObject();
    bool ok = o && add_text(o, "type", "hello") && add_number(o, "proto", 1) &&
              add_text(o, "role", "producer") && move_fields(header, o, first) &&
              add_number(o, "next_seq", 1) && move_fields(header, o, rest) && add_metrics(o, l);
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *make_bye(const cJSON *header) {
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(header, "reason"));
    const cJSON *seq = cJSON_GetObjectItemCaseSensitive(header, "last_seq");
    cJSON *o = cJSON_CreateObject();
    if (o && add_text(o, "type", "bye") && add_text(o, "reason", reason ? reason : "") &&
        add_number(o, "seq", seq ? seq->valuedouble : 0))
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* "m" and "s" are filled by read_samples. */
static cJSON *make_window(const db_driver *d, db_rows *rows) {
    cJSON *o = cJSON_CreateObject();
    if (o && add_text(o, "type", "window") && add_number(o, "seq", (double)d->get_int(rows, 0)) &&
        add_number(o, "t_ms", (double)d->get_int(rows, 1)) &&
        add_number(o, "span_ms", (double)d->get_int(rows, 2)) &&
        add_number(o, "dropped", (double)d->get_int(rows, 3)) && cJSON_AddObjectToObject(o, "m"))
        return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *make_op(const db_driver *d, db_rows *rows) {
    static const struct {
        const char *name;
        enum { INT, REAL, TEXT, BOOL, JSON } type;
    } columns[] = {{"seq", INT},          {"t_ms", INT},
                   {"id", INT},           {"parent", INT},
                   {"op", TEXT},          {"strategy", TEXT},
                   {"duration_s", REAL},  {"ok", BOOL},
                   {"error", TEXT},       {"units", REAL},
                   {"unit", TEXT},        {"quality", REAL},
                   {"peak_memory", REAL}, {"peak_gpu_memory", REAL},
                   {"cpu", REAL},         {"gpu", REAL},
                   {"meta", JSON}};
    cJSON *o = cJSON_CreateObject();
    bool ok = o && add_text(o, "type", "op");
    for (int i = 0; i < (int)(sizeof columns / sizeof *columns) && ok; i++) {
        cJSON *value = NULL;
        if (d->is_null(rows, i)) continue;
        switch (columns[i].type) {
        case INT:
            value = cJSON_CreateNumber((double)d->get_int(rows, i));
            break;
        case REAL:
            value = cJSON_CreateNumber(d->get_real(rows, i));
            break;
        case TEXT:
            value = cJSON_CreateString(d->get_text(rows, i));
            break;
        case BOOL:
            value = cJSON_CreateBool(d->get_int(rows, i) != 0);
            break;
        case JSON:
            value = cJSON_Parse(d->get_text(rows, i));
            break;
        }
        ok = value && cJSON_AddItemToObjectCS(o, columns[i].name, value);
        if (!ok) cJSON_Delete(value);
    }
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *make_gap(const db_driver *d, db_rows *rows) {
    cJSON *o = cJSON_CreateObject();
    if (o && add_text(o, "type", "gap") && add_number(o, "seq", (double)d->get_int(rows, 0)) &&
        add_number(o, "to", (double)d->get_int(rows, 1)) &&
        add_number(o, "n", (double)d->get_int(rows, 2)) &&
        add_text(o, "reason", d->get_text(rows, 3)))
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* --- samples --- */

static bool add_buckets(cJSON *o, const void *blob, size_t size) {
    buckets b;
    if (size == 0) return true;
    cJSON *array = buckets_decode(&b, blob, size) ? cJSON_AddArrayToObject(o, "b") : NULL;
    bool ok = array != NULL;
    for (int i = 0; i < b.n && ok; i++) {
        cJSON *index = cJSON_CreateNumber(b.b[i].index);
        cJSON *count = cJSON_CreateNumber((double)b.b[i].count);
        ok = index && count && cJSON_AddItemToArray(array, index);
        if (!ok) cJSON_Delete(index);
        if (!(ok && cJSON_AddItemToArray(array, count))) cJSON_Delete(count);
    }
    return ok;
}

/* The object of one value: of "m", or with name and labels of "s". */
static cJSON *make_sample(const db_driver *d, db_rows *rows, const series_row *r) {
    static const char *const names[] = {"sum", "min", "max", "last"};
    cJSON *o = cJSON_CreateObject(), *labels = *r->labels ? cJSON_Parse(r->labels) : NULL;
    bool ok = o != NULL;
    size_t size = 0;
    if (ok && *r->labels) ok = labels && add_text(o, "name", r->name);
    if (labels && !(ok && cJSON_AddItemToObjectCS(o, "labels", labels))) {
        cJSON_Delete(labels);
        ok = false;
    }
    ok = ok && add_number(o, "n", (double)d->get_int(rows, 2));
    for (int i = 0; i < 4 && ok; i++)
        ok = add_number(o, names[i], d->get_real(rows, 3 + i));
    const void *blob = d->get_blob(rows, 7, &size);
    if (ok && add_buckets(o, blob, size)) return o;
    cJSON_Delete(o);
    return NULL;
}

static int by_rank(const void *a, const void *b) {
    return ((const sample_item *)a)->rank - ((const sample_item *)b)->rank;
}

/* Puts the n samples gathered into the window, and they are its. */
static bool add_samples(const replay *r, cJSON *window, int n) {
    cJSON *m = cJSON_GetObjectItemCaseSensitive(window, "m"), *s = NULL;
    bool ok = true;
    qsort(r->sample, (size_t)n, sizeof *r->sample, by_rank);
    for (int i = 0; i < n; i++) {
        const series_row *row = &r->series.at[r->sample[i].rank];
        bool has_labels = *row->labels != '\0';
        if (ok && has_labels && !s) ok = (s = cJSON_AddArrayToObject(window, "s")) != NULL;
        if (ok)
            ok = has_labels ? cJSON_AddItemToArray(s, r->sample[i].json)
                            : cJSON_AddItemToObjectCS(m, row->name, r->sample[i].json);
        if (!ok) cJSON_Delete(r->sample[i].json);
    }
    return ok;
}

static cJSON *window_of(const replay *r, int64_t seq) {
    for (int i = 0; i < r->n; i++)
        if (r->item[i].seq == seq) return r->item[i].json;
    return NULL;
}

static bitnet_status read_samples(replay *r, int64_t first, int64_t last, bitnet_error *err) {
    const db_driver *d = r->s->driver;
    db_rows *rows;
    cJSON *window = NULL;
    int64_t seq = 0;
    int n = 0;
    bool ok = true;
    bitnet_status st =
        STORE_SELECT(r->s, &rows, err, RAW_BETWEEN, db_i(r->run.number), db_i(first), db_i(last));
    while (st >= 0 && ok && (st = d->next(rows, err)) == BITNET_OK) {
        int64_t series = d->get_int(rows, 1), at = d->get_int(rows, 0);
        if (at != seq && window) ok = add_samples(r, window, n);
        if (at != seq) window = window_of(r, at), n = 0, seq = at;
        int rank = series >= 0 && series < r->n_ranks ? r->rank[series] : -1;
        if (ok && window && rank >= 0 && n < r->series.n) {
            cJSON *json = make_sample(d, rows, &r->series.at[rank]);
            ok = json != NULL;
            if (ok) r->sample[n++] = (sample_item){rank, json};
        }
        if (!ok) d->end(rows);
    }
    if (window && ok && st >= 0) {
        ok = add_samples(r, window, n);
    } else {
        for (int i = 0; i < n; i++)
            cJSON_Delete(r->sample[i].json);
    }
    return st < 0 ? st : ok ? BITNET_OK : store_no_memory(err);
}

/* --- pages --- */

static bitnet_status read_items(replay *r, db_sql sql, int64_t first, int64_t last,
                                cJSON *(*make)(const db_driver *d, db_rows *rows),
                                bitnet_error *err) {
    const db_driver *d = r->s->driver;
    db_rows *rows;
    bitnet_status st = d->select(r->s->db, &rows, sql,
                                 DB_VALUES(db_i(r->run.number), db_i(first), db_i(last)), err);
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        /* numbers are unique in a table, and a page has PAGE_SEQS of them; not so in a damaged file */
        cJSON *json = r->n < PAGE_SEQS ? make(d, rows) : NULL;
        if (json) {
            r->item[r->n++] = (page_item){d->get_int(rows, 0), json};
            continue;
        }
        d->end(rows);
        st = r->n < PAGE_SEQS ? store_no_memory(err)
                              : bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt",
                                            "the history has two messages of one number");
    }
    return st < 0 ? st : BITNET_OK;
}

static const struct {
    int kind;
    db_sql next, between;
    cJSON *(*make)(const db_driver *d, db_rows *rows);
} tables[] = {{STORE_WINDOW, SQL_NEXT_WINDOW, SQL_WINDOWS_BETWEEN, make_window},
              {STORE_OP, SQL_NEXT_OP, SQL_OPS_BETWEEN, make_op},
              {STORE_GAP, SQL_NEXT_GAP, SQL_GAPS_BETWEEN, make_gap}};
enum { N_TABLES = sizeof tables / sizeof *tables };

/* The next number behind `after` that a message of these kinds has; INT64_MAX when none does. */
static bitnet_status next_seq(replay *r, int64_t after, int64_t *out, bitnet_error *err) {
    const db_driver *d = r->s->driver;
    db_rows *rows;
    bitnet_status st = BITNET_OK;
    *out = INT64_MAX;
    for (int i = 0; i < N_TABLES && st >= 0; i++) {
        if (!(r->kinds & tables[i].kind)) continue;
        st = d->select(r->s->db, &rows, tables[i].next, DB_VALUES(db_i(r->run.number), db_i(after)),
                       err);
        if (st < 0 || (st = d->next(rows, err)) != BITNET_OK) continue;
        if (!d->is_null(rows, 0) && d->get_int(rows, 0) < *out) *out = d->get_int(rows, 0);
        d->end(rows);
    }
    return st < 0 ? st : BITNET_OK;
}

static int by_seq(const void *a, const void *b) {
    const int64_t x = ((const page_item *)a)->seq, y = ((const page_item *)b)->seq;
    return (x > y) - (x < y);
}

static bitnet_status replay_page(replay *r, int64_t first, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    int64_t last = first + PAGE_SEQS - 1;
    r->n = 0;
    for (int i = 0; i < N_TABLES && st >= 0; i++)
        if (r->kinds & tables[i].kind)
            st = read_items(r, tables[i].between, first, last, tables[i].make, err);
    if (st >= 0 && (r->kinds & STORE_WINDOW)) st = read_samples(r, first, last, err);
    if (st >= 0) qsort(r->item, (size_t)r->n, sizeof *r->item, by_seq);
    for (int i = 0; i < r->n; i++) {
        if (st >= 0 && !r->is_over) r->is_over = !r->visit(r->user, r->item[i].json);
        cJSON_Delete(r->item[i].json);
    }
    return st;
}

static bitnet_status rank_series(replay *r, bitnet_error *err) {
    for (int i = 0; i < r->series.n; i++)
        if (r->series.at[i].id >= r->n_ranks) r->n_ranks = r->series.at[i].id + 1;
    if (r->n_ranks > 1 << 20)
        return bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt",
                           "a series of the history has a number beyond all bounds");
    r->rank = malloc(((size_t)r->n_ranks + 1) * sizeof *r->rank);
    r->sample = malloc(((size_t)r->series.n + 1) * sizeof *r->sample);
    if (!r->rank || !r->sample) return store_no_memory(err);
    for (int64_t i = 0; i < r->n_ranks; i++)
        r->rank[i] = -1;
    for (int i = 0; i < r->series.n; i++)
        if (r->series.at[i].id >= 0) r->rank[r->series.at[i].id] = i;
    return BITNET_OK;
}

static bitnet_status visit_one(replay *r, cJSON *json, bitnet_error *err) {
    if (!json) return store_no_memory(err);
    r->is_over = !r->visit(r->user, json);
    cJSON_Delete(json);
    return BITNET_OK;
}

static bitnet_status replay_run(replay *r, cJSON *header, bitnet_error *err) {
    bool has_ended = cJSON_HasObjectItem(header, "ended_ms");
    bitnet_status st = BITNET_OK;
    int64_t seq = 0;
    if (r->kinds & STORE_HELLO) st = visit_one(r, make_hello(header, &r->series), err);
    while (st >= 0 && !r->is_over) {
        st = next_seq(r, seq, &seq, err);
        if (st < 0 || seq > INT64_MAX - PAGE_SEQS) break;
        st = replay_page(r, seq, err);
        seq += PAGE_SEQS - 1;
    }
    if (st >= 0 && !r->is_over && has_ended && (r->kinds & STORE_BYE))
        st = visit_one(r, make_bye(header), err);
    return st;
}

bitnet_status store_replay(store *s, const char *id, int kinds,
                           bool (*visit)(void *user, const cJSON *message), void *user,
                           bitnet_error *err) {
    replay *r = calloc(1, sizeof *r);
    cJSON *header = NULL;
    if (!r) return store_no_memory(err);
    r->s = s;
    r->kinds = kinds;
    r->visit = visit;
    r->user = user;
    bitnet_status st = store_begin_read(s, err);
    if (st >= 0) {
        st = store_read_run(s, id, &header, &r->run, err);
        if (st >= 0) st = store_read_series(s, r->run.number, &r->series, err);
        if (st >= 0) st = rank_series(r, err);
        if (st >= 0) st = replay_run(r, header, err);
        st = store_end_read(s, st);
    }
    cJSON_Delete(header);
    store_free_series(&r->series);
    free(r->rank);
    free(r->sample);
    free(r);
    return st;
}
