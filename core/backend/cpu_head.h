/* cpu_head.h: what the head's stages read (cpu_head.c), and the f16 rows that lie in it (cpu_planes.c). */
#ifndef BITNET_BACKEND_CPU_HEAD_H
#define BITNET_BACKEND_CPU_HEAD_H

#include "backend/cpu.h"

/* Rows come in lots of n_together: first 6 bits a weight of all of them (kernels.h, scan6: groups of 16 rows
 * [12 k]), then 2 bits more (scan2: rows [k_more / 4]); in planes the low bytes follow, rows [k]. */
struct cpu_head {
    uint8_t *lots;
    size_t lot_size;
    int32_t n_together;           /* n, or a multiple of 16 */
    int32_t n, k, k_more;         /* k_more is k rounded up to 256 */
    float *d, *norm, *off, *off2; /* [n] */
    /* of rows that lie in planes, else NULL */
    uint16_t *limit;   /* [n] */
    uint8_t **high;    /* [lots] lists, with a byte to spare */
    uint32_t *high_at; /* [n] where a row's bytes begin in its lot's */
};

/* The first row of r's lot. */
static inline int32_t cpu_head_first(const cpu_head *h, int32_t r) {
    return r - r % h->n_together;
}

/* One past the last row of r's lot. */
static inline int32_t cpu_head_end(const cpu_head *h, int32_t r) {
    const int32_t first = cpu_head_first(h, r);
    return h->n - first < h->n_together ? h->n : first + h->n_together;
}

static inline uint8_t *cpu_head_lot(const cpu_head *h, int32_t r) {
    return h->lots + (size_t)(r / h->n_together) * h->lot_size;
}

/* Bytes in front of the 2 bits more of a lot of n rows, whose last group may not be full. */
static inline size_t cpu_head_codes_size(int32_t n, int32_t k) {
    return (size_t)((n + BITNET_ROW_GROUP - 1) / BITNET_ROW_GROUP) * 12 * (size_t)k;
}

/* Whether the rows of t can be split where they lie. */
bool bitnet_cpu_planes_fit(const bitnet_tensor *t);
/* About what it takes beside them. */
uint64_t bitnet_cpu_planes_size(const bitnet_tensor *t);
/* Splits w's rows, which t may rewrite; h is told where all is. False: no memory; the rows are lost. */
bool bitnet_cpu_planes_make(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t,
                            cpu_head *h);

#endif
