/* test_context.c: bitnet/context.h: a step of several timelines gives each of them exactly the bits that
 * it has alone, whatever goes with it, on every tier and number of threads and with every kind of KV
 * cache; what it refuses changes nothing; a timeline can be cut, saved and loaded.
 */
#include "load_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/backend.h"
#include "tiny_model.h"

#define N_LINES   6
#define LONGEST   40 /* tokens of a timeline */
#define MOST_ROWS 24 /* of logits of a step */

static const bitnet_kv_type kv_types[] = {BITNET_KV_F16, BITNET_KV_F32, BITNET_KV_Q8_0};
#define N_KV_TYPES (sizeof kv_types / sizeof *kv_types)

static bitnet_ctx *open_ctx(const bitnet_model *m, int32_t n_batch, int32_t n_logits) {
    bitnet_ctx *c;
    bitnet_error err = {0};
    bitnet_ctx_desc cd = {.model = m, .n_ctx = LONGEST, .n_batch = n_batch, .n_logits = n_logits};
    if (bitnet_ctx_create(&c, &cd, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    return c;
}

/* Timeline i's tokens: all different, of different lengths. */
static bitnet_token token_of(const bitnet_model *m, int32_t i, int32_t pos) {
    return (37 * i + 11 * pos + pos * pos * i + 1) % bitnet_model_get_info(m).n_vocab;
}
static const int32_t lengths[N_LINES] = {3, 17, 40, 1, 29, 12};

/* [n][n_vocab]: the logits after each token of timeline i, one token a step, alone. */
static float *logits_alone(const bitnet_model *m, int32_t i) {
    size_t n_vocab = (size_t)bitnet_model_get_info(m).n_vocab;
    float *out = malloc(LONGEST * n_vocab * sizeof *out);
    bitnet_ctx *c = open_ctx(m, 1, 1);
    assert_non_null(out);
    for (int32_t pos = 0; pos < lengths[i]; pos++) {
        assert_int_equal(bitnet_ctx_decode(c, token_of(m, i, pos)), BITNET_OK);
        memcpy(out + (size_t)pos * n_vocab, bitnet_ctx_logits(c), n_vocab * sizeof *out);
    }
    bitnet_ctx_free(c);
    return out;
}

/* ---- together ----------------------------------------------------------------------------------- */

typedef struct lines {
    const bitnet_model *m;
    bitnet_ctx *ctx[N_LINES];
    float *alone[N_LINES];
    const char *what;
} lines;

static void check_rows(const lines *l, const bitnet_ctx_run *run, int32_t line) {
    const size_t n_vocab = (size_t)bitnet_model_get_info(l->m).n_vocab;
    const int32_t len = bitnet_ctx_len(run->ctx);
    for (int32_t r = 0; r < run->n_logits; r++) {
        const int32_t pos = len - run->n_logits + r;
        const float *got = bitnet_ctx_logits_at(run->ctx, r),
                    *want = l->alone[line] + (size_t)pos * n_vocab;
        assert_non_null(got);
        if (memcmp(got, want, n_vocab * sizeof *got))
            fail_msg("%s: timeline %d, position %d: logits differ, the first is %.9g, alone %.9g",
                     l->what, line, pos, (double)got[0], (double)want[0]);
    }
    assert_null(bitnet_ctx_logits_at(run->ctx, run->n_logits));
    assert_null(bitnet_ctx_logits_at(run->ctx, -1));
    const float *last = run->n_logits ? bitnet_ctx_logits_at(run->ctx, run->n_logits - 1) : NULL;
    assert_ptr_equal(bitnet_ctx_logits(run->ctx), last);
}

/* All timelines to their ends: each step takes those that have tokens left, beginning with another one
 * each time; some bring one token, some a chunk of a prompt; some want every row, some none. */
static void run_together(lines *l, int32_t variant) {
    bool has_more = true;
    for (int32_t step = 0; has_more; step++) {
        bitnet_ctx_run run[N_LINES];
        bitnet_token tok[N_LINES][LONGEST];
        int32_t line[N_LINES], n_run = 0;
        for (int32_t k = 0; k < N_LINES; k++) {
            const int32_t way = variant % 2 ? N_LINES - 1 - k : k, i = (way + step) % N_LINES,
                          len = bitnet_ctx_len(l->ctx[i]);
            int32_t n = (i + step + variant) % 3 == 0 ? 1 + (5 * i + step) % 8 : 1;
            if (n > lengths[i] - len) n = lengths[i] - len;
            if (n == 0 || (variant == 2 && (i + step) % 4 == 1)) continue; /* not in this one */
            for (int32_t j = 0; j < n; j++)
                tok[n_run][j] = token_of(l->m, i, len + j);
            const int32_t kinds[] = {1, n < 4 ? n : 4, 0};
            line[n_run] = i;
            run[n_run] = (bitnet_ctx_run){l->ctx[i], tok[n_run], n, kinds[(i + step) % 3]};
            n_run++;
        }
        if (n_run > 0 && bitnet_ctx_extend(run, n_run) != BITNET_OK)
            fail_msg("%s: step %d is refused", l->what, step);
        for (int32_t k = 0; k < n_run; k++)
            check_rows(l, &run[k], line[k]);
        has_more = false;
        for (int32_t i = 0; i < N_LINES; i++)
            has_more |= bitnet_ctx_len(l->ctx[i]) < lengths[i];
    }
}

static void check_model(const bitnet_model *m, const char *what) {
    lines l = {.m = m, .what = what};
    for (int32_t i = 0; i < N_LINES; i++) {
        l.ctx[i] = open_ctx(m, 64, MOST_ROWS);
        l.alone[i] = logits_alone(m, i);
    }
    for (int32_t variant = 0; variant < 3; variant++) {
        for (int32_t i = 0; i < N_LINES; i++)
            bitnet_ctx_clear(l.ctx[i]);
        run_together(&l, variant);
        for (int32_t i = 0; i < N_LINES; i++) {
            bitnet_token all[LONGEST];
            for (int32_t j = 0; j < lengths[i]; j++)
                all[j] = token_of(m, i, j);
            assert_int_equal(bitnet_ctx_match(l.ctx[i], all, lengths[i]), lengths[i]);
        }
    }
    for (int32_t i = 0; i < N_LINES; i++) {
        bitnet_ctx_free(l.ctx[i]);
        free(l.alone[i]);
    }
}

static const bitnet_cpu_tier *best_tier(void) {
    const bitnet_cpu_tier *t, *best = NULL;
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++)
        if (!(t->flag & ~bitnet_cpu_flags())) best = t;
    return best;
}

/* Every tier of this CPU and number of threads, with one kind of cache after another; where that takes
 * minutes, the best tier with three threads. */
static void for_each_way(void (*check)(const bitnet_model_desc *, const char *what)) {
    static const int32_t n_threads[] = {3, 1, 2, 8};
    const bitnet_cpu_tier *t;
    int32_t at = 0;
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++) {
        if (t->flag & ~bitnet_cpu_flags() || (TEST_IS_SLOW && t != best_tier())) continue;
        for (size_t n = 0; n < (TEST_IS_SLOW ? 1 : 4); n++, at++) {
            char what[64];
            bitnet_model_desc d = {.n_threads = n_threads[n], .cpu_mask = t->mask};
            d.cache_type_k = kv_types[at % (int32_t)N_KV_TYPES];
            d.cache_type_v = kv_types[at / 2 % (int32_t)N_KV_TYPES];
            snprintf(what, sizeof what, "%s, %d threads, cache %d/%d", t->name, n_threads[n],
                     (int)d.cache_type_k, (int)d.cache_type_v);
            check(&d, what);
        }
    }
}

static void check_tales(const bitnet_model_desc *d, const char *what) {
    test_model t;
    bitnet_error err = {0};
    bitnet_model_desc desc = *d;
    test_model_open(&t, 1, 0, NULL); /* its file is mapped, the model is loaded again */
    bitnet_model_free(t.model);
    desc.source = &t.file.source;
    if (bitnet_model_load(&t.model, &desc, &err) < 0) fail_msg("%s: %s", what, err.text);
    check_model(t.model, what);
    test_model_close(&t);
}

static void check_tiny(const bitnet_model_desc *d, const char *what) {
    tiny_model shape = tiny_model_default();
    tiny_loaded t;
    bitnet_error err = {0};
    shape.n_layer = 3;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.has_head = shape.has_biases = true;
    if (tiny_model_load(&t, &shape, d, &err) < 0) fail_msg("%s: %s", what, err.text);
    check_model(t.model, what);
    tiny_model_close(&t);
}

static void timelines_of_one_step_have_the_bits_they_have_alone(void **state) {
    (void)state;
    for_each_way(check_tales);
}

static void timelines_of_a_tiny_model_with_biases_and_a_head_too(void **state) {
    (void)state;
    for_each_way(check_tiny);
}

static void every_kind_of_cache_gives_other_bits_and_the_same_together(void **state) {
    (void)state;
    float first[N_KV_TYPES * N_KV_TYPES][TINY_LOGITS];
    int32_t n = 0;
    for (size_t k = 0; k < N_KV_TYPES; k++)
        for (size_t v = 0; v < N_KV_TYPES; v++, n++) {
            tiny_model shape = tiny_model_default();
            tiny_loaded t;
            bitnet_model_desc d = {
                .n_threads = 2, .cache_type_k = kv_types[k], .cache_type_v = kv_types[v]};
            assert_int_equal(tiny_model_load(&t, &shape, &d, NULL), BITNET_OK);
            check_model(t.model, "a pair of cache types");
            tiny_model_logits(t.model, first[n]);
            for (int32_t other = 0; other < n; other++)
                assert_memory_not_equal(first[n], first[other], sizeof first[n]);
            tiny_model_close(&t);
        }
}

/* ---- what is refused ----------------------------------------------------------------------------- */

typedef struct pair {
    tiny_loaded t, other;
    bitnet_ctx *a, *b, *wider, *foreign; /* a: batch 8, 3 rows; b: 38 of 40 positions in use */
} pair;

static void open_pair(pair *p) {
    tiny_model shape = tiny_model_default();
    assert_int_equal(tiny_model_load(&p->t, &shape, NULL, NULL), BITNET_OK);
    assert_int_equal(tiny_model_load(&p->other, &shape, NULL, NULL), BITNET_OK);
    p->a = open_ctx(p->t.model, 8, 3);
    p->b = open_ctx(p->t.model, 8, 1);
    bitnet_ctx_desc wider = {.model = p->t.model, .n_ctx = LONGEST + 1};
    assert_int_equal(bitnet_ctx_create(&p->wider, &wider, NULL), BITNET_OK);
    p->foreign = open_ctx(p->other.model, 8, 1);
    bitnet_token tok[LONGEST];
    for (int32_t i = 0; i < LONGEST; i++)
        tok[i] = token_of(p->t.model, 1, i);
    assert_int_equal(bitnet_ctx_sync(p->a, tok, 2), BITNET_OK);
    assert_int_equal(bitnet_ctx_sync(p->b, tok, LONGEST - 2), BITNET_OK);
    assert_int_equal(bitnet_ctx_sync(p->foreign, tok, 2), BITNET_OK);
}

static void close_pair(pair *p) {
    bitnet_ctx_free(p->a);
    bitnet_ctx_free(p->b);
    bitnet_ctx_free(p->wider);
    bitnet_ctx_free(p->foreign);
    tiny_model_close(&p->t);
    tiny_model_close(&p->other);
}

static void a_refused_step_changes_nothing(void **state) {
    (void)state;
    pair p;
    open_pair(&p);
    static const bitnet_token tok[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, high[] = {1, TINY_LOGITS},
                              low[] = {-1};
    const struct {
        const char *what;
        bitnet_status want;
        int32_t n;
        bitnet_ctx_run run[2];
    } cases[] = {
        {"no run", BITNET_E_INVAL, 0, {{p.a, tok, 1, 1}, {p.b, tok, 1, 1}}},
        {"fewer than none", BITNET_E_INVAL, -1, {{p.a, tok, 1, 1}, {p.b, tok, 1, 1}}},
        {"a context twice", BITNET_E_INVAL, 2, {{p.a, tok, 1, 1}, {p.a, tok, 1, 1}}},
        {"another model's", BITNET_E_INVAL, 2, {{p.a, tok, 1, 1}, {p.foreign, tok, 1, 1}}},
        {"another window", BITNET_E_INVAL, 2, {{p.a, tok, 1, 1}, {p.wider, tok, 1, 1}}},
        {"9 tokens, room for 8", BITNET_E_INVAL, 1, {{p.a, tok, 9, 1}}},
        {"7 + 2 tokens", BITNET_E_INVAL, 2, {{p.a, tok, 7, 1}, {p.b, tok, 2, 1}}},
        {"4 rows, room for 3", BITNET_E_INVAL, 1, {{p.a, tok, 4, 4}}},
        {"3 + 1 rows", BITNET_E_INVAL, 2, {{p.a, tok, 3, 3}, {p.b, tok, 1, 1}}},
        {"the leader's rows count", BITNET_E_INVAL, 2, {{p.b, tok, 1, 1}, {p.a, tok, 1, 1}}},
        {"more rows than tokens", BITNET_E_INVAL, 1, {{p.a, tok, 1, 2}}},
        {"fewer rows than none", BITNET_E_INVAL, 1, {{p.a, tok, 1, -1}}},
        {"no token", BITNET_E_INVAL, 2, {{p.a, tok, 1, 1}, {p.b, tok, 0, 0}}},
        {"a token too high", BITNET_E_INVAL, 2, {{p.a, tok, 1, 1}, {p.b, high, 2, 1}}},
        {"a token below 0", BITNET_E_INVAL, 2, {{p.a, tok, 1, 1}, {p.b, low, 1, 1}}},
        {"a full window", BITNET_E_CTX_FULL, 2, {{p.a, tok, 1, 1}, {p.b, tok, 3, 1}}},
    };
    const size_t row = TINY_LOGITS * sizeof(float);
    float logits[2][TINY_LOGITS];
    memcpy(logits[0], bitnet_ctx_logits(p.a), row);
    memcpy(logits[1], bitnet_ctx_logits(p.b), row);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bitnet_status got = bitnet_ctx_extend(cases[i].run, cases[i].n);
        if (got != cases[i].want)
            fail_msg("%s: %s, expected %s", cases[i].what, bitnet_status_text(got),
                     bitnet_status_text(cases[i].want));
        assert_int_equal(bitnet_ctx_len(p.a), 2);
        assert_int_equal(bitnet_ctx_len(p.b), LONGEST - 2);
        assert_memory_equal(bitnet_ctx_logits(p.a), logits[0], row);
        assert_memory_equal(bitnet_ctx_logits(p.b), logits[1], row);
    }
    /* to the brim is allowed, by the leader's room and not by its own */
    const bitnet_ctx_run last[] = {{p.a, tok, 6, 1}, {p.b, tok, 2, 2}};
    assert_int_equal(bitnet_ctx_extend(last, 2), BITNET_OK);
    assert_int_equal(bitnet_ctx_len(p.b), LONGEST);
    close_pair(&p);
}

static void sixty_four_timelines_go_and_one_more_is_refused(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    tiny_loaded t;
    bitnet_ctx_run run[BITNET_MAX_RUNS + 1];
    static bitnet_token tok[BITNET_MAX_RUNS + 1];
    static float alone[TINY_LOGITS];
    assert_int_equal(tiny_model_load(&t, &shape, NULL, NULL), BITNET_OK);
    for (int32_t i = 0; i <= BITNET_MAX_RUNS; i++) {
        bitnet_ctx_desc cd = {.model = t.model, .n_ctx = 80, .n_batch = 1, .n_logits = 1};
        if (i == 0) cd.n_batch = cd.n_logits = 80;
        assert_int_equal(bitnet_ctx_create(&run[i].ctx, &cd, NULL), BITNET_OK);
        tok[i] = 3 * i;
        run[i].tok = &tok[i], run[i].n = run[i].n_logits = 1;
    }
    assert_int_equal(bitnet_ctx_extend(run, BITNET_MAX_RUNS + 1), BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_len(run[0].ctx), 0);
    assert_int_equal(bitnet_ctx_extend(run, BITNET_MAX_RUNS), BITNET_OK);
    for (int32_t i = 0; i < BITNET_MAX_RUNS; i++) {
        bitnet_ctx *spare = run[BITNET_MAX_RUNS].ctx;
        assert_int_equal(bitnet_ctx_sync(spare, &tok[i], 1), BITNET_OK);
        memcpy(alone, bitnet_ctx_logits(spare), sizeof alone);
        assert_memory_equal(bitnet_ctx_logits(run[i].ctx), alone, sizeof alone);
    }
    for (int32_t i = 0; i <= BITNET_MAX_RUNS; i++)
        bitnet_ctx_free(run[i].ctx);
    tiny_model_close(&t);
}

/* ---- one timeline -------------------------------------------------------------------------------- */

static void a_cut_timeline_goes_on_as_if_it_had_never_been_longer(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    tiny_loaded t;
    assert_int_equal(tiny_model_load(&t, &shape, NULL, NULL), BITNET_OK);
    float *alone = logits_alone(t.model, 1);
    bitnet_ctx *c = open_ctx(t.model, 8, 1);
    const bitnet_token wrong[] = {7, 7, 7, 7, 7};
    for (int32_t pos = 0; pos < lengths[1]; pos++) {
        assert_int_equal(bitnet_ctx_decode(c, token_of(t.model, 1, pos)), BITNET_OK);
        assert_memory_equal(bitnet_ctx_logits(c), alone + pos * TINY_LOGITS,
                            TINY_LOGITS * sizeof *alone);
        bitnet_ctx_cut(c, pos + 1); /* as long as it is, or longer, or negative: no effect */
        bitnet_ctx_cut(c, pos + 5);
        bitnet_ctx_cut(c, -1);
        assert_non_null(bitnet_ctx_logits(c));
        assert_int_equal(bitnet_ctx_extend(&(bitnet_ctx_run){c, wrong, 1 + pos % 5, 1}, 1),
                         BITNET_OK);
        bitnet_ctx_cut(c, pos + 1);
        assert_int_equal(bitnet_ctx_len(c), pos + 1);
        assert_null(bitnet_ctx_logits(c)); /* those of the tokens now forgotten */
    }
    bitnet_ctx_cut(c, 0);
    assert_int_equal(bitnet_ctx_len(c), 0);
    bitnet_ctx_free(c);
    free(alone);
    tiny_model_close(&t);
}

/* The rows of the second lie in the first one's memory, which the first one's next step fills anew. */
static void the_logits_of_a_step_together_are_computed_again_when_asked_for_later(void **state) {
    (void)state;
    tiny_model shape = tiny_model_default();
    tiny_loaded t;
    static float alone[TINY_LOGITS];
    static const bitnet_token tok[] = {65, 66, 67};
    assert_int_equal(tiny_model_load(&t, &shape, NULL, NULL), BITNET_OK);
    for (int is_freed = 0; is_freed < 2; is_freed++) {
        bitnet_ctx *a = open_ctx(t.model, 8, 2), *b = open_ctx(t.model, 8, 1);
        const bitnet_ctx_run both[] = {{a, tok + 1, 2, 1}, {b, tok, 3, 1}};
        assert_int_equal(bitnet_ctx_sync(b, tok, 3), BITNET_OK);
        memcpy(alone, bitnet_ctx_logits(b), sizeof alone);
        bitnet_ctx_clear(b);
        assert_int_equal(bitnet_ctx_extend(both, 2), BITNET_OK);
        assert_memory_equal(bitnet_ctx_logits(b), alone, sizeof alone);
        const bitnet_token more[] = {7, 8};
        const bitnet_ctx_run next = {a, more, 2, 2}; /* as many rows as before */
        assert_int_equal(bitnet_ctx_extend(&next, 1), BITNET_OK);
        if (is_freed) bitnet_ctx_free(a);
        assert_int_equal(bitnet_ctx_sync(b, tok, 3), BITNET_OK);
        assert_memory_equal(bitnet_ctx_logits(b), alone, sizeof alone);
        bitnet_ctx_free(b);
        if (!is_freed) bitnet_ctx_free(a);
    }
    tiny_model_close(&t);
}

/* Saved in two pieces and loaded into a context with another window, a timeline goes on with the same
 * bits. */
static void check_round_trip(const bitnet_model *m, const float *alone) {
    const size_t row = (size_t)bitnet_model_get_info(m).n_vocab * sizeof *alone;
    enum { SPLIT = 9, N = 28 };
    bitnet_token tok[LONGEST];
    bitnet_ctx *a = open_ctx(m, 8, 1), *b;
    bitnet_ctx_desc cd = {.model = m, .n_ctx = 61};
    assert_int_equal(bitnet_ctx_create(&b, &cd, NULL), BITNET_OK);
    for (int32_t i = 0; i < lengths[4]; i++)
        tok[i] = token_of(m, 4, i);
    assert_int_equal(bitnet_ctx_sync(a, tok, N), BITNET_OK);
    const int32_t first[] = {0, SPLIT}, n[] = {SPLIT, N - SPLIT};
    for (int piece = 0; piece < 2; piece++) {
        size_t size = bitnet_ctx_save(a, first[piece], n[piece], NULL, 0);
        uint8_t *data = malloc(size);
        assert_non_null(data);
        assert_int_equal(size, bitnet_model_ctx_size(m, n[piece]));
        assert_int_equal(bitnet_ctx_save(a, first[piece], n[piece], data, size), size);
        assert_int_equal(bitnet_ctx_load(b, tok, first[piece], n[piece], data, size - 1),
                         BITNET_E_INVAL);
        assert_int_equal(bitnet_ctx_load(b, tok, first[piece] + 1, n[piece], data, size),
                         BITNET_E_INVAL); /* the position before is not there */
        assert_int_equal(bitnet_ctx_load(b, tok, first[piece], n[piece], data, size), BITNET_OK);
        free(data);
    }
    assert_int_equal(bitnet_ctx_len(b), N);
    assert_null(bitnet_ctx_logits(b));
    assert_int_equal(bitnet_ctx_decode(b, tok[N]), BITNET_OK);
    assert_memory_equal(bitnet_ctx_logits(b), alone + (size_t)N * row / sizeof *alone, row);
    bitnet_ctx_free(a);
    bitnet_ctx_free(b);
}

static void a_saved_timeline_goes_on_with_the_same_bits_in_every_kind_of_cache(void **state) {
    (void)state;
    for (size_t k = 0; k < N_KV_TYPES; k++)
        for (size_t v = 0; v < N_KV_TYPES; v++) {
            tiny_model shape = tiny_model_default();
            tiny_loaded t;
            bitnet_model_desc d = {
                .n_threads = 1, .cache_type_k = kv_types[k], .cache_type_v = kv_types[v]};
            shape.n_layer = 2;
            assert_int_equal(tiny_model_load(&t, &shape, &d, NULL), BITNET_OK);
            float *alone = logits_alone(t.model, 4);
            check_round_trip(t.model, alone);
            free(alone);
            tiny_model_close(&t);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timelines_of_one_step_have_the_bits_they_have_alone),
        cmocka_unit_test(timelines_of_a_tiny_model_with_biases_and_a_head_too),
        cmocka_unit_test(every_kind_of_cache_gives_other_bits_and_the_same_together),
        cmocka_unit_test(a_refused_step_changes_nothing),
        cmocka_unit_test(sixty_four_timelines_go_and_one_more_is_refused),
        cmocka_unit_test(a_cut_timeline_goes_on_as_if_it_had_never_been_longer),
        cmocka_unit_test(the_logits_of_a_step_together_are_computed_again_when_asked_for_later),
        cmocka_unit_test(a_saved_timeline_goes_on_with_the_same_bits_in_every_kind_of_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
