/* test_ops.c: an operation becomes a record with what was said of it and nothing else; it never stops
 * the work, whatever is refused; threads, nesting, scopes.
 */
#include "load_file.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "count_alloc.h"

/* The last record as the listener saw it, copied as JSON, and how many there were. */
typedef struct heard {
    int n;
    char json[8192];
} heard;

static void hear(void *ctx, const bitnet_op_record *r) {
    heard *h = ctx;
    h->n++;
    size_t n = bitnet_op_record_write_json(r, h->json, sizeof h->json);
    assert_true(n < sizeof h->json);
}

static bitnet_ops *make_ops(heard *h) {
    bitnet_ops *ops = NULL;
    bitnet_ops_desc desc = {.listener = h ? hear : NULL, .listener_ctx = h};
    if (h) memset(h, 0, sizeof *h);
    assert_int_equal(bitnet_ops_create(&ops, &desc), BITNET_OK);
    return ops;
}

static bitnet_ops_counts counts_of(bitnet_ops *ops) {
    bitnet_ops_counts c;
    bitnet_ops_get_counts(ops, &c);
    return c;
}

/* The newest record; valid until the next operation ends. */
static const bitnet_op_record *newest(bitnet_ops *ops) {
    const bitnet_op_record *r = bitnet_op_stats_recent(bitnet_ops_lock(ops), 0);
    bitnet_ops_unlock(ops);
    assert_non_null(r);
    return r;
}

static void a_record_holds_what_was_said_of_the_operation(void **state) {
    (void)state;
    heard h;
    bitnet_ops *ops = make_ops(&h);
    uint64_t before = bitnet_os_now_ns(), wall = bitnet_os_wall_ms();
    bitnet_op *op = bitnet_op_begin(ops, "upscale", "avx2");
    assert_non_null(op);
    bitnet_op_set_sizes(op, 720, 1440);
    bitnet_op_set_text(op, "file", "a.png");
    bitnet_op_set_text(op, "tile", "large");
    bitnet_op_set_number(op, "tile", 64);
    bitnet_op_set_text(op, "file", "b.png"); /* replaces */
    bitnet_op_units(op, 3, "frame");
    bitnet_op_units(op, 4, "frame");
    bitnet_op_quality(op, 0.81);
    bitnet_op_peak(op, BITNET_OP_PEAK_GPU_MEMORY, 2048);
    bitnet_op_peak(op, BITNET_OP_PEAK_GPU_MEMORY, 1024);
    bitnet_op_update(op);
    for (uint64_t t = bitnet_os_now_ns(); bitnet_os_now_ns() - t < 2000000;) {
    }
    bitnet_op_end(op);
    uint64_t after = bitnet_os_now_ns();

    const bitnet_op_record *r = newest(ops);
    assert_int_equal(r->id, 1);
    assert_int_equal(r->parent, 0);
    assert_string_equal(r->type, "upscale");
    assert_string_equal(r->strategy, "avx2");
    assert_true(before <= r->start_ns && r->start_ns < r->end_ns && r->end_ns <= after);
    assert_true(r->duration_s == (double)(r->end_ns - r->start_ns) / 1e9);
    assert_true(r->duration_s >= 0.002 && r->t_ms >= wall && r->t_ms <= bitnet_os_wall_ms());
    assert_true(r->ok);
    assert_string_equal(r->error, "");
    assert_true(r->units == 7 && r->quality == 0.81);
    assert_string_equal(r->unit, "frame");
    assert_true(r->peak[BITNET_OP_PEAK_GPU_MEMORY] == 2048);
    assert_true(r->peak[BITNET_OP_PEAK_MEMORY] > 1e5 && r->peak[BITNET_OP_PEAK_MEMORY] < 1e12);
    assert_true(isnan(r->peak[BITNET_OP_PEAK_CPU]) && isnan(r->peak[BITNET_OP_PEAK_GPU]));
    static const char *const keys[] = {"input_size", "output_size", "factor", "file", "tile"};
    assert_int_equal(r->n_meta, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(r->meta[i].key, keys[i]);
    assert_true(r->meta[0].number == 720 && r->meta[1].number == 1440 && r->meta[2].number == 2);
    assert_string_equal(r->meta[3].text, "b.png");
    assert_true(r->meta[4].number == 64 && !r->meta[4].text);

    char kept[8192]; /* what is kept is what the listener saw */
    bitnet_op_record_write_json(r, kept, sizeof kept);
    assert_int_equal(h.n, 1);
    assert_string_equal(h.json, kept);
    bitnet_ops_free(ops);
}

static void what_was_not_measured_is_absent(void **state) {
    (void)state;
    heard h = {0};
    bitnet_ops *ops = NULL;
    bitnet_ops_desc desc = {.listener = hear, .listener_ctx = &h, .without_memory = true};
    assert_int_equal(bitnet_ops_create(&ops, &desc), BITNET_OK);
    bitnet_op_end(bitnet_op_begin(ops, "wait", NULL));
    const bitnet_op_record *r = newest(ops);
    assert_true(isnan(r->units) && isnan(r->quality));
    for (int i = 0; i < BITNET_OP_PEAK_COUNT; i++)
        assert_true(isnan(r->peak[i]));
    assert_string_equal(r->strategy, "");
    cJSON *json = cJSON_Parse(h.json);
    static const char *const members[] = {"id",   "parent",     "op", "strategy",
                                          "t_ms", "duration_s", "ok"};
    assert_int_equal(cJSON_GetArraySize(json), 7);
    for (int i = 0; i < 7; i++)
        assert_non_null(cJSON_GetObjectItemCaseSensitive(json, members[i]));
    cJSON_Delete(json);
    bitnet_ops_free(ops);
}

/* Memory that is held and used: as a block of its own it goes back when it is freed. */
#define HELD_SIZE (32u << 20)

static void memory_is_looked_up_at_begin_update_and_end(void **state) {
    (void)state;
    bitnet_ops *ops = make_ops(NULL);
    bitnet_op *op = bitnet_op_begin(ops, "none", "");
    bitnet_op_end(op);
    double none = newest(ops)->peak[BITNET_OP_PEAK_MEMORY];
    for (int at = 0; at < 3; at++) {
        char *held = NULL;
        bitnet_op *held_op = NULL;
        for (int i = 0; i < 3; i++) { /* begin, update, end; memory is held at one of them */
            if (i == at) {
                held = malloc(HELD_SIZE);
                assert_non_null(held);
                memset(held, 1, HELD_SIZE);
            }
            if (i == 0) held_op = bitnet_op_begin(ops, "held", "");
            if (i == 1) bitnet_op_update(held_op);
            if (i == 2) bitnet_op_end(held_op);
            if (i == at) free(held);
        }
        double peak = newest(ops)->peak[BITNET_OP_PEAK_MEMORY];
        if (!(peak >= none + HELD_SIZE / 2))
            fail_msg("moment %d: the peak is %.0f bytes, %.0f without %u held", at, peak, none,
                     HELD_SIZE);
    }
    bitnet_ops_free(ops);
}

static void the_first_error_makes_it_a_failure(void **state) {
    (void)state;
    bitnet_ops *ops = make_ops(NULL);
    bitnet_op *op = bitnet_op_begin(ops, "load", "disk");
    bitnet_op_fail(op, "block %d of %d is torn", 3, 8);
    bitnet_op_fail(op, "giving up");
    bitnet_op_end(op);
    const bitnet_op_record *r = newest(ops);
    assert_false(r->ok);
    assert_string_equal(r->error, "block 3 of 8 is torn");
    assert_int_equal(counts_of(ops).n_failed, 1);
    assert_int_equal(counts_of(ops).n_ended, 1);
    bitnet_ops_free(ops);
}

static void long_text_is_cut_at_a_character(void **state) {
    (void)state;
    bitnet_ops *ops = make_ops(NULL);
    char text[1200] = "";
    for (int i = 0; i < 300; i++)
        strcat(text, "\xe2\x82\xac"); /* three bytes: 256 is no multiple */
    bitnet_op *op = bitnet_op_begin(ops, text, text);
    bitnet_op_set_text(op, "note", text);
    bitnet_op_units(op, 1, text);
    bitnet_op_fail(op, "%s", text);
    bitnet_op_end(op);
    const bitnet_op_record *r = newest(ops);
    assert_int_equal(strlen(r->type), 63);
    assert_int_equal(strlen(r->strategy), 63);
    assert_int_equal(strlen(r->unit), 63);
    assert_int_equal(strlen(r->error), 255);
    assert_int_equal(strlen(r->meta[0].text), 255);
    assert_memory_equal(r->meta[0].text, text, 255);
    bitnet_ops_free(ops);
}

static void a_part_knows_its_parent(void **state) {
    (void)state;
    bitnet_ops *ops = make_ops(NULL), *others = make_ops(NULL);
    bitnet_op *whole = bitnet_op_begin(ops, "request", "");
    bitnet_op *part = bitnet_op_begin_in(ops, whole, "prefill", "avx2");
    bitnet_op *inner = bitnet_op_begin_in(ops, part, "attend", "avx2");
    bitnet_op *foreign = bitnet_op_begin_in(others, whole, "request", "");
    bitnet_op *lone = bitnet_op_begin_in(ops, NULL, "request", "");
    assert_int_equal(counts_of(ops).n_active, 4);
    bitnet_op_end(inner);
    assert_int_equal(newest(ops)->parent, 2);
    assert_int_equal(newest(ops)->id, 3);
    bitnet_op_end(part);
    assert_int_equal(newest(ops)->parent, 1);
    bitnet_op_end(whole);
    assert_int_equal(newest(ops)->parent, 0);
    bitnet_op_end(lone);
    assert_int_equal(newest(ops)->parent, 0);
    bitnet_op_end(foreign);
    assert_int_equal(newest(others)->parent, 0); /* its ids are not these */
    bitnet_ops_free(ops);
    bitnet_ops_free(others);
}

static void values_that_are_none_are_refused_and_counted(void **state) {
    (void)state;
    bitnet_ops *ops = make_ops(NULL);
    bitnet_op *op = bitnet_op_begin(ops, "t", "s");
    char long_key[BITNET_OP_KEY_CAP + 1];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = 0;
    const char *const bad_keys[] = {NULL, "", "9a", "a b", "a\"", "\xc3\xa9", long_key};
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++) {
        bitnet_op_set_text(op, bad_keys[i], "x"), n++;
        bitnet_op_set_number(op, bad_keys[i], 1), n++;
    }
    static const double bad[] = {-1, (double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bitnet_op_units(op, bad[i], "token"), n++;
        bitnet_op_quality(op, bad[i]), n++;
        bitnet_op_peak(op, BITNET_OP_PEAK_CPU, bad[i]), n++;
        if (i > 0) bitnet_op_set_number(op, "number", bad[i]), n++;
        if (i > 0) bitnet_op_set_sizes(op, 1, bad[i]), n++;
    }
    bitnet_op_quality(op, 1.01), n++;
    bitnet_op_peak(op, BITNET_OP_PEAK_COUNT, 1), n++;
    bitnet_op_units(op, 2, "token");
    bitnet_op_units(op, 2, "byte"), n++;
    bitnet_op_set_number(op, long_key + 1, 7); /* 64 characters are allowed */
    for (int i = 1; i < BITNET_OP_META_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        bitnet_op_set_number(op, key, i);
    }
    bitnet_op_set_number(op, "one_more", 1), n++;
    bitnet_op_set_text(op, "one_more", ""), n++;
    bitnet_op_set_text(op, "k3", "still"); /* a known key has its room */
    assert_int_equal(counts_of(ops).n_refused, n);
    bitnet_op_end(op);
    const bitnet_op_record *r = newest(ops);
    assert_true(r->units == 2 && isnan(r->quality) && isnan(r->peak[BITNET_OP_PEAK_CPU]));
    assert_string_equal(r->unit, "token");
    assert_int_equal(r->n_meta, BITNET_OP_META_MAX);
    assert_string_equal(r->meta[0].key, long_key + 1);
    assert_string_equal(r->meta[3].text, "still");
    assert_true(r->meta[15].number == 15);
    bitnet_ops_free(ops);
}

static void the_factor_of_nothing_is_not_measured(void **state) {
    (void)state;
    heard h;
    bitnet_ops *ops = make_ops(&h);
    bitnet_op *op = bitnet_op_begin(ops, "t", "s");
    bitnet_op_set_sizes(op, 2, 8);
    bitnet_op_set_sizes(op, 0, 8);
    bitnet_op_end(op);
    cJSON *json = cJSON_Parse(h.json), *meta = cJSON_GetObjectItemCaseSensitive(json, "meta");
    assert_int_equal(cJSON_GetArraySize(meta), 2);
    assert_true(cJSON_GetObjectItemCaseSensitive(meta, "input_size")->valuedouble == 0);
    assert_true(cJSON_GetObjectItemCaseSensitive(meta, "output_size")->valuedouble == 8);
    cJSON_Delete(json);
    bitnet_ops_free(ops);
}

/* Every call; with NULL in the place of an operation. */
static void use(bitnet_op *op) {
    bitnet_op_update(op);
    bitnet_op_set_number(op, "n", 1);
    bitnet_op_set_text(op, "t", "x");
    bitnet_op_set_sizes(op, 1, 2);
    bitnet_op_units(op, 1, "token");
    bitnet_op_quality(op, 1);
    bitnet_op_peak(op, BITNET_OP_PEAK_GPU, 1);
    bitnet_op_fail(op, "x%d", 1);
    bitnet_op_end(op);
}

static void without_room_the_work_goes_on_and_is_counted(void **state) {
    (void)state;
    bitnet_ops *ops = NULL;
    assert_int_equal(bitnet_ops_create(&ops, &(bitnet_ops_desc){.max_active = 2}), BITNET_OK);
    bitnet_op *a = bitnet_op_begin(ops, "a", ""), *b = bitnet_op_begin(ops, "b", "");
    assert_true(a && b);
    for (int i = 0; i < 3; i++) {
        bitnet_op *none = bitnet_op_begin_in(ops, a, "c", "");
        assert_null(none);
        use(none);
    }
    assert_int_equal(counts_of(ops).n_unrecorded, 3);
    bitnet_op_quality(a, 2);
    char json[8192];
    assert_true(bitnet_ops_write_json(ops, json, sizeof json) < sizeof json);
    assert_non_null(strstr(json, "\"summary\":{\"active\":2,"));
    assert_non_null(strstr(json, "\"operations\":3,\"values\":1}"));
    use(a);                                       /* ends it */
    bitnet_op *c = bitnet_op_begin(ops, "c", ""); /* room again, with nothing of the one before */
    assert_non_null(c);
    bitnet_op_end(c);
    assert_string_equal(newest(ops)->type, "c");
    assert_true(newest(ops)->n_meta == 0 && newest(ops)->ok && isnan(newest(ops)->units));
    assert_string_equal(newest(ops)->unit, "");
    assert_string_equal(newest(ops)->error, "");
    bitnet_op_end(b);
    assert_int_equal(counts_of(ops).n_begun, 3);
    assert_int_equal(counts_of(ops).n_ended, 3);
    assert_int_equal(counts_of(ops).n_active, 0);
    bitnet_ops_free(ops);
    assert_null(bitnet_op_begin(NULL, "a", ""));
    use(NULL);
    bitnet_ops_free(NULL);
}

static void refused_memory_loses_records_and_nothing_else(void **state) {
    (void)state;
    int n_created = 0;
    for (long at = 1; n_created < 8; at++) {
        assert_true(at < 100);
        count_alloc c = {.fail_at = at};
        bitnet_ops_desc desc = {.max_active = 2, .max_history = 2, .max_groups = 2};
        desc.allocator = count_alloc_of(&c);
        bitnet_ops *ops = (void *)&desc;
        bitnet_status st = bitnet_ops_create(&ops, &desc);
        if (st != BITNET_OK) {
            assert_int_equal(st, BITNET_E_NOMEM);
            assert_null(ops);
            assert_int_equal(c.live, 0);
            continue;
        }
        n_created++;
        static const char *const types[] = {"a", "b", "a", "a", "a"};
        for (int i = 0; i < 5; i++) {
            bitnet_op *op = bitnet_op_begin(ops, types[i], "s");
            bitnet_op_set_text(op, "k", "v");
            bitnet_op_end(op);
        }
        bitnet_ops_counts counts = counts_of(ops);
        const bitnet_op_stats *stats = bitnet_ops_lock(ops);
        bitnet_op_summary all;
        assert_true(bitnet_op_stats_get(stats, BITNET_OP_BY_NOTHING, 0, &all));
        assert_int_equal(counts.n_ended + counts.n_unrecorded, 5);
        assert_int_equal(all.count, counts.n_ended);
        bitnet_op_stats_counts kept;
        bitnet_op_stats_get_counts(stats, &kept);
        assert_int_equal(kept.n_history + (int)kept.n_history_dropped, counts.n_ended);
        for (bitnet_op_by by = BITNET_OP_BY_TYPE; by < BITNET_OP_BY_COUNT; by++) {
            uint64_t n = 0;
            bitnet_op_summary g;
            for (int32_t i = 0; bitnet_op_stats_get(stats, by, i, &g); i++)
                n += g.count;
            assert_int_equal(n, counts.n_ended); /* in its group, or in __overflow__ */
        }
        bitnet_ops_unlock(ops);
        bitnet_ops_free(ops);
        assert_int_equal(c.live, 0);
    }
}

static void operations_left_open_end_as_failures(void **state) {
    (void)state;
    heard h;
    bitnet_ops *ops = make_ops(&h);
    bitnet_op_begin(ops, "a", "");
    bitnet_op *done = bitnet_op_begin(ops, "b", "");
    bitnet_op_end(done);
    assert_int_equal(h.n, 1);
    bitnet_ops_free(ops);
    assert_int_equal(h.n, 2);
    assert_non_null(strstr(h.json, "\"op\":\"a\""));
    assert_non_null(strstr(h.json, "\"ok\":false,\"error\":\"never ended\""));
}

static void open_operations_can_be_looked_at(void **state) {
    (void)state;
    bitnet_ops *ops = make_ops(NULL);
    bitnet_op *a = bitnet_op_begin(ops, "a", ""), *b = bitnet_op_begin(ops, "b", "");
    bitnet_op *c = bitnet_op_begin(ops, "c", "");
    bitnet_op_units(c, 5, "token");
    bitnet_op_end(b);
    bitnet_ops_lock(ops);
    bitnet_op_record r;
    assert_true(bitnet_ops_get_active(ops, 0, &r));
    assert_string_equal(r.type, "a");
    assert_true(bitnet_ops_get_active(ops, 1, &r));
    assert_string_equal(r.type, "c");
    assert_true(r.units == 5 && r.duration_s > 0 && r.duration_s < 60);
    assert_false(bitnet_ops_get_active(ops, 2, &r));
    bitnet_ops_unlock(ops);
    bitnet_op_end(a);
    bitnet_op_end(c);
    bitnet_ops_free(ops);
}

/* ---- scopes --------------------------------------------------------------------------------------
 */

static int find_seven(bitnet_ops *ops, const int *v, int n) {
    BITNET_OP_SCOPE(op, ops, "search", "linear");
    for (int i = 0; i < n; i++) {
        BITNET_OP_SCOPE_IN(look, ops, op, "look", "linear");
        if (v[i] < 0) continue;
        bitnet_op_units(look, 1, "value");
        if (v[i] == 7) return i;
        if (v[i] > 7) break;
    }
    bitnet_op_fail(op, "no seven");
    return -1;
}

static void a_scope_ends_by_return_break_and_continue(void **state) {
    (void)state;
    static const struct {
        int v[4], found, n_looks, n_units;
    } cases[] = {{{1, -1, 7, 2}, 2, 3, 2}, {{1, 8, 7, 2}, -1, 2, 2}, {{-1, -1, -1, -1}, -1, 4, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bitnet_ops *ops = make_ops(NULL);
        assert_int_equal(find_seven(ops, cases[i].v, 4), cases[i].found);
        assert_int_equal(counts_of(ops).n_active, 0);
        assert_int_equal(counts_of(ops).n_ended, 1 + cases[i].n_looks);
        const bitnet_op_record *r = newest(ops);
        assert_string_equal(r->type, "search"); /* the outer one ends last */
        assert_int_equal(r->ok, cases[i].found >= 0);
        const bitnet_op_stats *stats = bitnet_ops_lock(ops);
        bitnet_op_summary looks;
        int32_t at = bitnet_op_stats_find(stats, BITNET_OP_BY_TYPE, "look", NULL);
        assert_true(bitnet_op_stats_get(stats, BITNET_OP_BY_TYPE, at, &looks));
        assert_int_equal(looks.count, cases[i].n_looks);
        double units = looks.n_units ? looks.throughput[0].units : 0;
        assert_int_equal((int)units, cases[i].n_units);
        assert_int_equal(bitnet_op_stats_recent(stats, 1)->parent, r->id);
        bitnet_ops_unlock(ops);
        bitnet_ops_free(ops);
    }
    static const int v[] = {1, 7};
    assert_int_equal(find_seven(NULL, v, 2), 1); /* untracked, the work is the same */
}

/* ---- threads -------------------------------------------------------------------------------------
 */

#define N_OPS 2000
static void *end_many(void *ctx) {
    bitnet_ops *ops = ctx;
    for (int i = 0; i < N_OPS; i++) {
        BITNET_OP_SCOPE(op, ops, i % 2 ? "odd" : "even", "thread");
        bitnet_op_set_number(op, "i", i);
        bitnet_op_units(op, 1, "turn");
        if (i % 10 == 0) bitnet_op_fail(op, "tenth");
    }
    return NULL;
}

static void two_threads_end_operations_at_once(void **state) {
    (void)state;
    bitnet_ops *ops = NULL;
    bitnet_ops_desc desc = {.max_active = 2, .max_history = 32, .without_memory = true};
    assert_int_equal(bitnet_ops_create(&ops, &desc), BITNET_OK);
    pthread_t id[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&id[i], NULL, end_many, ops), 0);
    static char json[65536];
    for (int i = 0; i < 20; i++) { /* and somebody reads */
        assert_true(bitnet_ops_write_json(ops, json, sizeof json) < sizeof json);
        bitnet_op_record r;
        bitnet_ops_lock(ops);
        if (bitnet_ops_get_active(ops, 0, &r)) assert_string_equal(r.strategy, "thread");
        bitnet_ops_unlock(ops);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    bitnet_ops_counts c = counts_of(ops);
    assert_int_equal(c.n_ended, 2 * N_OPS);
    assert_int_equal(c.n_failed, 2 * N_OPS / 10);
    assert_int_equal(c.n_active, 0);
    assert_int_equal(c.n_unrecorded, 0);
    bool seen[2 * N_OPS + 1] = {false};
    const bitnet_op_stats *stats = bitnet_ops_lock(ops);
    for (int32_t i = 0; i < 32; i++) {
        const bitnet_op_record *r = bitnet_op_stats_recent(stats, i);
        assert_true(r && r->id >= 1 && r->id <= 2 * N_OPS && !seen[r->id]);
        seen[r->id] = true;
    }
    bitnet_op_summary odd;
    bitnet_op_stats_get(stats, BITNET_OP_BY_BOTH,
                        bitnet_op_stats_find(stats, BITNET_OP_BY_BOTH, "odd", "thread"), &odd);
    assert_int_equal(odd.count, N_OPS);
    bitnet_ops_unlock(ops);
    bitnet_ops_free(ops);
}

static void limits_that_make_no_sense_are_refused(void **state) {
    (void)state;
    static const bitnet_ops_desc bad[] = {{.max_active = -1},
                                          {.max_groups = -1},
                                          {.max_active = BITNET_OP_LIMIT + 1},
                                          {.max_history = BITNET_OP_LIMIT + 1},
                                          {.max_groups = BITNET_OP_LIMIT + 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bitnet_ops *ops = NULL;
        assert_int_equal(bitnet_ops_create(&ops, &bad[i]), BITNET_E_INVAL);
        assert_null(ops);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_holds_what_was_said_of_the_operation),
        cmocka_unit_test(what_was_not_measured_is_absent),
        cmocka_unit_test(memory_is_looked_up_at_begin_update_and_end),
        cmocka_unit_test(the_first_error_makes_it_a_failure),
        cmocka_unit_test(long_text_is_cut_at_a_character),
        cmocka_unit_test(a_part_knows_its_parent),
        cmocka_unit_test(values_that_are_none_are_refused_and_counted),
        cmocka_unit_test(the_factor_of_nothing_is_not_measured),
        cmocka_unit_test(without_room_the_work_goes_on_and_is_counted),
        cmocka_unit_test(refused_memory_loses_records_and_nothing_else),
        cmocka_unit_test(operations_left_open_end_as_failures),
        cmocka_unit_test(open_operations_can_be_looked_at),
        cmocka_unit_test(a_scope_ends_by_return_break_and_continue),
        cmocka_unit_test(two_threads_end_operations_at_once),
        cmocka_unit_test(limits_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
