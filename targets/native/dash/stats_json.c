/* stats_json.c: rows as JSON; see stats.h. What was not measured is null or absent, never 0. */
#include "dash/stats.h"

#include <inttypes.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

static void put_number(text_buf *t, const char *name, double v) {
    text_put(t, ",\"%s\":", name);
    text_number(t, v);
}

static void put_string(text_buf *t, const char *name, const char *s) {
    text_put(t, ",\"%s\":", name);
    text_string(t, s);
}

/* Of counters what was added; of gauges also extremes; of histograms also percentiles. */
static void put_values(text_buf *t, const char *unit, bitnet_metric_kind kind, const values *v) {
    static const char *const kinds[] = {[BITNET_KIND_HIST] = "hist",
                                        [BITNET_KIND_GAUGE] = "gauge",
                                        [BITNET_KIND_COUNTER] = "counter"};
    text_put(t, "\"unit\":");
    text_string(t, unit);
    text_put(t, ",\"kind\":\"%s\",\"n\":%" PRIu64, kinds[kind], v->n);
    put_number(t, "sum", v->sum);
    if (kind == BITNET_KIND_COUNTER) return;
    put_number(t, "min", v->min);
    put_number(t, "max", v->max);
    put_number(t, "last", v->last);
    put_number(t, "mean", values_mean(v));
    if (kind == BITNET_KIND_GAUGE) return;
    put_number(t, "p50", values_quantile(v, 0.5));
    put_number(t, "p90", values_quantile(v, 0.9));
    put_number(t, "p95", values_quantile(v, 0.95));
    put_number(t, "p99", values_quantile(v, 0.99));
}

static bool put_metric(text_buf *t, const stats_metric *m, const values *v, bool is_first) {
    if (v->n == 0) return is_first;
    text_put(t, "%s\"%s\":{", is_first ? "" : ",", m->name);
    put_values(t, m->unit, m->kind, v);
    text_put(t, "}");
    return false;
}

static void put_metrics(text_buf *t, const stats_producer *p, hub_time now) {
    bool is_first = true;
    text_put(t, ",\"metrics\":{");
    for (int i = 0; i < p->n_metrics; i++)
        is_first = put_metric(t, p->metrics[i], &p->metrics[i]->all, is_first);
    text_put(t, "},\"last_minute\":{");
    is_first = true;
    for (int i = 0; i < p->n_metrics; i++) {
        size_t room = SIZE_MAX;
        values v = stats_minute(p->metrics[i], now, &room);
        is_first = put_metric(t, p->metrics[i], &v, is_first);
        values_clear(&v, &room);
    }
    text_put(t, "}");
}

static void put_one_series(text_buf *t, const stats_metric *m, const char *labels, const values *v,
                           bool is_first) {
    text_put(t, "%s{\"name\":\"%s\",\"labels\":%s,", is_first ? "" : ",", m->name, labels);
    put_values(t, m->unit, m->kind == BITNET_KIND_HIST ? BITNET_KIND_GAUGE : m->kind, v);
    text_put(t, "}");
}

static void put_series(text_buf *t, const stats_producer *p) {
    bool is_first = true;
    text_put(t, ",\"series\":[");
    for (uint32_t i = 0; i < p->n_series; i++, is_first = false)
        put_one_series(t, p->series[i].metric, p->series[i].labels, &p->series[i].all, is_first);
    for (int i = 0; i < p->n_metrics; i++) {
        if (p->metrics[i]->overflow.n == 0) continue;
        put_one_series(t, p->metrics[i], STATS_OVERFLOW_LABELS, &p->metrics[i]->overflow, is_first);
        is_first = false;
    }
    text_put(t, "]");
}

static void put_clock(text_buf *t, const stats_producer *p) {
    text_put(t, ",\"clock\":");
    if (!p->has_clock) {
        text_put(t, "null");
        return;
    }
    text_put(t, "{\"offset_ms\":");
    text_number(t, p->clock_offset_ms);
    put_number(t, "error_ms", p->clock_error_ms);
    text_put(t, "}");
}

static void put_expected(text_buf *t, const stats_producer *p) {
    const cJSON *first = p->expected ? p->expected->child : NULL;
    text_put(t, ",\"expected\":{");
    for (const cJSON *e = first; e; e = e->next) {
        text_put(t, "%s\"%s\":", e == first ? "" : ",", e->string);
        text_number(t, e->valuedouble);
    }
    text_put(t, "}");
}

static void put_row(text_buf *t, const stats_producer *p, hub_time now) {
    text_put(t, "{\"producer\":%" PRIu32, p->number);
    put_string(t, "name", p->name);
    put_string(t, "instance", p->instance);
    put_string(t, "backend", p->backend);
    put_string(t, "tier", p->tier);
    text_put(t, ",\"threads\":%" PRId32, p->threads);
    put_string(t, "model", p->model);
    put_string(t, "host", p->host);
    put_string(t, "build", p->build);
    put_string(t, "state", stats_state(p, now));
    text_put(t, ",\"started_ms\":%" PRIu64 ",\"heard_ms\":%" PRIu64, p->started_ms,
             p->heard_wall_ms);
    put_clock(t, p);
    put_expected(t, p);
    text_put(t, ",\"dropped\":%" PRIu64, p->dropped);
    text_put(t, ",\"lost_samples\":%.0f,\"rejected\":%.0f", p->losses[STATS_LOST].all.sum,
             p->losses[STATS_REJECTED].all.sum);
    put_metrics(t, p, now);
    put_series(t, p);
    text_put(t, "}");
}

void stats_write(const stats *s, text_buf *out, hub_time now) {
    text_put(out, "\"producers\":[");
    for (int i = 0; i < s->n_rows; i++) {
        if (i) text_put(out, ",");
        put_row(out, s->rows[i], now);
    }
    text_put(out, "]");
}
