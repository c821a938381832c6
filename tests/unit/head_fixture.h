/* head_fixture.h: one head on the CPU's backend: bound, with room for tokens and logits, and run. */
#ifndef BITNET_TEST_HEAD_FIXTURE_H
#define BITNET_TEST_HEAD_FIXTURE_H

#include "load_file.h"

#include <string.h>

enum { HEAD_MAX_T = 32 };

typedef struct head_fixture {
    bitnet_backend *be;
    bitnet_weight *w;
    bitnet_buf *x, *y;
    int32_t k, n, max_t;
} head_fixture;

/* t is the head, [k, n]; steps of max_t tokens. */
static inline head_fixture head_open(const bitnet_backend_desc *bd, const bitnet_tensor *t,
                                     int32_t max_t) {
    const bitnet_backend_ops *ops = &bitnet_backend_cpu;
    const int32_t k = (int32_t)t->ne[0], n = (int32_t)t->ne[1];
    const bool is_plain = t->type == BITNET_TYPE_F16 || t->type == BITNET_TYPE_F32;
    const bitnet_backend_need need = {.n_batch = max_t,
                                      .n_ctx = 16,
                                      .n_embd = k,
                                      .n_vocab = n,
                                      .n_head = 1,
                                      .n_head_kv = 1,
                                      .head_dim = 16,
                                      .k_blocks = is_plain ? 0 : k};
    head_fixture h = {.k = k, .n = n, .max_t = max_t};
    assert_int_equal(ops->open(&h.be, bd, NULL), BITNET_OK);
    assert_int_equal(ops->bind(h.be, t, &h.w, NULL), BITNET_OK);
    assert_int_equal(ops->reserve(h.be, &need), BITNET_OK);
    assert_int_equal(ops->alloc(h.be, (size_t)max_t * (size_t)k * sizeof(float), &h.x), BITNET_OK);
    assert_int_equal(ops->alloc(h.be, (size_t)max_t * (size_t)n * sizeof(float), &h.y), BITNET_OK);
    return h;
}

static inline void head_close(head_fixture *h) {
    const bitnet_backend_ops *ops = &bitnet_backend_cpu;
    ops->free(h->be, h->x);
    ops->free(h->be, h->y);
    ops->unbind(h->be, h->w);
    ops->close(h->be);
}

/* y[count][n] of every step-th row of x[max_t][k], and their tails; want NULL: the whole. */
static inline void head_run(const head_fixture *h, const float *x, const bitnet_want *want,
                            int32_t count, int32_t step, float *y, bitnet_tail *tail) {
    const bitnet_backend_ops *ops = &bitnet_backend_cpu;
    const bitnet_batch batch = {.n_tok = h->max_t};
    bitnet_head_row row[HEAD_MAX_T];
    for (int32_t i = 0; i < count; i++)
        row[i] = (bitnet_head_row){.row = i * step, .want = want ? want[i] : (bitnet_want){0}};
    const size_t x_size = (size_t)h->max_t * (size_t)h->k * sizeof *x;
    assert_int_equal(ops->write(h->be, h->x, 0, x, x_size), BITNET_OK);
    assert_int_equal(ops->begin(h->be, &batch), BITNET_OK);
    ops->head(h->be, h->y, h->x, h->w, row, count);
    assert_int_equal(ops->end(h->be), BITNET_OK);
    const size_t y_size = (size_t)count * (size_t)h->n * sizeof *y;
    assert_int_equal(ops->read(h->be, y, h->y, 0, y_size), BITNET_OK);
    for (int32_t i = 0; i < count; i++)
        tail[i] = row[i].tail;
}

static inline int larger_first(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

#endif
