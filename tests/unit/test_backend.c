/* test_backend.c: the CPU backend through its seam: products of ternary rows that are no multiple of 128
 * long, of ordinary rows of every type, with a scale; bias, embedding, the last row; what reserve takes.
 */
#include "load_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "count_alloc.h"
#include "format/blocks.h"

static const bitnet_backend_ops *const ops = &bitnet_backend_cpu;

static bitnet_backend *open_backend(int32_t n_threads) {
    bitnet_backend *be;
    bitnet_backend_desc bd = {.n_threads = n_threads};
    assert_int_equal(ops->open(&be, &bd, NULL), BITNET_OK);
    return be;
}

static bitnet_buf *buffer(bitnet_backend *be, const float *x, size_t n) {
    bitnet_buf *b;
    assert_int_equal(ops->alloc(be, n * sizeof *x, &b), BITNET_OK);
    if (x) assert_int_equal(ops->write(be, b, 0, x, n * sizeof *x), BITNET_OK);
    return b;
}

static bitnet_weight *bind(bitnet_backend *be, uint32_t type, const void *data, int64_t k,
                           int64_t n, float scale) {
    bitnet_tensor t = {
        .name = "test", .type = (bitnet_type)type, .ne = {k, n}, .data = data, .scale = scale};
    bitnet_weight *w;
    bitnet_error err = {0};
    if (ops->bind(be, &t, &w, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    return w;
}

/* What a step of n_tok tokens needs; no attention in it. */
static bitnet_backend_need need_of(int32_t n_tok, int32_t k_ternary, int32_t k_blocks,
                                   int32_t n_embd) {
    return (bitnet_backend_need){.n_batch = n_tok,
                                 .n_ctx = 16,
                                 .n_embd = n_embd,
                                 .n_head = 1,
                                 .n_head_kv = 1,
                                 .head_dim = 16,
                                 .k_ternary = k_ternary,
                                 .k_blocks = k_blocks};
}

static void begin(bitnet_backend *be, const bitnet_backend_need *need, bitnet_batch *batch,
                  const bitnet_token *ids) {
    *batch = (bitnet_batch){.tok = ids, .n_tok = need->n_batch};
    assert_int_equal(ops->reserve(be, need), BITNET_OK);
    assert_int_equal(ops->begin(be, batch), BITNET_OK);
}

static void fill(float *x, size_t n, uint64_t seed) {
    uint64_t rng = rng_seed(seed);
    for (size_t i = 0; i < n; i++)
        x[i] = 4.0f * rng_float(&rng) - 2.0f;
}

/* Rows of codes in layout A, padded to k_pad with code 1; the weights themselves in t. */
static void make_codes(uint8_t *codes, int8_t *t, size_t k, size_t n) {
    uint64_t rng = rng_seed(5);
    size_t k_pad = (k + 127) / 128 * 128;
    memset(codes, 0, k_pad / 4 * n);
    for (size_t r = 0; r < n; r++)
        for (size_t j = 0; j < k_pad; j++) {
            uint32_t code = j < k ? (uint32_t)(rng_next(&rng) >> 40) % 3 : 1;
            if (j < k) t[r * k + j] = (int8_t)((int)code - 1);
            codes[r * k_pad / 4 + 32 * (j / 128) + j % 32] |=
                (uint8_t)(code << (6 - 2 * (j % 128 / 32)));
        }
}

/* y = f32(sum t q) / s * w_scale with q by formats page 2.6; one row of x. */
static float ternary_dot(const int8_t *t, const float *x, size_t k, float w_scale) {
    float amax = 1e-5f;
    int64_t acc = 0;
    for (size_t j = 0; j < k; j++)
        amax = fmaxf(amax, fabsf(x[j]));
    float s = 127.0f / amax;
    for (size_t j = 0; j < k; j++)
        acc += t[j] * (int64_t)fminf(fmaxf(rintf(x[j] * s), -128.0f), 127.0f);
    return (float)acc / s * w_scale;
}

static void ternary_rows_of_any_length_are_multiplied_exactly(void **state) {
    (void)state;
    enum { MAX_K = 8640, N = 21, T = 3 };
    static const size_t ks[] = {1, 64, 100, 128, 192, 1000, 8640};
    static float x[T * MAX_K], y[T * N];
    static uint8_t codes[N * (MAX_K + 127) / 4];
    static int8_t t[N * MAX_K];
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
        for (int32_t n_threads = 1; n_threads <= 2; n_threads++) {
            size_t k = ks[i];
            bitnet_backend *be = open_backend(n_threads);
            make_codes(codes, t, k, N);
            fill(x, T * k, k);
            bitnet_weight *w = bind(be, BITNET_TYPE_I2_S, codes, (int64_t)k, N, 0.375f);
            bitnet_buf *xb = buffer(be, x, T * k), *yb = buffer(be, NULL, T * N);
            bitnet_backend_need need = need_of(T, (int32_t)k, 0, 1);
            bitnet_batch batch;
            begin(be, &need, &batch, NULL);
            ops->matmul(be, &(bitnet_product){yb, w, NULL}, 1, xb);
            assert_int_equal(ops->end(be), BITNET_OK);
            assert_int_equal(ops->read(be, y, yb, 0, sizeof y), BITNET_OK);
            for (size_t at = 0; at < T * N; at++) {
                float want = ternary_dot(t + at % N * k, x + at / N * k, k, 0.375f);
                if (memcmp(&y[at], &want, sizeof want))
                    fail_msg("k %zu, token %zu, row %zu: %.9g, expected %.9g", k, at / N, at % N,
                             (double)y[at], (double)want);
            }
            ops->unbind(be, w);
            ops->free(be, xb);
            ops->free(be, yb);
            ops->close(be);
        }
}

/* An ordinary gate's rows may be shorter in memory than the ternary rows beside them. */
static void weights_in_1_6_bits_beside_an_ordinary_matrix_give_the_same_bits(void **state) {
    (void)state;
    enum { K = 2560, N = 1040, T = 8 };
    static float gate_f32[N * K], x[T * K], y[2][T * N];
    static uint8_t gate[N * K / 256 * 54], up[N * K / 4];
    static int8_t unused[N * K];
    static const bitnet_weight_bits bits[] = {BITNET_WEIGHT_BITS_2, BITNET_WEIGHT_BITS_1_6};
    fill(gate_f32, N * K, 6);
    fill(x, T * K, 7);
    bitnet_block_encoder(BITNET_TYPE_TQ1_0)(gate, gate_f32, N * K);
    make_codes(up, unused, K, N);
    for (size_t i = 0; i < 2; i++) {
        bitnet_backend *be;
        bitnet_backend_desc bd = {.n_threads = 1, .weight_bits = bits[i]};
        assert_int_equal(ops->open(&be, &bd, NULL), BITNET_OK);
        bitnet_weight *g = bind(be, BITNET_TYPE_TQ1_0, gate, K, N, 1.0f),
                      *u = bind(be, BITNET_TYPE_I2_S, up, K, N, 0.25f);
        bitnet_buf *xb = buffer(be, x, T * K), *yb = buffer(be, NULL, T * N);
        bitnet_backend_need need = need_of(T, K, K, 1);
        bitnet_batch batch;
        begin(be, &need, &batch, NULL);
        ops->matmul_gate(be, yb, xb, g, u, BITNET_ACT_SILU);
        assert_int_equal(ops->end(be), BITNET_OK);
        assert_int_equal(ops->read(be, y[i], yb, 0, sizeof y[i]), BITNET_OK);
        ops->unbind(be, g);
        ops->unbind(be, u);
        ops->free(be, xb);
        ops->free(be, yb);
        ops->close(be);
    }
    int32_t n_zero = 0;
    for (size_t at = 0; at < T * N; at++) {
        n_zero += y[0][at] == 0.0f;
        if (memcmp(&y[1][at], &y[0][at], sizeof **y))
            fail_msg("token %zu, row %zu: %.9g in 1.6 bits, %.9g in 2", at / N, at % N,
                     (double)y[1][at], (double)y[0][at]);
    }
    assert_in_range(n_zero, 0, T * N / 2);
}

/* ---- squared ReLU without its zeros ------------------------------------------------------------- */

enum { EMBD = 300, FF = 1100 };

typedef struct feed_forward {
    uint8_t *gate, *up, *down; /* codes */
    const float *x;
    float up_scale;
    int32_t n_embd, n_ff; /* at most EMBD and FF */
    bitnet_switch sparse;
    bool
        is_spoiled; /* up and down are packed in place, and then overwritten: only copies are left */
    float hidden[FF], y[EMBD];
    uint64_t memory_used;
} feed_forward;

static bitnet_weight *bind_part(bitnet_backend *be, const feed_forward *f, bitnet_relu2_part part) {
    const bool is_up = part == BITNET_RELU2_UP, is_down = part == BITNET_RELU2_DOWN;
    uint8_t *data = is_down ? f->down : is_up ? f->up : f->gate;
    const bool in_place = f->is_spoiled && (is_up || is_down);
    bitnet_tensor t = {.name = "test",
                       .type = BITNET_TYPE_I2_S,
                       .ne = {is_down ? f->n_ff : f->n_embd, is_down ? f->n_embd : f->n_ff},
                       .data = data,
                       .rewrite = in_place ? data : NULL,
                       .relu2 = part,
                       .scale = is_down ? 0.5f
                                : is_up ? f->up_scale
                                        : 0.01f};
    bitnet_weight *w;
    assert_int_equal(ops->bind(be, &t, &w, NULL), BITNET_OK);
    if (in_place) memset(data, 0xff, (size_t)(t.ne[1] * ((t.ne[0] + 127) / 128 * 32)));
    return w;
}

/* hidden = relu2(x gate^T) * (x up^T);  y = 1 + hidden down^T */
static void run_feed_forward(feed_forward *f, int32_t n_threads) {
    bitnet_backend *be;
    bitnet_backend_desc bd = {.n_threads = n_threads, .sparse = f->sparse};
    assert_int_equal(ops->open(&be, &bd, NULL), BITNET_OK);
    bitnet_weight *gate = bind_part(be, f, BITNET_RELU2_NONE);
    bitnet_weight *up = bind_part(be, f, BITNET_RELU2_UP);
    bitnet_weight *down = bind_part(be, f, BITNET_RELU2_DOWN);
    for (int i = 0; i < EMBD; i++)
        f->y[i] = 1.0f;
    bitnet_buf *x = buffer(be, f->x, EMBD), *h = buffer(be, NULL, FF), *y = buffer(be, f->y, EMBD);
    bitnet_backend_need need = need_of(1, FF, 0, EMBD);
    bitnet_backend_info info;
    bitnet_batch batch;
    begin(be, &need, &batch, NULL);
    ops->matmul_gate(be, h, x, gate, up, BITNET_ACT_RELU2);
    ops->matmul_add(be, &(bitnet_product){y, down, NULL}, h);
    assert_int_equal(ops->end(be), BITNET_OK);
    assert_int_equal(ops->read(be, f->hidden, h, 0, sizeof f->hidden), BITNET_OK);
    assert_int_equal(ops->read(be, f->y, y, 0, sizeof f->y), BITNET_OK);
    ops->info(be, &info);
    f->memory_used = info.memory_used;
    ops->unbind(be, gate);
    ops->unbind(be, up);
    ops->unbind(be, down);
    ops->free(be, x);
    ops->free(be, h);
    ops->free(be, y);
    ops->close(be);
}

static void skipping_zeros_of_squared_relu_changes_no_bit(void **state) {
    (void)state;
    static uint8_t gate[FF * 384 / 4], up[FF * 384 / 4], down[EMBD * 1152 / 4];
    static int8_t unused[FF * EMBD];
    static float x[EMBD];
    make_codes(gate, unused, EMBD, FF);
    make_codes(down, unused, FF, EMBD);
    memcpy(up, gate + 96, sizeof up - 96); /* the rows in another order */
    memcpy(up + sizeof up - 96, gate, 96);
    fill(x, EMBD, 3);
    /* with the last scale products of `up` are infinite: 0 * inf is not 0 */
    static const float scales[] = {0.02f, -3.0f, 3e38f};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
            static feed_forward on, off;
            off = (feed_forward){gate, up, down, x, scales[i], EMBD, FF, .sparse = BITNET_OFF};
            on = off;
            on.sparse = BITNET_ON;
            run_feed_forward(&off, n_threads);
            run_feed_forward(&on, n_threads);
            bool is_finite = i < 2;
            for (int j = 0; j < FF; j++) /* 0 may stand for -0 */
                if (memcmp(&on.hidden[j], &off.hidden[j], 4) &&
                    !(on.hidden[j] == 0.0f && off.hidden[j] == 0.0f))
                    fail_msg("scale %g, %d threads: hidden %d is %g, expected %g",
                             (double)scales[i], n_threads, j, (double)on.hidden[j],
                             (double)off.hidden[j]);
            if (is_finite) assert_memory_equal(on.y, off.y, sizeof on.y);
            /* where there are kernels for it, it was done */
            if (bitnet_cpu_flags() & BITNET_CPU_AVX2)
                assert_true(on.memory_used >= off.memory_used + sizeof up + sizeof down);
        }
}

/* Negates rows, so that three of four gates are not positive. */
static void make_sparse(uint8_t *gate, const int8_t *t, const float *x, int32_t n) {
    for (int32_t r = 0; r < n; r++) {
        if (r % 4 == 0 || ternary_dot(t + r * EMBD, x, EMBD, 1.0f) <= 0.0f) continue;
        for (int i = 0; i < 96; i++)
            gate[r * 96 + i] = (uint8_t)(0xaa - gate[r * 96 + i]);
    }
}

static void few_gates_read_only_the_copies_made_for_them(void **state) {
    (void)state;
    enum { N_EMBD = 288, N_FF = 1088 }; /* whole groups: they are packed in place */
    static uint8_t gate[FF * 384 / 4], up[FF * 384 / 4], down[EMBD * 1152 / 4];
    static uint8_t spoiled_up[sizeof up], spoiled_down[sizeof down];
    static int8_t t[FF * EMBD];
    static float x[EMBD];
    if (!(bitnet_cpu_flags() & BITNET_CPU_AVX2)) skip(); /* there are no kernels for it */
    fill(x, N_EMBD, 3);
    make_codes(down, t, FF, EMBD);
    make_codes(gate, t, EMBD, FF);
    memcpy(up, gate, sizeof up);
    make_sparse(gate, t, x, N_FF);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
        static feed_forward on, off;
        memcpy(spoiled_up, up, sizeof up);
        memcpy(spoiled_down, down, sizeof down);
        off = (feed_forward){gate, up, down, x, 0.02f, N_EMBD, N_FF, .sparse = BITNET_OFF};
        on = off;
        on.up = spoiled_up, on.down = spoiled_down, on.sparse = BITNET_ON, on.is_spoiled = true;
        run_feed_forward(&off, n_threads);
        run_feed_forward(&on, n_threads);
        int32_t n_hidden = 0;
        for (int j = 0; j < N_FF; j++) {
            n_hidden += off.hidden[j] != 0.0f;
            if (on.hidden[j] != off.hidden[j])
                fail_msg("%d threads: hidden %d is %g, expected %g", n_threads, j,
                         (double)on.hidden[j], (double)off.hidden[j]);
        }
        assert_in_range(n_hidden, N_FF / 16, N_FF / 4);
        assert_memory_equal(on.y, off.y, N_EMBD * sizeof *on.y);
    }
}

/* An ordinary product of every type, against double over the decoded weights. */
static void ordinary_products_are_those_of_the_decoded_weights(void **state) {
    (void)state;
    enum { K = 512, N = 37, T = 5 };
    /* each of K products is rounded once, then passes K/16 + 4 additions; |w x| <= 4 */
    const double TOLERANCE = 0x1p-24 * (double)((K / 16 + 6) * 4 * K);
    static const uint32_t types[] = {BITNET_TYPE_F32,   BITNET_TYPE_F16,  BITNET_TYPE_BF16,
                                     BITNET_TYPE_Q8_0,  BITNET_TYPE_Q6_K, BITNET_TYPE_Q4_0,
                                     BITNET_TYPE_TQ1_0, BITNET_TYPE_TQ2_0};
    static float w_f32[N * K], x[T * K], y[T * N], last[3 * N], row[K];
    bitnet_head_row rows[] = {{.row = 0}, {.row = 2}, {.row = 4}};
    static uint8_t blocks[N * K * 4];
    fill(w_f32, N * K, 1);
    fill(x, T * K, 2);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int32_t n_threads = 1; n_threads <= 2; n_threads++) {
            bitnet_backend *be = open_backend(n_threads);
            bitnet_block_encoder(types[i])(blocks, w_f32, N * K);
            bitnet_weight *w = bind(be, types[i], blocks, K, N, 0.5f);
            bitnet_buf *xb = buffer(be, x, T * K), *yb = buffer(be, NULL, T * N),
                       *lb = buffer(be, NULL, 3 * N);
            bitnet_backend_need need = need_of(T, 0, K, K);
            bitnet_batch batch;
            begin(be, &need, &batch, NULL);
            ops->matmul(be, &(bitnet_product){yb, w, NULL}, 1, xb);
            ops->head(be, lb, xb, w, rows, 3);
            assert_int_equal(ops->end(be), BITNET_OK);
            assert_int_equal(ops->read(be, y, yb, 0, sizeof y), BITNET_OK);
            assert_int_equal(ops->read(be, last, lb, 0, sizeof last), BITNET_OK);
            for (size_t r = 0; r < N; r++) {
                bitnet_block_decoder(types[i])(row, blocks + r * bitnet_row_size(types[i], K), K);
                for (size_t t = 0; t < T; t++) {
                    double want = 0;
                    for (size_t j = 0; j < K; j++)
                        want += 0.5 * (double)row[j] * (double)x[t * K + j];
                    if (fabs((double)y[t * N + r] - want) > TOLERANCE)
                        fail_msg("%s, token %zu, row %zu: %.9g, expected %.9g",
                                 bitnet_type_name(types[i]), t, r, (double)y[t * N + r], want);
                }
            }
            for (size_t t = 0; t < 3; t++)
                assert_memory_equal(last + t * N, y + 2 * t * N, N * sizeof *y);
            ops->unbind(be, w);
            ops->free(be, xb);
            ops->free(be, yb);
            ops->free(be, lb);
            ops->close(be);
        }
}

static void embedding_rows_are_decoded(void **state) {
    (void)state;
    enum { K = 256, N = 9, T = 4 };
    static const bitnet_token ids[T] = {8, 0, 3, 8};
    static const uint32_t types[] = {BITNET_TYPE_F32,  BITNET_TYPE_F16,  BITNET_TYPE_BF16,
                                     BITNET_TYPE_Q8_0, BITNET_TYPE_Q6_K, BITNET_TYPE_Q4_0};
    static float w_f32[N * K], y[T * K], want[K];
    static uint8_t blocks[N * K * 4];
    fill(w_f32, N * K, 3);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bitnet_backend *be = open_backend(1);
        bitnet_block_encoder(types[i])(blocks, w_f32, N * K);
        bitnet_weight *w = bind(be, types[i], blocks, K, N, 1.0f);
        bitnet_buf *yb = buffer(be, NULL, T * K);
        bitnet_backend_need need = need_of(T, 0, K, K);
        bitnet_batch batch;
        begin(be, &need, &batch, ids);
        ops->embed(be, yb, w);
        assert_int_equal(ops->end(be), BITNET_OK);
        assert_int_equal(ops->read(be, y, yb, 0, sizeof y), BITNET_OK);
        for (size_t t = 0; t < T; t++) {
            size_t row = (size_t)ids[t] * bitnet_row_size(types[i], K);
            bitnet_block_decoder(types[i])(want, blocks + row, K);
            assert_memory_equal(y + t * K, want, sizeof want);
        }
        ops->unbind(be, w);
        ops->free(be, yb);
        ops->close(be);
    }
}

static void reserve_takes_what_plan_says(void **state) {
    (void)state;
    const bitnet_backend_need need = {.n_batch = 32,
                                      .n_ctx = 1000,
                                      .n_embd = 512,
                                      .n_vocab = 5000,
                                      .n_head = 4,
                                      .n_head_kv = 2,
                                      .head_dim = 128,
                                      .k_ternary = 8640,
                                      .k_blocks = 4096},
                              less = {.n_batch = 16, .n_ctx = 500, .n_embd = 512, .head_dim = 128};
    for (int32_t i = 0; i < 4; i++) {
        const int32_t n_threads = 1 + i % 2;
        const bool is_staged = i < 2;
        count_alloc count = {0};
        bitnet_backend *be;
        bitnet_backend_desc bd = {.n_threads = n_threads,
                                  .allocator = count_alloc_of(&count),
                                  .staged = is_staged ? BITNET_AUTO : BITNET_OFF};
        assert_int_equal(ops->open(&be, &bd, NULL), BITNET_OK);
        uint64_t before = count.live, plan = ops->plan(be, &need);
        assert_int_equal(ops->reserve(be, &need), BITNET_OK);
        /* int8 rows of 8704, their scales and sums, a row for the head; and a thread's: four decoded
         * rows, two tiles, 32 queries, their results and scores, 32 values */
        uint64_t a_token = 8704 + 8 + 512 * 4;
        uint64_t a_thread = 4 * 4096 + 2 * 4096 + 32 * (128 + 128 + 1000) + 32 * 128;
        uint64_t nonzero = 8704 * 5; /* indices and values of one token */
        uint64_t want = 32 * a_token + nonzero + (uint64_t)n_threads * a_thread * sizeof(float);
        if (is_staged) /* rows left, 16 tokens' halves; a thread's best and bins of two bounds */
            want += 5000 * 4 + 2 * (16 * 512 + 256) + (uint64_t)n_threads * (256 + 2 * 640) * 4;
        assert_in_range(plan, want, want + 32 * 64);             /* blocks of attention */
        assert_in_range(count.live - before, plan, plan + 1000); /* alignment of the buffers */
        assert_int_equal(ops->reserve(be, &less), BITNET_OK);    /* it only grows */
        assert_in_range(count.live - before, plan, plan + 1000);
        ops->close(be);
        assert_int_equal(count.live, 0);
    }
}

static void a_type_without_a_decoder_is_refused(void **state) {
    (void)state;
    bitnet_backend *be = open_backend(1);
    bitnet_tensor t = {
        .name = "odd", .type = (bitnet_type)3, .ne = {256, 2}, .data = "", .scale = 1};
    bitnet_weight *w;
    bitnet_error err = {0};
    assert_int_equal(ops->bind(be, &t, &w, &err), BITNET_E_UNSUPPORTED);
    assert_string_equal(err.id, "backend.type");
    assert_non_null(strstr(err.text, "Q4_1"));
    t.type = BITNET_TYPE_F32, t.ne[0] = INT64_C(1) << 40;
    assert_int_equal(ops->bind(be, &t, &w, &err), BITNET_E_UNSUPPORTED);
    assert_string_equal(err.id, "backend.shape");
    assert_null(w);
    ops->close(be);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ternary_rows_of_any_length_are_multiplied_exactly),
        cmocka_unit_test(weights_in_1_6_bits_beside_an_ordinary_matrix_give_the_same_bits),
        cmocka_unit_test(skipping_zeros_of_squared_relu_changes_no_bit),
        cmocka_unit_test(few_gates_read_only_the_copies_made_for_them),
        cmocka_unit_test(ordinary_products_are_those_of_the_decoded_weights),
        cmocka_unit_test(embedding_rows_are_decoded),
        cmocka_unit_test(reserve_takes_what_plan_says),
        cmocka_unit_test(a_type_without_a_decoder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
