/* cases.c: the shapes of each slot: those that BitNet-b1.58-2B-4T has (n_embd 2560, n_ff 6912, 20 heads and
 * 5 of keys, head_dim 128, vocabulary 128256), for one token, a few and many.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

enum { N_EMBD = 2560, N_FF = 6912, N_HEAD = 20, HEAD_DIM = 128, N_VOCAB = 128256 };

/* ---- products -------------------------------------------------------------------------------------- */

typedef struct tern_call {
    bitnet_tern_matmul_fn fn;
    bitnet_tern_args a;
} tern_call;

static void call_tern(void *args, const uint8_t *weights) {
    tern_call *c = args;
    c->a.w = weights;
    c->fn(&c->a);
}

static tern_call make_tern(bench *b, bitnet_tern_matmul_fn fn, int32_t n, int32_t k, int32_t m) {
    const size_t len = (size_t)m * (size_t)k;
    int8_t *xq = bench_alloc(b, len);
    float *s = bench_alloc(b, (size_t)m * sizeof *s);
    int32_t *xsum = bench_alloc(b, (size_t)m * sizeof *xsum);
    for (int32_t t = 0; t < m; t++) {
        s[t] = 50.0f;
        for (int32_t j = 0; j < k; j++)
            xsum[t] += xq[t * k + j] = (int8_t)(bench_below(b, 255) - 127);
    }
    float *y = bench_alloc(b, (size_t)m * (size_t)n * sizeof *y);
    return (tern_call){fn, {y, n, NULL, xq, s, xsum, 1.0f, n, k, m}};
}

void bench_tern_matmul(bench *b, bitnet_tern_matmul_fn fn) {
    static const struct {
        const char *name;
        int32_t k, n;
    } matrices[] = {{"o", N_EMBD, 2560},
                    {"qkv", N_EMBD, 3840},
                    {"gate+up", N_EMBD, 2 * N_FF},
                    {"down", N_FF, N_EMBD}};
    static const int32_t ms[] = {1, 4, 16, 128};
    for (int i = 0; i < (b->is_quick ? 1 : COUNT(matrices)); i++)
        for (int j = 0; j < COUNT(ms); j++) {
            const int32_t n = bench_rows(b, matrices[i].n), k = matrices[i].k, m = ms[j];
            tern_call call = make_tern(b, fn, n, k, m);
            bench_case c = {.call = call_tern, .args = &call, .fill = BENCH_CODES, .is_int8 = true};
            c.weight_size = (size_t)n * (size_t)k / 4;
            c.n_mac = (double)n * k * m;
            snprintf(c.shape, sizeof c.shape, "%s %dx%d m=%d", matrices[i].name, (int)k, (int)n,
                     (int)m);
            bench_measure(b, &c);
        }
}

/* Of up and down in the 2B4T shape, what squared ReLU leaves: a third of the rows, a fifth of the columns. */
enum { ROWS_LEFT = 3, COLS_LEFT = 5 };

static int32_t *every(bench *b, int32_t n, int32_t step) {
    int32_t *list = bench_alloc(b, (size_t)n * sizeof *list);
    for (int32_t i = 0; i < n; i++)
        list[i] = step * i;
    return list;
}

typedef struct rows_call {
    bitnet_tern_rows_fn fn;
    bitnet_tern_rows_args a;
} rows_call;

static void call_rows(void *args, const uint8_t *weights) {
    rows_call *c = args;
    c->a.w = weights;
    c->fn(&c->a);
}

void bench_tern_rows(bench *b, bitnet_tern_rows_fn fn) {
    const int32_t n_all = bench_rows(b, N_FF), n = n_all / ROWS_LEFT;
    rows_call call = {fn, {.row = every(b, n, ROWS_LEFT), .s = 50.0f, .w_scale = 1.0f, .n = n}};
    call.a.k = N_EMBD;
    call.a.y = bench_floats(b, (size_t)n_all);
    call.a.xq = bench_alloc(b, N_EMBD);
    bench_case c = {.call = call_rows, .args = &call, .fill = BENCH_CODES, .is_int8 = true};
    c.weight_size = (size_t)n_all * N_EMBD / 4;
    c.n_mac = (double)n * (int)N_EMBD;
    snprintf(c.shape, sizeof c.shape, "up, %d of %dx%d", (int)n, N_EMBD, (int)n_all);
    bench_measure(b, &c);
}

typedef struct cols_call {
    bitnet_tern_cols_fn fn;
    bitnet_tern_cols_args a;
} cols_call;

static void call_cols(void *args, const uint8_t *weights) {
    cols_call *c = args;
    c->a.w = weights;
    c->fn(&c->a);
}

void bench_tern_cols(bench *b, bitnet_tern_cols_fn fn) {
    const int32_t k = bench_rows(b, N_FF), n_col = k / COLS_LEFT;
    cols_call call = {fn, {.col = every(b, n_col, COLS_LEFT), .s = 50.0f, .w_scale = 1.0f}};
    call.a.n = N_EMBD, call.a.n_col = n_col, call.a.ld = N_EMBD / 4;
    call.a.y = bench_floats(b, N_EMBD);
    call.a.x = bench_alloc(b, (size_t)n_col);
    bench_case c = {.call = call_cols, .args = &call, .fill = BENCH_CODES, .is_int8 = true};
    c.weight_size = (size_t)k * N_EMBD / 4;
    c.n_mac = (double)n_col * (int)N_EMBD;
    snprintf(c.shape, sizeof c.shape, "down, %d of %dx%d", (int)n_col, (int)k, N_EMBD);
    bench_measure(b, &c);
}

/* Products of one token and of four, with the bytes of 2-bit codes taken for five codes each. */
void bench_tern5_matvec(bench *b, bitnet_tern5_matvec_fn fn) {
    static const int32_t shapes[][2] = {{N_EMBD, 2560}, {N_EMBD, 2 * N_FF}, {N_FF, N_EMBD}};
    for (int i = 0; i < 2 * COUNT(shapes); i++) {
        const int32_t k = shapes[i / 2][0], n = bench_rows(b, shapes[i / 2][1]),
                      m = 1 + 3 * (i % 2);
        tern_call call = make_tern(b, fn, n, k, m);
        bench_case c = {.call = call_tern, .args = &call, .fill = BENCH_CODES, .is_int8 = true};
        c.weight_size = (size_t)n / 16 * bitnet_tern5_group_size(k);
        c.n_mac = (double)n * k * m;
        snprintf(c.shape, sizeof c.shape, "%dx%d m=%d", (int)k, (int)n, (int)m);
        bench_measure(b, &c);
    }
}

typedef struct unpack_call {
    bitnet_tern5_unpack_fn fn;
    uint8_t *groups;
    int32_t n, k;
} unpack_call;

static void call_unpack(void *args, const uint8_t *weights) {
    unpack_call *c = args;
    c->fn(c->groups, weights, c->n, c->k);
}

/* As many groups as the backend unpacks at once. */
void bench_tern5_unpack(bench *b, bitnet_tern5_unpack_fn fn) {
    unpack_call call = {fn, NULL, 24, N_EMBD};
    call.groups = bench_alloc(b, (size_t)(call.n * 4 * call.k));
    bench_case c = {.call = call_unpack, .args = &call, .fill = BENCH_CODES};
    c.weight_size = (size_t)call.n * bitnet_tern5_group_size(call.k);
    c.n_elem = (double)(call.n * 16 * call.k);
    snprintf(c.shape, sizeof c.shape, "%d groups of %d", (int)call.n, (int)call.k);
    bench_measure(b, &c);
}

typedef struct scan6_call {
    bitnet_scan6_fn fn;
    bitnet_scan6_args a;
} scan6_call;

static void call_scan6(void *args, const uint8_t *weights) {
    scan6_call *c = args;
    c->a.w = weights;
    c->fn(&c->a);
}

void bench_scan6(bench *b, bitnet_scan6_fn fn) {
    static const int32_t zero[1];
    const int32_t n = bench_rows(b, N_VOCAB);
    scan6_call call = {fn, {.n = n, .k = N_EMBD, .m = 1, .ldy = n}};
    call.a.y = bench_floats(b, (size_t)n);
    call.a.d = bench_floats(b, (size_t)n);
    call.a.hi = call.a.lo = bench_alloc(b, N_EMBD);
    call.a.hi_sum = call.a.lo_sum = zero;
    call.a.scale = bench_floats(b, 1);
    bench_case c = {.call = call_scan6, .args = &call, .fill = BENCH_CODES, .is_int8 = true};
    c.weight_size = (size_t)(n + 15) / 16 * 12 * N_EMBD;
    c.n_mac = 2.0 * n * (int)N_EMBD; /* the two halves of an activation */
    snprintf(c.shape, sizeof c.shape, "head %dx%d m=1", N_EMBD, (int)n);
    bench_measure(b, &c);
}

typedef struct scan2_call {
    bitnet_scan2_fn fn;
    bitnet_scan2_args a;
} scan2_call;

static void call_scan2(void *args, const uint8_t *weights) {
    scan2_call *c = args;
    c->a.w = weights;
    c->fn(&c->a);
}

/* Every fifth row, as random weights leave them. */
void bench_scan2(bench *b, bitnet_scan2_fn fn) {
    const int32_t n_all = bench_rows(b, N_VOCAB), n = n_all / 5;
    int32_t *row = bench_alloc(b, (size_t)n * sizeof *row);
    for (int32_t i = 0; i < n; i++)
        row[i] = 5 * i;
    scan2_call call = {fn, {.row = row, .n = n, .k = N_EMBD, .scale = 1.0f}};
    call.a.y = bench_floats(b, (size_t)n_all);
    call.a.d = bench_floats(b, (size_t)n_all);
    call.a.hi = call.a.lo = bench_alloc(b, N_EMBD);
    bench_case c = {.call = call_scan2, .args = &call, .fill = BENCH_CODES, .is_int8 = true};
    c.weight_size = (size_t)n_all * N_EMBD / 4;
    c.n_mac = 2.0 * n * (int)N_EMBD;
    snprintf(c.shape, sizeof c.shape, "%d of %dx%d", (int)n, N_EMBD, (int)n_all);
    bench_measure(b, &c);
}

typedef struct dense_call {
    void (*fn)(const bitnet_dense_args *a);
    bitnet_dense_args a;
} dense_call;

static void call_dense(void *args, const uint8_t *weights) {
    dense_call *c = args;
    c->a.w = weights;
    c->fn(&c->a);
}

typedef struct dense_shape {
    const char *name;
    int32_t k, n, m;
} dense_shape;

static void dense_case(bench *b, bitnet_f32_matmul_fn fn, size_t size, const dense_shape *s) {
    const int32_t n = bench_rows(b, s->n);
    dense_call call = {fn, {.ldy = n, .n = n, .k = s->k, .m = s->m}};
    call.a.x = bench_floats(b, (size_t)s->m * (size_t)s->k);
    call.a.y = bench_alloc(b, (size_t)s->m * (size_t)n * sizeof(float));
    bench_case c = {.call = call_dense, .args = &call, .fill = BENCH_NUMBERS};
    c.weight_size = (size_t)n * (size_t)s->k * size;
    c.n_mac = (double)n * s->k * s->m;
    snprintf(c.shape, sizeof c.shape, "%s %dx%d m=%d", s->name, (int)s->k, (int)n, (int)s->m);
    bench_measure(b, &c);
}

/* The keys of a head are the weights of its queries: 4 heads share them for one token, 128 for 32. */
static const dense_shape keys[] = {{"keys", HEAD_DIM, 1024, 4}, {"keys", HEAD_DIM, 1024, 128}};

void bench_f16_matmul(bench *b, bitnet_f16_matmul_fn fn) {
    dense_case(b, fn, 2, &(dense_shape){"head", N_EMBD, N_VOCAB, 1});
    for (int i = 0; i < COUNT(keys); i++)
        dense_case(b, fn, 2, &keys[i]);
}

void bench_f32_matmul(bench *b, bitnet_f32_matmul_fn fn) {
    for (int i = 0; i < COUNT(keys); i++)
        dense_case(b, fn, 4, &keys[i]);
}

typedef struct mix_call {
    bitnet_attn_mix_fn fn;
    bitnet_attn_mix_args a;
} mix_call;

static void call_mix(void *args, const uint8_t *weights) {
    mix_call *c = args;
    c->a.v = (const float *)(const void *)weights;
    c->fn(&c->a);
}

void bench_attn_mix(bench *b, bitnet_attn_mix_fn fn) {
    static const int32_t ms[] = {4, 32};
    enum { N_POS = 64 };
    for (int i = 0; i < COUNT(ms); i++) {
        const int32_t m = ms[i];
        mix_call call = {
            fn, {.ldy = HEAD_DIM, .ldp = N_POS, .n_pos = N_POS, .head_dim = HEAD_DIM, .m = m}};
        call.a.p = bench_floats(b, (size_t)m * N_POS);
        call.a.y = bench_floats(b, (size_t)m * HEAD_DIM);
        bench_case c = {.call = call_mix, .args = &call, .fill = BENCH_NUMBERS};
        c.weight_size = (size_t)N_POS * HEAD_DIM * sizeof(float);
        c.n_mac = (double)(N_POS * HEAD_DIM * m);
        snprintf(c.shape, sizeof c.shape, "values %dx%d m=%d", HEAD_DIM, N_POS, (int)m);
        bench_measure(b, &c);
    }
}

/* ---- vectors: everything stays in the cache -------------------------------------------------------- */

/* One struct for every slot that works along a vector; each slot's call takes what it needs. */
typedef struct vector_call {
    union {
        bitnet_act_quant_fn act_quant;
        bitnet_rmsnorm_fn rmsnorm;
        bitnet_softmax_fn softmax;
        bitnet_rope_fn rope;
        bitnet_gate_relu2_fn gate; /* as gate_silu */
        bitnet_add_fn add;
        bitnet_f16_to_f32_fn f16_to_f32;
        bitnet_f32_to_f16_fn f32_to_f16;
        bitnet_decode_q8_0_fn decode; /* as every decode */
    } fn;
    float *x, *y, *z;
    void *narrow; /* the side of a conversion that is not f32 */
    int32_t n;
} vector_call;

/* weight_size: of what is read from the pool, or 0 */
static void measure_vector(bench *b, vector_call *v, void (*call)(void *, const uint8_t *),
                           size_t weight_size) {
    bench_case c = {.call = call, .args = v, .weight_size = weight_size, .n_elem = v->n};
    c.fill = weight_size ? BENCH_NUMBERS : BENCH_NOTHING;
    snprintf(c.shape, sizeof c.shape, "%d", (int)v->n);
    bench_measure(b, &c);
}

static vector_call make_vector(bench *b, int32_t n) {
    vector_call v = {.n = n};
    v.x = bench_floats(b, (size_t)n);
    v.y = bench_floats(b, (size_t)n);
    v.z = bench_floats(b, (size_t)n);
    v.narrow = bench_alloc(b, (size_t)n * 2);
    return v;
}

static void call_act_quant(void *args, const uint8_t *weights) {
    vector_call *v = args;
    int32_t sum;
    (void)weights;
    v->fn.act_quant(v->narrow, v->z, &sum, v->x, v->n);
}

static void call_rmsnorm(void *args, const uint8_t *weights) {
    vector_call *v = args;
    (void)weights;
    v->fn.rmsnorm(v->y, v->x, v->z, v->n, 1e-5f);
}

static void call_softmax(void *args, const uint8_t *weights) {
    vector_call *v = args;
    (void)weights;
    v->z[0] = v->fn.softmax(v->x, v->n, 0.1f);
}

static void call_gate(void *args, const uint8_t *weights) {
    vector_call *v = args;
    (void)weights;
    v->fn.gate(v->y, v->x, v->z, (size_t)v->n);
}

static void call_add(void *args, const uint8_t *weights) {
    vector_call *v = args;
    (void)weights;
    v->fn.add(v->y, v->x, (size_t)v->n);
}

static void call_f16_to_f32(void *args, const uint8_t *weights) {
    vector_call *v = args;
    (void)weights;
    v->fn.f16_to_f32(v->y, v->narrow, (size_t)v->n);
}

static void call_f32_to_f16(void *args, const uint8_t *weights) {
    vector_call *v = args;
    (void)weights;
    v->fn.f32_to_f16(v->narrow, v->x, (size_t)v->n);
}

static void call_decode(void *args, const uint8_t *weights) {
    vector_call *v = args;
    v->fn.decode(v->y, weights, v->n);
}

void bench_act_quant(bench *b, bitnet_act_quant_fn fn) {
    static const int32_t ns[] = {N_EMBD, N_FF};
    for (int i = 0; i < COUNT(ns); i++) {
        vector_call v = make_vector(b, ns[i]);
        v.fn.act_quant = fn;
        measure_vector(b, &v, call_act_quant, 0);
    }
}

void bench_rmsnorm(bench *b, bitnet_rmsnorm_fn fn) {
    static const int32_t ns[] = {N_EMBD, N_FF};
    for (int i = 0; i < COUNT(ns); i++) {
        vector_call v = make_vector(b, ns[i]);
        v.fn.rmsnorm = fn;
        measure_vector(b, &v, call_rmsnorm, 0);
    }
}

void bench_softmax(bench *b, bitnet_softmax_fn fn) {
    vector_call v = make_vector(b, 4096); /* positions */
    v.fn.softmax = fn;
    measure_vector(b, &v, call_softmax, 0);
}

void bench_gate_relu2(bench *b, bitnet_gate_relu2_fn fn) {
    vector_call v = make_vector(b, N_FF);
    v.fn.gate = fn;
    measure_vector(b, &v, call_gate, 0);
}

void bench_gate_silu(bench *b, bitnet_gate_silu_fn fn) {
    bench_gate_relu2(b, fn);
}

void bench_add(bench *b, bitnet_add_fn fn) {
    vector_call v = make_vector(b, N_EMBD);
    v.fn.add = fn;
    measure_vector(b, &v, call_add, 0);
}

void bench_f16_to_f32(bench *b, bitnet_f16_to_f32_fn fn) {
    vector_call v = make_vector(b, N_EMBD);
    v.fn.f16_to_f32 = fn;
    memset(v.narrow, 0x2c, (size_t)v.n * 2); /* 0.065 */
    measure_vector(b, &v, call_f16_to_f32, 0);
}

void bench_f32_to_f16(bench *b, bitnet_f32_to_f16_fn fn) {
    vector_call v = make_vector(b, N_EMBD);
    v.fn.f32_to_f16 = fn;
    measure_vector(b, &v, call_f32_to_f16, 0);
}

/* A row of a quantised head, a new one in each call. */
static void decode_case(bench *b, bitnet_decode_q8_0_fn fn, size_t block_size, int32_t block) {
    vector_call v = make_vector(b, N_EMBD);
    v.fn.decode = fn;
    measure_vector(b, &v, call_decode, (size_t)(v.n / block) * block_size);
}

void bench_decode_q8_0(bench *b, bitnet_decode_q8_0_fn fn) {
    decode_case(b, fn, 34, 32);
}

void bench_decode_q6_k(bench *b, bitnet_decode_q6_k_fn fn) {
    decode_case(b, fn, 210, 256);
}

void bench_decode_q4_k(bench *b, bitnet_decode_q4_k_fn fn) {
    decode_case(b, fn, 144, 256);
}

void bench_decode_q4_0(bench *b, bitnet_decode_q4_0_fn fn) {
    decode_case(b, fn, 18, 32);
}

/* ---- rope -------------------------------------------------------------------------------------------- */

typedef struct rope_call {
    bitnet_rope_fn fn;
    bitnet_rope_args a;
} rope_call;

static void call_rope(void *args, const uint8_t *weights) {
    rope_call *c = args;
    (void)weights;
    c->fn(&c->a);
}

void bench_rope(bench *b, bitnet_rope_fn fn) {
    for (int is_norm = 0; is_norm < 2; is_norm++) {
        rope_call call = {
            fn, {.n_head = N_HEAD, .head_dim = HEAD_DIM, .n_rot = HEAD_DIM, .is_norm = is_norm}};
        float *cos = bench_alloc(b, HEAD_DIM / 2 * sizeof *cos),
              *sin = bench_alloc(b, HEAD_DIM / 2 * sizeof *sin);
        for (int i = 0; i < HEAD_DIM / 2; i++)
            cos[i] = 0.8f, sin[i] = 0.6f; /* lengths stay, however often it turns */
        call.a.x = bench_floats(b, N_HEAD * HEAD_DIM);
        call.a.cos = cos;
        call.a.sin = sin;
        bench_case c = {.call = call_rope, .args = &call, .n_elem = N_HEAD * HEAD_DIM};
        snprintf(c.shape, sizeof c.shape, "%d heads of %d, %s", N_HEAD, HEAD_DIM,
                 is_norm ? "norm" : "neox");
        bench_measure(b, &c);
    }
}
