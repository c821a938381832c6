/* test_store.c: the history, one table of scenarios for each database (dash/store.h). What is only
 * true of a file is in test_store_file.c. */
#include "store_fixture.h"
#include "postgres_fixture.h"

#include <math.h>

#include <sqlite3.h>

#define SUM_TOLERANCE 1e-9 /* relative; some thousand additions in another order */

typedef struct place { /* one database; each scenario gets an empty store there */
    bool is_server;
    int n;
    char location[256];
} place;
static place file_place, server_place = {.is_server = true};

static store *open_place(place *p, const char *retention) {
    store *s;
    bitnet_error err = {0};
    if (p->is_server && postgres_server.why) {
        printf("skip: no PostgreSQL: %s\n", postgres_server.why);
        skip();
    }
    const store_desc desc = {.location = p->location, .retention = retention};
    if (store_open(&s, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    return s;
}

static int next_place(void **state) {
    place *p = *state;
    if (p->is_server) {
        snprintf(p->location, sizeof p->location, "%s", postgres_server.location);
        if (!postgres_server.why) tell_postgres("DROP SCHEMA IF EXISTS bitnet CASCADE");
        return 0;
    }
    snprintf(p->location, sizeof p->location, "%s/%d.db", test_folder(), p->n++);
    return 0;
}

static void what_was_put_is_read_back_in_the_words_of_the_protocol(void **state) {
    static const char *const lines[] = {
        HELLO("ab", "cli"),
        "{\"type\":\"window\",\"seq\":1,\"t_ms\":1795000020100,\"span_ms\":100,\"dropped\":3,\"m\":"
        "{"
        "\"wait\":{\"n\":3,\"sum\":0.3,\"min\":0.1,\"max\":0.1,\"last\":0.1,\"b\":["
        "0,1,"
        "427,1,1023,1]},\"memory\":{\"n\":1,\"sum\":18350080,\"min\":18350080,\"max\":18350080,"
        "\"last\":18350080}},\"s\":[{\"name\":\"memory\",\"labels\":{\"kind\":\"a\"},\"n\":1,"
        "\"sum\":-1.5,"
        "\"min\":-1.5,\"max\":-1.5,\"last\":-1.5}]}",
        "{\"type\":\"window\",\"seq\":2,\"t_ms\":1795000020200,\"span_ms\":100,\"dropped\":3,\"m\":"
        "{}}",
        "{\"type\":\"op\",\"seq\":3,\"t_ms\":1795000020300,\"id\":7,\"parent\":0,\"op\":"
        "\"generate\","
        "\"strategy\":\"c\",\"duration_s\":1.25,\"ok\":false,\"error\":\"stopped\",\"units\":128,"
        "\"unit\":\"token\",\"quality\":0.81,\"peak_memory\":18350080,\"cpu\":1.9,"
        "\"meta\":{\"input_size\":720,\"note\":\"text\"}}",
        "{\"type\":\"op\",\"seq\":4,\"t_ms\":1795000020400,\"id\":8,\"parent\":7,\"op\":\"x\","
        "\"duration_s\":0,\"ok\":true}",
        "{\"type\":\"gap\",\"seq\":5,\"to\":9,\"n\":44,\"reason\":\"spool_full\"}",
        "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":9}",
    };
    char expected[8192] = "";
    store *s = open_place(*state, NULL);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(put(s, "ab", lines[i]), BITNET_OK);
        strcat(strcat(expected, lines[i]), "\n");
    }
    assert_string_equal(replayed(s, latest(s), STORE_ALL), expected);
    assert_int_equal(last_seq(s, "ab"), 9);
    store_close(s);
    s = open_place(*state, NULL);
    assert_string_equal(replayed(s, latest(s), STORE_ALL), expected);
    assert_int_equal(strspn(store_id(s), "0123456789abcdef"), 16);
    store_close(s);
}

static void a_number_that_was_stored_is_not_stored_again(void **state) {
    store *s = open_place(*state, NULL);
    put(s, "ab", HELLO("ab", "cli"));
    assert_int_equal(put(s, "ab", window_text(1, T0, 1, NULL)), BITNET_OK);
    assert_int_equal(put(s, "ab", window_text(2, T0 + 100, 2, NULL)), BITNET_OK);
    assert_int_equal(put(s, "ab", window_text(1, T0, 99, NULL)), BITNET_DONE);
    assert_int_equal(put(s, "ab", window_text(2, T0 + 100, 99, NULL)), BITNET_DONE);
    assert_int_equal(put(s, "ab", "{\"type\":\"gap\",\"seq\":1,\"to\":2,\"n\":1,\"reason\":\"x\"}"),
                     BITNET_DONE);
    store_close(s);
    s = open_place(*state, NULL); /* and not by one that knows it only from the tables */
    assert_int_equal(put(s, "ab", window_text(2, T0 + 100, 99, NULL)), BITNET_DONE);
    assert_int_equal(put(s, "ab", window_text(3, T0 + 200, 3, NULL)), BITNET_OK);
    const char *story = replayed(s, latest(s), STORE_WINDOW | STORE_GAP);
    assert_null(strstr(story, "99"));
    assert_non_null(strstr(story, "\"seq\":3"));
    store_close(s);
}

static void a_gap_may_not_hold_what_was_stored(void **state) {
    store *s = open_place(*state, NULL);
    put(s, "ab", HELLO("ab", "cli"));
    put(s, "ab", window_text(1, T0, 1, NULL));
    assert_int_equal(put(s, "ab", "{\"type\":\"gap\",\"seq\":1,\"to\":4,\"n\":1,\"reason\":\"x\"}"),
                     BITNET_E_INVAL);
    assert_int_equal(last_seq(s, "ab"), 1);
    store_close(s);
}

static void what_was_not_committed_is_not_there(void **state) {
    bitnet_error err = {0};
    store *s = open_place(*state, NULL);
    put(s, "ab", HELLO("ab", "cli"));
    assert_int_equal(store_begin(s, &err), BITNET_OK);
    assert_int_equal(put_at(s, "ab", window_text(1, T0, 1, "a"), T0, &err), BITNET_OK);
    store_rollback(s);
    assert_int_equal(last_seq(s, "ab"), 0);
    assert_int_equal(put(s, "ab", window_text(1, T0, 2, "b")), BITNET_OK);
    assert_non_null(strstr(replayed(s, latest(s), STORE_WINDOW), "\"sum\":4"));
    store_begin(s, &err);
    put_at(s, "ab", window_text(2, T0, 1, "c"), T0, &err);
    store_close(s);
    s = open_place(*state, NULL);
    assert_int_equal(last_seq(s, "ab"), 1);
    store_close(s);
}

static void two_producers_with_one_name_are_two_runs(void **state) {
    bitnet_error err = {0};
    cJSON *runs;
    store *s = open_place(*state, NULL);
    put(s, "a", HELLO("a", "cli"));
    put(s, "b", HELLO("b", "cli"));
    put(s, "c", HELLO("c", "page"));
    put(s, "a", window_text(1, T0, 1, NULL));
    put(s, "b", window_text(1, T0, 2, NULL));
    put(s, "a", HELLO("a", "cli")); /* reconnects: no new run */
    assert_int_equal(put(s, "d", window_text(1, T0, 2, NULL)), BITNET_E_INVAL);
    assert_int_equal(store_runs(s, &(store_filter){0}, &runs, &err), BITNET_OK);
    assert_int_equal(cJSON_GetArraySize(runs), 3);
    const cJSON *newest = cJSON_GetArrayItem(runs, 0);
    assert_string_equal(cJSON_GetObjectItem(newest, "instance")->valuestring, "c");
    const cJSON *oldest = cJSON_GetArrayItem(runs, 2);
    assert_true(cJSON_GetObjectItem(oldest, "last_seq")->valuedouble == 1);
    char id[STORE_RUN_MAX];
    snprintf(id, sizeof id, "%s", cJSON_GetObjectItem(oldest, "id")->valuestring);
    cJSON_Delete(runs);
    assert_non_null(strstr(replayed(s, id, STORE_WINDOW), "\"sum\":2"));
    store_runs(s, &(store_filter){.name = "cli", .limit = 1}, &runs, &err);
    assert_int_equal(cJSON_GetArraySize(runs), 1);
    assert_string_equal(cJSON_GetObjectItem(runs->child, "instance")->valuestring, "b");
    cJSON_Delete(runs);
    store_runs(s, &(store_filter){.model = "none"}, &runs, &err);
    assert_int_equal(cJSON_GetArraySize(runs), 0);
    cJSON_Delete(runs);
    store_runs(s, &(store_filter){.since_ms = T0 + 1}, &runs, &err);
    assert_int_equal(cJSON_GetArraySize(runs), 0);
    cJSON_Delete(runs);
    store_close(s);
}

static void a_run_is_found_by_the_beginning_of_its_id(void **state) {
    bitnet_error err = {0};
    char id[STORE_RUN_MAX], word[STORE_RUN_MAX];
    store *s = open_place(*state, NULL);
    assert_int_equal(store_find_run(s, "latest", id, &err), BITNET_E_NOENT);
    assert_string_equal(err.id, "store.run.none");
    put(s, "a", HELLO("a", "cli"));
    put(s, "b", HELLO("b", "cli"));
    snprintf(word, sizeof word, "%s", latest(s));
    assert_int_equal(strlen(word), 26);
    word[25] = '\0';
    assert_int_equal(store_find_run(s, word, id, &err), BITNET_OK);
    assert_memory_equal(id, word, 25);
    word[3] = '\0'; /* of the time, which both share */
    assert_int_equal(store_find_run(s, word, id, &err), BITNET_E_INVAL);
    assert_string_equal(err.id, "store.run.ambiguous");
    assert_int_equal(store_find_run(s, "' OR 1=1 --", id, &err), BITNET_E_NOENT);
    assert_int_equal(store_find_run(s, "%", id, &err), BITNET_E_NOENT);
    store_close(s);
}

static void labels_in_any_order_are_one_series(void **state) {
    static const char *const windows[] = {
        "{\"type\":\"window\",\"seq\":1,\"t_ms\":1795000020000,\"span_ms\":1,\"dropped\":0,\"m\":{}"
        ",\"s\":["
        "{\"name\":\"memory\",\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"n\":1,\"sum\":5,\"min\":5,"
        "\"max\":5,"
        "\"last\":5}]}",
        "{\"type\":\"window\",\"seq\":2,\"t_ms\":1795000020000,\"span_ms\":1,\"dropped\":0,\"m\":{}"
        ",\"s\":["
        "{\"name\":\"memory\",\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"n\":1,\"sum\":7,\"min\":7,"
        "\"max\":7,"
        "\"last\":7},{\"name\":\"memory\",\"labels\":{\"a\":\"1\"},\"n\":1,\"sum\":11,\"min\":11,"
        "\"max\":11,\"last\":11}]}"};
    bitnet_error err = {0};
    cJSON *rows;
    store *s = open_place(*state, NULL);
    put(s, "a", HELLO("a", "cli"));
    put(s, "a", windows[0]);
    store_close(s);
    s = open_place(*state, NULL);
    put(s, "a", windows[1]);
    assert_int_equal(store_summaries(s, latest(s), &rows, &err), BITNET_OK);
    char *text = cJSON_PrintUnformatted(rows);
    assert_string_equal(
        text,
        "[{\"name\":\"memory\",\"unit\":\"By\",\"kind\":\"gauge\",\"help\":\"bytes\",\"labels\":{"
        "\"a\":\"1\",\"b\":\"2\"},\"n\":2,\"sum\":12,\"mean\":6,\"min\":5,\"max\":7,\"last\":7},"
        "{\"name\":\"memory\",\"unit\":\"By\",\"kind\":\"gauge\",\"help\":\"bytes\",\"labels\":{"
        "\"a\":\"1\"},\"n\":1,\"sum\":11,\"mean\":11,\"min\":11,\"max\":11,\"last\":11}]");
    cJSON_free(text);
    cJSON_Delete(rows);
    store_close(s);
}

static void hostile_text_is_kept_as_text(void **state) {
    static const char hello[] =
        "{\"type\":\"hello\",\"proto\":1,\"role\":\"producer\",\"name\":\"'; DROP TABLE run; --\","
        "\"instance\":\"a\",\"epoch\":1,\"next_seq\":1,\"backend\":\"$1\",\"tier\":\"%s%n\","
        "\"threads\":0,"
        "\"model\":\"\\\"\\\\<script>\",\"t_ms\":0,\"metrics\":[{\"name\":\"m\",\"unit\":\"\","
        "\"kind\":"
        "\"gauge\",\"help\":\"\xf0\x9f\x92\xa5\"}]}";
    static const char window[] = "{\"type\":\"window\",\"seq\":1,\"t_ms\":0,\"span_ms\":0,"
                                 "\"dropped\":0,\"m\":{},\"s\":[{\"name\":"
                                 "\"m\",\"labels\":{\"k\":\"\\\"}' OR \\\\ "
                                 "\xc3\xa9\"},\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":"
                                 "1}]}";
    char expected[1024];
    store *s = open_place(*state, NULL);
    assert_int_equal(put(s, "a", hello), BITNET_OK);
    assert_int_equal(put(s, "a", window), BITNET_OK);
    snprintf(expected, sizeof expected, "%s\n%s\n", hello, window);
    assert_string_equal(replayed(s, latest(s), STORE_ALL), expected);
    store_close(s);
}

static void what_is_no_message_is_refused_and_leaves_nothing(void **state) {
    static const char *const bad[] = {
        "{}",
        "{\"type\":\"window\"}",
        "{\"type\":\"window\",\"seq\":0,\"m\":{}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"none\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
        "\"last\":1}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":0,\"sum\":1,\"min\":1,\"max\":1,"
        "\"last\":1}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":1,\"sum\":\"1\",\"min\":1,\"max\":1,"
        "\"last\":1}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
        "\"last\":1,"
        "\"b\":[5]}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
        "\"last\":1,"
        "\"b\":[1024,1]}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
        "\"last\":1,"
        "\"b\":[5,1,5,1]}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{},\"s\":[{\"name\":\"wait\",\"labels\":{\"a\":1},"
        "\"n\":1,"
        "\"sum\":1,\"min\":1,\"max\":1,\"last\":1}]}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,"
        "\"last\":1},"
        "\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":1}}}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{},\"s\":[{\"name\":\"wait\",\"labels\":{\"a\":\"1\"}"
        ",\"n\":1,"
        "\"sum\":1,\"min\":1,\"max\":1,\"last\":1},{\"name\":\"wait\",\"labels\":{\"a\":\"1\"},"
        "\"n\":1,"
        "\"sum\":1,\"min\":1,\"max\":1,\"last\":1}]}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{},\"s\":[{\"name\":\"wait\",\"labels\":{\"a\":\"1\","
        "\"a\":\"2\"},"
        "\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":1}]}",
        "{\"type\":\"gap\",\"seq\":5,\"to\":4}",
        "{\"type\":\"op\",\"seq\":1,\"t_ms\":1,\"id\":1,\"parent\":0,\"op\":\"x\",\"ok\":true}",
        "{\"type\":\"window\",\"seq\":1,\"m\":{\"wait\":{\"n\":1,\"sum\":1e999,\"min\":1,\"max\":1,"
        "\"last\":1}}}",
        "{\"type\":\"nonsense\",\"seq\":1}",
    };
    store *s = open_place(*state, NULL);
    put(s, "a", HELLO("a", "cli"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (put(s, "a", bad[i]) != BITNET_E_INVAL) fail_msg("was taken: %s", bad[i]);
    assert_int_equal(last_seq(s, "a"), 0);
    assert_string_equal(replayed(s, latest(s), STORE_WINDOW | STORE_OP | STORE_GAP), "");
    assert_int_equal(put(s, "a", window_text(1, T0, 1, "a")), BITNET_OK);
    store_close(s);
}

static void alerts_are_kept_beside_the_runs(void **state) {
    bitnet_error err = {0};
    cJSON *events;
    store *s = open_place(*state, NULL);
    put(s, "a", HELLO("a", "cli"));
    put(s, "a", "{\"type\":\"alert\",\"metric\":\"wait\",\"value\":2}");
    put(s, "", "{\"type\":\"alert\",\"text\":\"of the hub\"}");
    assert_int_equal(store_events(s, NULL, 0, 0, &events, &err), BITNET_OK);
    assert_int_equal(cJSON_GetArraySize(events), 2);
    cJSON_Delete(events);
    store_events(s, latest(s), 0, 0, &events, &err);
    char *text = cJSON_PrintUnformatted(events), expected[256];
    snprintf(expected, sizeof expected,
             "[{\"t_ms\":%lld,\"kind\":\"alert\",\"run\":\"%s\",\"data\":{\"type\":\"alert\","
             "\"metric\":\"wait\",\"value\":2}}]",
             (long long)T0, latest(s));
    assert_string_equal(text, expected);
    cJSON_free(text);
    cJSON_Delete(events);
    store_close(s);
}

static bitnet_status try_place(place *p, bool is_read_only, store **s, bitnet_error *err) {
    const store_desc desc = {.location = p->location, .is_read_only = is_read_only};
    *err = (bitnet_error){0};
    return store_open(s, &desc, err);
}

static void one_writes_and_any_number_read(void **state) {
    bitnet_error err;
    char pid[32];
    store *second, *reader, *first = open_place(*state, NULL);
    put(first, "a", HELLO("a", "cli"));
    assert_int_equal(try_place(*state, false, &second, &err), BITNET_E_IO);
    assert_string_equal(err.id, "store.locked");
    snprintf(pid, sizeof pid, "process %ld;", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_int_equal(try_place(*state, true, &reader, &err), BITNET_OK);
    assert_string_equal(store_id(reader), store_id(first));
    assert_int_equal(last_seq(reader, "a"), 0);
    put(first, "a", window_text(1, T0, 1, NULL));
    assert_int_equal(last_seq(reader, "a"), 1);
    assert_int_equal(store_begin(reader, &err), BITNET_E_INVAL);
    store_close(first);
    assert_int_equal(try_place(*state, false, &second, &err), BITNET_OK);
    store_close(second);
    store_close(reader);
}

static void a_reader_does_not_make_a_history(void **state) {
    bitnet_error err;
    store *s;
    place *p = *state;
    if (!p->is_server || !postgres_server.why) {
        assert_int_equal(try_place(p, true, &s, &err), BITNET_E_NOENT);
        assert_string_equal(err.id, "store.none");
    }
    store_close(open_place(p, NULL));
    assert_int_equal(try_place(p, true, &s, &err), BITNET_OK);
    store_close(s);
}

static void set_version_2(const place *p) {
    sqlite3 *db;
    if (p->is_server) {
        tell_postgres("UPDATE bitnet.meta SET value = '2' WHERE key = 'schema_version'");
        return;
    }
    assert_int_equal(sqlite3_open(p->location, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void newer_tables_are_refused(void **state) {
    bitnet_error err;
    store *s = open_place(*state, NULL);
    store_close(s);
    set_version_2(*state);
    for (int is_read_only = 0; is_read_only < 2; is_read_only++) {
        assert_int_equal(try_place(*state, is_read_only, &s, &err), BITNET_E_UNSUPPORTED);
        assert_string_equal(err.id, "store.newer");
        assert_non_null(strstr(err.text, "2 of the tables"));
    }
}

/* The server ends our connection; a file has none to end, and goes on all the same. */
static void after_a_recovery_it_goes_on_behind_what_was_committed(void **state) {
    bitnet_error err = {0};
    place *p = *state;
    store *s = open_place(p, NULL);
    put(s, "a", HELLO("a", "cli"));
    put(s, "a", window_text(1, T0, 1, NULL));
    assert_int_equal(store_begin(s, &err), BITNET_OK);
    assert_int_equal(put_at(s, "a", window_text(2, T0, 1, NULL), T0, &err), BITNET_OK);
    if (p->is_server) {
        tell_postgres("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                      " WHERE application_name LIKE 'bitnet %'");
        assert_int_equal(store_commit(s, &err), BITNET_E_IO);
        assert_string_equal(err.id, "store.io");
    }
    assert_int_equal(store_recover(s, &err), BITNET_OK);
    assert_int_equal(last_seq(s, "a"), 1);
    assert_int_equal(put(s, "a", window_text(2, T0, 1, NULL)), BITNET_OK);
    assert_int_equal(last_seq(s, "a"), 2);
    store_close(s);
}

/* --- resolutions --- */

enum { N_WINDOWS = 3000 };

typedef struct truth { /* what the windows of one minute or hour come to, added up here */
    int64_t t_ms, n;
    double sum, min, max, last;
    uint64_t count[BUCKETS_N];
} truth;

static double value_of(int seq) {
    return 1e-3 * (1 + (seq * 7919) % 997);
}

/* Two windows a second; clocks step back by ten minutes at window 1500, and one sample is late. */
static int64_t time_of(int seq) {
    int64_t t = T0 + 500 * (int64_t)seq;
    if (seq > 1500) t -= 600 * 1000;
    if (seq == 2500) t = T0 + 5000;
    return t;
}

static void fill(store *s, int first, int last) {
    bitnet_error err = {0};
    assert_int_equal(store_begin(s, &err), BITNET_OK);
    for (int i = first; i <= last; i++)
        if (put_at(s, "a", window_text(i, time_of(i), value_of(i), i % 3 ? NULL : "k"), T0, &err) !=
            BITNET_OK)
            fail_msg("%s", err.text);
    assert_int_equal(store_commit(s, &err), BITNET_OK);
}

static int brute_force(truth *out, int64_t step_ms) {
    int n = 0;
    for (int i = 1; i <= N_WINDOWS; i++) {
        int64_t t = time_of(i) - time_of(i) % step_ms;
        int k = 0;
        while (k < n && out[k].t_ms < t)
            k++;
        if (k == n || out[k].t_ms != t) {
            memmove(&out[k + 1], &out[k], (size_t)(n - k) * sizeof *out);
            out[k] = (truth){.t_ms = t, .min = HUGE_VAL, .max = -HUGE_VAL};
            n++;
        }
        out[k].n += 2;
        out[k].sum += 2 * value_of(i);
        out[k].min = fmin(out[k].min, value_of(i));
        out[k].max = fmax(out[k].max, value_of(i));
        out[k].last = value_of(i);
        out[k].count[400 + i % 100] += 2;
    }
    return n;
}

typedef struct heard_points {
    truth at[100];
    int n;
} heard_points;

static bool hear_point(void *user, const store_point *p) {
    heard_points *h = user;
    assert_true(h->n < 100);
    truth *t = &h->at[h->n++];
    *t = (truth){
        .t_ms = p->t_ms, .n = p->n, .sum = p->sum, .min = p->min, .max = p->max, .last = p->last};
    for (int i = 0; i < p->buckets->n; i++)
        t->count[p->buckets->b[i].index] = p->buckets->b[i].count;
    return true;
}

static void check_resolution(store *s, store_resolution r, int64_t step_ms) {
    static truth expected[101];
    static heard_points heard;
    bitnet_error err = {0};
    const store_query q = {.run = latest(s), .metric = "wait", .to_ms = INT64_MAX, .resolution = r};
    heard.n = 0;
    if (store_points(s, &q, NULL, hear_point, &heard, &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(heard.n, brute_force(expected, step_ms));
    for (int i = 0; i < heard.n; i++) {
        const truth *a = &heard.at[i], *b = &expected[i];
        assert_int_equal(a->t_ms, b->t_ms);
        assert_int_equal(a->n, b->n);
        if (fabs(a->sum - b->sum) > SUM_TOLERANCE * b->sum) fail_msg("%g != %g", a->sum, b->sum);
        assert_true(a->min == b->min && a->max == b->max && a->last == b->last);
        assert_memory_equal(a->count, b->count, sizeof a->count);
    }
}

static void maintain(store *s, int64_t wall_ms) {
    bitnet_error err = {0};
    for (bitnet_status st = BITNET_OK; st != BITNET_DONE;)
        if ((st = store_maintain(s, wall_ms, 5, &err)) < 0) fail_msg("%s [%s]", err.text, err.id);
}

static void check_all_resolutions(store *s) {
    check_resolution(s, STORE_MINUTE, 60 * 1000);
    check_resolution(s, STORE_HOUR, 3600 * 1000);
}

static void minutes_and_hours_are_what_adding_up_gives_at_any_time(void **state) {
    store *s = open_place(*state, NULL);
    put(s, "a", HELLO("a", "cli"));
    fill(s, 1, N_WINDOWS / 3);
    maintain(s, T0 + 60000);
    fill(s, N_WINDOWS / 3 + 1, N_WINDOWS);
    check_all_resolutions(s); /* a part in the tables, a part on the way */
    maintain(s, T0 + 60000);
    check_all_resolutions(s);
    maintain(s, T0 + 600 * 1000); /* now the run is silent: its last minute too */
    check_all_resolutions(s);
    maintain(s, T0 + 600 * 1000); /* once more changes nothing */
    check_all_resolutions(s);
    store_close(s);
}

static void a_summary_is_of_the_whole_run(void **state) {
    static truth all[2];
    bitnet_error err = {0};
    store *s = open_place(*state, NULL);
    put(s, "a", HELLO("a", "cli"));
    fill(s, 1, N_WINDOWS);
    assert_int_equal(brute_force(all, INT64_C(1) << 60), 1);
    for (int64_t wall = T0; wall <= T0 + 3 * 86400000LL; wall += 86400000LL) {
        cJSON *rows;
        maintain(s, wall); /* rolled up, then without its raw samples */
        assert_int_equal(store_summaries(s, latest(s), &rows, &err), BITNET_OK);
        assert_int_equal(cJSON_GetArraySize(rows), 2);
        const cJSON *wait = cJSON_GetArrayItem(rows, 0), *memory = cJSON_GetArrayItem(rows, 1);
        assert_string_equal(cJSON_GetObjectItem(wait, "name")->valuestring, "wait");
        assert_true(cJSON_GetObjectItem(wait, "n")->valuedouble == (double)all[0].n);
        double mean = cJSON_GetObjectItem(wait, "mean")->valuedouble;
        double expected = all[0].sum / (double)all[0].n;
        if (fabs(mean - expected) > SUM_TOLERANCE) fail_msg("mean %g, not %g", mean, expected);
        assert_true(cJSON_GetObjectItem(wait, "min")->valuedouble == all[0].min);
        assert_true(cJSON_GetObjectItem(wait, "max")->valuedouble == all[0].max);
        /* bucket 400 + i is used alike for i = 0..99; the 50th of them is 449 */
        double p50 = ldexp(1 + (449 % 16 + 0.5) / 16, 449 / 16 - 30);
        assert_true(cJSON_GetObjectItem(wait, "p50")->valuedouble == p50);
        assert_true(cJSON_GetObjectItem(memory, "n")->valuedouble == N_WINDOWS / 3);
        assert_null(cJSON_GetObjectItem(memory, "p50"));
        cJSON_Delete(rows);
    }
    store_close(s);
}

static bool count_point(void *user, const store_point *p) {
    (void)p;
    return ++*(int *)user < 2000000;
}

static bool stop_at_first(void *user, const store_point *p) {
    (void)p;
    ++*(int *)user;
    return false;
}

static void points_are_those_of_the_range_and_series(void **state) {
    bitnet_error err = {0};
    store *s = open_place(*state, NULL);
    store_resolution used;
    put(s, "a", HELLO("a", "cli"));
    fill(s, 1, 1000);
    struct {
        store_query q;
        int n;
    } cases[] = {
        {{.metric = "wait", .resolution = STORE_RAW, .to_ms = INT64_MAX}, 1000},
        {{.metric = "wait", .resolution = STORE_RAW, .from_ms = time_of(10), .to_ms = time_of(20)},
         10},
        {{.metric = "wait", .from_ms = time_of(10), .to_ms = time_of(20)}, 10},
        {{.metric = "wait",
          .resolution = STORE_MINUTE,
          .from_ms = T0 + 60000,
          .to_ms = T0 + 180000},
         2},
        {{.metric = "memory",
          .labels = "{\"kind\":\"k\"}",
          .resolution = STORE_RAW,
          .to_ms = INT64_MAX},
         333},
        {{.metric = "memory", .resolution = STORE_RAW, .to_ms = INT64_MAX}, 0},
        {{.metric = "nothing", .to_ms = INT64_MAX}, 0},
    };
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            int n = 0;
            cases[i].q.run = latest(s);
            if (store_points(s, &cases[i].q, &used, count_point, &n, &err) < 0)
                fail_msg("%s", err.text);
            if (n != cases[i].n) fail_msg("case %zu: %d points, not %d", i, n, cases[i].n);
        }
        maintain(s, T0 + 600 * 1000);
    }
    int n = 0;
    cases[0].q.run = latest(s);
    store_points(s, &cases[0].q, &used, stop_at_first, &n, &err);
    assert_int_equal(n, 1);
    store_close(s);
}

/* --- retention --- */

/* Every number from 1 to the last is a window, an op, or within one gap; returns the samples in
 * gaps of reason "retention". */
static int64_t account(store *s, int64_t last) {
    int64_t next = 1, n = 0;
    const char *at = replayed(s, latest(s), STORE_WINDOW | STORE_OP | STORE_GAP);
    while (*at) {
        const char *end = strchr(at, '\n');
        cJSON *m = cJSON_ParseWithLength(at, (size_t)(end - at));
        assert_true(cJSON_GetObjectItem(m, "seq")->valuedouble == (double)next);
        next = store_message_seq(m) + 1;
        const cJSON *reason = cJSON_GetObjectItem(m, "reason");
        if (reason && strcmp(reason->valuestring, "retention") == 0)
            n += (int64_t)cJSON_GetObjectItem(m, "n")->valuedouble;
        cJSON_Delete(m);
        at = end + 1;
    }
    assert_int_equal(next, last + 1);
    return n;
}

static void raw_samples_go_after_their_time_and_leave_a_gap(void **state) {
    static const char op[] =
        "{\"type\":\"op\",\"seq\":301,\"t_ms\":1795000030000,\"id\":1,\"parent\":0,"
        "\"op\":\"x\",\"duration_s\":1,\"ok\":true}";
    static const char gap[] =
        "{\"type\":\"gap\",\"seq\":602,\"to\":620,\"n\":5,\"reason\":\"spool_full\"}";
    store *s = open_place(*state, "raw=1h,minute=1d,hour=2d");
    bitnet_error err = {0};
    put(s, "a", HELLO("a", "cli"));
    for (int i = 1; i <= 900; i++) { /* a window every ten seconds: two hours and a half */
        store_begin(s, &err);
        if (i != 301 && (i < 602 || i > 620))
            put_at(s, "a", window_text(i, T0 + 10000 * i, 1, NULL), T0 + 10000 * i, &err);
        if (i == 301) put_at(s, "a", op, T0, &err);
        if (i == 602) put_at(s, "a", gap, T0, &err);
        store_commit(s, &err);
    }
    assert_int_equal(account(s, 900), 0);
    int64_t end = T0 + 10000 * 900;
    maintain(s, end);
    /* 1..539 are older than an hour, and one of them is the op */
    assert_int_equal(account(s, 900), 538);
    int n = 0;
    const store_query q = {
        .run = latest(s), .metric = "wait", .to_ms = INT64_MAX, .resolution = STORE_MINUTE};
    store_points(s, &q, NULL, count_point, &n, &err);
    assert_int_equal(n, 149);                      /* of 151, two are all within the gap */
    maintain(s, end + 86400000LL + 3 * 3600000LL); /* raw and minutes are all gone, not the hours */
    assert_int_equal(account(s, 900), 880);
    n = 0;
    store_points(s, &q, NULL, count_point, &n, &err);
    assert_int_equal(n, 0);
    cJSON *rows;
    store_summaries(s, latest(s), &rows, &err);
    assert_true(cJSON_GetObjectItem(rows->child, "n")->valuedouble == 2 * 880);
    cJSON_Delete(rows);
    maintain(s, end + 3 * 86400000LL); /* the whole run */
    store_runs(s, &(store_filter){0}, &rows, &err);
    assert_int_equal(cJSON_GetArraySize(rows), 0);
    cJSON_Delete(rows);
    store_close(s);
}

static void a_producer_with_a_wrong_clock_is_kept_as_long_as_any(void **state) {
    store *s = open_place(*state, "raw=1h,minute=1d,hour=2d");
    bitnet_error err = {0};
    put(s, "a", HELLO("a", "cli"));                   /* says T0 */
    int64_t wall = T0 + INT64_C(50) * 365 * 86400000; /* the hub's is fifty years ahead */
    store_begin(s, &err);
    put_at(s, "b", HELLO("b", "1970"), wall, &err);
    put_at(s, "b", window_text(1, T0 + 1000, 1, NULL), wall + 1000, &err);
    store_commit(s, &err);
    maintain(s, wall + 10 * 60000);
    assert_int_equal(account(s, 1), 0);
    store_close(s);
}

static void retention_is_read_or_refused_in_one_sentence(void **state) {
    (void)state;
    bitnet_error err = {0};
    store_retention r;
    assert_int_equal(store_retention_parse(&r, NULL, &err), BITNET_OK);
    assert_true(r.raw_ms == 86400000 && r.minute_ms == 30 * r.raw_ms &&
                r.hour_ms == 730 * r.raw_ms);
    assert_true(r.size == 0);
    assert_int_equal(store_retention_parse(&r, "raw=90m,size=2G,minute=2h,hour=1w", &err),
                     BITNET_OK);
    assert_true(r.raw_ms == 5400000 && r.minute_ms == 7200000 && r.hour_ms == 604800000);
    assert_true(r.size == 2147483648u);
    static const char *const bad[] = {"raw",
                                      "raw=",
                                      "raw=1",
                                      "raw=1x",
                                      "raw=-1d",
                                      "raw=1d,",
                                      "=1d",
                                      "day=1d",
                                      "raw=60d",
                                      "minute=3y",
                                      "raw=99999999999y",
                                      "size=5",
                                      "raw=1d minute=2d",
                                      "raw=1dd"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (store_retention_parse(&r, bad[i], &err) != BITNET_E_INVAL)
            fail_msg("taken: %s", bad[i]);
        assert_string_equal(err.id, "store.retention");
    }
}

#define SCENARIO(f) cmocka_unit_test_setup(f, next_place)

static const struct CMUnitTest scenarios[] = {
    SCENARIO(what_was_put_is_read_back_in_the_words_of_the_protocol),
    SCENARIO(a_number_that_was_stored_is_not_stored_again),
    SCENARIO(a_gap_may_not_hold_what_was_stored),
    SCENARIO(what_was_not_committed_is_not_there),
    SCENARIO(two_producers_with_one_name_are_two_runs),
    SCENARIO(a_run_is_found_by_the_beginning_of_its_id),
    SCENARIO(labels_in_any_order_are_one_series),
    SCENARIO(hostile_text_is_kept_as_text),
    SCENARIO(what_is_no_message_is_refused_and_leaves_nothing),
    SCENARIO(alerts_are_kept_beside_the_runs),
    SCENARIO(one_writes_and_any_number_read),
    SCENARIO(a_reader_does_not_make_a_history),
    SCENARIO(newer_tables_are_refused),
    SCENARIO(after_a_recovery_it_goes_on_behind_what_was_committed),
    SCENARIO(minutes_and_hours_are_what_adding_up_gives_at_any_time),
    SCENARIO(a_summary_is_of_the_whole_run),
    SCENARIO(points_are_those_of_the_range_and_series),
    SCENARIO(raw_samples_go_after_their_time_and_leave_a_gap),
    SCENARIO(a_producer_with_a_wrong_clock_is_kept_as_long_as_any),
    SCENARIO(retention_is_read_or_refused_in_one_sentence),
};

static int use_file(void **state) {
    *state = &file_place;
    return 0;
}

static int use_server(void **state) {
    *state = &server_place;
    start_postgres();
    return 0;
}

static int end_server(void **state) {
    (void)state;
    stop_postgres();
    return 0;
}

int main(void) {
    int n_failed = cmocka_run_group_tests_name("store in SQLite", scenarios, use_file, NULL);
    n_failed +=
        cmocka_run_group_tests_name("store in PostgreSQL", scenarios, use_server, end_server);
    remove_test_folder();
    return n_failed;
}
