/* cpu_attend.c: positions, the KV cache and attention.
 *
 * The queries of one block share a timeline and a K/V head: some tokens, and the query heads of the
 * group (arXiv:2305.13245), so a key is loaded once for all of them and never copied. Scores of the
 * whole history come first (f16_matmul or f32_matmul with the keys as weights), then softmax, then the
 * values in chunks, converted to f32 once per block. Nothing in a query's arithmetic knows its block,
 * so the bits are the same for every batch. A query sees nothing behind its own position: there its
 * weights are zeros.
 */
#include "backend/cpu.h"

#include <math.h>
#include <string.h>

#define MOST_QUERIES 32 /* rows of a block: so often is a converted key or value used */
#define CHUNK        32 /* positions whose values are converted at once: 16 KB at D = 128 */
#define MOST_SCORES  (512 << 10) /* floats, of a block: bounds the scratch when windows are long */

/* Tokens first .. first + n_tok - 1 of the step, which belong to one span. */
typedef struct attn_block {
    const bitnet_kv_span *span;
    int32_t first, n_tok;
    int32_t pos; /* of the first token */
} attn_block;

/* Scratch of a thread, in floats. */
typedef struct attn_room {
    size_t q, y;  /* [MOST_QUERIES][head_dim] */
    size_t p;     /* [most_queries][n_ctx] */
    size_t chunk; /* [CHUNK][head_dim] */
    size_t all;
} attn_room;

static int32_t most_queries(int32_t n_ctx) {
    int32_t n = MOST_SCORES / n_ctx;
    return n < 1 ? 1 : n < MOST_QUERIES ? n : MOST_QUERIES;
}

static attn_room room_of(const bitnet_backend_need *n) {
    const size_t dim = (size_t)n->head_dim, rows = (size_t)most_queries(n->n_ctx);
    attn_room r = {.q = 0};
    r.y = rows * dim;
    r.p = r.y + rows * dim;
    r.chunk = r.p + rows * (size_t)n->n_ctx;
    r.all = (r.chunk + CHUNK * dim + 15) / 16 * 16;
    return r;
}

uint64_t bitnet_cpu_attn_size(const bitnet_backend_need *n, int32_t n_threads) {
    if (n->n_ctx < 1) return 0;
    return (uint64_t)n_threads * room_of(n).all * sizeof(float) +
           (uint64_t)n->n_batch * sizeof(attn_block);
}

typedef struct attend_job {
    bitnet_backend *be;
    float *y, *q, *k;
    const float *v;
    const bitnet_rope *rope;
    const bitnet_kv *kv; /* of any span: the shape is the same */
    int32_t layer;
    attn_block *block;
    int32_t n_block;
    int32_t n_part, part_heads; /* a group's query heads may be shared out between blocks */
} attend_job;

/* ---- positions ---------------------------------------------------------------------------------
 */

static void rotate(const attend_job *j, float *x, int32_t n_head, int32_t pos) {
    const bitnet_rope *r = j->rope;
    size_t row = (size_t)pos * (size_t)(r->n_rot / 2);
    bitnet_rope_args a = {.x = x,
                          .cos = cpu_f32_in(r->cos) + row,
                          .sin = cpu_f32_in(r->sin) + row,
                          .n_head = n_head,
                          .head_dim = j->kv->head_dim,
                          .n_rot = r->n_rot,
                          .is_norm = r->is_norm};
    j->be->kern.rope(&a);
}

/* K or V of a timeline. */
typedef struct cache {
    uint8_t *data;
    bitnet_type type;
} cache;

static cache keys_of(const bitnet_kv *kv) {
    return (cache){kv->k->data, kv->type_k};
}
static cache values_of(const bitnet_kv *kv) {
    return (cache){kv->v->data, kv->type_v};
}

/* Where head h's row of position pos lies. */
static uint8_t *cache_row(const attend_job *j, cache c, int32_t h, int32_t pos) {
    const bitnet_kv *kv = j->kv;
    size_t head = (size_t)j->layer * (size_t)kv->n_head_kv + (size_t)h;
    return c.data +
           (head * (size_t)kv->n_ctx + (size_t)pos) * (size_t)bitnet_row_size(c.type, kv->head_dim);
}

static void store_row(const attend_job *j, cache c, int32_t h, int32_t pos, const float *x) {
    uint8_t *to = cache_row(j, c, h, pos);
    size_t dim = (size_t)j->kv->head_dim;
    if (c.type == BITNET_TYPE_F32)
        memcpy(to, x, dim * sizeof *x);
    else if (c.type == BITNET_TYPE_F16)
        j->be->kern.f32_to_f16((uint16_t *)(void *)to, x, dim);
    else
        bitnet_block_encoder(c.type)(to, x, j->kv->head_dim);
}

/* Rotates and stores tokens begin .. end - 1. */
static void place_tokens(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    (void)thread;
    const attend_job *j = ctx;
    for (int32_t b = 0; b < j->n_block; b++) {
        const attn_block *bl = &j->block[b];
        const bitnet_kv *kv = bl->span->kv;
        int32_t t = begin > bl->first ? begin : bl->first;
        for (; t < end && t < bl->first + bl->n_tok; t++) {
            const size_t dim = (size_t)kv->head_dim, at = (size_t)t * (size_t)kv->n_head_kv * dim;
            const int32_t pos = bl->pos + t - bl->first;
            rotate(j, j->q + (size_t)t * (size_t)kv->n_head * dim, kv->n_head, pos);
            rotate(j, j->k + at, kv->n_head_kv, pos);
            for (int32_t h = 0; h < kv->n_head_kv; h++) {
                const size_t off = at + (size_t)h * dim;
                store_row(j, keys_of(kv), h, pos, j->k + off);
                store_row(j, values_of(kv), h, pos, j->v + off);
            }
        }
    }
}

/* ---- one block ---------------------------------------------------------------------------------
 */

typedef struct block_args {
    const attend_job *j;
    const attn_block *b;
    int32_t head_kv, head, n_head; /* query heads head .. head + n_head - 1 */
    int32_t n_pos;                 /* that the last token sees */
    float *q, *y, *p, *chunk;
    int32_t m; /* queries */
} block_args;

/* n rows of the cache from position pos on, as f32. */
static const float *rows_f32(const block_args *a, cache c, int32_t pos, int32_t n) {
    const uint8_t *rows = cache_row(a->j, c, a->head_kv, pos);
    const size_t count = (size_t)n * (size_t)a->j->kv->head_dim;
    const bitnet_kernels *kern = &a->j->be->kern;
    if (c.type == BITNET_TYPE_F32) return (const float *)(const void *)rows;
    if (c.type == BITNET_TYPE_F16)
        kern->f16_to_f32(a->chunk, (const uint16_t *)(const void *)rows, count);
    else
        kern->decode_q8_0(a->chunk, rows, (int64_t)count);
    return a->chunk;
}

/* p[query][position] = q * k */
static void score(const block_args *a) {
    const cache keys = keys_of(a->b->span->kv);
    const bitnet_kernels *kern = &a->j->be->kern;
    bitnet_dense_args d = {.y = a->p,
                           .ldy = a->n_pos,
                           .w = cache_row(a->j, keys, a->head_kv, 0),
                           .x = a->q,
                           .n = a->n_pos,
                           .k = a->j->kv->head_dim,
                           .m = a->m};
    if (keys.type == BITNET_TYPE_F16) {
        kern->f16_matmul(&d);
    } else if (keys.type == BITNET_TYPE_F32) {
        kern->f32_matmul(&d);
    } else {
        for (int32_t pos = 0; pos < a->n_pos; pos += CHUNK, d.y += CHUNK) {
            d.n = a->n_pos - pos < CHUNK ? a->n_pos - pos : CHUNK;
            d.w = rows_f32(a, keys, pos, d.n);
            kern->f32_matmul(&d);
        }
    }
}

/* y[query] = sum of p * v */
static void mix(const block_args *a) {
    const bitnet_kv *kv = a->b->span->kv;
    bitnet_attn_mix_args m = {.y = a->y,
                              .ldy = kv->head_dim,
                              .p = a->p,
                              .ldp = a->n_pos,
                              .head_dim = kv->head_dim,
                              .m = a->m};
    memset(a->y, 0, (size_t)a->m * (size_t)kv->head_dim * sizeof *a->y);
    for (int32_t pos = 0; pos < a->n_pos; pos += CHUNK, m.p += CHUNK) {
        m.n_pos = a->n_pos - pos < CHUNK ? a->n_pos - pos : CHUNK;
        m.v = rows_f32(a, values_of(kv), pos, m.n_pos);
        a->j->be->kern.attn_mix(&m);
    }
}

/* Row i of the block is token i / n_head, query head head + i % n_head. */
static size_t offset_of(const block_args *a, int32_t i) {
    const bitnet_kv *kv = a->j->kv;
    size_t token = (size_t)(a->b->first + i / a->n_head), head = (size_t)(a->head + i % a->n_head);
    return (token * (size_t)kv->n_head + head) * (size_t)kv->head_dim;
}

static void attend_block(const block_args *a) {
    const size_t dim = (size_t)a->j->kv->head_dim;
    const float scale = 1.0f / sqrtf((float)a->j->kv->head_dim);
    float sum[MOST_QUERIES];
    for (int32_t i = 0; i < a->m; i++)
        memcpy(a->q + (size_t)i * dim, a->j->q + offset_of(a, i), dim * sizeof(float));
    score(a);
    for (int32_t i = 0; i < a->m; i++) {
        float *p = a->p + (ptrdiff_t)i * a->n_pos;
        int32_t n = a->b->pos + i / a->n_head + 1;
        sum[i] = a->j->be->kern.softmax(p, n, scale);
        memset(p + n, 0, (size_t)(a->n_pos - n) * sizeof *p);
    }
    mix(a);
    for (int32_t i = 0; i < a->m; i++) {
        float *out = a->j->y + offset_of(a, i);
        for (size_t d = 0; d < dim; d++)
            out[d] = a->y[(size_t)i * dim + d] / sum[i];
    }
}

/* Items are (block, K/V head, part of its query heads). */
static void attend_items(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const attend_job *j = ctx;
    const bitnet_kv *kv = j->kv;
    const attn_room room = room_of(&j->be->need);
    float *own = cpu_f32(j->be->scratch[CPU_ATTN]) + (size_t)thread * room.all;
    const int32_t n_rep = kv->n_head / kv->n_head_kv;
    for (int32_t i = begin; i < end; i++) {
        const int32_t part = i % j->n_part, head_kv = i / j->n_part % kv->n_head_kv;
        const int32_t from = part * j->part_heads;
        block_args a = {.j = j,
                        .b = &j->block[i / j->n_part / kv->n_head_kv],
                        .head_kv = head_kv,
                        .head = head_kv * n_rep + from,
                        .n_head = n_rep - from < j->part_heads ? n_rep - from : j->part_heads,
                        .q = own + room.q,
                        .y = own + room.y,
                        .p = own + room.p,
                        .chunk = own + room.chunk};
        a.n_pos = a.b->pos + a.b->n_tok;
        a.m = a.b->n_tok * a.n_head;
        attend_block(&a);
    }
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

/* Cuts the spans into blocks of at most n_tok tokens. */
static void make_blocks(attend_job *j, int32_t n_tok) {
    const bitnet_batch *batch = j->be->batch;
    int32_t first = 0;
    for (int32_t i = 0; i < batch->n_span; i++) {
        const bitnet_kv_span *s = &batch->span[i];
        for (int32_t done = 0; done < s->n_tok; done += n_tok) {
            int32_t n = s->n_tok - done < n_tok ? s->n_tok - done : n_tok;
            j->block[j->n_block++] = (attn_block){s, first, n, s->pos + done};
            first += n;
        }
    }
}

void bitnet_cpu_attend(bitnet_backend *be, bitnet_buf *y, bitnet_buf *q, bitnet_buf *k,
                       const bitnet_buf *v, const bitnet_rope *rope, int32_t layer) {
    const int32_t n_threads = bitnet_pool_size(be->pool);
    const bitnet_kv *kv = be->batch->span[0].kv;
    attend_job j = {.be = be,
                    .y = cpu_f32(y),
                    .q = cpu_f32(q),
                    .k = cpu_f32(k),
                    .v = cpu_f32_in(v),
                    .rope = rope,
                    .kv = kv,
                    .layer = layer};
    j.block = (attn_block *)(void *)(cpu_f32(be->scratch[CPU_ATTN]) +
                                     (size_t)n_threads * room_of(&be->need).all);
    const int32_t most = most_queries(be->need.n_ctx), n_rep = kv->n_head / kv->n_head_kv;
    j.part_heads = n_rep < most ? n_rep : most;
    make_blocks(&j, most / j.part_heads);
    /* few blocks, as in decode: query heads of a group go to several threads */
    while (j.part_heads > 1 && j.n_block * kv->n_head_kv * (n_rep / j.part_heads) < 2 * n_threads)
        j.part_heads = (j.part_heads + 1) / 2;
    j.n_part = (n_rep - 1) / j.part_heads + 1;
    const int32_t n_tok = be->batch->n_tok;
    bitnet_pool_run(be->pool, place_tokens, &j, n_tok,
                    cpu_items_a_slice(kv->n_head * kv->head_dim));
    const attn_block *last = &j.block[j.n_block - 1];
    bitnet_pool_run(be->pool, attend_items, &j, j.n_block * kv->n_head_kv * j.n_part,
                    cpu_items_a_slice((last->pos + last->n_tok) * kv->head_dim));
}
