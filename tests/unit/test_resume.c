/* test_resume.c: the law: produced = stored + declared gaps + still spooled; nothing stored twice, nothing
 * acknowledged that is not stored. Real reports and a real hub, between them connections that break
 * anywhere and a store that commits late and forgets what it had not committed when its hub is killed.
 * Over real sockets, processes and disks: tests/js/serve/law.test.mjs. */
#define _POSIX_C_SOURCE 200809L /* strndup */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "bitnet/tracker.h"
#include "dash/hub.h"

enum { N_PRODUCERS = 3, QUEUE_MAX = 256, STORED_MAX = 4096 };

static uint64_t rng;
static hub_time now;

static unsigned chance(unsigned n) {
    return (unsigned)(rng_next(&rng) >> 33) % n;
}

/* ---- the store: what is on disk, and what is not yet ---- */

typedef struct row {
    char instance[MESSAGE_INSTANCE_MAX];
    uint64_t seq, to, stored, lost; /* samples */
} row;

static row disk[STORED_MAX], pending[STORED_MAX];
static int n_disk, n_pending;

static uint64_t last_on(const row *rows, int n, const char *instance) {
    uint64_t last = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(rows[i].instance, instance) == 0) last = rows[i].to;
    return last;
}

static bool store_last_seq(void *ctx, const char *instance, uint64_t *seq) {
    (void)ctx;
    *seq = last_on(disk, n_disk, instance);
    return true;
}

static bool store_has_room(void *ctx) {
    (void)ctx;
    return n_pending < STORED_MAX;
}

static bool store_put(void *ctx, const char *instance, message *m, uint64_t wall_ms) {
    (void)ctx, (void)wall_ms;
    if (m->kind == MESSAGE_WINDOW || m->kind == MESSAGE_GAP) {
        row *r = &pending[n_pending++];
        *r = (row){.seq = m->seq, .to = m->to, .stored = m->n_samples};
        memcpy(r->instance, instance, strlen(instance) + 1);
        const cJSON *n = cJSON_GetObjectItemCaseSensitive(m->json, "n");
        if (m->kind == MESSAGE_GAP && n) r->lost = (uint64_t)n->valuedouble;
    }
    cJSON_Delete(m->json);
    m->json = NULL;
    return true;
}

/* Each number once, in order and without a hole. */
static void check_disk(const row *r) {
    if (r->seq != last_on(disk, n_disk, r->instance) + 1)
        fail_msg("%s: %llu is stored after %llu", r->instance, (unsigned long long)r->seq,
                 (unsigned long long)last_on(disk, n_disk, r->instance));
}

static void store_commit(hub *h, int n) {
    for (int i = 0; i < n; i++) {
        assert_true(n_disk < STORED_MAX);
        check_disk(&pending[i]);
        disk[n_disk++] = pending[i];
        hub_committed(h, pending[i].instance, pending[i].to);
    }
    n_pending -= n;
    memmove(pending, pending + n, (size_t)n_pending * sizeof *pending);
}

/* ---- a connection ---- */

typedef struct queue {
    char *text[QUEUE_MAX];
    int n;
} queue;

static bool queue_add(queue *q, const char *text, size_t n) {
    if (q->n == QUEUE_MAX) return false;
    q->text[q->n] = strndup(text, n);
    q->n++;
    return true;
}

static char *queue_take(queue *q) {
    if (q->n == 0) return NULL;
    char *text = q->text[0];
    q->n--;
    memmove(q->text, q->text + 1, (size_t)q->n * sizeof *q->text);
    return text;
}

static void queue_cut(queue *q, int keep) {
    while (q->n > keep)
        free(q->text[--q->n]);
}

typedef struct client {
    bitnet_tracker *tracker;
    bitnet_ring *ring;
    bitnet_sink report;
    char instance[MESSAGE_INSTANCE_MAX];
    queue up, down;
    hub_peer *peer; /* NULL: not connected */
    bool is_closing;
    uint32_t n_opened;
    uint64_t n_produced; /* samples */
    uint64_t t_ns;
} client;

static bitnet_status client_send(void *ctx, const void *msg, size_t n) {
    client *c = ctx;
    return c->peer && queue_add(&c->up, msg, n) ? BITNET_OK : BITNET_AGAIN;
}

static bitnet_status client_receive(void *ctx, char *msg, size_t cap, size_t *n, uint64_t *at_ns) {
    client *c = ctx;
    char *text = queue_take(&c->down);
    if (!text) return BITNET_AGAIN;
    *n = strlen(text);
    *at_ns = c->t_ns;
    assert_true(*n <= cap);
    memcpy(msg, text, *n);
    free(text);
    return BITNET_OK;
}

static uint32_t client_n_opened(void *ctx) {
    return ((client *)ctx)->n_opened;
}

static void on_wake(void *user) {
    (void)user;
}
static void on_close(void *user, int code) {
    (void)code;
    ((client *)user)->is_closing = true;
}

static void client_open(client *c, unsigned instance, size_t spool_bytes) {
    *c = (client){.t_ns = 1};
    snprintf(c->instance, sizeof c->instance, "%016x", instance);
    bitnet_transport t = {
        .send = client_send, .receive = client_receive, .n_opened = client_n_opened, .ctx = c};
    bitnet_report_desc d = {.name = "p", .instance = instance, .spool_bytes = spool_bytes};
    assert_int_equal(bitnet_report_open(&c->report, t, &d), BITNET_OK);
    assert_int_equal(bitnet_tracker_create(&c->tracker, &(bitnet_tracker_desc){0}), BITNET_OK);
    c->ring = bitnet_tracker_ring(c->tracker);
    bitnet_tracker_add_sink(c->tracker, c->report);
}

static void client_free(client *c) {
    bitnet_tracker_free(c->tracker);
    queue_cut(&c->up, 0);
    queue_cut(&c->down, 0);
}

static void pump(client *c, int n_metrics) {
    c->t_ns += 100000000;
    for (int i = 0; i < n_metrics; i++)
        bitnet_ring_push(c->ring, c->t_ns, (bitnet_metric)i, 0.25, 0, 0);
    c->n_produced += (uint64_t)n_metrics;
    bitnet_tracker_pump(c->tracker, c->t_ns);
}

static void drop_connection(hub *h, client *c) {
    if (c->peer) hub_leave(h, c->peer, now);
    c->peer = NULL;
    c->is_closing = false;
    queue_cut(&c->up, 0);
    queue_cut(&c->down, (int)chance(4)); /* what had come before is read, or not */
}

static void connect(hub *h, client *c) {
    c->peer = hub_join(h, c, now);
    assert_non_null(c->peer);
    c->n_opened++;
}

static void deliver(hub *h, client *c, int n) {
    const char *why, *text;
    size_t len;
    for (; c->peer && n > 0; n--) {
        char *sent = queue_take(&c->up);
        if (!sent) break;
        if (hub_receive(h, c->peer, sent, strlen(sent), now, &why) != 0) c->is_closing = true;
        free(sent);
        if (c->is_closing) drop_connection(h, c);
    }
    while (c->peer && hub_next(h, c->peer, now, &text, &len))
        if (!queue_add(&c->down, text, len)) break;
}

static hub *start_hub(void) {
    return hub_create(&(hub_desc){.events = {.wake = on_wake, .close = on_close},
                                  .store = {.last_seq = store_last_seq,
                                            .has_room = store_has_room,
                                            .put = store_put,
                                            .id = "0123456789abcdef"}});
}

static hub *kill_hub(hub *h, client *c) {
    hub_free(h); /* before what the clients know of it goes: nothing says bye */
    n_pending = 0;
    for (int i = 0; i < N_PRODUCERS; i++) {
        c[i].peer = NULL;
        c[i].is_closing = false;
        queue_cut(&c[i].up, 0);
        queue_cut(&c[i].down, (int)chance(4));
    }
    return start_hub();
}

/* ---- the law ---- */

static void check_acknowledged(const client *c) {
    bitnet_report_state s = bitnet_report_get_state(&c->report);
    if (s.n_acknowledged > last_on(disk, n_disk, c->instance))
        fail_msg("%s: %llu is acknowledged, %llu is stored", c->instance,
                 (unsigned long long)s.n_acknowledged,
                 (unsigned long long)last_on(disk, n_disk, c->instance));
}

/* Nothing breaks any more: everything is delivered and stored. */
static void settle(hub *h, client *c) {
    for (int round = 0; round < 400; round++) {
        now.ms += 100;
        now.wall_us += 100000;
        if (!c->peer) connect(h, c);
        pump(c, 0);
        deliver(h, c, QUEUE_MAX);
        store_commit(h, n_pending);
        deliver(h, c, QUEUE_MAX);
        if (bitnet_tracker_settle(c->tracker) == BITNET_OK) return;
    }
    fail_msg("%s does not settle", c->instance);
}

static void check_law(const client *c, uint64_t *n_lost) {
    uint64_t stored = 0, lost = 0;
    for (int i = 0; i < n_disk; i++) {
        if (strcmp(disk[i].instance, c->instance) != 0) continue;
        stored += disk[i].stored;
        lost += disk[i].lost;
    }
    if (c->n_produced != stored + lost)
        fail_msg("%s: %llu samples were produced, %llu are stored and %llu declared lost",
                 c->instance, (unsigned long long)c->n_produced, (unsigned long long)stored,
                 (unsigned long long)lost);
    *n_lost += lost;
}

static void step(hub **h, client *c) {
    client *who = &c[chance(N_PRODUCERS)];
    now.ms += 10;
    now.wall_us += 10000;
    switch (chance(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        pump(who, (int)chance(4));
        break;
    case 4:
    case 5:
    case 6:
        deliver(*h, who, (int)chance(8));
        break;
    case 7:
    case 8:
        store_commit(*h, (int)chance((unsigned)n_pending + 1));
        break;
    case 9:
        if (!who->peer) connect(*h, who);
        break;
    case 10:
        if (chance(4) == 0) drop_connection(*h, who);
        break;
    default:
        if (chance(16) == 0) *h = kill_hub(*h, c);
        if (chance(4) == 0) hub_tick(*h, now);
    }
}

static void whatever_breaks_the_law_holds(void **state) {
    (void)state;
    uint64_t n_lost = 0;
    for (int round = 0; round < 300; round++) {
        client c[N_PRODUCERS];
        rng = rng_seed((uint64_t)round);
        now = (hub_time){.ms = 1000000, .wall_us = 1795000000000000};
        n_disk = n_pending = 0;
        hub *h = start_hub();
        for (unsigned i = 0; i < N_PRODUCERS; i++)
            client_open(&c[i], i + 1, i == 0 ? 1500 : 0); /* the first one's spool overflows */
        for (int i = 0; i < 600; i++) {
            step(&h, c);
            for (int k = 0; k < N_PRODUCERS; k++)
                check_acknowledged(&c[k]);
        }
        for (int i = 0; i < N_PRODUCERS; i++) {
            settle(h, &c[i]);
            check_law(&c[i], &n_lost);
        }
        for (int i = 0; i < N_PRODUCERS; i++)
            client_free(&c[i]);
        hub_free(h);
    }
    assert_true(n_lost > 0); /* spools did overflow */
}

/* A store restored from an old copy, or deleted: what it once acknowledged is gone, and declared. */
static void a_hub_that_lost_its_store_is_told_what_is_missing(void **state) {
    (void)state;
    client c;
    now = (hub_time){.ms = 1000000, .wall_us = 1795000000000000};
    n_disk = n_pending = 0;
    hub *h = start_hub();
    client_open(&c, 7, 0);
    connect(h, &c);
    for (int i = 0; i < 5; i++)
        pump(&c, 1);
    settle(h, &c);
    assert_int_equal(last_on(disk, n_disk, c.instance), 5);
    n_disk = 0;
    hub_free(h);
    c.peer = NULL;
    h = start_hub();
    pump(&c, 1);
    settle(h, &c);
    assert_int_equal(n_disk, 2);
    assert_int_equal(disk[0].seq, 1);
    assert_int_equal(disk[0].to, 5);
    assert_int_equal(disk[0].stored, 0);
    assert_int_equal(disk[1].seq, 6);
    client_free(&c);
    hub_free(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_breaks_the_law_holds),
        cmocka_unit_test(a_hub_that_lost_its_store_is_told_what_is_missing),
    };
    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
