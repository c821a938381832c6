/* test_perplexity.c: the figure against its definition, computed here token by token with the C library's
 * exp and log, for models with and without BOS; the same bits for every batch size; progress and
 * refusals.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tiny_model.h"

/* our exp and log in double against the C library's: a few ulp each, over 100 tokens */
#define NLL_TOLERANCE 1e-12

#define N_TOKENS 100
static bitnet_token text[N_TOKENS];

static int make_text(void **state) {
    (void)state;
    for (int32_t i = 0; i < N_TOKENS; i++)
        text[i] = (7 * i * i + 3 * i) % 256;
    return 0;
}

static tiny_model model_of(bool has_bos) {
    tiny_model m = tiny_model_default();
    m.has_vocab = true;
    m.seed = has_bos ? 3 : 4;
    return m;
}

static void load(tiny_loaded *t, bool has_bos) {
    /* an id outside the vocabulary means none */
    const bitnet_override none = {"tokenizer.ggml.bos_token_id", "int:4294967295"};
    tiny_model m = model_of(has_bos);
    bitnet_error err = {0};
    bitnet_model_desc desc = {.n_threads = 1, .overrides = &none, .n_overrides = has_bos ? 0 : 1};
    if (tiny_model_load(t, &m, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    assert_int_equal(bitnet_model_get_info(t->model).bos >= 0, has_bos);
}

static double nll_of(const float *logits, bitnet_token next) {
    double max = -(double)INFINITY, sum = 0;
    for (int32_t i = 0; i < TINY_LOGITS; i++)
        max = fmax(max, (double)logits[i]);
    for (int32_t i = 0; i < TINY_LOGITS; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[next];
}

/* One token at a time, a new context for each chunk. */
static bitnet_perplexity by_definition(const bitnet_model *m, int32_t n, int32_t n_ctx) {
    int32_t bos = bitnet_model_get_info(m).bos, n_chunk = bos >= 0 ? n_ctx - 1 : n_ctx;
    double sum = 0, squares = 0;
    bitnet_perplexity p = {0};
    for (int32_t first = 0; first < n; first += n_chunk) {
        bitnet_ctx *c;
        int32_t end = first + n_chunk < n ? first + n_chunk : n, before = p.n_tokens;
        assert_int_equal(bitnet_ctx_create(&c, &(bitnet_ctx_desc){.model = m}, NULL), BITNET_OK);
        if (bos >= 0) assert_int_equal(bitnet_ctx_decode(c, bos), BITNET_OK);
        for (int32_t i = first; i < end; i++) {
            if (bitnet_ctx_len(c) > 0) {
                double nll = nll_of(bitnet_ctx_logits(c), text[i]);
                sum += nll, squares += nll * nll, p.n_tokens++;
            }
            assert_int_equal(bitnet_ctx_decode(c, text[i]), BITNET_OK);
        }
        p.n_chunks += p.n_tokens > before;
        bitnet_ctx_free(c);
    }
    p.nll = sum / p.n_tokens;
    p.perplexity = exp(p.nll);
    p.nll_stderr = sqrt((squares / p.n_tokens - p.nll * p.nll) / (p.n_tokens - 1));
    return p;
}

static void expect_near(const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s is %.17g, by definition %.17g", what, got, want);
}

static void it_is_exp_of_the_mean_negative_log_likelihood(void **state) {
    (void)state;
    for (int has_bos = 0; has_bos < 2; has_bos++) {
        tiny_loaded t;
        load(&t, has_bos);
        /* 100 tokens in chunks of 32 or 31, of 10 or 9 (one is left over), and in one */
        static const int32_t windows[] = {32, 10, 64, 33, 2, 64};
        static const int32_t lengths[] = {100, 100, 50, 100, 9, 2};
        for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
            bitnet_perplexity_desc desc = {.model = t.model,
                                           .tokens = text,
                                           .n_tokens = lengths[i],
                                           .n_ctx = windows[i],
                                           .n_batch = 7};
            bitnet_perplexity got, want = by_definition(t.model, lengths[i], windows[i]);
            bitnet_error err = {0};
            if (bitnet_perplexity_run(&got, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
            assert_int_equal(got.n_tokens, want.n_tokens);
            assert_int_equal(got.n_chunks, want.n_chunks);
            assert_int_equal(got.chunk_size, windows[i] - has_bos);
            assert_true(got.perplexity > 100); /* random weights know little of 257 tokens */
            expect_near("nll", got.nll, want.nll, NLL_TOLERANCE * want.nll);
            expect_near("perplexity", got.perplexity, want.perplexity,
                        10 * NLL_TOLERANCE * want.perplexity);
            if (want.n_tokens > 2) /* a difference of squares loses digits */
                expect_near("nll_stderr", got.nll_stderr, want.nll_stderr, 1e-7);
        }
        tiny_model_close(&t);
    }
}

static void every_batch_size_gives_the_same_bits(void **state) {
    (void)state;
    tiny_loaded t;
    load(&t, true);
    bitnet_perplexity want, got;
    bitnet_perplexity_desc desc = {
        .model = t.model, .tokens = text, .n_tokens = N_TOKENS, .n_batch = 1};
    assert_int_equal(bitnet_perplexity_run(&want, &desc, NULL), BITNET_OK);
    for (int32_t n_batch = 0; n_batch <= 100; n_batch += 20) {
        desc.n_batch = n_batch;
        assert_int_equal(bitnet_perplexity_run(&got, &desc, NULL), BITNET_OK);
        assert_memory_equal(&got.nll, &want.nll, sizeof got.nll);
        assert_int_equal(got.chunk_size, 63); /* what the model was trained with */
    }
    tiny_model_close(&t);
}

typedef struct seen {
    int32_t n_calls, last, total, stop_after;
} seen;

static int on_progress(void *user, int32_t done, int32_t total, const bitnet_perplexity *so_far) {
    seen *s = user;
    assert_true(done > s->last);
    assert_int_equal(so_far->n_tokens, done);
    assert_true(so_far->perplexity > 1);
    s->last = done, s->total = total;
    return ++s->n_calls == s->stop_after;
}

static void progress_counts_to_the_end_and_can_stop(void **state) {
    (void)state;
    for (int has_bos = 0; has_bos < 2; has_bos++) {
        tiny_loaded t;
        bitnet_perplexity p;
        bitnet_error err = {0};
        load(&t, has_bos);
        seen s = {0}, stopped = {.stop_after = 2};
        bitnet_perplexity_desc desc = {.model = t.model,
                                       .tokens = text,
                                       .n_tokens = has_bos ? N_TOKENS : 97, /* 97 = 3 * 32 + 1 */
                                       .n_ctx = 32,
                                       .n_batch = 8,
                                       .progress = on_progress,
                                       .user = &s};
        assert_int_equal(bitnet_perplexity_run(&p, &desc, NULL), BITNET_OK);
        assert_int_equal(s.last, s.total);
        assert_int_equal(s.last, p.n_tokens);
        assert_true(s.n_calls > 3);
        desc.user = &stopped;
        assert_int_equal(bitnet_perplexity_run(&p, &desc, &err), BITNET_E_CANCELLED);
        assert_string_equal(err.id, "perplexity.cancelled");
        assert_int_equal(stopped.n_calls, 2);
        assert_int_equal(p.n_tokens, stopped.last);
        tiny_model_close(&t);
    }
}

static void pass_by_pass_it_gives_the_same_bits(void **state) {
    (void)state;
    tiny_loaded t;
    bitnet_perplexity whole, stepped = {0};
    bitnet_evaluation *e;
    bitnet_error err = {0};
    load(&t, true);
    bitnet_perplexity_desc desc = {
        .model = t.model, .tokens = text, .n_tokens = N_TOKENS, .n_ctx = 32, .n_batch = 8};
    assert_int_equal(bitnet_perplexity_run(&whole, &desc, NULL), BITNET_OK);
    assert_int_equal(bitnet_evaluation_create(&e, &desc, NULL), BITNET_OK);
    assert_int_equal(bitnet_evaluation_total(e), N_TOKENS);
    int32_t n_steps = 1;
    while (bitnet_evaluation_step(e, &stepped, &err) == BITNET_OK) {
        assert_in_range(stepped.n_tokens, n_steps * 7, n_steps * 8);
        n_steps++;
    }
    assert_null(err.id);
    assert_int_equal(n_steps, 3 * 4 + 1); /* chunks of 31 in fours, 7 left over */
    assert_memory_equal(&stepped, &whole, sizeof whole);
    stepped = (bitnet_perplexity){0};
    for (int32_t i = 0; i < 2; i++) /* past the end nothing happens */
        assert_int_equal(bitnet_evaluation_step(e, &stepped, &err), BITNET_DONE);
    assert_memory_equal(&stepped, &whole, sizeof whole);
    bitnet_evaluation_free(e);
    bitnet_evaluation_free(NULL);
    tiny_model_close(&t);
}

static void what_cannot_be_evaluated_is_refused(void **state) {
    (void)state;
    tiny_loaded t;
    load(&t, true);
    const bitnet_token outside[] = {1, 2, 257}, negative[] = {1, -1};
    const struct {
        const bitnet_token *tokens;
        int32_t n, n_ctx;
        const char *id, *says;
    } rows[] = {{text, 1, 0, "perplexity.tokens", "1 tokens"},
                {outside, 3, 0, "perplexity.tokens", "token 2 of the text is 257"},
                {negative, 2, 0, "perplexity.tokens", "token 1 of the text is -1"},
                {text, 2, 1, "perplexity.ctx", "1 tokens"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bitnet_perplexity_desc desc = {.model = t.model,
                                       .tokens = rows[i].tokens,
                                       .n_tokens = rows[i].n,
                                       .n_ctx = rows[i].n_ctx};
        bitnet_perplexity p;
        bitnet_error err = {0};
        assert_int_equal(bitnet_perplexity_run(&p, &desc, &err), BITNET_E_INVAL);
        assert_string_equal(err.id, rows[i].id);
        if (!strstr(err.text, rows[i].says)) fail_msg("\"%s\"", err.text);
    }
    tiny_model_close(&t);
}

static void make_huge(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    (void)user;
    float huge = 3e38f;
    if (strcmp(name, "output_norm.weight")) return;
    assert_int_equal(type, BITNET_TYPE_F32);
    for (size_t i = 0; i < size; i += sizeof huge)
        memcpy(data + i, &huge, sizeof huge);
}

static void logits_that_overflow_are_an_error_and_not_a_figure(void **state) {
    (void)state;
    tiny_model m = model_of(true);
    tiny_loaded t;
    bitnet_perplexity p;
    bitnet_error err = {0};
    m.spoil = make_huge;
    assert_int_equal(tiny_model_load(&t, &m, NULL, NULL), BITNET_OK);
    bitnet_perplexity_desc desc = {.model = t.model, .tokens = text, .n_tokens = 10};
    assert_int_equal(bitnet_perplexity_run(&p, &desc, &err), BITNET_E_FORMAT);
    assert_string_equal(err.id, "perplexity.nonfinite");
    tiny_model_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_exp_of_the_mean_negative_log_likelihood),
        cmocka_unit_test(every_batch_size_gives_the_same_bits),
        cmocka_unit_test(progress_counts_to_the_end_and_can_stop),
        cmocka_unit_test(pass_by_pass_it_gives_the_same_bits),
        cmocka_unit_test(what_cannot_be_evaluated_is_refused),
        cmocka_unit_test(logits_that_overflow_are_an_error_and_not_a_figure),
    };
    return cmocka_run_group_tests(tests, make_text, NULL);
}
