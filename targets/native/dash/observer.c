/* observer.c: see observer.h. */
#include "dash/observer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/bitnet.h"
#include "build_commit.h"
#include "dash/prometheus.h"

enum {
    REASONS_MAX = 12, /* of a health answer; what is more is counted */
    REASON_MAX = 320,
    N_CHECKS = 4
};

struct observer {
    observer_desc desc;
    stats *stats;
    alerts *alerts;
    hub_time began;
    uint64_t due_ms; /* the next tick */
    uint64_t lag_ms[OBSERVER_LAGS];
    int n_ticks;
    char *told; /* the newest message of health */
    hub *hub;   /* during a tick */
    hub_time now;
};

observer *observer_create(const observer_desc *desc, hub_time now) {
    observer *o = calloc(1, sizeof *o);
    stats *s = stats_create();
    if (!o || !s) {
        free(o);
        stats_free(s);
        return NULL;
    }
    o->desc = *desc;
    o->stats = s;
    o->alerts = desc->alerts;
    o->began = now;
    o->due_ms = now.ms + OBSERVER_TICK_MS;
    return o;
}

void observer_free(observer *o) {
    if (!o) return;
    stats_free(o->stats);
    free(o->told);
    free(o);
}

hub_listener observer_listener(observer *o) {
    return (hub_listener){.hear = stats_hear, .hear_clock = stats_hear_clock, .ctx = o->stats};
}

/* ---- what is known of the hub ------------------------------------------------------------------ */

static const char *const store_names[] = {[OBSERVER_STORE_OFF] = "off",
                                          [OBSERVER_STORE_OK] = "ok",
                                          [OBSERVER_STORE_FULL] = "full",
                                          [OBSERVER_STORE_ERROR] = "error"};

static observer_store store_of(const observer *o) {
    observer_store s = {.state = OBSERVER_STORE_OFF, .has_room = true};
    if (o->desc.store_state) o->desc.store_state(o->desc.ctx, &s);
    return s;
}

static double store_ok(const observer_store *s) {
    return s->state == OBSERVER_STORE_OFF ? (double)NAN : s->state == OBSERVER_STORE_OK ? 1 : 0;
}

/* The worst of the last ticks, and of the one that should have come by now. */
static uint64_t worst_lag(const observer *o, hub_time now) {
    uint64_t worst = now.ms > o->due_ms ? now.ms - o->due_ms : 0;
    for (int i = 0; i < OBSERVER_LAGS; i++)
        if (o->lag_ms[i] > worst) worst = o->lag_ms[i];
    return worst;
}

/* ---- health ------------------------------------------------------------------------------------ */

typedef struct health {
    observer_health worst;
    int n_reasons;
    char reasons[REASONS_MAX][REASON_MAX];
    struct {
        const char *name;
        observer_health status;
        char detail[REASON_MAX];
    } checks[N_CHECKS];
    int n_checks;
} health;

static void add_reason(health *h, const char *reason) {
    if (h->n_reasons < REASONS_MAX) snprintf(h->reasons[h->n_reasons], REASON_MAX, "%s", reason);
    h->n_reasons++;
}

/* A check that is not ok is a reason too, unless it has given its own. */
static void add_check(health *h, const char *name, observer_health status, bool has_reasons,
                      const char *detail) {
    h->checks[h->n_checks].name = name;
    h->checks[h->n_checks].status = status;
    snprintf(h->checks[h->n_checks++].detail, REASON_MAX, "%s", detail);
    if (status > h->worst) h->worst = status;
    if (status != HEALTH_OK && !has_reasons) add_reason(h, detail);
}

static void check_loop(health *h, const observer *o, hub_time now) {
    char detail[REASON_MAX] = "the loop is on time";
    uint64_t lag = worst_lag(o, now);
    if (lag > OBSERVER_LAG_DEGRADED_MS)
        snprintf(detail, sizeof detail, "the loop was %.1f s late within its last %d ticks",
                 (double)lag / 1e3, OBSERVER_LAGS);
    add_check(h, "loop",
              lag > OBSERVER_LAG_UNHEALTHY_MS  ? HEALTH_UNHEALTHY
              : lag > OBSERVER_LAG_DEGRADED_MS ? HEALTH_DEGRADED
                                               : HEALTH_OK,
              false, detail);
}

static void check_store(health *h, const observer_store *s) {
    static const char *const details[] = {
        [OBSERVER_STORE_OFF] = "no history is kept",
        [OBSERVER_STORE_OK] = "what arrives becomes durable",
        [OBSERVER_STORE_FULL] = "there is no room for history",
        [OBSERVER_STORE_ERROR] = "history cannot be written",
    };
    char detail[REASON_MAX];
    snprintf(detail, sizeof detail, "%s%s%s%s", details[s->state], *s->reason ? ": " : "",
             s->reason, s->has_room ? "" : "; the queue is full and producers are turned away");
    add_check(h, "store",
              !s->has_room                      ? HEALTH_UNHEALTHY
              : s->state >= OBSERVER_STORE_FULL ? HEALTH_DEGRADED
                                                : HEALTH_OK,
              false, detail);
}

static void check_alerts(health *h, const observer *o) {
    char detail[REASON_MAX] = "no alert is firing", reason[REASON_MAX];
    int n = alerts_n_firing(o->alerts);
    if (n) snprintf(detail, sizeof detail, "%d alert%s firing", n, n == 1 ? " is" : "s are");
    for (int i = 0; i < REASONS_MAX && alerts_reason(o->alerts, i, reason, sizeof reason); i++)
        add_reason(h, reason);
    if (n > REASONS_MAX) h->n_reasons += n - REASONS_MAX;
    add_check(h, "alerts", n ? HEALTH_DEGRADED : HEALTH_OK, true, detail);
}

static void check_producers(health *h, const observer *o, hub_time now) {
    char detail[REASON_MAX] = "nothing was lost in the last minute";
    double lost = 0;
    int n = 0;
    for (int i = 0; i < o->stats->n_rows; i++) {
        double of_row = 0;
        for (int k = STATS_DROPPED; k <= STATS_LOST; k++) {
            size_t room = SIZE_MAX;
            values v = stats_minute(&o->stats->rows[i]->losses[k], now, &room);
            if (v.n) of_row += v.sum;
        }
        lost += of_row;
        n += of_row > 0;
    }
    if (n)
        snprintf(detail, sizeof detail, "%d producer%s lost %.0f samples in the last minute", n,
                 n == 1 ? "" : "s", lost);
    add_check(h, "producers", n ? HEALTH_DEGRADED : HEALTH_OK, false, detail);
}

static health health_of(const observer *o, hub_time now) {
    health h = {.worst = HEALTH_OK};
    observer_store s = store_of(o);
    check_loop(&h, o, now);
    check_store(&h, &s);
    check_alerts(&h, o);
    check_producers(&h, o, now);
    return h;
}

static const char *const health_names[] = {
    [HEALTH_OK] = "ok", [HEALTH_DEGRADED] = "degraded", [HEALTH_UNHEALTHY] = "unhealthy"};

static void put_health(text_buf *t, const health *h) {
    text_put(t, "\"status\":\"%s\",\"reasons\":[", health_names[h->worst]);
    for (int i = 0; i < h->n_reasons && i < REASONS_MAX; i++) {
        if (i) text_put(t, ",");
        text_string(t, h->reasons[i]);
    }
    if (h->n_reasons > REASONS_MAX) text_put(t, ",\"and %d more\"", h->n_reasons - REASONS_MAX);
    text_put(t, "]");
}

observer_health observer_write_health(const observer *o, hub_time now, text_buf *out) {
    health h = health_of(o, now);
    text_put(out, "{");
    put_health(out, &h);
    text_put(out, ",\"checks\":[");
    for (int i = 0; i < h.n_checks; i++) {
        text_put(out, "%s{\"name\":\"%s\",\"status\":\"%s\",\"detail\":", i ? "," : "",
                 h.checks[i].name, health_names[h.checks[i].status]);
        text_string(out, h.checks[i].detail);
        text_put(out, "}");
    }
    text_put(out, "],\"uptime_s\":%.3f}\n", (double)(now.ms - o->began.ms) / 1e3);
    return h.worst;
}

/* ---- the other answers ------------------------------------------------------------------------- */

void observer_write_stats(const observer *o, hub_time now, text_buf *out) {
    observer_store s = store_of(o);
    text_put(out, "{\"t_ms\":%" PRIu64 ",\"uptime_s\":%.3f,\"hub\":\"bitnet %s %s\"",
             now.wall_us / 1000, (double)(now.ms - o->began.ms) / 1e3, BITNET_VERSION,
             bitnet_build_commit);
    text_put(out, ",\"store\":{\"durable\":%s,\"state\":\"%s\",\"reason\":",
             s.state == OBSERVER_STORE_OK ? "true" : "false", store_names[s.state]);
    if (*s.reason)
        text_string(out, s.reason);
    else
        text_put(out, "null");
    text_put(out, "},");
    stats_write(o->stats, out, now);
    text_put(out, ",");
    stats_write_operations(o->stats, out);
    text_put(out, ",");
    alerts_write(o->alerts, out);
    text_put(out, "}\n");
}

void observer_write_metrics(const observer *o, const hub *h, hub_time now, text_buf *out) {
    observer_store s = store_of(o);
    hub_counts counts = hub_get_counts(h);
    prometheus_write(out, o->stats,
                     &(prometheus_hub){.version = BITNET_VERSION,
                                       .commit = bitnet_build_commit,
                                       .n_producers = counts.n_producers,
                                       .n_viewers = counts.n_viewers,
                                       .n_firing = alerts_n_firing(o->alerts),
                                       .uptime_s = (double)(now.ms - o->began.ms) / 1e3,
                                       .loop_lag_s = (double)worst_lag(o, now) / 1e3,
                                       .store_ok = store_ok(&s),
                                       .store_queued = s.state == OBSERVER_STORE_OFF ? (double)NAN
                                                                                     : s.n_queued});
}

/* ---- once a second ----------------------------------------------------------------------------- */

static void on_alert(void *ctx, const alert *a, const char *instance, const char *json) {
    observer *o = ctx;
    hub_tell_viewers(o->hub, json, o->now);
    if (o->desc.alert_changed) o->desc.alert_changed(o->desc.ctx, a, instance, json);
}

/* Viewers hear of health when it has changed, and those that come later what it is. */
static void tell_health(observer *o) {
    health h = health_of(o, o->now);
    observer_store s = store_of(o);
    text_buf t = {.p = NULL};
    size_t n;
    text_put(&t, "{\"type\":\"health\",");
    put_health(&t, &h);
    text_put(&t, ",\"store\":\"%s\"}", store_names[s.state]);
    char *json = text_take(&t, &n);
    if (json && (!o->told || strcmp(json, o->told) != 0)) {
        hub_tell_state(o->hub, json, o->now);
        free(o->told);
        o->told = json;
    } else {
        free(json);
    }
}

void observer_tick(observer *o, hub *h, hub_time now) {
    observer_store s = store_of(o);
    o->lag_ms[o->n_ticks++ % OBSERVER_LAGS] = now.ms > o->due_ms ? now.ms - o->due_ms : 0;
    o->due_ms = now.ms + OBSERVER_TICK_MS;
    o->hub = h;
    o->now = now;
    stats_tick(o->stats, now);
    alert_inputs in = {.store_ok = store_ok(&s), .loop_lag_s = (double)worst_lag(o, now) / 1e3};
    alerts_look(o->alerts, o->stats, &in, now, on_alert, o);
    tell_health(o);
    o->hub = NULL;
}
