/* test_reader.c: the thread that reads the history for requests: what it answers, what it gives up, and that
 * an answer may be dropped at any time. */
#include "store_fixture.h"

#include <stdatomic.h>
#include <time.h>

#include "base/base.h"
#include "dash/export.h"
#include "dash/reader.h"

enum {
    WINDOWS = 3000, /* so many that to read them takes far more than SHORT_MS */
    SHORT_MS = 1,
    PATIENCE_MS = 60000 /* for one answer; sanitizers are slow */
};

static char location[128];

static void make_history(void) {
    bitnet_error err = {0};
    store *s;
    snprintf(location, sizeof location, "%s/reader.db", test_folder());
    if (store_open(&s, &(store_desc){.location = location}, &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(put(s, "a1", HELLO("a1", "cli")), BITNET_OK);
    assert_int_equal(store_begin(s, &err), BITNET_OK);
    for (int i = 1; i <= WINDOWS; i++)
        assert_int_equal(put_at(s, "a1", window_text(i, T0 + 100 * i, i, NULL), T0, &err),
                         BITNET_OK);
    assert_int_equal(store_commit(s, &err), BITNET_OK);
    store_close(s);
}

/* --- answers --- */

static atomic_int n_done;

static void on_done(void *user) {
    (void)user;
    atomic_fetch_add(&n_done, 1);
}

static reader *open_reader(uint32_t deadline_ms) {
    reader *r;
    bitnet_error err = {0};
    atomic_store(&n_done, 0);
    const reader_desc desc = {.location = location, .deadline_ms = deadline_ms, .done = on_done};
    if (reader_open(&r, &desc, &err) < 0) fail_msg("%s", err.text);
    return r;
}

static void ask_for(reader *r, http_answer *a, const char *query, bool is_export) {
    const http_head head = {.query = {query, strlen(query)}};
    if (is_export)
        reader_answer_export(r, a, &head);
    else
        reader_answer_history(r, a, &head);
}

static void take_answer(http_answer *a) {
    for (int i = 0; a->later && !a->later->take(a->later, a); i++) {
        if (i == PATIENCE_MS) fail_msg("no answer");
        nanosleep(&(struct timespec){.tv_nsec = 1000000L}, NULL);
    }
}

/* The body; the answer has none afterwards. */
static const char *body_of(http_answer *a) {
    static char text[4096];
    size_t n = (size_t)a->body.end;
    assert_true(n < sizeof text);
    if (a->body.mem)
        memcpy(text, a->body.mem, n);
    else
        assert_int_equal(pread(a->body.fd, text, n, 0), (ssize_t)n);
    if (a->body.fd >= 0) close(a->body.fd);
    a->body.fd = -1;
    text[n] = '\0';
    return text;
}

static void an_answer_is_a_file_without_a_name(void **state) {
    (void)state;
    reader *r = open_reader(0);
    http_answer a;
    ask_for(r, &a, "limit=1", false);
    assert_non_null(a.later);
    take_answer(&a);
    assert_null(a.later);
    assert_int_equal(atomic_load(&n_done), 1);
    assert_int_equal(a.status, 200);
    assert_true(a.body.fd >= 0 && a.body.is_private && a.no_store);
    cJSON *json = cJSON_Parse(body_of(&a));
    const cJSON *run = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "runs"), 0);
    assert_non_null(run);
    assert_int_equal(cJSON_GetObjectItem(run, "samples")->valueint, 2 * WINDOWS);
    assert_int_equal(cJSON_GetObjectItem(run, "last_seq")->valueint, WINDOWS);
    cJSON_Delete(json);
    reader_close(r);
}

static void a_wrong_question_is_answered_at_once(void **state) {
    (void)state;
    reader *r = open_reader(0);
    http_answer a;
    ask_for(r, &a, "limit=x", false);
    assert_null(a.later);
    assert_int_equal(a.status, 400);
    assert_string_equal(body_of(&a), "limit is \"x\"; 1 to 1000 are allowed.\n");
    reader_close(r);
}

static void a_read_that_takes_too_long_is_503_and_the_next_is_answered(void **state) {
    (void)state;
    reader *r = open_reader(SHORT_MS);
    http_answer a;
    ask_for(r, &a, "format=json&run=latest", true);
    take_answer(&a);
    assert_int_equal(a.status, 503);
    assert_true(a.body.fd < 0);
    const char *sentence = body_of(&a);
    if (!strstr(sentence, "longer than the 1 ms allowed; ask for less")) fail_msg("%s", sentence);
    ask_for(r, &a, "run=ZZZZ", false);
    take_answer(&a);
    assert_int_equal(a.status, 404);
    reader_close(r);
}

static void a_full_queue_is_503(void **state) {
    (void)state;
    enum { ASKED = 2 * READER_QUEUE };
    static http_answer a[ASKED];
    reader *r = open_reader(0);
    int n_refused = 0;
    for (int i = 0; i < ASKED; i++) {
        ask_for(r, &a[i], "format=json", true);
        if (a[i].later) continue;
        n_refused++;
        assert_int_equal(a[i].status, 503);
    }
    assert_true(n_refused > 0 && n_refused < ASKED - READER_QUEUE + 1);
    for (int i = 0; i < ASKED; i++) {
        if (!a[i].later) continue;
        take_answer(&a[i]);
        assert_int_equal(a[i].status, 200);
        close(a[i].body.fd);
    }
    reader_close(r);
}

/* Queued, at work or done: which, the clock decides. */
static void answers_are_dropped_at_any_time(void **state) {
    (void)state;
    static http_answer a[READER_QUEUE];
    for (int round = 0; round < 20; round++) {
        reader *r = open_reader(0);
        for (int i = 0; i < READER_QUEUE; i++)
            ask_for(r, &a[i], i % 2 ? "limit=1" : "format=csv", i % 2 == 0);
        nanosleep(&(struct timespec){.tv_nsec = round * 500000L}, NULL);
        for (int i = 0; i < READER_QUEUE; i++) {
            int at = (i * 7 + round) % READER_QUEUE; /* in another order than they came */
            assert_non_null(a[at].later);
            a[at].later->drop(a[at].later);
        }
        http_answer after;
        ask_for(r, &after, "limit=1", false);
        assert_non_null(after.later);
        if (round % 2) {
            after.later->drop(after.later);
        } else {
            take_answer(&after);
            assert_int_equal(after.status, 200);
            close(after.body.fd);
        }
        reader_close(r);
    }
}

static void an_export_that_is_too_large_is_refused(void **state) {
    (void)state;
    store *s;
    bitnet_error err = {0};
    char id[STORE_RUN_MAX];
    const store_desc desc = {.location = location, .is_read_only = true};
    assert_int_equal(store_open(&s, &desc, &err), BITNET_OK);
    assert_int_equal(store_find_run(s, "latest", id, &err), BITNET_OK);
    static const struct {
        int64_t bytes_max;
        bool is_fine;
    } cases[] = {{0, true}, {100 * 1024 * 1024, true}, {50000, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *out = tmpfile();
        export_writing w;
        export_begin(&w, out, EXPORT_CSV, cases[i].bytes_max);
        bitnet_status st = export_run(&w, s, id, &err);
        export_end(&w);
        if ((st >= 0) != cases[i].is_fine) fail_msg("case %zu: %s", i, err.text);
        if (st < 0) {
            assert_string_equal(err.id, "export.size");
            assert_true(ftello(out) < cases[i].bytes_max + 1000); /* a row more */
        }
        fclose(out);
    }
    store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_a_file_without_a_name),
        cmocka_unit_test(a_wrong_question_is_answered_at_once),
        cmocka_unit_test(a_read_that_takes_too_long_is_503_and_the_next_is_answered),
        cmocka_unit_test(a_full_queue_is_503),
        cmocka_unit_test(answers_are_dropped_at_any_time),
        cmocka_unit_test(an_export_that_is_too_large_is_refused),
    };
    make_history();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_test_folder();
    return failed;
}
