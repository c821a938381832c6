/* cpu.h: what the two files of the CPU backend share: cpu.c owns memory, life and the operations on
 * activations, cpu_matmul.c the operations that read matrices.
 */
#ifndef BITNET_BACKEND_CPU_H
#define BITNET_BACKEND_CPU_H

#include "base/base.h"
#include "base/os.h"
#include "base/pool.h"
#include "bitnet/backend.h"
#include "format/blocks.h"
#include "kernels/kernels.h"

struct bitnet_buf {
    uint8_t *data; /* aligned to a cache line */
    size_t size;
    size_t block_size;
};

struct bitnet_weight {
    bitnet_type type;
    int32_t k, n;    /* inner size, rows */
    size_t row_size; /* bytes from row to row */
    const void *data;
    float scale;             /* the result is multiplied by it */
    bitnet_decode_fn decode; /* of an ordinary type */
};

struct bitnet_backend {
    bitnet_kernels kern;
    bitnet_pool *pool;
    bitnet_allocator allocator;
    bitnet_os_mutex lock;         /* held from begin to end: guards everything below */
    _Atomic uint64_t memory_used; /* contexts are created on any thread */

    bitnet_backend_need need; /* bound and reserved so far; k_ternary padded */
    bitnet_buf *quant;   /* xq [n_batch][k_ternary] i8 | s [n_batch] f32 | xsum [n_batch] i32 */
    bitnet_buf *decoded; /* [n_threads][CPU_DECODE_ROWS][k_blocks] f32 */
    bitnet_buf *scores;  /* [n_threads][n_ctx] f32 */
    /* whose int8 copy `quant` holds: q, k and v share one quantisation, gate and up another */
    const bitnet_buf *quant_of;
    int32_t quant_n_tok, quant_k;
};

/* Rows of blocks that a thread decodes at once: as many as a kernel works on side by side. */
#define CPU_DECODE_ROWS 4

#define CPU_ROW_GRAIN   16 /* rows: a cache line of f32 results, a multiple of every row tile */
#define CPU_SLICE_BYTES (8 << 10) /* of weights: measured, docs/speed.md */
#define CPU_ELEM_GRAIN  4096      /* elements, likewise */

static inline float *cpu_f32(bitnet_buf *buf) {
    return (float *)(void *)buf->data;
}
static inline const float *cpu_f32_in(const bitnet_buf *buf) {
    return (const float *)(const void *)buf->data;
}

/* Every operation that writes y calls this: an int8 copy of y is out of date from now on. */
static inline void cpu_wrote(bitnet_backend *be, const bitnet_buf *y) {
    if (be->quant_of == y) be->quant_of = NULL;
}

/* How many items of n elements each are worth a thread. */
static inline int32_t cpu_items_a_slice(int32_t n) {
    return CPU_ELEM_GRAIN / n + 1;
}

void bitnet_cpu_embed(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w,
                      const bitnet_token *ids, int32_t n_tok);
void bitnet_cpu_matmul(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                       const bitnet_weight *w, int32_t n_tok);
void bitnet_cpu_matmul_last(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                            const bitnet_weight *w, int32_t n_tok);

#endif
