/* store_fixture.h: stores to test with, and short ways to fill and read them. */
#ifndef BITNET_TEST_STORE_FIXTURE_H
#define BITNET_TEST_STORE_FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mkdtemp */
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "dash/store.h"

#define T0 INT64_C(1795000020000) /* the beginning of a minute, not of an hour */

#define HELLO_METRICS                                                                              \
    "\"backend\":\"cpu\",\"tier\":\"c\",\"threads\":2,\"model\":\"tales\",\"host\":\"box\","       \
    "\"build\":\"0.1.0\",\"t_ms\":1795000020000,\"started_ms\":1795000019000,"                     \
    "\"expected\":{\"wait\":0.25},\"metrics\":["                                                   \
    "{\"name\":\"wait\",\"unit\":\"s\",\"kind\":\"hist\",\"help\":\"time\"},"                      \
    "{\"name\":\"memory\",\"unit\":\"By\",\"kind\":\"gauge\",\"help\":\"bytes\"}]}"
#define HELLO(instance, name)                                                                      \
    "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"" name                       \
    "\",\"instance\":\"" instance "\",\"epoch\":1,\"next_seq\":1," HELLO_METRICS

/* A folder of the test's own, made once; in memory where it can be, since each commit is synced. */
static const char *test_folder(void) {
    static char path[64];
    if (!*path) {
        snprintf(path, sizeof path, "%s/bitnet-store-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(path)) abort();
    }
    return path;
}

static void remove_test_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", test_folder());
    if (system(command) != 0) printf("%s is left\n", test_folder());
}

static inline bitnet_status put_at(store *s, const char *instance, const char *text,
                                   int64_t wall_ms, bitnet_error *err) {
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    bitnet_status st = store_put(s, instance, json, wall_ms, err);
    cJSON_Delete(json);
    return st;
}

/* One message, committed on its own; whatever it comes to. */
static inline bitnet_status put(store *s, const char *instance, const char *text) {
    bitnet_error err = {0};
    assert_int_equal(store_begin(s, &err), BITNET_OK);
    bitnet_status st = put_at(s, instance, text, T0, &err);
    if (st < 0)
        store_rollback(s);
    else if (store_commit(s, &err) < 0)
        fail_msg("%s", err.text);
    return st;
}

/* A window of one "wait" of this value and, when label is not NULL, a "memory" with it. */
static inline const char *window_text(int seq, int64_t t_ms, double value, const char *label) {
    static char text[1024];
    int n = snprintf(text, sizeof text,
                     "{\"type\":\"window\",\"seq\":%d,\"t_ms\":%lld,\"span_ms\":100,\"dropped\":0,"
                     "\"m\":{\"wait\":{\"n\":2,\"sum\":%.17g,\"min\":%.17g,\"max\":%.17g,"
                     "\"last\":%.17g,\"b\":[%d,2]}}",
                     seq, (long long)t_ms, 2 * value, value, value, value, 400 + seq % 100);
    if (label)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      ",\"s\":[{\"name\":\"memory\",\"labels\":{\"kind\":\"%s\"},\"n\":1,\"sum\":7,"
                      "\"min\":7,\"max\":7,\"last\":7}]",
                      label);
    snprintf(text + n, sizeof text - (size_t)n, "}");
    return text;
}

static inline int64_t last_seq(store *s, const char *instance) {
    int64_t seq = -1;
    bitnet_error err = {0};
    if (store_last_seq(s, instance, &seq, &err) < 0) fail_msg("%s", err.text);
    return seq;
}

static inline const char *latest(store *s) {
    static char id[STORE_RUN_MAX];
    bitnet_error err = {0};
    if (store_find_run(s, "latest", id, &err) < 0) fail_msg("%s", err.text);
    return id;
}

static inline bool add_line(void *user, const cJSON *message) {
    char *line = cJSON_PrintUnformatted(message), *all = user;
    size_t at = strlen(all);
    snprintf(all + at, (1 << 20) - at, "%s\n", line);
    cJSON_free(line);
    return true;
}

/* The messages of a run as lines; until the next call. */
static inline const char *replayed(store *s, const char *id, int kinds) {
    static char all[1 << 20];
    bitnet_error err = {0};
    all[0] = '\0';
    if (store_replay(s, id, kinds, add_line, all, &err) < 0) fail_msg("%s", err.text);
    return all;
}

#endif
