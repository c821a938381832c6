/* answer.c: see answer.h. */
#include "dash/answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/utf8.h"
#include "dash/text.h"

typedef struct answering {
    FILE *out;
    store *s;
    const ask *a;
    bool (*is_unwanted)(void *user);
    void *user;
    bool has_memory;
    text_buf text; /* a piece of the answer, before it goes to `out` */
} answering;

static bool flush(answering *w) {
    if (w->text.has_failed) return w->has_memory = false;
    if (w->text.n) fwrite(w->text.p, 1, w->text.n, w->out);
    w->text.n = 0;
    return !ferror(w->out);
}

/* Also between pieces: nobody may want the rest. */
static bool goes_on(answering *w) {
    return flush(w) && !w->is_unwanted(w->user);
}

static void put_json(answering *w, const cJSON *item) {
    char *line = item ? cJSON_PrintUnformatted(item) : NULL;
    if (item && !line) w->has_memory = false;
    text_put(&w->text, "%s", line ? line : "null");
    cJSON_free(line);
}

/* Its members of these names, in this order, null where there is none; without braces. */
static void put_members(answering *w, const cJSON *o, const char *const *names, int n) {
    for (int i = 0; i < n; i++) {
        text_put(&w->text, "%s\"%s\":", i ? "," : "", names[i]);
        put_json(w, cJSON_GetObjectItemCaseSensitive(o, names[i]));
    }
}

/* --- runs --- */

static const char *const run_names[] = {"id",         "name",      "instance", "backend",  "tier",
                                        "threads",    "model",     "host",     "build",    "t_ms",
                                        "started_ms", "last_t_ms", "heard_ms", "ended_ms", "reason",
                                        "last_seq",   "expected"};
enum { N_RUN_NAMES = sizeof run_names / sizeof *run_names };

/* How far its clock was off is not kept. */
static bitnet_status put_run(answering *w, const cJSON *run, bitnet_error *err) {
    store_totals totals;
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run, "id"));
    bitnet_status st = store_run_totals(w->s, id ? id : "", &totals, err);
    if (st < 0) return st;
    text_put(&w->text, "{");
    put_members(w, run, run_names, N_RUN_NAMES);
    text_put(&w->text, ",\"samples\":%" PRId64 ",\"lost_samples\":%" PRId64 ",\"clock\":null}",
             totals.samples, totals.lost_samples);
    return BITNET_OK;
}

static bitnet_status write_runs(answering *w, bitnet_error *err) {
    cJSON *runs;
    const cJSON *run;
    bitnet_status st = store_runs(w->s, &w->a->filter, &runs, err);
    if (st < 0) return st;
    text_put(&w->text, "{\"runs\":[");
    cJSON_ArrayForEach(run, runs) {
        if (run != runs->child) text_put(&w->text, ",");
        st = put_run(w, run, err);
        if (st < 0 || !goes_on(w)) break;
    }
    cJSON_Delete(runs);
    text_put(&w->text, "]}\n");
    return st;
}

/* --- one run --- */

typedef struct newest { /* messages, the oldest of which make room */
    answering *w;
    cJSON *list;
    int64_t n; /* with those that are gone */
} newest;

static bool keep(void *user, const cJSON *message) {
    newest *k = user;
    cJSON *copy = cJSON_Duplicate(message, true);
    if (!copy) return k->w->has_memory = false;
    cJSON_AddItemToArray(k->list, copy);
    if (++k->n > ANSWER_LISTED_MAX) cJSON_DeleteItemFromArray(k->list, 0);
    return !k->w->is_unwanted(k->w->user);
}

static bitnet_status put_messages(answering *w, const char *id, const char *name, int kind,
                                  int64_t *n, bitnet_error *err) {
    newest k = {.w = w, .list = cJSON_CreateArray()};
    if (!k.list) return bitnet_fail(err, BITNET_E_NOMEM, "answer.memory", "no memory to answer");
    bitnet_status st = store_replay(w->s, id, kind, keep, &k, err);
    text_put(&w->text, ",\"%s\":", name);
    if (st >= 0) put_json(w, k.list);
    cJSON_Delete(k.list);
    *n = k.n;
    return st;
}

static bitnet_status put_summaries(answering *w, const char *id, bitnet_error *err) {
    static const char *const names[] = {"name", "unit", "kind", "help", "labels",
                                        "n",    "sum",  "min",  "max",  "last",
                                        "mean", "p50",  "p90",  "p95",  "p99"};
    cJSON *metrics;
    const cJSON *metric;
    bitnet_status st = store_summaries(w->s, id, &metrics, err);
    if (st < 0) return st;
    text_put(&w->text, ",\"metrics\":[");
    cJSON_ArrayForEach(metric, metrics) {
        text_put(&w->text, metric == metrics->child ? "{" : ",{");
        put_members(w, metric, names, sizeof names / sizeof *names);
        text_put(&w->text, "}");
    }
    text_put(&w->text, "]");
    cJSON_Delete(metrics);
    return st;
}

static bitnet_status write_run(answering *w, const char *id, bitnet_error *err) {
    cJSON *run;
    int64_t n_gaps = 0, n_operations = 0;
    bitnet_status st = store_run(w->s, id, &run, err);
    if (st < 0) return st;
    text_put(&w->text, "{\"run\":");
    st = put_run(w, run, err);
    cJSON_Delete(run);
    if (st >= 0) st = put_summaries(w, id, err);
    if (st >= 0 && goes_on(w)) st = put_messages(w, id, "gaps", STORE_GAP, &n_gaps, err);
    if (st >= 0 && goes_on(w)) st = put_messages(w, id, "operations", STORE_OP, &n_operations, err);
    text_put(&w->text, ",\"n_gaps\":%" PRId64 ",\"n_operations\":%" PRId64 "}\n", n_gaps,
             n_operations);
    return st;
}

/* --- the course of a metric --- */

typedef struct course {
    answering *w;
    double from_ms, slot_ms; /* points of one slot become one */
    int64_t slot;            /* of the point at hand; -1: there is none */
    store_point p;           /* the point at hand: t_ms is its end */
    buckets buckets;
    int64_t begin_ms;
    bool is_first;
    store_resolution used;
} course;

static void put_number(text_buf *t, const char *name, double v) {
    text_put(t, ",\"%s\":", name);
    text_number(t, v);
}

static void put_point(course *c) {
    static const struct {
        const char *name;
        double q;
    } percentiles[] = {{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}};
    text_buf *t = &c->w->text;
    const store_point *p = &c->p;
    text_put(t, "%s{\"t_ms\":%" PRId64 ",\"span_ms\":%" PRId64 ",\"n\":%" PRId64,
             c->is_first ? "" : ",", p->t_ms, p->t_ms - c->begin_ms, p->n);
    put_number(t, "sum", p->sum);
    put_number(t, "min", p->min);
    put_number(t, "max", p->max);
    put_number(t, "last", p->last);
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        text_put(t, ",\"%s\":", percentiles[i].name);
        if (c->buckets.n)
            text_number(t, buckets_quantile(&c->buckets, percentiles[i].q, p->min, p->max));
        else
            text_put(t, "null");
    }
    text_put(t, "}");
    c->is_first = false;
}

static void merge_point(course *c, const store_point *p, int64_t begin, int64_t end) {
    c->p.n += p->n;
    c->p.sum += p->sum;
    if (p->min < c->p.min) c->p.min = p->min;
    if (p->max > c->p.max) c->p.max = p->max;
    c->p.last = p->last;
    if (begin < c->begin_ms) c->begin_ms = begin;
    if (end > c->p.t_ms) c->p.t_ms = end;
    buckets_merge(&c->buckets, p->buckets);
}

/* Slots only go up: what a clock that was set back sends joins the point at hand. */
static bool add_point(void *user, const store_point *p) {
    course *c = user;
    int64_t end = c->used == STORE_RAW ? p->t_ms : p->t_ms + p->span_ms, begin = end - p->span_ms;
    double at = ((double)p->t_ms - c->from_ms) / c->slot_ms;
    int64_t last = c->w->a->points - 1;
    int64_t slot = at <= 0 ? 0 : at >= (double)last ? last : (int64_t)at;
    if (c->slot >= slot) {
        merge_point(c, p, begin, end);
        return true;
    }
    if (c->slot >= 0) put_point(c);
    c->slot = slot;
    c->p = *p;
    c->p.t_ms = end;
    c->begin_ms = begin;
    c->buckets = *p->buckets;
    return goes_on(c->w);
}

typedef struct announced {
    const char *metric;
    char unit[64], kind[16];
    bool is_there;
} announced;

static bool find_announced(void *user, const cJSON *hello) {
    announced *m = user;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(hello, "metrics")) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "name")),
                   *unit = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "unit")),
                   *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "kind"));
        if (!name || !unit || !kind || strcmp(name, m->metric) != 0) continue;
        m->is_there = true;
        bitnet_utf8_copy(m->unit, sizeof m->unit, unit);
        bitnet_utf8_copy(m->kind, sizeof m->kind, kind);
    }
    return true;
}

/* Of its unit and kind the run's hello told. */
static bitnet_status put_metric(answering *w, const char *id, bitnet_error *err) {
    const store_query *q = &w->a->series;
    announced m = {.metric = q->metric};
    bitnet_status st = store_replay(w->s, id, STORE_HELLO, find_announced, &m, err);
    if (st < 0) return st;
    if (!m.is_there) {
        bitnet_escaped e;
        size_t n = strlen(q->metric);
        return bitnet_fail(
            err, BITNET_E_NOENT, "answer.metric",
            "the run %s has no metric \"%s\"; /performance/history?run=%s lists them", id,
            bitnet_escape(&e, q->metric, n < 60 ? n : 60), id);
    }
    text_put(&w->text, "{\"run\":\"%s\",\"metric\":", id);
    text_string(&w->text, q->metric);
    text_put(&w->text, ",\"labels\":%s,\"unit\":", q->labels && *q->labels ? q->labels : "null");
    text_string(&w->text, m.unit);
    text_put(&w->text, ",\"kind\":");
    text_string(&w->text, m.kind);
    text_put(&w->text, ",\"points\":[");
    return BITNET_OK;
}

static bitnet_status write_series(answering *w, const char *id, bitnet_error *err) {
    static const char *const resolutions[] = {
        [STORE_RAW] = "raw", [STORE_MINUTE] = "minute", [STORE_HOUR] = "hour"};
    course c = {.w = w, .slot = -1, .is_first = true};
    store_query q = w->a->series;
    int64_t from = 0, to = 0;
    q.run = id;
    bitnet_status st = put_metric(w, id, err);
    if (st >= 0) st = store_extent(w->s, &q, &from, &to, err);
    c.from_ms = (double)from;
    c.slot_ms = to > from ? (double)(to - from) / w->a->points : 1;
    if (st >= 0) st = store_points(w->s, &q, &c.used, add_point, &c, err); /* `used` comes first */
    if (st < 0) return st;
    if (c.slot >= 0) put_point(&c);
    text_put(&w->text, "],\"resolution\":\"%s\"}\n", resolutions[c.used]);
    return st;
}

/* --- an export --- */

static bitnet_status write_export(answering *w, const char *id, bitnet_error *err) {
    const store_filter all = {.limit = INT32_MAX};
    export_writing e;
    cJSON *runs;
    const cJSON *run;
    bitnet_status st = BITNET_OK;
    export_begin(&e, w->out, w->a->format, ANSWER_EXPORT_MAX);
    e.is_unwanted = w->is_unwanted;
    e.user = w->user;
    if (id) {
        st = export_run(&e, w->s, id, err);
    } else if ((st = store_runs(w->s, &all, &runs, err)) >= 0) {
        cJSON_ArrayForEach(run, runs) {
            st = export_run(&e, w->s,
                            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run, "id")), err);
            if (st < 0 || w->is_unwanted(w->user)) break;
        }
        cJSON_Delete(runs);
    }
    export_end(&e);
    return st;
}

bitnet_status answer_write(FILE *out, store *s, const ask *a, bool (*is_unwanted)(void *user),
                           void *user, answer_name *name, bitnet_error *err) {
    answering w = {
        .out = out, .s = s, .a = a, .is_unwanted = is_unwanted, .user = user, .has_memory = true};
    char *id = name->run;
    bitnet_status st = BITNET_OK;
    *id = '\0';
    if (a->run) st = store_find_run(s, a->run, id, err);
    if (st >= 0)
        st = a->kind == ASK_RUNS     ? write_runs(&w, err)
             : a->kind == ASK_RUN    ? write_run(&w, id, err)
             : a->kind == ASK_SERIES ? write_series(&w, id, err)
                                     : write_export(&w, *id ? id : NULL, err);
    flush(&w);
    text_free(&w.text);
    if (st < 0) return st;
    if (is_unwanted(user))
        return bitnet_fail(err, BITNET_E_CANCELLED, "answer.dropped", "nobody wants the answer");
    if (!w.has_memory)
        return bitnet_fail(err, BITNET_E_NOMEM, "answer.memory", "no memory to answer");
    if (fflush(out) != 0 || ferror(out))
        return bitnet_fail(err, BITNET_E_IO, "answer.write", "no room to write the answer: %s",
                           strerror(errno));
    return BITNET_OK;
}
