/* track.c: see track.h. The pump thread wakes five times a second, and once a second it samples
 * the monitor's sources into a ring of its own. */
#define _GNU_SOURCE /* getrandom */
#include "track.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/base.h"
#include "base/os.h"
#include "bitnet/bitnet.h"
#include "build_commit.h"
#include "cmd/token_file.h"
#include "dash/transport_lws.h"
#include "os_cores.h"
#include "probe/machine.h"
#include "monitor.h"

#define PUMP_MS        200
#define PUMPS_A_SECOND (1000 / PUMP_MS)
#define RING_CAP                                                                                   \
    16384 /* records: more than a fast model makes while a block of pumps is left out */
#define PATIENCE_MS 500u
#define SETTLE_MS   2000u /* for the hub to store the last messages; it takes about 100 ms */

struct track {
    bitnet_tracker *tracker;
    bitnet_ops *ops;
    bitnet_ring *engine, *monitor;
    bitnet_overhead overhead; /* the pump thread's */
    _Atomic(bitnet_profile *) profile;
    bitnet_transport transport; /* owned by the report */
    uint64_t patient_until_ns;  /* until then the first pump waits for the connection */
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_stopping, for the condition */
    pthread_cond_t stop;
    bool is_stopping;
};

static struct timespec after_ms(long ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

/* Records wait in the rings while the connection is being made, so that the first ones of a short
 * run arrive too; but not for long, since the rings are finite. */
static bool is_due(const track *t, uint64_t now) {
    return now >= t->patient_until_ns || t->transport.n_opened(t->transport.ctx) > 0;
}

static void sample(track *t, monitor *m) {
    uint64_t now = bitnet_os_now_ns();
    monitor_sample(m, t->monitor, now);
    bitnet_profile_record(atomic_load(&t->profile), t->tracker, t->monitor, now);
}

static void *pump_main(void *arg) {
    track *t = arg;
    monitor *m; /* opened here, since a GPU's driver may take its time; NULL: no memory for it */
    monitor_open(&m, &(monitor_desc){0});
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; !t->is_stopping; i++) {
        pthread_mutex_unlock(&t->lock);
        uint64_t now = bitnet_os_now_ns();
        if (i % PUMPS_A_SECOND == 0) sample(t, m);
        if (is_due(t, now) && bitnet_overhead_due(&t->overhead)) {
            bitnet_overhead_record(&t->overhead, t->monitor, now);
            bitnet_tracker_pump(t->tracker, now);
        }
        struct timespec due = after_ms(PUMP_MS);
        pthread_mutex_lock(&t->lock);
        while (!t->is_stopping && pthread_cond_timedwait(&t->stop, &t->lock, &due) != ETIMEDOUT) {
        }
    }
    pthread_mutex_unlock(&t->lock);
    sample(t, m); /* a short run has an end, and a peak, too */
    monitor_close(m);
    return NULL;
}

static bitnet_status measure_overhead(void *ctx, const bitnet_window *w) {
    bitnet_overhead_window(&((track *)ctx)->overhead, w);
    return BITNET_OK;
}

/* "AMD EPYC 9B14, 2 CPUs": enough to tell the rows of a board apart. */
static void describe_host(char *out, size_t cap) {
    char cpu[OS_CPU_NAME_MAX];
    bitnet_os_cores cores = bitnet_os_cores_here();
    snprintf(out, cap, "%s, %d CPUs", bitnet_os_cpu_name(cpu), cores.n_usable);
}

static bitnet_status start_pump(track *t) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->stop, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&t->thread, NULL, pump_main, t) == 0) return BITNET_OK;
    pthread_cond_destroy(&t->stop);
    pthread_mutex_destroy(&t->lock);
    return BITNET_E_NOMEM;
}

bitnet_status track_open(track **out, const char *url, const char *token_path, const char *name,
                         const bitnet_model *model, bitnet_error *err) {
    bitnet_model_info info = bitnet_model_get_info(model);
    char host[128], build[64];
    describe_host(host, sizeof host);
    snprintf(build, sizeof build, "%s %s", BITNET_VERSION, bitnet_build_commit);
    bitnet_report_desc rd = {.name = name,
                             .backend = info.backend,
                             .tier = info.tier,
                             .model = info.name,
                             .host = host,
                             .build = build,
                             .n_threads = info.n_threads};
    machine_expected expected = machine_expect(model, machine_measure(model));
    rd.expected_decode_rate = expected.decode_tokens_per_s;
    rd.expected_prefill_rate = expected.prefill_tokens_per_s;
    bitnet_transport transport;
    bitnet_sink sink;
    token_file token;
    *out = NULL;
    if (token_path) {
        bitnet_status read = token_file_read(&token, token_path, err);
        if (read < 0) return read;
        rd.token = token.token;
    }
    if (getrandom(&rd.instance, sizeof rd.instance, 0) != sizeof rd.instance)
        rd.instance = bitnet_os_now_ns();
    bitnet_status st = bitnet_transport_lws_open(&transport, url, err);
    if (st < 0) return st;
    st = bitnet_report_open(&sink, transport, &rd);
    if (st < 0) {
        transport.close(transport.ctx);
        return bitnet_fail(err, st, "track.memory", "no memory for the tracker");
    }
    track *t = calloc(1, sizeof *t);
    if (!t ||
        bitnet_tracker_create(&t->tracker, &(bitnet_tracker_desc){.ring_cap = RING_CAP}) < 0) {
        sink.close(sink.ctx);
        free(t);
        return bitnet_fail(err, BITNET_E_NOMEM, "track.memory", "no memory for the tracker");
    }
    bitnet_tracker_add_sink(t->tracker, sink);
    bitnet_tracker_add_sink(t->tracker, (bitnet_sink){.write = measure_overhead, .ctx = t});
    t->transport = transport;
    t->patient_until_ns = bitnet_os_now_ns() + PATIENCE_MS * 1000000u;
    t->engine = bitnet_tracker_ring(t->tracker);
    t->monitor = bitnet_tracker_ring(t->tracker);
    st = bitnet_ops_create(&t->ops, &(bitnet_ops_desc){.listener = bitnet_tracker_take_op,
                                                       .listener_ctx = t->tracker});
    if (!t->engine || !t->monitor || st < 0 || start_pump(t) < 0) {
        bitnet_ops_free(t->ops);
        bitnet_tracker_free(t->tracker);
        free(t);
        return bitnet_fail(err, BITNET_E_NOMEM, "track.memory",
                           "no memory or thread for the tracker");
    }
    *out = t;
    return BITNET_OK;
}

void track_profile(track *t, bitnet_profile *profile) {
    if (t) atomic_store(&t->profile, profile);
}

bitnet_ops *track_ops(track *t) {
    return t ? t->ops : NULL;
}

bitnet_ring *track_ring(track *t) {
    return t ? t->engine : NULL;
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* What the hub has not stored when we go is lost, so it gets a moment; one that never answered does not. */
static void settle(track *t) {
    uint64_t until = bitnet_os_now_ns() + SETTLE_MS * 1000000u;
    if (t->transport.n_opened(t->transport.ctx) == 0) return;
    do {
        bitnet_tracker_pump(t->tracker, bitnet_os_now_ns());
        if (bitnet_tracker_settle(t->tracker) != BITNET_AGAIN) return;
        nap();
    } while (bitnet_os_now_ns() < until);
}

void track_close(track *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->is_stopping = true;
    pthread_cond_signal(&t->stop);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    bitnet_ops_free(t->ops); /* what never ended is reported as such */
    while (!is_due(t, bitnet_os_now_ns()))
        nap();
    settle(t);
    bitnet_tracker_free(t->tracker);
    pthread_cond_destroy(&t->stop);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
