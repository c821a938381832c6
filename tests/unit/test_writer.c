/* test_writer.c: the thread that writes the history, over a real SQLite file whose file system can be
 * told to fail (failing_vfs.h), and over one that is really full where a small one can be mounted. */
#include "store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "dash/message.h"
#include "dash/writer.h"
#include "failing_vfs.h"

enum {
    PATIENCE_MS = 20000, /* for what takes a tenth of a second on an idle machine */
};

typedef struct ears {
    atomic_int n_commits, n_lines;
    char line[512]; /* the last one */
    char location[256];
    writer *w;
    int64_t acknowledged;
} ears;

static void on_commit(void *user) {
    atomic_fetch_add(&((ears *)user)->n_commits, 1);
}
static void on_line(void *user, const char *line) {
    ears *e = user;
    snprintf(e->line, sizeof e->line, "%s", line);
    atomic_fetch_add(&e->n_lines, 1);
}

static store *open_store(const char *location) {
    store *s;
    bitnet_error err = {0};
    if (store_open(&s, &(store_desc){.location = location}, &err) < 0) fail_msg("%s", err.text);
    return s;
}

static void start(ears *e, writer_desc desc) {
    bitnet_error err = {0};
    static int n;
    if (!*e->location) snprintf(e->location, sizeof e->location, "%s/w%d.db", test_folder(), n++);
    desc.store = open_store(e->location);
    desc.committed = on_commit;
    desc.log = on_line;
    desc.user = e;
    if (writer_open(&e->w, &desc, &err) < 0) fail_msg("%s", err.text);
}

static int64_t wall_now(void) {
    return (int64_t)time(NULL) * 1000; /* the writer forgets by the real clock */
}

static bool say(ears *e, const char *instance, const char *text) {
    message m = {.json = cJSON_Parse(text)};
    assert_non_null(m.json);
    bool ok = writer_put(e->w, instance, &m, wall_now());
    assert_true(ok == (m.json == NULL));
    cJSON_Delete(m.json);
    return ok;
}

static void rest(void) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* What is acknowledged for "a", waiting until it is at least `seq`. */
static int64_t acknowledged(ears *e, int64_t seq) {
    for (int i = 0; i < PATIENCE_MS / 2; i++) {
        writer_commit c = {.seq = 0};
        while (writer_take_commits(e->w, &c, 1) == 1)
            if (strcmp(c.instance, "a") == 0) e->acknowledged = c.seq;
        if (e->acknowledged >= seq) break;
        rest();
    }
    return e->acknowledged;
}

static writer_state wait_for(ears *e, writer_state state) {
    writer_status st = writer_get_status(e->w);
    for (int i = 0; i < PATIENCE_MS / 2 && st.state != state; i++) {
        rest();
        st = writer_get_status(e->w);
    }
    return st.state;
}

/* The windows of "a" that a reader finds, and each once, in order. */
static int stored(ears *e) {
    store *s;
    bitnet_error err = {0};
    const store_desc desc = {.location = e->location, .is_read_only = true};
    if (store_open(&s, &desc, &err) < 0) fail_msg("%s", err.text);
    int n = 0;
    for (const char *at = replayed(s, latest(s), STORE_WINDOW); *at; at = strchr(at, '\n') + 1) {
        char expected[64];
        snprintf(expected, sizeof expected, "{\"type\":\"window\",\"seq\":%d,", ++n);
        assert_memory_equal(at, expected, strlen(expected));
    }
    store_close(s);
    return n;
}

static void messages_are_committed_in_batches_and_then_told_of(void **state) {
    (void)state;
    ears e = {0};
    start(&e, (writer_desc){.batch_ms = 200});
    assert_true(say(&e, "b", HELLO("b", "cli")));
    assert_true(say(&e, "a", HELLO("a", "cli")));
    for (int i = 1; i <= 50; i++)
        assert_true(say(&e, "a", window_text(i, wall_now(), 1, NULL)));
    assert_true(say(&e, "b", "{\"type\":\"gap\",\"seq\":1,\"to\":7,\"n\":3,\"reason\":\"x\"}"));
    assert_true(say(&e, "a", window_text(50, wall_now(), 9, NULL))); /* once more */
    for (int i = 0; i < PATIENCE_MS / 2; i++) {
        if (!writer_get_status(e.w).n_queued && atomic_load(&e.n_commits)) break;
        rest();
    }
    assert_in_range(atomic_load(&e.n_commits), 1, 3); /* not fifty: two may fall on an edge */
    writer_commit c[3];
    assert_int_equal(writer_take_commits(e.w, c, 1), 1);
    assert_string_equal(c[0].instance, "a");
    assert_int_equal(c[0].seq, 50);
    assert_int_equal(writer_take_commits(e.w, c, 3), 1);
    assert_string_equal(c[0].instance, "b");
    assert_int_equal(c[0].seq, 7);
    assert_int_equal(writer_take_commits(e.w, c, 3), 0);
    writer_status st = writer_get_status(e.w);
    assert_int_equal(st.state, WRITER_OK);
    assert_string_equal(st.sentence, "");
    assert_true(st.n_committed == 53 && st.n_duplicates == 1 && st.n_refused == 0);
    assert_true(st.bytes_queued == 0);
    writer_stop(e.w, PATIENCE_MS);
    assert_int_equal(stored(&e), 50);
}

static void a_full_batch_does_not_wait_for_its_time(void **state) {
    (void)state;
    ears e = {0};
    start(&e, (writer_desc){.batch_ms = 3600 * 1000, .batch_max = 10});
    say(&e, "a", HELLO("a", "cli"));
    for (int i = 1; i <= 9; i++)
        say(&e, "a", window_text(i, wall_now(), 1, NULL));
    assert_int_equal(acknowledged(&e, 9), 9);
    say(&e, "a", window_text(10, wall_now(), 1, NULL)); /* waits, and is committed by the stop */
    writer_stop(e.w, PATIENCE_MS);
    assert_int_equal(stored(&e), 10);
}

static void a_full_queue_takes_nothing_and_loses_nothing(void **state) {
    (void)state;
    ears e = {0};
    start(&e, (writer_desc){.batch_ms = 50, .messages_max = 20});
    say(&e, "a", HELLO("a", "cli"));
    assert_int_equal(wait_for(&e, WRITER_OK), WRITER_OK);
    fail_calls(0, 1 << 30, SQLITE_FULL, false);
    int n = 0;
    while (n < 100 && say(&e, "a", window_text(n + 1, wall_now(), 1, NULL)))
        n++;
    assert_in_range(n, 19, 20); /* the hello may still have been in it */
    assert_int_equal(wait_for(&e, WRITER_STORE_FULL), WRITER_STORE_FULL);
    fail_calls(0, 0, 0, false);
    assert_int_equal(acknowledged(&e, n), n);
    assert_true(say(&e, "a", window_text(n + 1, wall_now(), 1, NULL)));
    writer_stop(e.w, PATIENCE_MS);
    assert_int_equal(stored(&e), n + 1);
    ears bytes = {0};
    start(&bytes, (writer_desc){.batch_ms = 3600 * 1000, .bytes_max = 20000});
    for (n = 0; n < 1000 && say(&bytes, "a", window_text(n + 1, 1, 1, NULL));)
        n++;
    assert_in_range(n, 4, 40); /* a window is some 1.5 kB of tree */
    assert_true(writer_get_status(bytes.w).bytes_queued <= 20000);
    writer_stop(bytes.w, PATIENCE_MS);
}

static void a_full_disk_is_said_once_and_nothing_is_acknowledged(void **state) {
    (void)state;
    ears e = {0};
    start(&e, (writer_desc){.batch_ms = 10});
    say(&e, "a", HELLO("a", "cli"));
    say(&e, "a", window_text(1, wall_now(), 1, NULL));
    assert_int_equal(acknowledged(&e, 1), 1);
    fail_calls(0, 1 << 30, SQLITE_FULL, false);
    for (int i = 2; i <= 20; i++)
        say(&e, "a", window_text(i, wall_now(), 1, NULL));
    assert_int_equal(wait_for(&e, WRITER_STORE_FULL), WRITER_STORE_FULL);
    for (int i = 0; i < 200; i++)
        rest(); /* several tries */
    writer_status st = writer_get_status(e.w);
    assert_int_equal(st.state, WRITER_STORE_FULL);
    assert_non_null(strstr(st.sentence, "no space left"));
    assert_int_equal(atomic_load(&e.n_lines), 1);
    assert_non_null(strstr(e.line, "[store.full]"));
    writer_commit c[4];
    assert_int_equal(writer_take_commits(e.w, c, 4), 0);
    fail_calls(0, 0, 0, false);
    assert_int_equal(acknowledged(&e, 20), 20);
    assert_int_equal(wait_for(&e, WRITER_OK), WRITER_OK);
    writer_stop(e.w, PATIENCE_MS);
    assert_int_equal(stored(&e), 20);
}

/* Each of the first calls that write fails once, with everything that may go wrong with it; a sync that
 * failed and then seems to succeed is among them. Nothing that was acknowledged may be missing, and
 * in the end all is there, once. */
static void a_call_that_fails_once_loses_nothing_and_stores_nothing_twice(void **state) {
    static const struct {
        int code;
        bool is_sync_only;
        int n;
    } kinds[] = {
        {SQLITE_IOERR_WRITE, false, 40}, {SQLITE_IOERR_FSYNC, true, 10}, {SQLITE_FULL, false, 12}};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int at = 0; at < kinds[k].n; at++) {
            ears e = {0};
            fail_calls(0, 0, 0, false);
            start(&e, (writer_desc){.batch_ms = 1});
            say(&e, "a", HELLO("a", "cli"));
            say(&e, "a", window_text(1, wall_now(), 1, "x"));
            assert_int_equal(acknowledged(&e, 1), 1);
            fail_calls(at, at + 1, kinds[k].code, kinds[k].is_sync_only);
            for (int i = 2; i <= 12; i++) {
                say(&e, "a", window_text(i, wall_now(), i, i % 2 ? "x" : "y"));
                if (i % 4 == 0) assert_int_equal(acknowledged(&e, i), i);
            }
            writer_stop(e.w, PATIENCE_MS);
            fail_calls(0, 0, 0, false);
            int n = stored(&e);
            if (n != 12) fail_msg("call %d failed with %d: %d windows of 12", at, kinds[k].code, n);
        }
    }
}

static void a_message_that_cannot_be_kept_becomes_a_gap_and_holds_up_no_other(void **state) {
    static const char twice[] =
        "{\"type\":\"window\",\"seq\":3,\"t_ms\":1,\"span_ms\":1,\"dropped\":0,\"m\":{"
        "\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":1},"
        "\"wait\":{\"n\":1,\"sum\":1,\"min\":1,\"max\":1,\"last\":1}}}";
    (void)state;
    ears e = {0};
    start(&e, (writer_desc){.batch_ms = 100});
    say(&e, "a", HELLO("a", "cli"));
    say(&e, "a", window_text(1, wall_now(), 1, NULL));
    say(&e, "z", window_text(1, wall_now(), 1, NULL)); /* said no hello */
    say(&e, "a", window_text(2, wall_now(), 1, NULL));
    say(&e, "a", twice);
    say(&e, "y", "{\"type\":\"what\"}");
    say(&e, "a", "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":3}");
    assert_int_equal(acknowledged(&e, 3), 3);
    assert_int_equal(writer_get_status(e.w).n_refused, 3);
    assert_int_equal(atomic_load(&e.n_lines), 1); /* the others within ten seconds are not said */
    writer_stop(e.w, PATIENCE_MS);
    assert_int_equal(stored(&e), 2);
    store *s;
    bitnet_error err = {0};
    const store_desc desc = {.location = e.location, .is_read_only = true};
    if (store_open(&s, &desc, &err) < 0) fail_msg("%s", err.text);
    assert_string_equal(replayed(s, latest(s), STORE_GAP | STORE_BYE),
                        "{\"type\":\"gap\",\"seq\":3,\"to\":3,\"n\":2,\"reason\":\"refused\"}\n"
                        "{\"type\":\"bye\",\"reason\":\"done\",\"seq\":3}\n");
    store_close(s);
}

static void a_stop_gives_up_when_the_disk_stays_full(void **state) {
    (void)state;
    ears e = {0};
    start(&e, (writer_desc){.batch_ms = 10});
    say(&e, "a", HELLO("a", "cli"));
    say(&e, "a", window_text(1, wall_now(), 1, NULL));
    assert_int_equal(acknowledged(&e, 1), 1);
    fail_calls(0, 1 << 30, SQLITE_IOERR_WRITE, false);
    say(&e, "a", window_text(2, wall_now(), 1, NULL));
    assert_int_equal(wait_for(&e, WRITER_IO_ERROR), WRITER_IO_ERROR);
    writer_stop(e.w, 300);
    fail_calls(0, 0, 0, false);
    assert_int_equal(stored(&e), 1);
}

/* No pretence: a tmpfs of 512 KiB, filled up by another file, and space given back. */
static void a_file_system_that_is_full_is_waited_for(void **state) {
    (void)state;
    char folder[128], filler[160];
    snprintf(folder, sizeof folder, "%s/small", test_folder());
    snprintf(filler, sizeof filler, "%s/filler", folder);
    if (mkdir(folder, 0700) != 0 || mount("tmpfs", folder, "tmpfs", 0, "size=768k") != 0) {
        printf("skip: a small file system cannot be mounted here: %s\n", strerror(errno));
        skip();
    }
    ears e = {0};
    snprintf(e.location, sizeof e.location, "%s/w.db", folder);
    start(&e, (writer_desc){.batch_ms = 10});
    say(&e, "a", HELLO("a", "cli"));
    say(&e, "a", window_text(1, wall_now(), 1, NULL));
    bool is_first = acknowledged(&e, 1) == 1;
    FILE *f = fopen(filler, "wb");
    static const char zeros[4096];
    while (f && fwrite(zeros, 1, sizeof zeros, f) == sizeof zeros && fflush(f) == 0) {
    }
    if (f) fclose(f);
    for (int i = 2; i <= 400; i++)
        say(&e, "a", window_text(i, wall_now(), 1, NULL));
    bool is_full = wait_for(&e, WRITER_STORE_FULL) == WRITER_STORE_FULL;
    remove(filler);
    int64_t seq = acknowledged(&e, 400);
    writer_stop(e.w, PATIENCE_MS);
    int n = stored(&e);
    umount2(folder, MNT_DETACH);
    assert_true(is_first && is_full);
    assert_int_equal(seq, 400);
    assert_int_equal(n, 400);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_committed_in_batches_and_then_told_of),
        cmocka_unit_test(a_full_batch_does_not_wait_for_its_time),
        cmocka_unit_test(a_full_queue_takes_nothing_and_loses_nothing),
        cmocka_unit_test(a_full_disk_is_said_once_and_nothing_is_acknowledged),
        cmocka_unit_test(a_call_that_fails_once_loses_nothing_and_stores_nothing_twice),
        cmocka_unit_test(a_message_that_cannot_be_kept_becomes_a_gap_and_holds_up_no_other),
        cmocka_unit_test(a_stop_gives_up_when_the_disk_stays_full),
        cmocka_unit_test(a_file_system_that_is_full_is_waited_for),
    };
    install_failing_vfs();
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_test_folder();
    return n_failed;
}
