/* stats.c: rows, metrics and series; see stats.h. */
#include "dash/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/hash.h"

static const char *const loss_names[] = {
    [STATS_DROPPED] = "dropped", [STATS_LOST] = "lost_samples", [STATS_REJECTED] = "rejected"};

static const cJSON *get(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void copy(char *out, size_t cap, const cJSON *object, const char *name) {
    snprintf(out, cap, "%s", get(object, name)->valuestring);
}

/* --- memory --- */

static void *take(stats *s, size_t n) {
    void *p = n <= s->room ? calloc(1, n) : NULL;
    if (p) s->room -= n;
    return p;
}

static void give(stats *s, void *p, size_t n) {
    if (p) s->room += n;
    free(p);
}

static void clear_metric(stats *s, stats_metric *m) {
    values_clear(&m->all, &s->room);
    values_clear(&m->overflow, &s->room);
    for (int i = 0; m->seconds && i < STATS_SECONDS; i++)
        values_clear(&m->seconds[i].v, &s->room);
    give(s, m->seconds, STATS_SECONDS * sizeof *m->seconds);
}

static void free_row(stats *s, int at) {
    stats_producer *p = s->rows[at];
    for (int i = 0; i < p->n_metrics; i++) {
        clear_metric(s, p->metrics[i]);
        give(s, p->metrics[i], sizeof *p->metrics[i]);
    }
    give(s, p->metrics, MESSAGE_METRICS_MAX * sizeof(stats_metric *));
    for (int i = 0; i < 3; i++)
        clear_metric(s, &p->losses[i]);
    for (uint32_t i = 0; i < p->n_series; i++) {
        values_clear(&p->series[i].all, &s->room);
        give(s, p->series[i].labels, strlen(p->series[i].labels) + 1);
    }
    s->n_series -= p->n_series;
    give(s, p->series, p->series_cap * sizeof *p->series);
    give(s, p->index, p->index_cap * sizeof *p->index);
    cJSON_Delete(p->expected);
    give(s, p, sizeof *p);
    s->n_rows--;
    memmove(&s->rows[at], &s->rows[at + 1], (size_t)(s->n_rows - at) * sizeof s->rows[0]);
}

stats *stats_create(void) {
    stats *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->room = STATS_BYTES_MAX;
    s->totals = totals_create();
    if (s->totals && bitnet_op_stats_create(&s->ops, &(bitnet_op_stats_desc){0}) >= 0) return s;
    stats_free(s);
    return NULL;
}

void stats_free(stats *s) {
    if (!s) return;
    while (s->n_rows)
        free_row(s, s->n_rows - 1);
    totals_free(s->totals);
    bitnet_op_stats_free(s->ops);
    free(s);
}

/* --- rows --- */

static int find_row(const stats *s, const char *instance) {
    for (int i = s->n_rows - 1; i >= 0; i--)
        if (strcmp(s->rows[i]->instance, instance) == 0) return i;
    return -1;
}

static stats_producer *row_of(const stats *s, const char *instance) {
    int at = find_row(s, instance);
    return at < 0 ? NULL : s->rows[at];
}

static void free_oldest_ended(stats *s) {
    int oldest = -1;
    for (int i = 0; i < s->n_rows; i++)
        if (s->rows[i]->is_ended &&
            (oldest < 0 || s->rows[i]->ended_ms < s->rows[oldest]->ended_ms))
            oldest = i;
    if (oldest >= 0) free_row(s, oldest);
}

static stats_producer *create_row(stats *s, const char *instance, uint32_t number) {
    if (s->n_rows == STATS_ROWS_MAX) free_oldest_ended(s);
    stats_producer *p = s->n_rows < STATS_ROWS_MAX ? take(s, sizeof *p) : NULL;
    if (!p) return NULL;
    p->metrics = take(s, MESSAGE_METRICS_MAX * sizeof(stats_metric *));
    if (!p->metrics) {
        give(s, p, sizeof *p);
        return NULL;
    }
    p->number = number;
    snprintf(p->instance, sizeof p->instance, "%s", instance);
    for (int i = 0; i < 3; i++) {
        snprintf(p->losses[i].name, sizeof p->losses[i].name, "%s", loss_names[i]);
        p->losses[i].kind = BITNET_KIND_COUNTER;
        p->losses[i].known = -1;
    }
    s->rows[s->n_rows++] = p;
    return p;
}

/* --- metrics --- */

static bitnet_metric_kind kind_of(const char *word) {
    return !strcmp(word, "hist")    ? BITNET_KIND_HIST
           : !strcmp(word, "gauge") ? BITNET_KIND_GAUGE
                                    : BITNET_KIND_COUNTER;
}

bitnet_metric_kind stats_kind(bitnet_metric m) {
    bitnet_metric_kind kind = bitnet_metric_get_info(m)->kind;
    return kind == BITNET_KIND_SIGNED ? BITNET_KIND_GAUGE : kind;
}

static int find_known(const stats_metric *m) {
    for (int i = 0; i < BITNET_METRIC_COUNT; i++) {
        const bitnet_metric_info *info = bitnet_metric_get_info((bitnet_metric)i);
        if (!strcmp(info->wire, m->name))
            return !strcmp(info->unit, m->unit) && stats_kind((bitnet_metric)i) == m->kind ? i : -1;
    }
    return -1;
}

const stats_metric *stats_find(const stats_producer *p, const char *name) {
    for (int i = 0; i < p->n_metrics; i++)
        if (strcmp(p->metrics[i]->name, name) == 0) return p->metrics[i];
    for (int i = 0; i < 3; i++)
        if (strcmp(loss_names[i], name) == 0) return &p->losses[i];
    return NULL;
}

static stats_metric *find_announced(const stats_producer *p, const char *name) {
    for (int i = 0; i < p->n_metrics; i++)
        if (strcmp(p->metrics[i]->name, name) == 0) return p->metrics[i];
    return NULL;
}

/* A metric keeps the unit and kind of its first hello; a row has no more of them than one hello may
 * have, however many come. */
static void announce(stats *s, stats_producer *p, const cJSON *row) {
    const char *name = get(row, "name")->valuestring;
    if (find_announced(p, name) || p->n_metrics == MESSAGE_METRICS_MAX) return;
    stats_metric *m = take(s, sizeof *m);
    if (!m) return;
    snprintf(m->name, sizeof m->name, "%s", name);
    copy(m->unit, sizeof m->unit, row, "unit");
    m->kind = kind_of(get(row, "kind")->valuestring);
    m->known = find_known(m);
    p->metrics[p->n_metrics++] = m;
}

static void add_value(stats *s, stats_metric *m, const values *v, hub_time now) {
    uint64_t second = now.ms / 1000;
    values_add(&m->all, v, &s->room);
    if (!m->seconds) m->seconds = take(s, STATS_SECONDS * sizeof *m->seconds);
    if (!m->seconds) return;
    stats_second *slot = &m->seconds[second % STATS_SECONDS];
    if (slot->at != second) {
        values_clear(&slot->v, &s->room);
        slot->at = second;
    }
    values_add(&slot->v, v, &s->room);
}

values stats_minute(const stats_metric *m, hub_time now, size_t *room) {
    values sum = {.n = 0};
    uint64_t second = now.ms / 1000, t = second < STATS_SECONDS ? 0 : second - STATS_SECONDS + 1;
    for (; m->seconds && t <= second; t++) {
        const stats_second *slot = &m->seconds[t % STATS_SECONDS];
        if (slot->at == t) values_add(&sum, &slot->v, room);
    }
    return sum;
}

static void add_loss(stats *s, stats_producer *p, int which, uint64_t n, hub_time now) {
    if (n == 0) return;
    double v = (double)n;
    values one = {.n = 1, .sum = v, .min = v, .max = v, .last = v};
    add_value(s, &p->losses[which], &one, now);
}

/* --- series --- */

/* {"key":"value",...} by key: the same labels in another order are the same series. */
static char *print_labels(const cJSON *labels, size_t *n) {
    const cJSON *sorted[MESSAGE_LABELS_MAX];
    int count = 0;
    for (const cJSON *l = labels->child; l; l = l->next) {
        int at = count++;
        for (; at > 0 && strcmp(sorted[at - 1]->string, l->string) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = l;
    }
    text_buf t = {.p = NULL};
    text_put(&t, "{");
    for (int i = 0; i < count; i++) {
        text_put(&t, "%s\"%s\":", i ? "," : "", sorted[i]->string);
        text_string(&t, sorted[i]->valuestring);
    }
    text_put(&t, "}");
    return text_take(&t, n);
}

static uint64_t hash_series(const stats_metric *m, const char *labels) {
    return hash_fnv1a(m->name, strlen(m->name)) ^ hash_fnv1a(labels, strlen(labels));
}

/* Its place in the table, or the free one where it belongs. */
static uint32_t *look_up(const stats_producer *p, const stats_metric *m, const char *labels) {
    for (uint32_t at = (uint32_t)hash_series(m, labels);; at++) {
        uint32_t *slot = &p->index[at & (p->index_cap - 1)];
        if (*slot == 0) return slot;
        const stats_series *x = &p->series[*slot - 1];
        if (x->metric == m && strcmp(x->labels, labels) == 0) return slot;
    }
}

/* Room for one more; the table is never more than half full. */
static bool grow(stats *s, stats_producer *p) {
    if (p->n_series < p->series_cap) return true;
    uint32_t cap = p->series_cap ? 2 * p->series_cap : 8, index_cap = 2 * cap;
    stats_series *series = take(s, cap * sizeof *series);
    uint32_t *index = take(s, index_cap * sizeof *index);
    if (!series || !index) {
        give(s, series, cap * sizeof *series);
        give(s, index, index_cap * sizeof *index);
        return false;
    }
    if (p->n_series) memcpy(series, p->series, p->n_series * sizeof *series);
    give(s, p->series, p->series_cap * sizeof *p->series);
    give(s, p->index, p->index_cap * sizeof *p->index);
    p->series = series;
    p->series_cap = cap;
    p->index = index;
    p->index_cap = index_cap;
    for (uint32_t i = 0; i < p->n_series; i++)
        *look_up(p, series[i].metric, series[i].labels) = i + 1;
    return true;
}

static stats_series *find_series(stats *s, stats_producer *p, const stats_metric *m,
                                 const char *labels, size_t n) {
    uint32_t *slot = p->index ? look_up(p, m, labels) : NULL;
    if (slot && *slot) return &p->series[*slot - 1];
    if (p->n_series == STATS_SERIES_MAX || s->n_series == STATS_ALL_SERIES_MAX || !grow(s, p))
        return NULL;
    char *own = take(s, n + 1);
    if (!own) return NULL;
    memcpy(own, labels, n);
    stats_series *x = &p->series[p->n_series];
    *x = (stats_series){.labels = own, .metric = m};
    *look_up(p, m, own) = ++p->n_series;
    s->n_series++;
    return x;
}

/* The one label by which totals are split: names of labels are a fixed set, as those of metrics. */
static void split_total(stats *s, const stats_producer *p, const stats_metric *m,
                        const cJSON *labels, const values *v) {
    const cJSON *kernel = get(labels, "kernel");
    if (m->known < 0 || m->kind != BITNET_KIND_COUNTER) return;
    totals_add_split(s->totals, p->set, (bitnet_metric)m->known,
                     kernel ? kernel->valuestring : NULL, v);
}

static void hear_series(stats *s, stats_producer *p, const cJSON *row) {
    stats_metric *m = find_announced(p, get(row, "name")->valuestring);
    const cJSON *labels = get(row, "labels");
    if (!m) return;
    values v = values_read(row, s->scratch);
    split_total(s, p, m, labels, &v);
    v.n_b = 0; /* of a series its numbers are kept, not its percentiles */
    size_t n;
    char *printed = print_labels(labels, &n);
    stats_series *x = printed ? find_series(s, p, m, printed, n) : NULL;
    free(printed);
    if (!x) s->n_overflow += v.n;
    values_add(x ? &x->all : &m->overflow, &v, &s->room);
}

/* --- messages --- */

static void hear_hello(stats *s, const char *instance, const cJSON *json, hub_time now) {
    uint32_t number = (uint32_t)get(json, "producer")->valuedouble;
    int at = find_row(s, instance);
    if (at >= 0 && s->rows[at]->number != number) { /* the hub has forgotten that one */
        free_row(s, at);
        at = -1;
    }
    stats_producer *p = at >= 0 ? s->rows[at] : create_row(s, instance, number);
    if (!p) return;
    copy(p->name, sizeof p->name, json, "name");
    copy(p->backend, sizeof p->backend, json, "backend");
    copy(p->tier, sizeof p->tier, json, "tier");
    copy(p->model, sizeof p->model, json, "model");
    copy(p->host, sizeof p->host, json, "host");
    copy(p->build, sizeof p->build, json, "build");
    p->threads = (int32_t)get(json, "threads")->valuedouble;
    p->started_ms = (uint64_t)get(json, "started_ms")->valuedouble;
    p->is_ended = p->is_lost = false;
    p->heard_ms = now.ms;
    p->heard_wall_ms = now.wall_us / 1000;
    cJSON_Delete(p->expected);
    const cJSON *expected = get(json, "expected"), *metrics = get(json, "metrics");
    p->expected = expected ? cJSON_Duplicate(expected, true) : NULL;
    for (const cJSON *row = metrics->child; row; row = row->next)
        announce(s, p, row);
    p->set = totals_find(s->totals, p->backend, p->tier, p->model);
}

static bool is_token_metric(const stats_metric *m) {
    return m->known == BITNET_METRIC_TPOT || m->known == BITNET_METRIC_TOKENS_OUT;
}

static void hear_window(stats *s, stats_producer *p, const cJSON *json, hub_time now) {
    uint64_t dropped = (uint64_t)get(json, "dropped")->valuedouble;
    if (dropped > p->dropped) {
        s->n_dropped += dropped - p->dropped;
        add_loss(s, p, STATS_DROPPED, dropped - p->dropped, now);
        p->dropped = dropped;
    }
    for (const cJSON *value = get(json, "m")->child; value; value = value->next) {
        stats_metric *m = find_announced(p, value->string);
        if (!m) continue;
        values v = values_read(value, s->scratch);
        add_value(s, m, &v, now);
        if (m->known >= 0 && m->kind != BITNET_KIND_GAUGE)
            totals_add(s->totals, p->set, (bitnet_metric)m->known, &v);
        if (!is_token_metric(m)) continue;
        p->is_active = true;
        p->active_ms = now.ms;
    }
    const cJSON *series = get(json, "s");
    for (const cJSON *row = series ? series->child : NULL; row; row = row->next)
        hear_series(s, p, row);
}

static void hear_gap(stats *s, stats_producer *p, const cJSON *json, hub_time now) {
    const cJSON *n = get(json, "n"); /* absent: nobody knows it */
    uint64_t lost = n ? (uint64_t)n->valuedouble : 0;
    s->n_lost += lost;
    add_loss(s, p, STATS_LOST, lost, now);
}

static void hear_bye(stats_producer *p, const cJSON *json, hub_time now) {
    p->is_ended = true;
    p->is_lost = strcmp(get(json, "reason")->valuestring, "lost") == 0;
    p->ended_ms = now.ms;
}

void stats_hear(void *ctx, const char *instance, const message *m, hub_time now) {
    stats *s = ctx;
    if (m->kind == MESSAGE_PRODUCER) {
        hear_hello(s, instance, m->json, now);
        return;
    }
    stats_producer *p = row_of(s, instance);
    if (!p) return;
    s->n_samples += m->n_samples;
    s->n_rejected += (uint64_t)m->n_rejected;
    add_loss(s, p, STATS_REJECTED, (uint64_t)m->n_rejected, now);
    if (m->kind == MESSAGE_WINDOW) hear_window(s, p, m->json, now);
    if (m->kind == MESSAGE_OP) stats_hear_op(s, m->json);
    if (m->kind == MESSAGE_GAP) hear_gap(s, p, m->json, now);
    if (m->kind == MESSAGE_BYE) {
        hear_bye(p, m->json, now);
        if (p->is_lost) return; /* the hub's own word: nothing was heard */
    }
    p->heard_ms = now.ms;
    p->heard_wall_ms = now.wall_us / 1000;
}

void stats_hear_clock(void *ctx, const char *instance, double offset_ms, double error_ms) {
    stats_producer *p = row_of(ctx, instance);
    if (!p) return;
    p->has_clock = true;
    p->clock_offset_ms = offset_ms;
    p->clock_error_ms = error_ms;
}

void stats_tick(stats *s, hub_time now) {
    for (int i = s->n_rows - 1; i >= 0; i--)
        if (s->rows[i]->is_ended && now.ms - s->rows[i]->ended_ms >= HUB_ENDED_MS) free_row(s, i);
}

const char *stats_state(const stats_producer *p, hub_time now) {
    if (p->is_ended) return p->is_lost ? "lost" : "ended";
    if (p->is_active && now.ms - p->active_ms < STATS_LIVE_MS) return "live";
    return now.ms - p->heard_ms > STATS_SILENT_MS ? "silent" : "idle";
}
