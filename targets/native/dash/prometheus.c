/* prometheus.c: see prometheus.h. A family is written whole: HELP, TYPE, then its samples, since its
 * lines may not be apart. */
#include "dash/prometheus.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* ---- names ------------------------------------------------------------------------------------- */

/* Metrics whose family is not what the rule would make of their name: those that are one thing with a
 * label, and names that would say their unit twice. The first row of a family has its help. */
static const struct naming {
    const char *metric, *family, *label, *value, *help;
} namings[] = {
    {"decode_rate", "bitnet_decode_tokens_per_second", NULL, NULL, NULL},
    {"prefill_rate", "bitnet_prefill_tokens_per_second", NULL, NULL, NULL},
    {"memory", "bitnet_memory_bytes", "kind", "resident", "memory of the process"},
    {"memory_peak", "bitnet_memory_bytes", "kind", "peak", NULL},
    {"js_heap", "bitnet_memory_bytes", "kind", "js_heap", NULL},
    {"energy_cpu", "bitnet_energy_joules_total", "domain", "cpu", "energy used by the machine"},
    {"energy_dram", "bitnet_energy_joules_total", "domain", "dram", NULL},
    {"energy_gpu", "bitnet_energy_joules_total", "domain", "gpu", NULL},
    {"tokenize_time", "bitnet_phase_duration_seconds", "phase", "tokenize",
     "time of a request in each of its phases"},
    {"prefill_time", "bitnet_phase_duration_seconds", "phase", "prefill", NULL},
    {"decode_time", "bitnet_phase_duration_seconds", "phase", "decode", NULL},
    {"sample_time", "bitnet_phase_duration_seconds", "phase", "sample", NULL},
    {"detokenize_time", "bitnet_phase_duration_seconds", "phase", "detokenize", NULL},
    {"kernel_time", "bitnet_kernel_seconds_total", NULL, NULL, NULL},
    {"kernel_bytes", "bitnet_kernel_bytes_total", NULL, NULL, NULL},
};

static const struct {
    const char *unit, *suffix;
} units[] = {
    {"s", "_seconds"},
    {"By", "_bytes"},
    {"By/s", "_bytes_per_second"},
    {"{token}/s", "_tokens_per_second"},
    {"1", "_ratio"},
    {"Hz", "_hertz"},
    {"W", "_watts"},
    {"J", "_joules"},
};

static const char *wire(bitnet_metric m) {
    return bitnet_metric_get_info(m)->wire;
}

static const struct naming *naming_of(bitnet_metric m) {
    for (size_t i = 0; i < sizeof namings / sizeof *namings; i++)
        if (!strcmp(namings[i].metric, wire(m))) return &namings[i];
    return NULL;
}

static bool ends_in(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

void prometheus_name(char out[PROMETHEUS_NAME_MAX], bitnet_metric m) {
    const struct naming *named = naming_of(m);
    const bitnet_metric_info *info = bitnet_metric_get_info(m);
    const char *suffix = "";
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(units[i].unit, info->unit)) suffix = units[i].suffix;
    if (named)
        snprintf(out, PROMETHEUS_NAME_MAX, "%s", named->family);
    else
        snprintf(out, PROMETHEUS_NAME_MAX, "bitnet_%s%s%s", info->wire,
                 ends_in(info->wire, suffix) ? "" : suffix,
                 info->kind == BITNET_KIND_COUNTER ? "_total" : "");
}

/* ---- lines ------------------------------------------------------------------------------------- */

/* A label's value between its quotes. */
static void put_escaped(text_buf *t, const char *s) {
    for (; *s; s++) {
        if (*s == '\n')
            text_add(t, "\\n", 2);
        else if (*s == '\\' || *s == '"')
            text_put(t, "\\%c", *s);
        else
            text_add(t, s, 1);
    }
}

static void put_label(text_buf *t, const char *name, const char *value) {
    text_put(t, "%s%s=\"", t->n && t->p[t->n - 1] == '{' ? "" : ",", name);
    put_escaped(t, value);
    text_put(t, "\"");
}

static void put_value(text_buf *t, double v) {
    if (isfinite(v))
        text_number(t, v);
    else
        text_put(t, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
    text_put(t, "\n");
}

static void put_head(text_buf *t, const char *family, const char *type, const char *help) {
    text_put(t, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

/* A family of one sample without labels; NaN: it is left out. */
static void put_single(text_buf *t, const char *family, const char *type, const char *help,
                       double v) {
    if (isnan(v)) return;
    put_head(t, family, type, help);
    text_put(t, "%s ", family);
    put_value(t, v);
}

/* ---- families ---------------------------------------------------------------------------------- */

typedef struct family {
    text_buf *t;
    const stats *stats;
    char name[PROMETHEUS_NAME_MAX];
    bitnet_metric first;
    bool is_begun;
} family;

/* HELP and TYPE come with the first sample: what was never measured is absent. */
static void begin(family *f) {
    static const char *const types[] = {[BITNET_KIND_HIST] = "histogram",
                                        [BITNET_KIND_GAUGE] = "gauge",
                                        [BITNET_KIND_COUNTER] = "counter"};
    if (f->is_begun) return;
    f->is_begun = true;
    const bitnet_metric_info *info = bitnet_metric_get_info(f->first);
    const struct naming *named = naming_of(f->first);
    put_head(f->t, f->name, types[stats_kind(f->first)],
             named && named->help ? named->help : info->help);
}

static void put_own_label(family *f, bitnet_metric m) {
    const struct naming *named = naming_of(m);
    if (named && named->label) put_label(f->t, named->label, named->value);
}

/* "name_suffix{backend=..,tier=..,model=..", open for more. */
static void begin_sample(family *f, const char *suffix, bitnet_metric m, int set) {
    const totals_set *x = &f->stats->totals->sets[set];
    text_put(f->t, "%s%s{", f->name, suffix);
    put_label(f->t, "backend", x->backend);
    put_label(f->t, "tier", x->tier);
    put_label(f->t, "model", x->model);
    put_own_label(f, m);
}

static void put_counter(family *f, bitnet_metric m, int set, const char *kernel, double sum) {
    begin(f);
    begin_sample(f, "", m, set);
    if (kernel) put_label(f->t, "kernel", kernel);
    text_put(f->t, "} ");
    put_value(f->t, sum);
}

static void put_histogram(family *f, bitnet_metric m, int set, const total *x) {
    int n;
    const double *bounds = totals_bounds(m, &n);
    begin(f);
    for (int i = 0; i < n; i++) {
        begin_sample(f, "_bucket", m, set);
        text_put(f->t, ",le=\"%g\"} %" PRIu64 "\n", bounds[i], x->below[i]);
    }
    begin_sample(f, "_bucket", m, set);
    text_put(f->t, ",le=\"+Inf\"} %" PRIu64 "\n", x->n);
    begin_sample(f, "_sum", m, set);
    text_put(f->t, "} ");
    put_value(f->t, x->sum);
    begin_sample(f, "_count", m, set);
    text_put(f->t, "} %" PRIu64 "\n", x->n);
}

static void put_totals(family *f, bitnet_metric m) {
    const totals *all = f->stats->totals;
    bool is_hist = bitnet_metric_get_info(m)->kind == BITNET_KIND_HIST;
    for (int set = 0; set < all->n_sets; set++) {
        const total *x = &all->of[set][m];
        if (x->n == 0) continue;
        if (is_hist)
            put_histogram(f, m, set, x);
        else
            put_counter(f, m, set, NULL, x->sum);
    }
    for (int i = 0; !is_hist && i < all->n_splits; i++)
        if (all->splits[i].metric == m)
            put_counter(f, m, all->splits[i].set, all->splits[i].value, all->splits[i].total.sum);
}

static void put_gauges(family *f, bitnet_metric m) {
    for (int i = 0; i < f->stats->n_rows; i++) {
        const stats_producer *p = f->stats->rows[i];
        const stats_metric *x = p->is_ended ? NULL : stats_find(p, wire(m));
        if (!x || x->known != (int)m || x->all.n == 0) continue;
        begin(f);
        text_put(f->t, "%s{", f->name);
        put_label(f->t, "name", p->name);
        put_label(f->t, "instance", p->instance);
        put_own_label(f, m);
        text_put(f->t, "} ");
        put_value(f->t, x->all.last);
    }
}

/* The families of metrics.def, each where its first metric is. */
static void put_families(text_buf *t, const stats *s) {
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        family f = {.t = t, .stats = s, .first = (bitnet_metric)i};
        char name[PROMETHEUS_NAME_MAX];
        prometheus_name(f.name, (bitnet_metric)i);
        bool is_first = true;
        for (int k = 0; k < BITNET_METRIC_COUNT; k++) {
            prometheus_name(name, (bitnet_metric)k);
            if (strcmp(name, f.name) != 0) continue;
            if (k < i) is_first = false;
            if (!is_first) break;
            if (stats_kind((bitnet_metric)k) == BITNET_KIND_GAUGE)
                put_gauges(&f, (bitnet_metric)k);
            else
                put_totals(&f, (bitnet_metric)k);
        }
    }
}

void prometheus_write(text_buf *t, const stats *s, const prometheus_hub *h) {
    put_head(t, "bitnet_build_info", "gauge", "always 1; the hub's version and commit");
    text_put(t, "bitnet_build_info{");
    put_label(t, "version", h->version);
    put_label(t, "commit", h->commit);
    text_put(t, "} 1\n");
    put_families(t, s);
    put_single(t, "bitnet_tracker_samples_total", "counter",
               "values of windows and operations that the hub accepted", (double)s->n_samples);
    put_single(t, "bitnet_tracker_events_dropped_total", "counter",
               "records that producers lost because a ring was full", (double)s->n_dropped);
    put_single(t, "bitnet_tracker_samples_lost_total", "counter",
               "samples that were declared lost on their way", (double)s->n_lost);
    put_single(t, "bitnet_tracker_values_rejected_total", "counter",
               "values left out because they were outside their announced range",
               (double)s->n_rejected);
    put_single(t, "bitnet_tracker_series_overflow_total", "counter",
               "values of series beyond the number that is kept", (double)s->n_overflow);
    put_single(t, "bitnet_hub_statistics_bytes", "gauge",
               "memory that metrics, buckets and series of producers take; it is limited",
               (double)(STATS_BYTES_MAX - s->room));
    put_single(t, "bitnet_hub_producers", "gauge", "producers connected", h->n_producers);
    put_single(t, "bitnet_hub_viewers", "gauge", "dashboards connected", h->n_viewers);
    put_single(t, "bitnet_hub_alerts_firing", "gauge", "alerts that are firing", h->n_firing);
    put_single(t, "bitnet_hub_uptime_seconds", "gauge", "time since the hub started", h->uptime_s);
    put_single(t, "bitnet_hub_loop_lag_seconds", "gauge",
               "how late the loop's worst tick of the last ten was", h->loop_lag_s);
    put_single(t, "bitnet_hub_store_ok", "gauge",
               "1 while what arrives becomes durable, 0 while it does not", h->store_ok);
    put_single(t, "bitnet_hub_store_queue_messages", "gauge", "messages not durable yet",
               h->store_queued);
}
