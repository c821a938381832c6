/* monitor_fixture.h: a monitor over files of the test's own, and the windows that its samples make. */
#ifndef MONITOR_FIXTURE_H
#define MONITOR_FIXTURE_H

#include "load_file.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

#define SECOND  1000000000u
#define NOTHING "there-is-no-such-library.so"

static char root[64];
static bitnet_tracker *tracker;
static bitnet_ring *ring;
static bitnet_window last;
static monitor *m;
static uint64_t now_ns;

static bitnet_status keep_window(void *ctx, const bitnet_window *w) {
    (void)ctx;
    last = *w;
    return BITNET_OK;
}

/* In place: who has the file open reads the new text. */
static inline void put(const char *path, const char *text) {
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(full, 0755);
        *at = '/';
    }
    FILE *f = fopen(full, "w");
    if (!f) fail_msg("%s cannot be written", full);
    fputs(text, f);
    fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at) {
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static int open_fixture(void **state) {
    (void)state;
    strcpy(root, "/tmp/test_monitor.XXXXXX");
    if (!mkdtemp(root) || chmod(root, 0755) != 0) return -1;
    now_ns = 1000 * (uint64_t)SECOND;
    if (bitnet_tracker_create(&tracker, &(bitnet_tracker_desc){0}) < 0) return -1;
    ring = bitnet_tracker_ring(tracker);
    return bitnet_tracker_add_sink(tracker, (bitnet_sink){.write = keep_window});
}

static int close_fixture(void **state) {
    (void)state;
    monitor_close(m);
    m = NULL;
    bitnet_tracker_free(tracker);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_monitor(const char *from_root, const char *nvml) {
    monitor_close(m);
    assert_int_equal(monitor_open(&m, &(monitor_desc){from_root, nvml}), BITNET_OK);
}

/* One sample, a second after the one before; `last` is its window. */
static inline void sample(void) {
    monitor_sample(m, ring, now_ns += SECOND);
    bitnet_tracker_pump(tracker, now_ns);
}

static inline void expect(bitnet_metric metric, double want) {
    const bitnet_window_metric *w = &last.metric[metric];
    const char *name = bitnet_metric_get_info(metric)->wire;
    if (w->n != 1) fail_msg("%s: %u records, expected 1", name, (unsigned)w->n);
    if (!(fabs(w->last - want) <= 1e-9 * fabs(want))) /* sums of decimals */
        fail_msg("%s is %.12g, expected %.12g", name, w->last, want);
}

static inline void expect_absent(bitnet_metric metric) {
    const bitnet_window_metric *w = &last.metric[metric];
    if (w->n) fail_msg("%s is %g, expected nothing", bitnet_metric_get_info(metric)->wire, w->last);
}

static inline int32_t source_named(const char *name) {
    for (int32_t i = 0; monitor_name(m, i); i++)
        if (!strcmp(monitor_name(m, i), name)) return i;
    fail_msg("there is no source \"%s\"", name);
    return -1;
}

/* The source was left out, for a reason that names `part`; NULL: it was not. */
static inline void expect_why(const char *name, const char *part) {
    const char *why = monitor_why(m, source_named(name));
    if (!part && why) fail_msg("%s was left out: %s", name, why);
    if (part && (!why || !strstr(why, part)))
        fail_msg("%s: why is \"%s\", expected something with \"%s\"", name, why ? why : "(none)",
                 part);
}

static inline int32_t count_left_out(void) {
    int32_t n = 0;
    for (int32_t i = 0; monitor_name(m, i); i++)
        n += monitor_why(m, i) != NULL;
    return n;
}

#endif
