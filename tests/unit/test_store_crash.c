/* test_store_crash.c: a process that writes the history is killed again and again, at a random moment of
 * putting, committing or rolling up. What it had acknowledged is there, once, whatever the moment. */
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <sqlite3.h>

enum {
    N_KILLS = 100,
    KILLS_A_FILE = 20, /* then a new one: its making is a moment too */
    LIFE_US_MAX = 60 * 1000,
    BATCH = 20,
};

static char path[256];

/* Goes on behind what is stored, as a producer does; says each number that was committed. */
static void write_until_killed(int out) {
    store *s;
    bitnet_error err = {0};
    const store_desc desc = {.location = path, .retention = "raw=52w,minute=52w"};
    int64_t seq = 0;
    if (store_open(&s, &desc, &err) < 0 || store_begin(s, &err) < 0) _exit(2);
    if (put_at(s, "a", HELLO("a", "cli"), T0, &err) < 0 || store_commit(s, &err) < 0) _exit(3);
    if (store_last_seq(s, "a", &seq, &err) < 0) _exit(4);
    for (;;) {
        if (store_begin(s, &err) < 0) _exit(5);
        for (int i = 0; i < BATCH; i++, seq++)
            if (put_at(s, "a", window_text((int)seq + 1, T0 + 1000 * seq, 1, seq % 2 ? "x" : "y"),
                       T0 + 1000 * seq, &err) != BITNET_OK)
                _exit(6);
        if (store_commit(s, &err) < 0) _exit(7);
        if (write(out, &seq, sizeof seq) != sizeof seq) _exit(8);
        if (store_maintain(s, T0 + 1000 * seq, 1, &err) < 0) _exit(9);
    }
}

/* Lets it live for so long; the last number that it said. */
static int64_t run_and_kill(useconds_t life_us) {
    int fd[2], status;
    int64_t acked = 0, seq;
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        write_until_killed(fd[1]);
    }
    close(fd[1]);
    usleep(life_us);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) fail_msg("the writer gave up by itself: %d", WEXITSTATUS(status));
    while (read(fd[0], &seq, sizeof seq) == sizeof seq)
        acked = seq;
    close(fd[0]);
    return acked;
}

static int64_t ask(const char *sql) {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    const unsigned char *text = sqlite3_column_text(stmt, 0);
    int64_t value =
        text && strcmp((const char *)text, "ok") == 0 ? 1 : sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

static void killed_at_any_moment_it_keeps_what_it_acknowledged_once(void **state) {
    uint32_t seed = (uint32_t)time(NULL);
    int64_t acked = 0;
    int n_with_acks = 0;
    (void)state;
    printf("seed %u\n", seed);
    for (int i = 0; i < N_KILLS; i++) {
        if (i % KILLS_A_FILE == 0) {
            snprintf(path, sizeof path, "%s/crash%d.db", test_folder(), i);
            acked = 0;
        }
        seed = seed * 1664525u + 1013904223u;
        int64_t said = run_and_kill((useconds_t)((uint64_t)seed * LIFE_US_MAX >> 32));
        if (said) acked = said, n_with_acks++;
        if (acked == 0 && access(path, F_OK) != 0) continue; /* killed before there was a file */
        store *s;
        bitnet_error err = {0};
        const store_desc desc = {.location = path, .is_read_only = true};
        bitnet_status st = store_open(&s, &desc, &err);
        if (st < 0) fail_msg("%s", err.text);
        int64_t last = last_seq(s, "a");
        store_close(s);
        if (last < acked)
            fail_msg("kill %d: %lld was acknowledged, %lld is there", i, (long long)acked,
                     (long long)last);
        assert_int_equal(ask("SELECT count(*) FROM windows"), last);
        assert_int_equal(ask("SELECT coalesce(max(seq), 0) FROM windows"), last);
        assert_int_equal(ask("SELECT count(*) FROM raw"), 2 * last);
        /* "wait" counts 2 a window: as often in the minutes as there are windows rolled up */
        assert_int_equal(ask("SELECT coalesce(sum(n), 0) FROM minute WHERE series = 1"),
                         2 * ask("SELECT coalesce(max(rolled_seq), 0) FROM run"));
        assert_int_equal(ask("PRAGMA integrity_check"), 1);
    }
    assert_in_range(n_with_acks, N_KILLS / 4,
                    N_KILLS); /* else it was killed too soon to say much */
    assert_int_not_equal(ask("SELECT max(rolled_seq) FROM run"), 0);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment_it_keeps_what_it_acknowledged_once),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_test_folder();
    return n_failed;
}
