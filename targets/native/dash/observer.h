/* observer.h: watches one hub: statistics, alerts and health, and the answers that tell of them
 * (docs/serve.md). It hears every message, looks once a second, and knows no socket.
 */
#ifndef BITNET_DASH_OBSERVER_H
#define BITNET_DASH_OBSERVER_H

#include "dash/alerts.h"
#include "dash/hub.h"
#include "dash/stats.h"

enum {
    OBSERVER_TICK_MS = 1000,
    OBSERVER_LAGS = 10,               /* ticks whose lateness is remembered */
    OBSERVER_LAG_DEGRADED_MS = 1000,  /* a tick this late */
    OBSERVER_LAG_UNHEALTHY_MS = 10000 /* or this */
};

typedef enum observer_store_state {
    OBSERVER_STORE_OFF, /* no history is kept */
    OBSERVER_STORE_OK,
    OBSERVER_STORE_FULL,
    OBSERVER_STORE_ERROR
} observer_store_state;

typedef struct observer_store {
    observer_store_state state;
    bool has_room;    /* for one message more; without it producers are turned away */
    int n_queued;     /* messages that are not durable yet */
    char reason[240]; /* a sentence; "" when all is well */
} observer_store;

/* Everything is copied; what it points to is borrowed and must outlive the observer. {0} but for alerts is
 * valid. */
typedef struct observer_desc {
    alerts *alerts;
    void (*store_state)(void *ctx, observer_store *out); /* NULL: there is no store */
    alert_told *alert_changed; /* for the store's events; NULL: nobody else wants to know */
    void *ctx;
} observer_desc;

typedef struct observer observer;

observer *observer_create(const observer_desc *desc, hub_time now); /* NULL when out of memory */
void observer_free(observer *o);                                    /* NULL is fine */

/* For the hub's desc. */
hub_listener observer_listener(observer *o);
/* Every OBSERVER_TICK_MS: tells the hub's viewers what has changed. */
void observer_tick(observer *o, hub *h, hub_time now);

typedef enum observer_health { HEALTH_OK, HEALTH_DEGRADED, HEALTH_UNHEALTHY } observer_health;

/* Bodies of /performance/stats, /metrics and /health. */
void observer_write_stats(const observer *o, hub_time now, text_buf *out);
void observer_write_metrics(const observer *o, const hub *h, hub_time now, text_buf *out);
observer_health observer_write_health(const observer *o, hub_time now, text_buf *out);

#endif
