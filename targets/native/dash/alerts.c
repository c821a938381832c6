/* alerts.c: see alerts.h.
 *
 * The alerts are kept in the order in which producers and rules are visited, so one look is one merge of
 * the old list into a new one, and what is not visited any more has ended. */
#include "dash/alerts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static const char *const default_rules[] = {
    "decode_rate < 0.7 * expected for 30s",
    "prefill_rate < 0.7 * expected for 30s",
    "memory_slope_low > 0 for 5min",
    "dropped > 0",
    "store_ok < 1 for 5s",
};

typedef struct list {
    alert *v;
    int n, cap;
} list;

struct alerts {
    alert_rule rules[ALERT_RULES_MAX];
    int n_rules;
    list now, next;                   /* pending or firing; `next` is empty between looks */
    alert changes[ALERT_CHANGES_MAX]; /* a ring of the last n_changes */
    uint64_t n_changes;
};

alerts *alerts_create(void) {
    return calloc(1, sizeof(alerts));
}

void alerts_free(alerts *a) {
    if (!a) return;
    free(a->now.v);
    free(a->next.v);
    free(a);
}

bitnet_status alerts_add(alerts *a, const char *rule, bitnet_error *err) {
    if (a->n_rules == ALERT_RULES_MAX)
        return bitnet_fail(err, BITNET_E_INVAL, "alert.many",
                           "there are more than %d alerts; at most so many are allowed",
                           ALERT_RULES_MAX);
    bitnet_status st = alert_rule_parse(&a->rules[a->n_rules], rule, err);
    if (st >= 0) a->n_rules++;
    return st;
}

bitnet_status alerts_add_defaults(alerts *a, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (size_t i = 0; st >= 0 && i < sizeof default_rules / sizeof *default_rules; i++)
        st = alerts_add(a, default_rules[i], err);
    return st;
}

/* ---- values ------------------------------------------------------------------------------------ */

static alert_stat default_stat(bitnet_metric_kind kind) {
    switch (kind) {
    case BITNET_KIND_HIST:
        return ALERT_P50;
    case BITNET_KIND_GAUGE:
    case BITNET_KIND_SIGNED:
        return ALERT_LAST;
    case BITNET_KIND_COUNTER:
        return ALERT_SUM;
    }
    return ALERT_LAST;
}

static double stat_of(const values *v, alert_stat stat) {
    switch (stat) {
    case ALERT_N:
        return (double)v->n;
    case ALERT_SUM:
        return v->sum;
    case ALERT_RATE:
        return v->sum / (double)STATS_SECONDS;
    case ALERT_MEAN:
        return values_mean(v);
    case ALERT_MIN:
        return v->min;
    case ALERT_MAX:
        return v->max;
    case ALERT_LAST:
        return v->last;
    case ALERT_P50:
        return values_quantile(v, 0.5);
    case ALERT_P90:
        return values_quantile(v, 0.9);
    case ALERT_P95:
        return values_quantile(v, 0.95);
    case ALERT_P99:
        return values_quantile(v, 0.99);
    case ALERT_DEFAULT:
    case ALERT_STAT_COUNT:
        break;
    }
    return (double)NAN;
}

static double value_of(const alert_rule *r, const stats_producer *p, hub_time now) {
    const stats_metric *m = stats_find(p, r->metric);
    double value = (double)NAN;
    size_t room = SIZE_MAX;
    if (!m) return value;
    values minute = stats_minute(m, now, &room);
    if (minute.n > 0)
        value = stat_of(&minute, r->stat == ALERT_DEFAULT ? default_stat(m->kind) : r->stat);
    values_clear(&minute, &room);
    return value;
}

static double limit_of(const alert_rule *r, const stats_producer *p) {
    if (!r->is_expected) return r->factor * r->number;
    const cJSON *e =
        p && p->expected ? cJSON_GetObjectItemCaseSensitive(p->expected, r->metric) : NULL;
    return e ? r->factor * e->valuedouble : (double)NAN;
}

/* ---- telling ----------------------------------------------------------------------------------- */

static const char *const state_names[] = {
    [ALERT_PENDING] = "pending", [ALERT_FIRING] = "firing", [ALERT_RESOLVED] = "resolved"};

/* The fields of an alert, without the braces. */
static void put_alert(text_buf *t, const alert *x) {
    text_put(t, "\"rule\":");
    text_string(t, x->rule->text);
    if (x->producer)
        text_put(t, ",\"producer\":%" PRIu32, x->producer);
    else
        text_put(t, ",\"producer\":null");
    text_put(t, ",\"metric\":\"%s\",\"state\":\"%s\",\"value\":", x->rule->metric,
             state_names[x->state]);
    text_number(t, x->value);
    text_put(t, ",\"limit\":");
    text_number(t, x->limit);
}

static void tell(alerts *a, const alert *x, const char *instance, alert_told *told, void *ctx) {
    a->changes[a->n_changes++ % ALERT_CHANGES_MAX] = *x;
    text_buf t = {.p = NULL};
    text_put(&t, "{\"type\":\"alert\",");
    put_alert(&t, x);
    text_put(&t, ",\"t_ms\":%" PRIu64 "}", x->wall_ms);
    if (!t.has_failed) told(ctx, x, instance, t.p);
    text_free(&t);
}

/* ---- looking ----------------------------------------------------------------------------------- */

typedef struct look {
    alerts *a;
    int at; /* in a->now: what is before has been carried over or has ended */
    hub_time now;
    alert_told *told;
    void *ctx;
    const stats *stats;
} look;

static const char *instance_of(const stats *s, uint32_t number) {
    for (int i = 0; i < s->n_rows; i++)
        if (s->rows[i]->number == number) return s->rows[i]->instance;
    return "";
}

static void set_state(look *l, alert *x, alert_state state) {
    x->state = state;
    x->since_ms = l->now.ms;
    x->wall_ms = l->now.wall_us / 1000;
    if (state != ALERT_PENDING) tell(l->a, x, instance_of(l->stats, x->producer), l->told, l->ctx);
}

static void resolve(look *l, alert *x) {
    if (x->state == ALERT_FIRING) set_state(l, x, ALERT_RESOLVED);
}

/* The old alert of this producer and rule; those before it were not visited: they have ended. */
static const alert *take_old(look *l, uint32_t producer, const alert_rule *rule) {
    list *old = &l->a->now;
    for (; l->at < old->n; l->at++) {
        alert *x = &old->v[l->at];
        if (x->producer == producer && x->rule == rule) return &old->v[l->at++];
        if (x->producer > producer || (x->producer == producer && x->rule > rule)) return NULL;
        x->value = (double)NAN;
        resolve(l, x);
    }
    return NULL;
}

static bool make_room(list *l) {
    if (l->n < l->cap) return true;
    int cap = l->cap ? 2 * l->cap : 16;
    alert *v = realloc(l->v, (size_t)cap * sizeof *v);
    if (!v) return false;
    l->v = v;
    l->cap = cap;
    return true;
}

static void visit(look *l, uint32_t producer, const alert_rule *rule, double value, double limit) {
    const alert *old = take_old(l, producer, rule);
    bool is_met = !isnan(value) && !isnan(limit) && alert_rule_is_met(rule, value, limit);
    if ((!is_met && !old) || !make_room(&l->a->next)) return;
    alert x = old ? *old : (alert){.rule = rule, .producer = producer};
    x.value = value;
    x.limit = limit;
    if (!is_met) {
        if (x.state == ALERT_PENDING) return;
        if (x.was_clear) {
            resolve(l, &x);
            return;
        }
    }
    x.was_clear = !is_met;
    if (!old) set_state(l, &x, ALERT_PENDING);
    if (x.state == ALERT_PENDING && l->now.ms - x.since_ms >= rule->for_ms)
        set_state(l, &x, ALERT_FIRING);
    l->a->next.v[l->a->next.n++] = x;
}

static double own_value(const alert_inputs *in, const char *metric) {
    if (!strcmp(metric, "store_ok")) return in->store_ok;
    if (!strcmp(metric, "loop_lag")) return in->loop_lag_s;
    return (double)NAN;
}

void alerts_look(alerts *a, const stats *s, const alert_inputs *in, hub_time now, alert_told *told,
                 void *ctx) {
    if (!a) return;
    look l = {.a = a, .now = now, .told = told, .ctx = ctx, .stats = s};
    a->next.n = 0;
    for (int k = 0; k < a->n_rules; k++)
        visit(&l, 0, &a->rules[k], own_value(in, a->rules[k].metric), limit_of(&a->rules[k], NULL));
    for (int i = 0; i < s->n_rows; i++) {
        const stats_producer *p = s->rows[i];
        if (p->is_ended) continue;
        for (int k = 0; k < a->n_rules; k++) {
            const alert_rule *r = &a->rules[k];
            if (*r->name && strcmp(r->name, p->name) != 0) continue;
            visit(&l, p->number, r, value_of(r, p, now), limit_of(r, p));
        }
    }
    for (; l.at < a->now.n; l.at++) {
        a->now.v[l.at].value = (double)NAN;
        resolve(&l, &a->now.v[l.at]);
    }
    list old = a->now;
    a->now = a->next;
    a->next = old;
    a->next.n = 0;
}

/* ---- what is shown ----------------------------------------------------------------------------- */

int alerts_n_firing(const alerts *a) {
    int n = 0;
    for (int i = 0; a && i < a->now.n; i++)
        n += a->now.v[i].state == ALERT_FIRING;
    return n;
}

bool alerts_reason(const alerts *a, int i, char *out, size_t cap) {
    for (int k = 0; a && k < a->now.n; k++) {
        const alert *x = &a->now.v[k];
        if (x->state != ALERT_FIRING || i-- > 0) continue;
        char whose[32] = "the hub";
        if (x->producer) snprintf(whose, sizeof whose, "producer %" PRIu32, x->producer);
        snprintf(out, cap, "alert: %s: %s", whose, x->rule->text);
        return true;
    }
    return false;
}

void alerts_write(const alerts *a, text_buf *out) {
    if (!a) {
        text_put(out, "\"alerts\":[],\"alert_changes\":[],\"rules\":[]");
        return;
    }
    text_put(out, "\"alerts\":[");
    for (int i = 0; i < a->now.n; i++) {
        text_put(out, i ? ",{" : "{");
        put_alert(out, &a->now.v[i]);
        text_put(out, ",\"since_ms\":%" PRIu64 "}", a->now.v[i].wall_ms);
    }
    text_put(out, "],\"alert_changes\":[");
    uint64_t first = a->n_changes > ALERT_CHANGES_MAX ? a->n_changes - ALERT_CHANGES_MAX : 0;
    for (uint64_t i = first; i < a->n_changes; i++) {
        const alert *x = &a->changes[i % ALERT_CHANGES_MAX];
        text_put(out, i > first ? ",{" : "{");
        put_alert(out, x);
        text_put(out, ",\"t_ms\":%" PRIu64 "}", x->wall_ms);
    }
    text_put(out, "],\"rules\":[");
    for (int i = 0; i < a->n_rules; i++) {
        if (i) text_put(out, ",");
        text_string(out, a->rules[i].text);
    }
    text_put(out, "]");
}
