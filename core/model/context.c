/* context.c: bitnet/context.h: one timeline of tokens. It owns the KV cache, the RoPE tables, the
 * activation buffers and the list of tokens the cache stands for; it decides what to keep, extend
 * or forget, and leaves the arithmetic to forward.c.
 */
#include "bitnet/context.h"

#include <string.h>

#include "base/fmath.h"
#include "format/blocks.h"
#include "model/forward.h"
#include "model/kv.h"

struct bitnet_ctx {
    const bitnet_model *model;
    bitnet_allocator allocator;
    int32_t n_ctx, n_batch;
    int32_t len;             /* tokens the KV cache stands for */
    int32_t n_logits;        /* rows of logits there is room for */
    bitnet_token *tok;       /* [n_ctx] */
    bitnet_token *batch_tok; /* [n_batch] of a step */
    bitnet_head_row *row;    /* [n_logits] of the last step */
    int32_t n_step, n_row;   /* its tokens and rows */
    bitnet_want want;        /* of this context's logits */
    float *logits;           /* as act.logits, when the backend's buffer cannot be mapped */
    /* the logits at hand: n_rows of them (0 = none), from row first_row on, in this or, after a step of
     * several contexts, in the first one's memory */
    const bitnet_ctx *logits_of;
    int32_t first_row, n_rows;
    bitnet_kv kv;
    bitnet_acts act;
    bitnet_buf *rope_cos, *rope_sin;
    bitnet_rope rope;
};

static const bitnet_backend_ops *ops_of(const bitnet_ctx *c) {
    return c->model->ops;
}

/* theta_i = base^(-2i / n_rot) / (factor * freqs_i), angle = pos * theta_i (arXiv:2104.09864 3.2.2;
 * formats page 2.5), in double and rounded once to f32; fmath.h gives every target the same bits.
 * Factor and freqs are at least 1 and 0.5, so angles stay below 2^21. */
static bitnet_status make_rope(bitnet_ctx *c) {
    const bitnet_hparams *hp = &c->model->hp;
    const float *freqs = c->model->weights.rope_freqs;
    bitnet_backend *be = c->model->backend;
    size_t half = (size_t)hp->n_rot / 2, bytes = (size_t)c->n_ctx * half * sizeof(float);
    bitnet_status st = ops_of(c)->alloc(be, bytes, &c->rope_cos);
    if (st >= 0) st = ops_of(c)->alloc(be, bytes, &c->rope_sin);
    double theta[512], log_base = fmath_log((double)hp->rope_base); /* head_dim <= 1024 */
    for (size_t i = 0; i < half; i++)
        theta[i] = fmath_exp(-2.0 * (double)i / hp->n_rot * log_base) /
                   ((double)hp->rope_factor * (freqs ? (double)freqs[i] : 1.0));
    for (int32_t pos = 0; st >= 0 && pos < c->n_ctx; pos++) {
        float cos_row[512], sin_row[512];
        for (size_t i = 0; i < half; i++) {
            double s, co;
            fmath_sincos(pos * theta[i], &s, &co);
            cos_row[i] = (float)co, sin_row[i] = (float)s;
        }
        size_t row = half * sizeof(float), off = (size_t)pos * row;
        st = ops_of(c)->write(be, c->rope_cos, off, cos_row, row);
        if (st >= 0) st = ops_of(c)->write(be, c->rope_sin, off, sin_row, row);
    }
    c->rope = (bitnet_rope){c->rope_cos, c->rope_sin, hp->n_rot, hp->is_rope_norm};
    return st;
}

/* Floats of each buffer of bitnet_acts, in its order; n_logits rows of logits. */
enum { N_ACTS = 8 };
static void act_sizes(uint64_t size[N_ACTS], const bitnet_hparams *hp, int32_t n_batch,
                      int32_t n_logits) {
    uint64_t T = (uint64_t)n_batch, x = T * (uint64_t)hp->n_embd, f = T * (uint64_t)hp->n_ff,
             q = T * (uint64_t)hp->n_head * (uint64_t)hp->head_dim,
             kv = T * (uint64_t)hp->n_head_kv * (uint64_t)hp->head_dim,
             logits = (uint64_t)n_logits * (uint64_t)hp->n_vocab;
    const uint64_t all[N_ACTS] = {x, x, q, kv, kv, q, f, logits};
    memcpy(size, all, sizeof all);
}

static bitnet_status make_acts(bitnet_ctx *c) {
    bitnet_acts *a = &c->act;
    bitnet_buf **const buf[N_ACTS] = {&a->x, &a->h, &a->q,    &a->k,
                                      &a->v, &a->a, &a->gate, &a->logits};
    uint64_t size[N_ACTS];
    act_sizes(size, &c->model->hp, c->n_batch, c->n_logits);
    for (size_t i = 0; i < N_ACTS; i++) {
        if (size[i] > SIZE_MAX / 2 / sizeof(float)) return BITNET_E_NOMEM;
        bitnet_status st =
            ops_of(c)->alloc(c->model->backend, (size_t)size[i] * sizeof(float), buf[i]);
        if (st < 0) return st;
    }
    return BITNET_OK;
}

static int32_t default_batch(int32_t n_batch, int32_t n_ctx) {
    if (n_batch <= 0) n_batch = BITNET_BATCH_DEFAULT;
    return n_batch < n_ctx ? n_batch : n_ctx;
}

static int32_t default_logits(int32_t n_logits, int32_t n_batch) {
    if (n_logits < 1) n_logits = 1;
    return n_logits < n_batch ? n_logits : n_batch;
}

static size_t logits_size(const bitnet_ctx *c) {
    return (size_t)c->n_logits * (size_t)c->model->hp.n_vocab * sizeof(float);
}

/* What a context asks the backend to reserve. */
static bitnet_backend_need need_of(const bitnet_model *m, int32_t n_ctx, int32_t n_batch) {
    const bitnet_weights *w = &m->weights;
    bitnet_backend_need need = {.n_batch = n_batch,
                                .n_ctx = n_ctx,
                                .n_embd = m->hp.n_embd,
                                .n_vocab = m->hp.n_vocab,
                                .n_head = m->hp.n_head,
                                .n_head_kv = m->hp.n_head_kv,
                                .head_dim = m->hp.head_dim};
    for (uint32_t i = 0; i < w->n_use; i++) {
        const bitnet_use *u = &w->use[i];
        int32_t k = (int32_t)u->entry->ne[0];
        bool is_vector = u->kind == BITNET_USE_VECTOR || u->kind == BITNET_USE_TABLE;
        bool is_plain = u->entry->type == BITNET_TYPE_F32 || u->entry->type == BITNET_TYPE_F16;
        bool is_ternary = *u->run == BITNET_RUN_TERNARY;
        if (is_vector) continue;
        if (is_ternary && k > need.k_ternary) need.k_ternary = k;
        if (!is_ternary && !is_plain && k > need.k_blocks) need.k_blocks = k;
    }
    return need;
}

void bitnet_ctx_plan(const bitnet_model *m, int32_t n_ctx, int32_t n_batch, int32_t n_logits,
                     uint64_t *scratch, uint64_t *backend) {
    bitnet_backend_need need = need_of(m, n_ctx, default_batch(n_batch, n_ctx));
    uint64_t size[N_ACTS], floats = 0;
    n_logits = default_logits(n_logits, need.n_batch);
    act_sizes(size, &m->hp, need.n_batch, n_logits);
    for (size_t i = 0; i < N_ACTS; i++)
        floats += size[i];
    floats += (uint64_t)n_ctx * (uint64_t)m->hp.n_rot; /* cosines and sines */
    *scratch = floats * sizeof(float) + (uint64_t)n_ctx * sizeof(bitnet_token) +
               (uint64_t)need.n_batch * sizeof(bitnet_token) +
               (uint64_t)n_logits * sizeof(bitnet_head_row);
    *backend = m->ops->plan(m->backend, &need);
}

bitnet_status bitnet_ctx_create(bitnet_ctx **out, const bitnet_ctx_desc *desc, bitnet_error *err) {
    *out = NULL;
    const bitnet_model *m = desc->model;
    if (m->level != BITNET_LOAD_WEIGHTS)
        return bitnet_fail(err, BITNET_E_INVAL, "ctx.level",
                           "the model was loaded without its weights; a context needs them");
    int32_t n_ctx = desc->n_ctx > 0 ? desc->n_ctx : m->hp.n_ctx_train;
    if (n_ctx > 1 << 20)
        return bitnet_fail(err, BITNET_E_INVAL, "ctx.size",
                           "a window of %d tokens was asked for; at most %d are allowed", n_ctx,
                           1 << 20);
    bitnet_ctx *c = bitnet_alloc(&m->allocator, sizeof *c);
    if (!c) return bitnet_fail(err, BITNET_E_NOMEM, "ctx.memory", "no memory for a context");
    c->model = m;
    c->allocator = m->allocator;
    c->n_ctx = n_ctx;
    c->n_batch = default_batch(desc->n_batch, n_ctx);
    c->n_logits = default_logits(desc->n_logits, c->n_batch);
    c->tok = bitnet_alloc(&c->allocator, (size_t)n_ctx * sizeof *c->tok);
    c->batch_tok = bitnet_alloc(&c->allocator, (size_t)c->n_batch * sizeof *c->batch_tok);
    c->row = bitnet_alloc(&c->allocator, (size_t)c->n_logits * sizeof *c->row);
    bitnet_status st = c->tok && c->batch_tok && c->row ? BITNET_OK : BITNET_E_NOMEM;
    if (st >= 0) st = bitnet_kv_open(&c->kv, m, n_ctx);
    if (st >= 0) st = make_rope(c);
    if (st >= 0) st = make_acts(c);
    bitnet_backend_need need = need_of(m, n_ctx, c->n_batch);
    if (st >= 0) st = m->ops->reserve(m->backend, &need);
    if (st >= 0 && !m->ops->map(m->backend, c->act.logits)) {
        c->logits = bitnet_alloc(&c->allocator, logits_size(c));
        if (!c->logits) st = BITNET_E_NOMEM;
    }
    if (st < 0) {
        bitnet_ctx_free(c);
        return bitnet_fail(
            err, st, "ctx.memory",
            "no memory for a context of %d tokens: the KV cache alone takes %llu bytes", n_ctx,
            (unsigned long long)bitnet_kv_size(m, n_ctx));
    }
    *out = c;
    return BITNET_OK;
}

void bitnet_ctx_free(bitnet_ctx *c) {
    if (!c) return;
    const bitnet_model *m = c->model;
    bitnet_buf *all[] = {c->rope_cos, c->rope_sin, c->act.x, c->act.h,    c->act.q,
                         c->act.k,    c->act.v,    c->act.a, c->act.gate, c->act.logits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        m->ops->free(m->backend, all[i]);
    bitnet_kv_close(&c->kv, m);
    bitnet_free(&c->allocator, c->logits, logits_size(c));
    bitnet_free(&c->allocator, c->tok, (size_t)c->n_ctx * sizeof *c->tok);
    bitnet_free(&c->allocator, c->batch_tok, (size_t)c->n_batch * sizeof *c->batch_tok);
    bitnet_free(&c->allocator, c->row, (size_t)c->n_logits * sizeof *c->row);
    bitnet_allocator a = c->allocator;
    bitnet_free(&a, c, sizeof *c);
}

/* The logits of the last step from the backend, where they cannot be read in place. */
static bitnet_status read_logits(const bitnet_ctx *lead) {
    size_t size = (size_t)lead->n_row * (size_t)lead->model->hp.n_vocab * sizeof(float);
    if (!lead->logits || size == 0) return BITNET_OK;
    return ops_of(lead)->read(lead->model->backend, lead->logits, lead->act.logits, 0, size);
}

/* One pass over the tokens of all runs; the logits lie in the first one's memory. */
static bitnet_status step(const bitnet_ctx_run *run, int32_t n_run) {
    bitnet_ctx *lead = run[0].ctx;
    bitnet_kv_span span[BITNET_MAX_RUNS];
    int32_t n_tok = 0, n_row = 0;
    for (int32_t i = 0; i < n_run; i++) {
        bitnet_ctx *c = run[i].ctx;
        const int32_t n_kept = run[i].n_logits;
        memcpy(lead->batch_tok + n_tok, run[i].tok, (size_t)run[i].n * sizeof *run->tok);
        span[i] = (bitnet_kv_span){&c->kv, c->len, run[i].n};
        c->logits_of = lead, c->first_row = n_row, c->n_rows = 0;
        n_tok += run[i].n;
        for (int32_t r = n_tok - n_kept; r < n_tok; r++)
            lead->row[n_row++] = (bitnet_head_row){.row = r, .want = c->want};
    }
    lead->n_step = n_tok, lead->n_row = n_row;
    const bitnet_step s = {.act = &lead->act,
                           .rope = &lead->rope,
                           .batch = {lead->batch_tok, span, n_run, n_tok},
                           .row = lead->row,
                           .n_row = n_row};
    bitnet_status st = bitnet_forward(lead->model, &s);
    if (st >= 0) st = read_logits(lead);
    for (int32_t i = 0; st >= 0 && i < n_run; i++) {
        bitnet_ctx *c = run[i].ctx;
        memcpy(c->tok + c->len, run[i].tok, (size_t)run[i].n * sizeof *run->tok);
        c->len += run[i].n;
        c->n_rows = run[i].n_logits;
    }
    return st;
}

/* Appends n tokens, n_batch at a time. On a device failure the timeline ends before the failed
 * batch. */
static bitnet_status append(bitnet_ctx *c, const bitnet_token *tok, int32_t n) {
    bitnet_status st = BITNET_OK;
    for (int32_t n_tok = 0; st >= 0 && n > 0; tok += n_tok, n -= n_tok) {
        n_tok = n < c->n_batch ? n : c->n_batch;
        const int32_t n_kept = n_tok < n ? 0 : n_tok < c->n_logits ? n_tok : c->n_logits;
        st = step(&(bitnet_ctx_run){c, tok, n_tok, n_kept}, 1);
    }
    return st;
}

static bool tokens_are_valid(const bitnet_ctx *c, const bitnet_token *tok, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (tok[i] < 0 || tok[i] >= c->model->hp.n_vocab) return false;
    return true;
}

int32_t bitnet_ctx_match(const bitnet_ctx *c, const bitnet_token *tok, int32_t n) {
    int32_t same = 0;
    while (same < n && same < c->len && c->tok[same] == tok[same])
        same++;
    return same;
}

bitnet_status bitnet_ctx_sync(bitnet_ctx *c, const bitnet_token *tok, int32_t n) {
    if (n < 1 || !tokens_are_valid(c, tok, n)) return BITNET_E_INVAL;
    if (n > c->n_ctx) return BITNET_E_CTX_FULL;
    int32_t same = bitnet_ctx_match(c, tok, n);
    const bool has_logits =
        c->n_rows > 0 && c->logits_of == c; /* no other's step overwrites them */
    if (same == n && c->len == n && has_logits) return BITNET_OK;
    if (same == n)
        same = n - 1; /* the logits wanted are not those at hand: compute the last again */
    c->len = same;
    return append(c, tok + same, n - same);
}

bitnet_status bitnet_ctx_extend(const bitnet_ctx_run *run, int32_t n_run) {
    int32_t n_tok = 0, n_row = 0;
    if (n_run < 1 || n_run > BITNET_MAX_RUNS) return BITNET_E_INVAL;
    const bitnet_ctx *lead = run[0].ctx;
    for (int32_t i = 0; i < n_run; i++) {
        const bitnet_ctx *c = run[i].ctx;
        if (c->model != lead->model || c->n_ctx != lead->n_ctx || run[i].n < 1 ||
            run[i].n > lead->n_batch - n_tok || run[i].n_logits < 0 || run[i].n_logits > run[i].n ||
            run[i].n_logits > lead->n_logits - n_row || !tokens_are_valid(c, run[i].tok, run[i].n))
            return BITNET_E_INVAL;
        for (int32_t other = 0; other < i; other++)
            if (run[other].ctx == c) return BITNET_E_INVAL;
        if (run[i].n > c->n_ctx - c->len) return BITNET_E_CTX_FULL;
        n_tok += run[i].n, n_row += run[i].n_logits;
    }
    return step(run, n_run);
}

/* What was computed for `had` is enough for w. */
static bool covers(bitnet_want had, bitnet_want w) {
    if (had.n_best == 0) return true;
    bool has_mass = w.mass == 0.0f || (had.mass > 0.0f && had.mass <= w.mass);
    return w.n_best > 0 && w.n_best <= had.n_best && w.within <= had.within && has_mass;
}

void bitnet_ctx_want(bitnet_ctx *c, bitnet_want want) {
    if (!covers(c->want, want)) c->n_rows = 0; /* those at hand are too few */
    c->want = want;
}

bitnet_status bitnet_ctx_complete(bitnet_ctx *c) {
    const bitnet_ctx *lead = c->logits_of;
    if (c->n_rows == 0) return BITNET_E_INVAL;
    for (int32_t i = 0; i < lead->n_row; i++)
        lead->row[i].want = (bitnet_want){0};
    const bitnet_step s = {.act = &lead->act,
                           .batch = {.tok = lead->batch_tok, .n_tok = lead->n_step},
                           .row = lead->row,
                           .n_row = lead->n_row};
    bitnet_status st = bitnet_forward_head(lead->model, &s);
    return st < 0 ? st : read_logits(lead);
}

void bitnet_ctx_cut(bitnet_ctx *c, int32_t n) {
    if (n < 0 || n >= c->len) return;
    c->len = n;
    c->n_rows = 0;
}

/* ---- save and load -----------------------------------------------------------------------------
 */

/* One row of the state: the n positions of one layer, one head, keys or values; rows follow each
 * other. */
typedef struct kv_rows {
    size_t n_rows, row_size, stride, offset; /* bytes; stride from row to row in the buffer */
} kv_rows;

static kv_rows rows_of(const bitnet_ctx *c, bitnet_type type, int32_t first, int32_t n) {
    size_t position = (size_t)bitnet_row_size(type, c->kv.head_dim);
    return (kv_rows){(size_t)c->model->hp.n_layer * (size_t)c->kv.n_head_kv, (size_t)n * position,
                     (size_t)c->n_ctx * position, (size_t)first * position};
}

size_t bitnet_ctx_save(const bitnet_ctx *c, int32_t first, int32_t n, void *out, size_t cap) {
    size_t size = (size_t)bitnet_kv_size(c->model, n);
    if (cap < size || first < 0 || first + n > c->len) return size;
    const kv_rows rows[] = {rows_of(c, c->kv.type_k, first, n), rows_of(c, c->kv.type_v, first, n)};
    const bitnet_buf *const bufs[] = {c->kv.k, c->kv.v};
    uint8_t *o = out;
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; i < rows[b].n_rows; i++, o += rows[b].row_size)
            ops_of(c)->read(c->model->backend, o, bufs[b], i * rows[b].stride + rows[b].offset,
                            rows[b].row_size);
    return size;
}

bitnet_status bitnet_ctx_load(bitnet_ctx *c, const bitnet_token *tok, int32_t first, int32_t n,
                              const void *data, size_t size) {
    if (first < 0 || n < 1 || n > c->n_ctx || first > c->n_ctx - n) return BITNET_E_INVAL;
    if (size != (size_t)bitnet_kv_size(c->model, n) || bitnet_ctx_match(c, tok, first) < first ||
        !tokens_are_valid(c, tok + first, n))
        return BITNET_E_INVAL;
    const kv_rows rows[] = {rows_of(c, c->kv.type_k, first, n), rows_of(c, c->kv.type_v, first, n)};
    bitnet_buf *const bufs[] = {c->kv.k, c->kv.v};
    const uint8_t *d = data;
    c->len = first;
    c->n_rows = 0;
    for (int b = 0; b < 2; b++)
        for (size_t i = 0; i < rows[b].n_rows; i++, d += rows[b].row_size) {
            bitnet_status st =
                ops_of(c)->write(c->model->backend, bufs[b], i * rows[b].stride + rows[b].offset, d,
                                 rows[b].row_size);
            if (st < 0) return st;
        }
    memcpy(c->tok + first, tok + first, (size_t)n * sizeof *tok);
    c->len = first + n;
    return BITNET_OK;
}

bitnet_status bitnet_ctx_decode(bitnet_ctx *c, bitnet_token next) {
    if (!tokens_are_valid(c, &next, 1)) return BITNET_E_INVAL;
    if (c->len >= c->n_ctx) return BITNET_E_CTX_FULL;
    return append(c, &next, 1);
}

static const float *row_of_logits(const bitnet_ctx *c, int32_t row) {
    const bitnet_ctx *of = c->logits_of;
    const float *rows =
        of->logits ? of->logits : ops_of(of)->map(of->model->backend, of->act.logits);
    return rows + (size_t)(c->first_row + row) * (size_t)of->model->hp.n_vocab;
}

const float *bitnet_ctx_logits(const bitnet_ctx *c) {
    return c->n_rows ? row_of_logits(c, c->n_rows - 1) : NULL;
}

const float *bitnet_ctx_logits_at(const bitnet_ctx *c, int32_t i) {
    return i >= 0 && i < c->n_rows ? row_of_logits(c, i) : NULL;
}

bitnet_tail bitnet_ctx_tail_at(const bitnet_ctx *c, int32_t i) {
    return c->logits_of->row[c->first_row + i].tail;
}

void bitnet_ctx_clear(bitnet_ctx *c) {
    c->len = 0;
    c->n_rows = 0;
}

int32_t bitnet_ctx_len(const bitnet_ctx *c) {
    return c->len;
}
const bitnet_token *bitnet_ctx_tokens(const bitnet_ctx *c) {
    return c->tok;
}
int32_t bitnet_ctx_size(const bitnet_ctx *c) {
    return c->n_ctx;
}

uint64_t bitnet_ctx_kv_used(const bitnet_ctx *c) {
    return bitnet_kv_size(c->model, c->len);
}
