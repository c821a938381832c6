/* store_put.c: messages into rows; see store.h.
 *
 * What is needed of a run to write its next message - its numbers, its metrics and its series - is
 * kept in memory, so that a window costs its inserts and no look-up. It is dropped whenever a
 * transaction is not committed. */
#define _GNU_SOURCE /* getrandom */
#include "dash/store.h"
#include "dash/store_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cjson/cJSON.h>

#include "base/base.h"

enum {
    METRICS_MAX = 64,
    LABELS_MAX = 16,
};

typedef struct metric_entry {
    char *name;
    int64_t id;
    int64_t series;   /* the one without labels; 0 = none yet */
    int64_t seen_seq; /* the last window with a sample of it */
} metric_entry;

typedef struct series_entry {
    struct series_entry *next; /* of the same slot */
    int64_t id, metric, seen_seq;
    uint64_t hash;
    char labels[];
} series_entry;

struct run_entry {
    run_entry *next;
    char instance[STORE_INSTANCE_MAX];
    int64_t number, last_seq, heard_ms, last_t_ms;
    bool is_heard; /* since the last commit */
    metric_entry metric[METRICS_MAX];
    int64_t window_seq;         /* of the window at work */
    int n_metrics, next_metric; /* where the next name is looked for first */
    series_entry **slot;
    uint64_t n_slots;
    int64_t n_series;
};

/* --- the runs in memory --- */

static void entry_free(run_entry *e) {
    for (int i = 0; i < e->n_metrics; i++)
        free(e->metric[i].name);
    for (uint64_t i = 0; i < e->n_slots; i++)
        for (series_entry *at = e->slot[i], *next; at; at = next) {
            next = at->next;
            free(at);
        }
    free(e->slot);
    free(e);
}

void store_forget_runs(store *s) {
    for (run_entry *e = s->runs, *next; e; e = next) {
        next = e->next;
        entry_free(e);
    }
    s->runs = NULL;
    s->n_runs = 0;
}

/* The one used longest ago goes, unless it has something for the commit. */
static void make_room(store *s) {
    run_entry **last = NULL;
    if (s->n_runs < STORE_RUNS_CACHED) return;
    for (run_entry **at = &s->runs; *at; at = &(*at)->next)
        if (!(*at)->is_heard) last = at;
    if (!last) return;
    run_entry *e = *last;
    *last = e->next;
    entry_free(e);
    s->n_runs--;
}

static run_entry *entry_add(store *s, const char *instance, bitnet_error *err) {
    run_entry *e = calloc(1, sizeof *e);
    if (!e) {
        store_no_memory(err);
        return NULL;
    }
    make_room(s);
    snprintf(e->instance, sizeof e->instance, "%s", instance);
    e->next = s->runs;
    s->runs = e;
    s->n_runs++;
    return e;
}

static uint64_t hash_of(int64_t metric, const char *labels) { /* FNV-1a */
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)metric;
    for (; *labels; labels++)
        h = (h ^ (unsigned char)*labels) * 0x100000001b3u;
    return h;
}

static bool grow_slots(run_entry *e) {
    uint64_t n = e->n_slots ? 2 * e->n_slots : 64;
    series_entry **slot = calloc(n, sizeof(series_entry *));
    if (!slot) return false;
    for (uint64_t i = 0; i < e->n_slots; i++)
        for (series_entry *at = e->slot[i], *next; at; at = next) {
            next = at->next;
            at->next = slot[at->hash % n];
            slot[at->hash % n] = at;
        }
    free(e->slot);
    e->slot = slot;
    e->n_slots = n;
    return true;
}

static bool remember_series(run_entry *e, int64_t id, int64_t metric, const char *labels) {
    if (e->n_series < id) e->n_series = id;
    if (!*labels) {
        for (int i = 0; i < e->n_metrics; i++)
            if (e->metric[i].id == metric) e->metric[i].series = id;
        return true;
    }
    if ((uint64_t)e->n_series >= e->n_slots && !grow_slots(e)) return false;
    size_t n = strlen(labels);
    series_entry *at = malloc(sizeof *at + n + 1);
    if (!at) return false;
    at->id = id;
    at->metric = metric;
    at->seen_seq = 0;
    at->hash = hash_of(metric, labels);
    memcpy(at->labels, labels, n + 1);
    at->next = e->slot[at->hash % e->n_slots];
    e->slot[at->hash % e->n_slots] = at;
    return true;
}

static bool remember_metric(run_entry *e, int64_t id, const char *name) {
    if (e->n_metrics == METRICS_MAX) return false;
    metric_entry *m = &e->metric[e->n_metrics];
    *m = (metric_entry){.name = strdup(name), .id = id};
    if (m->name) e->n_metrics++;
    return m->name != NULL;
}

static bitnet_status load_names(store *s, run_entry *e, bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bool ok = true;
    bitnet_status st = STORE_SELECT(s, &rows, err, METRICS_OF, db_i(e->number));
    if (st < 0) return st;
    while (ok && (st = d->next(rows, err)) == BITNET_OK)
        ok = remember_metric(e, d->get_int(rows, 0), d->get_text(rows, 1));
    if (!ok) d->end(rows);
    if (ok && st >= 0) st = STORE_SELECT(s, &rows, err, SERIES_OF, db_i(e->number));
    if (!ok || st < 0) return ok ? st : store_no_memory(err);
    while (ok && (st = d->next(rows, err)) == BITNET_OK)
        ok = remember_series(e, d->get_int(rows, 0), d->get_int(rows, 1), d->get_text(rows, 2));
    if (!ok) d->end(rows);
    return ok ? st : store_no_memory(err);
}

/* *out is NULL when there is no such run. */
static bitnet_status find_entry(store *s, const char *instance, run_entry **out,
                                bitnet_error *err) {
    *out = NULL;
    for (run_entry **at = &s->runs; *at; at = &(*at)->next) {
        if (strcmp((*at)->instance, instance) != 0) continue;
        run_entry *e = *at; /* to the front */
        *at = e->next;
        e->next = s->runs;
        s->runs = *out = e;
        return BITNET_OK;
    }
    const db_driver *d = s->driver;
    db_rows *rows;
    bitnet_status st = STORE_SELECT(s, &rows, err, FIND_INSTANCE, db_t(instance));
    if (st < 0 || (st = d->next(rows, err)) != BITNET_OK) return st < 0 ? st : BITNET_OK;
    run_entry *e = entry_add(s, instance, err);
    if (e) {
        e->number = d->get_int(rows, 0);
        e->last_seq = d->get_int(rows, 1);
        e->heard_ms = d->get_int(rows, 2);
        e->last_t_ms = d->get_int(rows, 3);
    }
    d->end(rows);
    if (!e) return BITNET_E_NOMEM;
    st = load_names(s, e, err);
    *out = e;
    return st < 0 ? st : BITNET_OK;
}

bitnet_status store_last_seq(store *s, const char *instance, int64_t *seq, bitnet_error *err) {
    db_rows *rows;
    *seq = 0;
    bitnet_status st = STORE_SELECT(s, &rows, err, FIND_INSTANCE, db_t(instance));
    if (st >= 0) st = s->driver->next(rows, err);
    if (st != BITNET_OK) return st < 0 ? st : BITNET_OK;
    *seq = s->driver->get_int(rows, 1);
    s->driver->end(rows);
    return BITNET_OK;
}

bitnet_status store_put_heard(store *s, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (run_entry *e = s->runs; e && st >= 0; e = e->next) {
        if (!e->is_heard) continue;
        db_value last_t = db_i(e->last_t_ms);
        if (!e->last_t_ms) last_t = db_null(last_t);
        st = STORE_PUSH(s, err, HEARD, db_i(e->last_seq), db_i(e->heard_ms), last_t,
                        db_i(e->number));
        e->is_heard = false;
    }
    return st;
}

/* --- fields --- */

static const cJSON *get(const cJSON *o, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static const char *text_of(const cJSON *o, const char *name) {
    return cJSON_GetStringValue(get(o, name));
}

static const char *text_or_empty(const cJSON *o, const char *name) {
    const char *text = text_of(o, name);
    return text ? text : "";
}

/* Whole numbers beyond 2^53 do not come through JSON, so none is lost. */
static int64_t int_of(const cJSON *o, const char *name) {
    const cJSON *item = get(o, name);
    if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= 9007199254740992.0)) return 0;
    return (int64_t)item->valuedouble;
}

static db_value int_or_null(const cJSON *o, const char *name) {
    db_value v = db_i(int_of(o, name));
    return cJSON_IsNumber(get(o, name)) ? v : db_null(v);
}

/* 1e999 is a number to a JSON parser. */
static bool is_finite(const cJSON *item) {
    return cJSON_IsNumber(item) && isfinite(item->valuedouble);
}

static db_value real_or_null(const cJSON *o, const char *name) {
    const cJSON *item = get(o, name);
    return is_finite(item) ? db_r(item->valuedouble) : db_null(db_r(0));
}

static bitnet_status bad_message(bitnet_error *err, const char *what) {
    return bitnet_fail(err, BITNET_E_INVAL, "store.message", "the message cannot be kept: %s",
                       what);
}

int64_t store_message_seq(const cJSON *m) {
    return strcmp(text_or_empty(m, "type"), "gap") == 0 ? int_of(m, "to") : int_of(m, "seq");
}

/* --- hello --- */

/* 48 bits of time and 80 of chance in Crockford's base 32 (github.com/ulid/spec). */
static bitnet_status make_ulid(char out[STORE_RUN_MAX], int64_t wall_ms, bitnet_error *err) {
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t chance[16];
    if (getrandom(chance, sizeof chance, 0) != sizeof chance)
        return bitnet_fail(err, BITNET_E_IO, "store.random", "the system gives no random numbers");
    uint64_t t = (uint64_t)wall_ms;
    for (int i = 9; i >= 0; i--, t >>= 5)
        out[i] = digits[t & 31];
    for (int i = 0; i < 16; i++)
        out[10 + i] = digits[chance[i] & 31];
    out[26] = '\0';
    return BITNET_OK;
}

static bitnet_status next_number(store *s, int64_t *out, bitnet_error *err) {
    db_rows *rows;
    bitnet_status st = s->driver->select(s->db, &rows, SQL_NEXT_NUMBER, NULL, 0, err);
    if (st >= 0) st = s->driver->next(rows, err);
    if (st < 0) return st;
    *out = s->driver->get_int(rows, 0);
    s->driver->end(rows);
    return BITNET_OK;
}

static bitnet_status add_run(store *s, run_entry *e, const cJSON *m, int64_t wall_ms,
                             const char *expected, bitnet_error *err) {
    char id[STORE_RUN_MAX];
    bitnet_status st = make_ulid(id, wall_ms, err);
    if (st >= 0) st = next_number(s, &e->number, err);
    if (st < 0) return st;
    int64_t t_ms = int_of(m, "t_ms");
    return STORE_PUSH(
        s, err, ADD_RUN, db_i(e->number), db_t(id), db_t(e->instance),
        db_t(text_or_empty(m, "name")), db_t(text_or_empty(m, "backend")),
        db_t(text_or_empty(m, "tier")), db_i(int_of(m, "threads")), db_t(text_or_empty(m, "model")),
        db_t(text_of(m, "host")), db_t(text_of(m, "build")), int_or_null(m, "epoch"), db_i(t_ms),
        int_or_null(m, "started_ms"), db_t(expected), db_i(wall_ms - t_ms), db_i(wall_ms));
}

static bitnet_status put_metrics(store *s, run_entry *e, const cJSON *m, bitnet_error *err) {
    const cJSON *row;
    bitnet_status st = BITNET_OK;
    cJSON_ArrayForEach(row, get(m, "metrics")) {
        const char *name = text_of(row, "name");
        int i = 0;
        if (!name) return bad_message(err, "a metric has no name");
        while (i < e->n_metrics && strcmp(e->metric[i].name, name) != 0)
            i++;
        if (i == METRICS_MAX) return bad_message(err, "a run has at most 64 metrics");
        if (i == e->n_metrics && !remember_metric(e, i + 1, name)) return store_no_memory(err);
        st = STORE_PUSH(s, err, SET_METRIC, db_i(e->number), db_i(e->metric[i].id), db_t(name),
                        db_t(text_or_empty(row, "unit")), db_t(text_or_empty(row, "kind")),
                        db_t(text_or_empty(row, "help")));
        if (st < 0) return st;
    }
    return st;
}

static bitnet_status put_hello(store *s, run_entry *e, const char *instance, const cJSON *m,
                               int64_t wall_ms, bitnet_error *err) {
    bitnet_status st;
    const cJSON *object = get(m, "expected");
    char *expected = object ? cJSON_PrintUnformatted(object) : NULL;
    if (object && !expected) return store_no_memory(err);
    if (e) {
        st = STORE_PUSH(s, err, HELLO_AGAIN, db_t(text_or_empty(m, "name")),
                        db_t(text_or_empty(m, "backend")), db_t(text_or_empty(m, "tier")),
                        db_i(int_of(m, "threads")), db_t(text_or_empty(m, "model")),
                        db_t(text_of(m, "host")), db_t(text_of(m, "build")),
                        int_or_null(m, "epoch"), db_t(expected), db_i(e->number));
    } else {
        e = entry_add(s, instance, err);
        st = e ? add_run(s, e, m, wall_ms, expected, err) : BITNET_E_NOMEM;
    }
    cJSON_free(expected);
    if (st >= 0) st = put_metrics(s, e, m, err);
    if (st < 0) return st;
    e->heard_ms = wall_ms;
    e->is_heard = true;
    return BITNET_OK;
}

/* --- window --- */

static metric_entry *find_metric(run_entry *e, const char *name) {
    for (int i = 0; i < e->n_metrics; i++) { /* values come in the order of the hello */
        metric_entry *m = &e->metric[e->next_metric];
        e->next_metric = (e->next_metric + 1) % e->n_metrics;
        if (strcmp(m->name, name) == 0) return m;
    }
    return NULL;
}

static int by_key(const void *a, const void *b) {
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

bool store_labels_text(const cJSON *labels, char out[STORE_LABELS_MAX]) {
    const cJSON *at[LABELS_MAX], *item;
    int n = 0;
    size_t k = 0;
    cJSON_ArrayForEach(item, labels) {
        if (n == LABELS_MAX || !item->string || !cJSON_IsString(item)) return false;
        at[n++] = item;
    }
    if (!cJSON_IsObject(labels)) return false;
    qsort(at, (size_t)n, sizeof *at, by_key);
    for (int i = 1; i < n; i++)
        if (strcmp(at[i - 1]->string, at[i]->string) == 0) return false;
    for (int i = 0; i < n; i++) {
        const char *key = at[i]->string, *value = at[i]->valuestring;
        if (strlen(key) > 64 || strlen(value) > 256 || strpbrk(key, "\"\\")) return false;
        k += (size_t)sprintf(out + k, "%c\"%s\":\"", i ? ',' : '{', key);
        for (; *value; value++) {
            if ((unsigned char)*value < 0x20) return false;
            if (*value == '"' || *value == '\\') out[k++] = '\\';
            out[k++] = *value;
        }
        out[k++] = '"';
    }
    if (n) out[k++] = '}';
    out[k] = '\0';
    return true;
}

static series_entry *find_labelled(const run_entry *e, int64_t metric, const char *labels) {
    if (!e->n_slots) return NULL;
    series_entry *at = e->slot[hash_of(metric, labels) % e->n_slots];
    while (at && (at->metric != metric || strcmp(at->labels, labels) != 0))
        at = at->next;
    return at;
}

/* The series of a sample; labels: canonical, "" without. Made when it is new. */
static bitnet_status find_series(store *s, run_entry *e, metric_entry *m, const char *labels,
                                 int64_t *id, bitnet_error *err) {
    series_entry *at = *labels ? find_labelled(e, m->id, labels) : NULL;
    bitnet_status st = BITNET_OK;
    *id = at ? at->id : *labels ? 0 : m->series;
    if (!*id) {
        *id = e->n_series + 1;
        if (!remember_series(e, *id, m->id, labels)) return store_no_memory(err);
        st = STORE_PUSH(s, err, ADD_SERIES, db_i(e->number), db_i(*id), db_i(m->id), db_t(labels));
        if (*labels) at = find_labelled(e, m->id, labels);
    }
    int64_t *seen = at ? &at->seen_seq : &m->seen_seq;
    if (*seen == e->window_seq) return bad_message(err, "a window has two samples of one series");
    *seen = e->window_seq;
    return st;
}

/* [index, count, ...] -> BLOB; false when it is not a histogram of the protocol. */
static bool read_buckets(const cJSON *b, uint8_t *blob, size_t *size) {
    buckets h = {.n = 0};
    int32_t before = -1;
    *size = 0;
    if (!b) return true;
    if (!cJSON_IsArray(b)) return false;
    for (const cJSON *item = b->child; item; item = item->next->next) {
        double index = item->valuedouble;
        if (!item->next || !cJSON_IsNumber(item) || !cJSON_IsNumber(item->next)) return false;
        double count = item->next->valuedouble;
        if (!(index > before && index < (double)BUCKETS_N && index == floor(index))) return false;
        if (!(count >= 1 && count <= 9007199254740992.0 && count == floor(count))) return false;
        before = h.b[h.n].index = (int32_t)index;
        h.b[h.n++].count = (uint64_t)count;
    }
    *size = buckets_encode(&h, blob);
    return true;
}

static bitnet_status put_sample(store *s, const run_entry *e, int64_t series, const cJSON *v,
                                bitnet_error *err) {
    uint8_t blob[BUCKETS_BLOB_MAX];
    size_t size;
    const cJSON *sum = get(v, "sum"), *min = get(v, "min"), *max = get(v, "max"),
                *last = get(v, "last");
    if (!is_finite(sum) || !is_finite(min) || !is_finite(max) || !is_finite(last) ||
        int_of(v, "n") < 1)
        return bad_message(err, "a sample lacks a number");
    if (!read_buckets(get(v, "b"), blob, &size))
        return bad_message(err, "a sample has wrong buckets");
    return STORE_PUSH(s, err, ADD_RAW, db_i(e->number), db_i(e->window_seq), db_i(series),
                      db_i(int_of(v, "n")), db_r(sum->valuedouble), db_r(min->valuedouble),
                      db_r(max->valuedouble), db_r(last->valuedouble), db_b(blob, size));
}

/* Of "m" the name is the key, of "s" it is a field. */
static bitnet_status put_value(store *s, run_entry *e, const cJSON *v, bool is_plain,
                               bitnet_error *err) {
    char labels[STORE_LABELS_MAX] = "";
    const char *name = is_plain ? v->string : text_of(v, "name");
    metric_entry *m = name ? find_metric(e, name) : NULL;
    int64_t series;
    if (!m) return bad_message(err, "a sample is of no metric that its run announced");
    if (!is_plain && get(v, "labels") && !store_labels_text(get(v, "labels"), labels))
        return bad_message(err, "a sample has wrong labels");
    bitnet_status st = find_series(s, e, m, labels, &series, err);
    return st < 0 ? st : put_sample(s, e, series, v, err);
}

static bitnet_status put_window(store *s, run_entry *e, int64_t seq, const cJSON *m,
                                bitnet_error *err) {
    const cJSON *v;
    bitnet_status st =
        STORE_PUSH(s, err, ADD_WINDOW, db_i(e->number), db_i(seq), db_i(int_of(m, "t_ms")),
                   db_i(int_of(m, "span_ms")), db_i(int_of(m, "dropped")));
    e->next_metric = 0;
    e->window_seq = seq;
    if (st >= 0) cJSON_ArrayForEach(v, get(m, "m")) {
            st = put_value(s, e, v, true, err);
            if (st < 0) return st;
        }
    if (st >= 0) cJSON_ArrayForEach(v, get(m, "s")) {
            st = put_value(s, e, v, false, err);
            if (st < 0) return st;
        }
    return st;
}

/* --- the others --- */

static bitnet_status put_op(store *s, run_entry *e, int64_t seq, const cJSON *m,
                            bitnet_error *err) {
    const cJSON *object = get(m, "meta");
    if (!is_finite(get(m, "duration_s"))) return bad_message(err, "an op lacks its duration");
    char *meta = object ? cJSON_PrintUnformatted(object) : NULL;
    if (object && !meta) return store_no_memory(err);
    bitnet_status st =
        STORE_PUSH(s, err, ADD_OP, db_i(e->number), db_i(seq), db_i(int_of(m, "t_ms")),
                   db_i(int_of(m, "id")), db_i(int_of(m, "parent")), db_t(text_or_empty(m, "op")),
                   db_t(text_of(m, "strategy")), db_r(cJSON_GetNumberValue(get(m, "duration_s"))),
                   db_i(cJSON_IsTrue(get(m, "ok"))), db_t(text_of(m, "error")),
                   real_or_null(m, "units"), db_t(text_of(m, "unit")), real_or_null(m, "quality"),
                   real_or_null(m, "peak_memory"), real_or_null(m, "peak_gpu_memory"),
                   real_or_null(m, "cpu"), real_or_null(m, "gpu"), db_t(meta));
    cJSON_free(meta);
    return st;
}

static bitnet_status put_gap(store *s, run_entry *e, int64_t seq, const cJSON *m, int64_t wall_ms,
                             bitnet_error *err) {
    return STORE_PUSH(s, err, ADD_GAP, db_i(e->number), db_i(seq), db_i(int_of(m, "to")),
                      db_i(int_of(m, "n")), db_t(text_or_empty(m, "reason")), db_i(wall_ms));
}

static bitnet_status put_sequenced(store *s, run_entry *e, const char *type, const cJSON *m,
                                   int64_t wall_ms, bitnet_error *err) {
    bitnet_status st;
    bool is_gap = strcmp(type, "gap") == 0;
    int64_t seq = int_of(m, "seq"), end = store_message_seq(m);
    if (seq < 1 || end < seq) return bad_message(err, "it has no sequence number");
    if (end <= e->last_seq) return BITNET_DONE;
    if (seq <= e->last_seq) return bad_message(err, "a gap holds what was stored before");
    if (is_gap)
        st = put_gap(s, e, seq, m, wall_ms, err);
    else if (strcmp(type, "window") == 0)
        st = put_window(s, e, seq, m, err);
    else
        st = put_op(s, e, seq, m, err);
    if (st < 0) return st;
    e->last_seq = end;
    e->heard_ms = wall_ms;
    if (!is_gap) e->last_t_ms = int_of(m, "t_ms");
    e->is_heard = true;
    return BITNET_OK;
}

static bitnet_status put_alert(store *s, const run_entry *e, const cJSON *m, int64_t wall_ms,
                               bitnet_error *err) {
    char *data = cJSON_PrintUnformatted(m);
    if (!data) return store_no_memory(err);
    db_value run = db_i(e ? e->number : 0);
    bitnet_status st = STORE_PUSH(s, err, ADD_EVENT, e ? run : db_null(run), db_i(wall_ms),
                                  db_t("alert"), db_t(data));
    cJSON_free(data);
    return st;
}

static bool is_one_of(const char *word, const char *const *list) {
    for (; *list; list++)
        if (strcmp(word, *list) == 0) return true;
    return false;
}

bitnet_status store_put(store *s, const char *instance, const cJSON *m, int64_t wall_ms,
                        bitnet_error *err) {
    static const char *const sequenced[] = {"window", "op", "gap", NULL};
    const char *type = text_or_empty(m, "type");
    run_entry *e;
    if (strlen(instance) >= STORE_INSTANCE_MAX) return bad_message(err, "its instance is too long");
    bitnet_status st = find_entry(s, instance, &e, err);
    if (st < 0) return st;
    if (strcmp(type, "hello") == 0) return put_hello(s, e, instance, m, wall_ms, err);
    if (strcmp(type, "alert") == 0) return put_alert(s, e, m, wall_ms, err);
    if (!e) return bad_message(err, "its run has said no hello");
    if (is_one_of(type, sequenced)) return put_sequenced(s, e, type, m, wall_ms, err);
    if (strcmp(type, "bye") != 0) return bad_message(err, "it is of no known type");
    return STORE_PUSH(s, err, BYE, db_i(wall_ms), db_t(text_or_empty(m, "reason")),
                      db_i(e->number));
}
