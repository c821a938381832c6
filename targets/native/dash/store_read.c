/* store_read.c: summaries of a run, the course of one series, and events; see store.h.
 *
 * What has not been rolled up yet is rolled up on the way, so that a minute or an hour is complete
 * at any time. A call sees one state of the database. */
#define _GNU_SOURCE /* strdup */
#include "dash/store.h"
#include "dash/store_cell.h"
#include "dash/store_parts.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
    EVENTS_LIMIT = 1000,
    PAGE_ROWS = 1000,    /* of samples */
    PAGE_SEQS = 200,     /* windows of all series */
    AUTO_POINTS = 5000,  /* of raw samples, at most */
    AUTO_MINUTE_DAYS = 7 /* then hours */
};

bitnet_status store_begin_read(store *s, bitnet_error *err) {
    return store_exec(s, "BEGIN", err);
}

bitnet_status store_end_read(store *s, bitnet_status st) {
    store_exec(s, "ROLLBACK", NULL);
    return st < 0 ? st : BITNET_OK;
}

/* --- series --- */

static int by_metric_and_labels(const void *a, const void *b) {
    const series_row *x = a, *y = b;
    if (x->metric != y->metric) return x->metric < y->metric ? -1 : 1;
    return strcmp(x->labels, y->labels);
}

static bool add_metric_row(series_list *l, const db_driver *d, db_rows *rows) {
    struct metric_row *more = realloc(l->metric, (size_t)(l->n_metrics + 1) * sizeof *more);
    if (!more) return false;
    l->metric = more;
    struct metric_row *m = &l->metric[l->n_metrics++];
    *m = (struct metric_row){.id = d->get_int(rows, 0),
                             .name = strdup(d->get_text(rows, 1)),
                             .unit = strdup(d->get_text(rows, 2)),
                             .kind = strdup(d->get_text(rows, 3)),
                             .help = strdup(d->get_text(rows, 4))};
    return m->name && m->unit && m->kind && m->help;
}

static bool add_series_row(series_list *l, const db_driver *d, db_rows *rows) {
    if ((l->n & (l->n - 1)) == 0) { /* full at each power of two */
        series_row *more = realloc(l->at, (size_t)(l->n ? 2 * l->n : 1) * sizeof *more);
        if (!more) return false;
        l->at = more;
    }
    series_row *r = &l->at[l->n++];
    *r = (series_row){.id = d->get_int(rows, 0),
                      .metric = d->get_int(rows, 1),
                      .name = "",
                      .unit = "",
                      .kind = "",
                      .help = "",
                      .labels = strdup(d->get_text(rows, 2))};
    for (int i = 0; i < l->n_metrics; i++) {
        const struct metric_row *m = &l->metric[i];
        if (m->id != r->metric) continue;
        r->name = m->name, r->unit = m->unit, r->kind = m->kind, r->help = m->help;
    }
    return r->labels != NULL;
}

bitnet_status store_read_series(store *s, int64_t run, series_list *out, bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bool ok = true;
    *out = (series_list){0};
    bitnet_status st = STORE_SELECT(s, &rows, err, METRICS_OF, db_i(run));
    while (st >= 0 && ok && (st = d->next(rows, err)) == BITNET_OK)
        if (!(ok = add_metric_row(out, d, rows))) d->end(rows);
    if (st >= 0 && ok) st = STORE_SELECT(s, &rows, err, SERIES_OF, db_i(run));
    while (st >= 0 && ok && (st = d->next(rows, err)) == BITNET_OK)
        if (!(ok = add_series_row(out, d, rows))) d->end(rows);
    if (!ok) st = store_no_memory(err);
    if (st < 0) {
        store_free_series(out);
        return st;
    }
    if (out->n) qsort(out->at, (size_t)out->n, sizeof *out->at, by_metric_and_labels);
    return BITNET_OK;
}

void store_free_series(series_list *l) {
    for (int i = 0; i < l->n; i++)
        free(l->at[i].labels);
    for (int i = 0; i < l->n_metrics; i++) {
        free(l->metric[i].name);
        free(l->metric[i].unit);
        free(l->metric[i].kind);
        free(l->metric[i].help);
    }
    free(l->at);
    free(l->metric);
    *l = (series_list){0};
}

/* --- summaries --- */

static bitnet_status add_hours(store *s, int64_t run, int64_t series, store_cell *c,
                               bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bitnet_status st = BITNET_OK;
    int64_t after = INT64_MIN;
    for (int n = PAGE_ROWS; st >= 0 && n == PAGE_ROWS;) {
        n = 0;
        st = STORE_SELECT(s, &rows, err, HOURS_OF, db_i(run), db_i(series), db_i(after),
                          db_i(INT64_MAX), db_i(PAGE_ROWS));
        while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
            after = d->get_int(rows, 0) + 1;
            n++;
            st = store_cell_add(c, d, rows, 1, err);
            if (st < 0) d->end(rows);
        }
    }
    return st;
}

static bool add_number(cJSON *o, const char *name, double value) {
    return cJSON_AddNumberToObject(o, name, value) != NULL;
}

static cJSON *summary_object(const series_row *r, const store_cell *c) {
    buckets b;
    cJSON *o = cJSON_CreateObject(), *labels = *r->labels ? cJSON_Parse(r->labels) : NULL;
    bool ok = o && cJSON_AddStringToObject(o, "name", r->name) &&
              cJSON_AddStringToObject(o, "unit", r->unit) &&
              cJSON_AddStringToObject(o, "kind", r->kind) &&
              cJSON_AddStringToObject(o, "help", r->help);
    if (labels && !(ok && cJSON_AddItemToObject(o, "labels", labels))) cJSON_Delete(labels);
    ok = ok && add_number(o, "n", (double)c->n) && add_number(o, "sum", c->sum) &&
         add_number(o, "mean", c->sum / (double)c->n) && add_number(o, "min", c->min) &&
         add_number(o, "max", c->max) && add_number(o, "last", c->last);
    if (ok && buckets_decode(&b, c->blob, c->blob_size) && b.n)
        ok = add_number(o, "p50", buckets_quantile(&b, 0.5, c->min, c->max)) &&
             add_number(o, "p90", buckets_quantile(&b, 0.9, c->min, c->max)) &&
             add_number(o, "p95", buckets_quantile(&b, 0.95, c->min, c->max)) &&
             add_number(o, "p99", buckets_quantile(&b, 0.99, c->min, c->max));
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

static bitnet_status summarize(store *s, const run_place *run, const series_list *series,
                               store_cells *c, cJSON *out, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (int i = 0; i < series->n && st >= 0; i++) {
        int64_t id = series->at[i].id;
        st = store_cells_reach(c, id) ? add_hours(s, run->number, id, &c->at[id], err)
                                      : store_no_memory(err);
    }
    for (int64_t seq = run->rolled_seq + 1; seq <= run->last_seq && st >= 0; seq += PAGE_SEQS)
        st = store_cells_add_raw(c, s, run->number, seq, seq + PAGE_SEQS - 1, err);
    for (int i = 0; i < series->n && st >= 0; i++) {
        const store_cell *cell = &c->at[series->at[i].id];
        cJSON *o = cell->n ? summary_object(&series->at[i], cell) : NULL;
        if (cell->n && !(o && cJSON_AddItemToArray(out, o))) st = store_no_memory(err);
    }
    return st;
}

bitnet_status store_summaries(store *s, const char *id, cJSON **out, bitnet_error *err) {
    run_place run;
    series_list series = {0};
    store_cells c = {0};
    *out = cJSON_CreateArray();
    if (!*out) return store_no_memory(err);
    bitnet_status st = store_begin_read(s, err);
    if (st >= 0) st = store_read_run(s, id, NULL, &run, err);
    if (st >= 0) st = store_read_series(s, run.number, &series, err);
    if (st >= 0) st = summarize(s, &run, &series, &c, *out, err);
    st = store_end_read(s, st);
    store_cells_free(&c);
    store_free_series(&series);
    if (st < 0) {
        cJSON_Delete(*out);
        *out = NULL;
    }
    return st;
}

/* --- points --- */

typedef struct point_reader {
    store *s;
    const run_place *run;
    int64_t series, from_ms, to_ms;
    bool (*visit)(void *user, const store_point *p);
    void *user;
    bool is_over;
} point_reader;

static bitnet_status give(point_reader *r, int64_t t_ms, int64_t span_ms, const store_cell *c,
                          bitnet_error *err) {
    buckets b = {.n = 0};
    if (!buckets_decode(&b, c->blob, c->blob_size))
        return bitnet_fail(err, BITNET_E_FORMAT, "store.corrupt",
                           "a histogram of the history is not one");
    const store_point p = {t_ms, span_ms, c->n, c->sum, c->min, c->max, c->last, &b};
    r->is_over = !r->visit(r->user, &p);
    return BITNET_OK;
}

static int64_t floor_to(int64_t t, int64_t step) {
    return t - (t % step + step) % step;
}

typedef struct stretch { /* windows (after, last] that end at from_ms or later */
    int64_t after, last, from_ms;
} stretch;

/* Calls `each` with every raw sample of the series there. */
typedef bitnet_status sample_fn(point_reader *r, void *ctx, int64_t t_ms, int64_t span_ms,
                                const store_cell *c, bitnet_error *err);
static bitnet_status each_sample(point_reader *r, stretch w, sample_fn *each, void *ctx,
                                 bitnet_error *err) {
    const db_driver *d = r->s->driver;
    db_rows *rows;
    bitnet_status st = BITNET_OK;
    for (int n = PAGE_ROWS; st >= 0 && n == PAGE_ROWS && !r->is_over;) {
        n = 0;
        st = STORE_SELECT(r->s, &rows, err, SAMPLES_OF, db_i(r->run->number), db_i(w.after),
                          db_i(w.last), db_i(w.from_ms), db_i(r->to_ms), db_i(r->series),
                          db_i(PAGE_ROWS));
        while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
            store_cell c = {0};
            w.after = d->get_int(rows, 0);
            n++;
            st = store_cell_add(&c, d, rows, 3, err);
            if (st >= 0) st = each(r, ctx, d->get_int(rows, 1), d->get_int(rows, 2), &c, err);
            store_cell_clear(&c);
            if (st >= 0 && !r->is_over) continue;
            d->end(rows);
            break;
        }
    }
    return st;
}

static bitnet_status give_sample(point_reader *r, void *ctx, int64_t t_ms, int64_t span_ms,
                                 const store_cell *c, bitnet_error *err) {
    (void)ctx;
    return give(r, t_ms, span_ms, c, err);
}

/* The first and the last number of the windows in the range; 0 and 0 when there is none. */
static bitnet_status seq_bounds(const point_reader *r, int64_t *first, int64_t *last,
                                bitnet_error *err) {
    const db_driver *d = r->s->driver;
    db_rows *rows;
    bitnet_status st = STORE_SELECT(r->s, &rows, err, SEQ_BOUNDS, db_i(r->run->number),
                                    db_i(r->from_ms), db_i(r->to_ms));
    if (st >= 0) st = d->next(rows, err);
    if (st < 0) return st;
    *first = d->get_int(rows, 0);
    *last = d->get_int(rows, 1);
    d->end(rows);
    return BITNET_OK;
}

static bitnet_status give_raw(point_reader *r, bitnet_error *err) {
    int64_t first, last;
    bitnet_status st = seq_bounds(r, &first, &last, err);
    if (st < 0) return st;
    return each_sample(r, (stretch){first - 1, last, r->from_ms}, give_sample, NULL, err);
}

typedef struct tail { /* minutes or hours of what was not rolled up yet, by time */
    struct tail_cell {
        int64_t t_ms;
        store_cell cell;
    } * at;
    int n, cap;
    int64_t step_ms;
} tail;

static bitnet_status add_to_tail(point_reader *r, void *ctx, int64_t t_ms, int64_t span_ms,
                                 const store_cell *c, bitnet_error *err) {
    tail *l = ctx;
    int64_t t = floor_to(t_ms, l->step_ms);
    int i = l->n;
    (void)r, (void)span_ms;
    while (i > 0 && l->at[i - 1].t_ms > t)
        i--;
    if (i > 0 && l->at[i - 1].t_ms == t) return store_cell_merge(&l->at[i - 1].cell, c, err);
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 64;
        struct tail_cell *more = realloc(l->at, (size_t)cap * sizeof *more);
        if (!more) return store_no_memory(err);
        l->at = more;
        l->cap = cap;
    }
    memmove(&l->at[i + 1], &l->at[i], (size_t)(l->n - i) * sizeof *l->at);
    l->at[i] = (struct tail_cell){.t_ms = t};
    l->n++;
    return store_cell_merge(&l->at[i].cell, c, err);
}

/* The rows of the table in order, each with what the tail adds to it, and the tail's own between. */
static bitnet_status give_merged(point_reader *r, db_sql sql, tail *l, bitnet_error *err) {
    const db_driver *d = r->s->driver;
    db_rows *rows;
    bitnet_status st = BITNET_OK;
    int64_t from = floor_to(r->from_ms, l->step_ms);
    int k = 0;
    for (int n = PAGE_ROWS; st >= 0 && n == PAGE_ROWS && !r->is_over;) {
        const db_value v[] = {db_i(r->run->number), db_i(r->series), db_i(from), db_i(r->to_ms),
                              db_i(PAGE_ROWS)};
        n = 0;
        st = d->select(r->s->db, &rows, sql, v, 5, err);
        while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
            store_cell c = {0};
            int64_t t = d->get_int(rows, 0);
            from = t + 1;
            n++;
            for (; k < l->n && l->at[k].t_ms < t && st >= 0 && !r->is_over; k++)
                st = give(r, l->at[k].t_ms, l->step_ms, &l->at[k].cell, err);
            if (st >= 0) st = store_cell_add(&c, d, rows, 1, err);
            if (st >= 0 && k < l->n && l->at[k].t_ms == t)
                st = store_cell_merge(&c, &l->at[k++].cell, err);
            if (st >= 0 && !r->is_over) st = give(r, t, l->step_ms, &c, err);
            store_cell_clear(&c);
            if (st >= 0 && !r->is_over) continue;
            d->end(rows);
            break;
        }
    }
    for (; k < l->n && st >= 0 && !r->is_over; k++)
        st = give(r, l->at[k].t_ms, l->step_ms, &l->at[k].cell, err);
    return st;
}

static bitnet_status give_rolled(point_reader *r, db_sql sql, int64_t step_ms, bitnet_error *err) {
    tail l = {.step_ms = step_ms};
    const stretch rest = {r->run->rolled_seq, r->run->last_seq, floor_to(r->from_ms, step_ms)};
    bitnet_status st = each_sample(r, rest, add_to_tail, &l, err);
    if (st >= 0) st = give_merged(r, sql, &l, err);
    for (int i = 0; i < l.n; i++)
        store_cell_clear(&l.at[i].cell);
    free(l.at);
    return st;
}

static bitnet_status choose(const point_reader *r, store_resolution *out, bitnet_error *err) {
    const run_place *run = r->run;
    int64_t from = r->from_ms > run->t_ms ? r->from_ms : run->t_ms;
    int64_t to = r->to_ms < run->last_t_ms ? r->to_ms : run->last_t_ms + 1;
    int64_t first = 0, last = AUTO_POINTS;
    if (*out != STORE_AUTO) return BITNET_OK;
    *out = STORE_HOUR;
    if (to - from <= DAY_MS && r->from_ms >= run->raw_gone_ms) {
        bitnet_status st = seq_bounds(r, &first, &last, err);
        if (st < 0) return st;
        if (last - first < AUTO_POINTS) *out = STORE_RAW;
    }
    if (*out == STORE_HOUR && to - from <= (int64_t)AUTO_MINUTE_DAYS * DAY_MS &&
        r->from_ms >= run->minute_gone_ms)
        *out = STORE_MINUTE;
    return BITNET_OK;
}

static const series_row *find_series(const series_list *l, const char *metric, const char *labels) {
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->at[i].name, metric) && !strcmp(l->at[i].labels, labels)) return &l->at[i];
    return NULL;
}

static bitnet_status read_points(point_reader *r, const store_query *q, store_resolution *used,
                                 bitnet_error *err) {
    series_list series;
    bitnet_status st = store_read_series(r->s, r->run->number, &series, err);
    if (st < 0) return st;
    const series_row *row = find_series(&series, q->metric, q->labels ? q->labels : "");
    r->series = row ? row->id : 0;
    store_free_series(&series);
    *used = q->resolution;
    st = choose(r, used, err);
    if (st < 0 || !r->series) return st; /* no such series: no points */
    if (*used == STORE_RAW) return give_raw(r, err);
    if (*used == STORE_MINUTE) return give_rolled(r, SQL_MINUTES_OF, MINUTE_MS, err);
    return give_rolled(r, SQL_HOURS_OF, HOUR_MS, err);
}

bitnet_status store_points(store *s, const store_query *q, store_resolution *used,
                           bool (*visit)(void *user, const store_point *p), void *user,
                           bitnet_error *err) {
    run_place run;
    store_resolution resolution;
    bitnet_status st = store_begin_read(s, err);
    if (st < 0) return st;
    st = store_read_run(s, q->run, NULL, &run, err);
    point_reader r = {.s = s,
                      .run = &run,
                      .from_ms = q->from_ms,
                      .to_ms = q->to_ms,
                      .visit = visit,
                      .user = user};
    if (st >= 0) st = read_points(&r, q, used ? used : &resolution, err);
    return store_end_read(s, st);
}

/* Its first and last message are not always its earliest and latest, and windows are not kept as long as
 * minutes and hours. */
bitnet_status store_extent(store *s, const store_query *q, int64_t *from_ms, int64_t *to_ms,
                           bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    run_place run;
    bitnet_status st = store_read_run(s, q->run, NULL, &run, err);
    if (st >= 0)
        st = STORE_SELECT(s, &rows, err, TIME_BOUNDS, db_i(run.number), db_i(q->from_ms),
                          db_i(q->to_ms));
    if (st >= 0) st = d->next(rows, err);
    if (st < 0) return st;
    int64_t first = run.t_ms, last = run.last_t_ms > run.t_ms ? run.last_t_ms : run.t_ms;
    if (!d->is_null(rows, 0)) {
        if (d->get_int(rows, 0) < first) first = d->get_int(rows, 0);
        if (d->get_int(rows, 1) > last) last = d->get_int(rows, 1);
    }
    d->end(rows);
    *from_ms = q->from_ms > first ? q->from_ms : first;
    *to_ms = q->to_ms <= last ? q->to_ms : last + 1;
    return BITNET_OK;
}

/* --- events --- */

static cJSON *event_object(const db_driver *d, db_rows *rows) {
    cJSON *o = cJSON_CreateObject(), *data = cJSON_Parse(d->get_text(rows, 3));
    bool ok = o && add_number(o, "t_ms", (double)d->get_int(rows, 0)) &&
              cJSON_AddStringToObject(o, "kind", d->get_text(rows, 1));
    if (ok && !d->is_null(rows, 2))
        ok = cJSON_AddStringToObject(o, "run", d->get_text(rows, 2)) != NULL;
    if (data && !(ok && cJSON_AddItemToObject(o, "data", data))) {
        cJSON_Delete(data);
        ok = false;
    }
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

bitnet_status store_events(store *s, const char *id, int64_t since_ms, int32_t limit, cJSON **out,
                           bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    *out = cJSON_CreateArray();
    if (!*out) return store_no_memory(err);
    bitnet_status st = STORE_SELECT(s, &rows, err, EVENTS, db_i(since_ms), db_t(id ? id : ""),
                                    db_i(limit > 0 ? limit : EVENTS_LIMIT));
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        cJSON *o = event_object(d, rows);
        if (o && cJSON_AddItemToArray(*out, o)) continue;
        d->end(rows);
        st = store_no_memory(err);
    }
    if (st >= 0) return BITNET_OK;
    cJSON_Delete(*out);
    *out = NULL;
    return st;
}
