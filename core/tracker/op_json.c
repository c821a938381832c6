/* op_json.c: see op_json.h. What was not measured is absent. docs/operations.md shows the document. */
#include "tracker/op_json.h"

#include <inttypes.h>
#include <math.h>

#define N_RECENT 10 /* records in "recent" */

static const char *const peak_names[BITNET_OP_PEAK_COUNT] = {"peak_memory", "peak_gpu_memory",
                                                             "cpu", "gpu"};

static void put_text(bitnet_json_writer *w, const char *key, const char *text) {
    bitnet_json_put(w, ",\"%s\":", key);
    bitnet_json_put_string(w, text);
}

static void put_peaks(bitnet_json_writer *w, const double *peak) {
    for (int i = 0; i < BITNET_OP_PEAK_COUNT; i++)
        bitnet_json_put_member(w, peak_names[i], peak[i]);
}

static void put_meta(bitnet_json_writer *w, const bitnet_op_meta *meta, int32_t n) {
    const char *comma = "";
    bitnet_json_put(w, ",\"meta\":{");
    for (int32_t i = 0; i < n; i++) {
        if (!meta[i].text && !isfinite(meta[i].number)) continue;
        bitnet_json_put(w, "%s", comma);
        bitnet_json_put_string(w, meta[i].key);
        bitnet_json_put(w, ":");
        if (meta[i].text)
            bitnet_json_put_string(w, meta[i].text);
        else
            bitnet_json_put_number(w, meta[i].number);
        comma = ",";
    }
    bitnet_json_put(w, "}");
}

void bitnet_op_record_put(bitnet_json_writer *w, const bitnet_op_record *r) {
    bitnet_json_put(w, "\"id\":%" PRIu64 ",\"parent\":%" PRIu64, r->id, r->parent);
    put_text(w, "op", r->type);
    put_text(w, "strategy", r->strategy);
    bitnet_json_put(w, ",\"t_ms\":%" PRIu64, r->t_ms);
    bitnet_json_put_member(w, "duration_s", r->duration_s);
    bitnet_json_put(w, ",\"ok\":%s", r->ok ? "true" : "false");
    if (!r->ok) put_text(w, "error", r->error);
    if (isfinite(r->units)) {
        bitnet_json_put_member(w, "units", r->units);
        put_text(w, "unit", r->unit);
    }
    bitnet_json_put_member(w, "quality", r->quality);
    put_peaks(w, r->peak);
    if (r->n_meta > 0) put_meta(w, r->meta, r->n_meta);
}

static void put_throughput(bitnet_json_writer *w, const bitnet_op_summary *g) {
    bitnet_json_put(w, ",\"throughput\":[");
    for (int32_t i = 0; i < g->n_units; i++) {
        const bitnet_op_throughput *t = &g->throughput[i];
        bitnet_json_put(w, "%s{\"unit\":", i ? "," : "");
        bitnet_json_put_string(w, t->unit);
        bitnet_json_put_member(w, "units", t->units);
        bitnet_json_put_member(w, "seconds", t->seconds);
        bitnet_json_put_member(w, "per_second", t->per_second);
        bitnet_json_put(w, "}");
    }
    bitnet_json_put(w, "]");
}

static void put_group(bitnet_json_writer *w, const bitnet_op_summary *g) {
    bitnet_json_put(w, "\"count\":%" PRIu64 ",\"failed\":%" PRIu64, g->count, g->n_failed);
    bitnet_json_put_member(w, "success_rate", g->success_rate);
    bitnet_json_put(w, ",\"duration_s\":{\"n\":%" PRIu64, g->n_timed);
    bitnet_json_put_member(w, "mean", g->mean_s);
    bitnet_json_put_member(w, "min", g->min_s);
    bitnet_json_put_member(w, "max", g->max_s);
    bitnet_json_put_member(w, "p50", g->p50_s);
    bitnet_json_put_member(w, "p90", g->p90_s);
    bitnet_json_put_member(w, "p95", g->p95_s);
    bitnet_json_put_member(w, "p99", g->p99_s);
    bitnet_json_put(w, "}");
    if (g->n_units > 0) put_throughput(w, g);
    if (g->n_units_dropped) bitnet_json_put(w, ",\"units_dropped\":%" PRIu64, g->n_units_dropped);
    bitnet_json_put_member(w, "quality", g->quality);
    put_peaks(w, g->peak);
}

static void put_names(bitnet_json_writer *w, const bitnet_op_summary *g) {
    if (g->type[0]) {
        bitnet_json_put(w, "\"type\":");
        bitnet_json_put_string(w, g->type);
        bitnet_json_put(w, ",");
    }
    if (g->strategy[0]) {
        bitnet_json_put(w, "\"strategy\":");
        bitnet_json_put_string(w, g->strategy);
        bitnet_json_put(w, ",");
    }
}

static void put_groups(bitnet_json_writer *w, const bitnet_op_stats *s, const char *name,
                       bitnet_op_by by) {
    bitnet_op_summary g;
    bitnet_json_put(w, ",\"%s\":[", name);
    for (int32_t i = 0; bitnet_op_stats_get(s, by, i, &g); i++) {
        bitnet_json_put(w, "%s{", i ? "," : "");
        put_names(w, &g);
        put_group(w, &g);
        bitnet_json_put(w, "}");
    }
    bitnet_json_put(w, "]");
}

static void put_trend(bitnet_json_writer *w, const bitnet_op_trend *t) {
    static const char *const names[] = {"unknown", "steady", "up", "down"};
    bitnet_json_put(w, "\"duration\":{\"trend\":\"%s\",\"n\":%d", names[t->duration], (int)t->n);
    bitnet_json_put_member(w, "slope_s", t->slope_s);
    bitnet_json_put_member(w, "low_s", t->low_s);
    bitnet_json_put_member(w, "high_s", t->high_s);
    bitnet_json_put_member(w, "change", t->change);
    bitnet_json_put(w, "},\"success\":{\"trend\":\"%s\",\"n_recent\":%d,\"n_before\":%" PRIu64,
                    names[t->success], (int)t->n_recent, t->n_before);
    bitnet_json_put_member(w, "rate_recent", t->rate_recent);
    bitnet_json_put_member(w, "rate_before", t->rate_before);
    bitnet_json_put_member(w, "difference", t->difference);
    bitnet_json_put_member(w, "low", t->low);
    bitnet_json_put_member(w, "high", t->high);
    bitnet_json_put(w, "}");
}

static void put_trends(bitnet_json_writer *w, const bitnet_op_stats *s) {
    bitnet_op_summary g;
    bitnet_json_put(w, ",\"trends\":[");
    for (int32_t i = 0; bitnet_op_stats_get(s, BITNET_OP_BY_TYPE, i, &g); i++) {
        bitnet_op_trend trend;
        bitnet_op_stats_get_trend(s, BITNET_OP_BY_TYPE, i, &trend);
        bitnet_json_put(w, "%s{", i ? "," : "");
        put_names(w, &g);
        put_trend(w, &trend);
        bitnet_json_put(w, "}");
    }
    bitnet_json_put(w, "]");
}

static void put_dropped(bitnet_json_writer *w, const bitnet_op_stats *s,
                        const bitnet_ops_counts *counts) {
    bitnet_op_stats_counts c;
    bitnet_op_stats_get_counts(s, &c);
    bitnet_json_put(w,
                    ",\"dropped\":{\"history\":%" PRIu64 ",\"overflow\":{\"by_type\":%" PRIu64
                    ",\"by_strategy\":%" PRIu64 ",\"by_type_and_strategy\":%" PRIu64 "}",
                    c.n_history_dropped, c.n_overflow[BITNET_OP_BY_TYPE],
                    c.n_overflow[BITNET_OP_BY_STRATEGY], c.n_overflow[BITNET_OP_BY_BOTH]);
    if (counts)
        bitnet_json_put(w, ",\"operations\":%" PRIu64 ",\"values\":%" PRIu64, counts->n_unrecorded,
                        counts->n_refused);
    bitnet_json_put(w, "}");
}

void bitnet_op_stats_put(bitnet_json_writer *w, const bitnet_op_stats *s,
                         const bitnet_ops_counts *counts) {
    bitnet_op_summary all;
    bitnet_op_stats_get(s, BITNET_OP_BY_NOTHING, 0, &all);
    bitnet_json_put(w, "{\"summary\":{");
    if (counts) bitnet_json_put(w, "\"active\":%d,", (int)counts->n_active);
    put_group(w, &all);
    bitnet_json_put(w, "}");
    put_groups(w, s, "by_type", BITNET_OP_BY_TYPE);
    put_groups(w, s, "by_strategy", BITNET_OP_BY_STRATEGY);
    put_groups(w, s, "by_type_and_strategy", BITNET_OP_BY_BOTH);
    bitnet_json_put(w, ",\"recent\":[");
    const bitnet_op_record *r;
    for (int32_t i = 0; i < N_RECENT && (r = bitnet_op_stats_recent(s, i)); i++) {
        bitnet_json_put(w, "%s{", i ? "," : "");
        bitnet_op_record_put(w, r);
        bitnet_json_put(w, "}");
    }
    bitnet_json_put(w, "]");
    put_trends(w, s);
    put_dropped(w, s, counts);
    bitnet_json_put(w, "}");
}

size_t bitnet_op_record_write_json(const bitnet_op_record *r, char *buf, size_t cap) {
    bitnet_json_writer w = {.buf = buf, .cap = cap};
    bitnet_json_put(&w, "{");
    bitnet_op_record_put(&w, r);
    bitnet_json_put(&w, "}");
    return w.len;
}

size_t bitnet_op_stats_write_json(const bitnet_op_stats *s, char *buf, size_t cap) {
    bitnet_json_writer w = {.buf = buf, .cap = cap};
    bitnet_op_stats_put(&w, s, NULL);
    return w.len;
}
