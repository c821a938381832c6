/* test_store_file.c: what is true of the history only where it is a file: locks, versions, strangers,
 * damage, and the size of it. In test_store.c: what is true of it anywhere. */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <sqlite3.h>

#include "dash/buckets.h"

static char path[256];

static int next_path(void **state) {
    static int n;
    (void)state;
    snprintf(path, sizeof path, "%s/f%d.db", test_folder(), n++);
    return 0;
}

static bitnet_status try_open(store **s, bool is_read_only, bitnet_error *err) {
    *err = (bitnet_error){0};
    return store_open(s, &(store_desc){.location = path, .is_read_only = is_read_only}, err);
}

static store *must_open(bool is_read_only) {
    store *s;
    bitnet_error err;
    if (try_open(&s, is_read_only, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    return s;
}

static void make_history(int n_windows) {
    bitnet_error err = {0};
    store *s = must_open(false);
    put(s, "a", HELLO("a", "cli"));
    store_begin(s, &err);
    for (int i = 1; i <= n_windows; i++)
        put_at(s, "a", window_text(i, T0 + 100 * i, i, "k"), T0, &err);
    if (store_commit(s, &err) < 0) fail_msg("%s", err.text);
    store_close(s);
}

typedef struct bytes {
    uint8_t *p;
    size_t n;
} bytes;

static bytes read_file(void) {
    bytes b = {0};
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    b.n = (size_t)ftell(f);
    rewind(f);
    b.p = malloc(b.n + 1);
    assert_non_null(b.p);
    assert_int_equal(fread(b.p, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

static void write_file(const void *p, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void sql(const char *script) {
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, script, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s", why);
    sqlite3_close(db);
}

/* Neither to write nor to read; and every byte stays. */
static void is_refused(const char *id, bitnet_status status) {
    bytes before = read_file();
    for (int is_read_only = 0; is_read_only < 2; is_read_only++) {
        store *s;
        bitnet_error err;
        assert_int_equal(try_open(&s, is_read_only, &err), status);
        assert_null(s);
        assert_string_equal(err.id, id);
        assert_non_null(strstr(err.text, path));
    }
    bytes after = read_file();
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.p, after.p, after.n);
    free(before.p);
    free(after.p);
}

static void a_new_file_is_its_owners_alone_and_says_whose_it_is(void **state) {
    (void)state;
    umask(0);
    store *s = must_open(false);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(s);
    bytes b = read_file();
    assert_memory_equal(b.p + 68, "btnt", 4);
    free(b.p);
}

static void a_newer_version_is_refused_and_left(void **state) {
    (void)state;
    make_history(10);
    sql("PRAGMA user_version = 2");
    is_refused("store.newer", BITNET_E_UNSUPPORTED);
}

static void a_strangers_file_is_refused_and_left(void **state) {
    (void)state;
    write_file("name,age\nsomebody,40\n", 21);
    is_refused("store.foreign", BITNET_E_FORMAT);
    remove(path);
    sql("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
    is_refused("store.foreign", BITNET_E_FORMAT);
    sql("PRAGMA application_id = 1");
    is_refused("store.foreign", BITNET_E_FORMAT);
}

static void a_second_writer_is_told_who_the_first_is_and_readers_are_not_held_up(void **state) {
    (void)state;
    make_history(3);
    store *first = must_open(false), *second;
    bitnet_error err;
    char pid[32];
    assert_int_equal(try_open(&second, false, &err), BITNET_E_IO);
    assert_string_equal(err.id, "store.locked");
    snprintf(pid, sizeof pid, "process %ld;", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    store *reader = must_open(true);
    assert_int_equal(last_seq(reader, "a"), 3);
    put(first, "a", window_text(4, T0, 1, NULL));
    assert_int_equal(last_seq(reader, "a"), 4);
    assert_int_equal(store_begin(reader, &err), BITNET_E_INVAL);
    store_close(first);
    store_close(must_open(false)); /* and now it may */
    store_close(reader);
}

static void a_lock_goes_with_its_process_however_that_ends(void **state) {
    int pipe_fd[2];
    char byte;
    store *s;
    bitnet_error err;
    (void)state;
    make_history(3);
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        must_open(false);
        if (write(pipe_fd[1], "x", 1) == 1) pause();
        _exit(1);
    }
    assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
    assert_int_equal(try_open(&s, false, &err), BITNET_E_IO);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    s = must_open(false);
    assert_int_equal(last_seq(s, "a"), 3);
    store_close(s);
}

static void what_is_not_there_is_not_made_by_a_reader(void **state) {
    (void)state;
    store *s;
    bitnet_error err;
    assert_int_equal(try_open(&s, true, &err), BITNET_E_NOENT);
    assert_string_equal(err.id, "store.none");
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_folder_that_is_not_there_or_not_ours_is_said(void **state) {
    (void)state;
    store *s;
    bitnet_error err;
    snprintf(path, sizeof path, "%s/missing/h.db", test_folder());
    assert_int_equal(try_open(&s, false, &err), BITNET_E_NOENT);
    assert_string_equal(err.id, "store.create");
    snprintf(path, sizeof path, "/proc/h.db");
    assert_true(try_open(&s, false, &err) < 0);
    assert_non_null(strstr(err.text, "/proc/h.db"));
}

static void a_lock_file_that_is_a_link_is_not_followed(void **state) {
    (void)state;
    char link[300], victim[300];
    store *s;
    bitnet_error err;
    snprintf(link, sizeof link, "%s.lock", path);
    snprintf(victim, sizeof victim, "%s.victim", path);
    FILE *f = fopen(victim, "w");
    fputs("precious", f);
    fclose(f);
    assert_int_equal(symlink(victim, link), 0);
    assert_true(try_open(&s, false, &err) < 0);
    struct stat st;
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 8);
}

/* What a reader makes of it: it may refuse, but must come back and keep to its words. */
static void read_everything(void) {
    static char all[1 << 20];
    store *s;
    bitnet_error err;
    cJSON *o = NULL;
    char id[STORE_RUN_MAX];
    if (try_open(&s, true, &err) < 0) {
        assert_non_null(err.id);
        return;
    }
    all[0] = '\0';
    if (store_find_run(s, "latest", id, &err) >= 0) {
        if (store_replay(s, id, STORE_ALL, add_line, all, &err) < 0) assert_non_null(err.id);
        if (store_summaries(s, id, &o, &err) >= 0) cJSON_Delete(o);
        if (store_run(s, id, &o, &err) >= 0) cJSON_Delete(o);
    }
    if (store_runs(s, &(store_filter){0}, &o, &err) >= 0) cJSON_Delete(o);
    store_close(s);
}

/* Bits flipped, stretches overwritten, ends cut off: nothing crashes, and a file that is read is not
 * written. Then a writer goes on in it or refuses. */
static void a_damaged_file_crashes_nobody(void **state) {
    enum { N_MUTANTS = 400 };
    uint32_t seed = 1;
    int n_said = 0;
    (void)state;
    make_history(60);
    bytes good = read_file();
    uint8_t *bad = malloc(good.n);
    assert_non_null(bad);
    for (int i = 0; i < N_MUTANTS; i++) {
        size_t n = good.n;
        memcpy(bad, good.p, n);
        for (int k = 0; k < 1 + i % 7; k++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (size_t)((uint64_t)seed * n >> 32);
            if (i % 3 == 0) bad[at] ^= (uint8_t)(1u << (seed & 7));
            if (i % 3 == 1) memset(bad + at, (int)(seed & 0xff), n - at < 40 ? n - at : 40);
            if (i % 3 == 2 && k == 0) n = at;
        }
        write_file(bad, n);
        read_everything();
        bytes after = read_file();
        assert_int_equal(after.n, n);
        assert_memory_equal(after.p, bad, n);
        free(after.p);
        store *s;
        bitnet_error err;
        if (try_open(&s, false, &err) >= 0) {
            cJSON *json = cJSON_Parse(window_text(61, T0 + 6100, 1, "k"));
            bitnet_status st = store_begin(s, &err);
            if (st >= 0) st = store_put(s, "a", json, T0, &err);
            if (st >= 0) st = store_commit(s, &err);
            if (st >= 0) st = store_maintain(s, T0 + 3600000, 20, &err);
            cJSON_Delete(json);
            if (st < 0) store_rollback(s);
            store_close(s);
            n_said += st < 0;
        } else {
            n_said++;
        }
        assert_int_equal(access(path, F_OK), 0); /* never deleted */
    }
    assert_in_range(n_said, N_MUTANTS / 10, N_MUTANTS); /* else the mutants were too tame */
    free(bad);
    free(good.p);
}

static void damage_is_said_with_what_to_do(void **state) {
    (void)state;
    store *s;
    bitnet_error err = {0};
    make_history(60);
    bytes b = read_file();
    memset(b.p + 4096, 0x5a, b.n - 4096); /* all but the first page */
    write_file(b.p, b.n);
    free(b.p);
    bitnet_status st = try_open(&s, true, &err);
    cJSON *runs = NULL;
    if (st >= 0) {
        st = store_runs(s, &(store_filter){0}, &runs, &err);
        store_close(s);
    }
    assert_int_equal(st, BITNET_E_FORMAT);
    assert_string_equal(err.id, "store.corrupt");
    assert_non_null(strstr(err.text, ".recover"));
}

/* An old log beside a new file, and the reverse, are what copying by hand leaves. */
static void a_strange_log_beside_it_crashes_nobody(void **state) {
    char log[300];
    (void)state;
    make_history(20);
    snprintf(log, sizeof log, "%s-wal", path);
    for (uint32_t i = 0; i < 40; i++) {
        FILE *f = fopen(log, "wb");
        assert_non_null(f);
        for (uint32_t k = 0; k < 9000; k++)
            putc((int)((k * 2654435761u + i * 40503u) >> 24), f);
        fclose(f);
        read_everything();
        store *s;
        bitnet_error err;
        if (try_open(&s, false, &err) >= 0) {
            assert_int_equal(last_seq(s, "a"), 20); /* a log that is none counts for nothing */
            store_close(s);
        }
    }
}

static void a_read_that_takes_too_long_ends(void **state) {
    (void)state;
    make_history(20000);
    store *s;
    bitnet_error err = {0};
    cJSON *rows = NULL;
    const store_desc desc = {.location = path, .is_read_only = true, .deadline_ms = 1};
    if (store_open(&s, &desc, &err) < 0) fail_msg("%s", err.text);
    assert_int_equal(store_summaries(s, latest(s), &rows, &err), BITNET_E_CANCELLED);
    assert_string_equal(err.id, "store.deadline");
    assert_null(rows);
    store_close(s);
}

static void the_file_is_kept_to_its_size(void **state) {
    enum { LIMIT = 1 << 20 };
    (void)state;
    bitnet_error err = {0};
    store *s;
    const store_desc desc = {.location = path, .retention = "size=1M"};
    if (store_open(&s, &desc, &err) < 0) fail_msg("%s", err.text);
    put(s, "a", HELLO("a", "cli"));
    int64_t wall = T0;
    for (int round = 0, seq = 0; round < 40; round++) {
        store_begin(s, &err);
        for (int i = 0; i < 600; i++, wall += 100)
            put_at(s, "a", window_text(++seq, wall, 1, "k"), wall, &err);
        if (store_commit(s, &err) < 0) fail_msg("%s", err.text);
        while (store_maintain(s, wall, 20, &err) == BITNET_OK) {
        }
    }
    int64_t n = last_seq(s, "a");
    store_close(s);
    struct stat st;
    stat(path, &st);
    assert_in_range(st.st_size, LIMIT / 2, LIMIT + LIMIT / 20);
    s = must_open(true);
    cJSON *rows;
    assert_int_equal(store_summaries(s, latest(s), &rows, &err), BITNET_OK);
    assert_true(cJSON_GetObjectItem(rows->child, "n")->valuedouble == 2 * (double)n);
    cJSON_Delete(rows);
    store_close(s);
}

/* --- the BLOB of a histogram --- */

static void a_histogram_comes_back_and_adds_up(void **state) {
    static const struct {
        int index;
        uint64_t count;
    } pairs[] = {{0, 1}, {1, 300}, {127, 16384}, {128, 1}, {1023, UINT64_MAX}};
    uint8_t blob[BUCKETS_BLOB_MAX];
    buckets a = {.n = 0}, b;
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        a.b[a.n].index = pairs[i].index;
        a.b[a.n++].count = pairs[i].count;
    }
    size_t n = buckets_encode(&a, blob);
    assert_int_equal(n, 2 + 3 + 4 + 2 + 12);
    assert_true(buckets_decode(&b, blob, n));
    assert_int_equal(b.n, a.n);
    for (int i = 0; i < a.n; i++)
        assert_true(a.b[i].index == b.b[i].index && a.b[i].count == b.b[i].count);
    buckets_merge(&b, &a);
    assert_true(b.n == a.n && b.b[1].count == 600 && b.b[4].count == UINT64_MAX);
    for (size_t cut = 1; cut < n; cut++) /* between two pairs it is a shorter histogram */
        if (buckets_decode(&b, blob, cut)) assert_true(b.n > 0 && b.n < a.n);
    assert_true(buckets_decode(&b, NULL, 0) && b.n == 0);
}

static void what_is_no_histogram_is_refused(void **state) {
    static const struct {
        uint8_t p[12];
        size_t n;
    } bad[] = {
        {{5}, 1},                                                  /* no count */
        {{5, 0}, 2},                                               /* nothing in it */
        {{5, 1, 0, 1}, 4},                                         /* the same bucket again */
        {{0x80, 8, 1}, 3},                                         /* index 1024 */
        {{0xff, 7, 1, 1, 1}, 5},                                   /* 1023, and one more */
        {{0x85, 0, 1}, 3},                                         /* longer than it need be */
        {{5, 0x80}, 2},                                            /* no end */
        {{5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, 11}, /* beyond 64 bits */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buckets b;
        if (buckets_decode(&b, bad[i].p, bad[i].n)) fail_msg("case %zu was taken", i);
        assert_int_equal(b.n, 0);
    }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup(f, next_path)
    static const struct CMUnitTest tests[] = {
        TEST(a_new_file_is_its_owners_alone_and_says_whose_it_is),
        TEST(a_newer_version_is_refused_and_left),
        TEST(a_strangers_file_is_refused_and_left),
        TEST(a_second_writer_is_told_who_the_first_is_and_readers_are_not_held_up),
        TEST(a_lock_goes_with_its_process_however_that_ends),
        TEST(what_is_not_there_is_not_made_by_a_reader),
        TEST(a_folder_that_is_not_there_or_not_ours_is_said),
        TEST(a_lock_file_that_is_a_link_is_not_followed),
        TEST(a_damaged_file_crashes_nobody),
        TEST(damage_is_said_with_what_to_do),
        TEST(a_strange_log_beside_it_crashes_nobody),
        TEST(a_read_that_takes_too_long_ends),
        TEST(the_file_is_kept_to_its_size),
        TEST(a_histogram_comes_back_and_adds_up),
        TEST(what_is_no_histogram_is_refused),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_test_folder();
    return n_failed;
}
