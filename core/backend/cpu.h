/* cpu.h: what the files of the CPU backend share: cpu.c owns memory, life and the operations on
 * activations, cpu_weights.c the weights, cpu_tune.c their form, cpu_matmul.c the operations that
 * read matrices, cpu_sparse.c those that skip zeros, cpu_head.c and cpu_planes.c the head, cpu_attend.c
 * attention.
 */
#ifndef BITNET_BACKEND_CPU_H
#define BITNET_BACKEND_CPU_H

#include "base/base.h"
#include "base/os.h"
#include "base/pool.h"
#include "bitnet/backend.h"
#include "format/blocks.h"
#include "kernels/kernels.h"

#define CPU_ALIGN 64 /* a cache line, and a 512-bit register */

struct bitnet_buf {
    uint8_t *data; /* aligned to CPU_ALIGN */
    size_t size;
    size_t block_size;
};

typedef struct cpu_head cpu_head; /* cpu_head.c */

struct bitnet_weight {
    bitnet_type type;
    int32_t k, n;    /* inner size, rows */
    size_t row_size; /* bytes a row takes; of a ternary one K is padded to 128 */
    const void *data;
    size_t group_size;       /* bytes of 16 rows of a ternary one, in data */
    bool is_fives;           /* in 1.6 bits a weight */
    float scale;             /* the result is multiplied by it */
    bitnet_decode_fn decode; /* of an ordinary type */
    cpu_head *head;          /* of a head in stages, or NULL */
    bool is_split;           /* its f16 rows lie in planes (cpu_planes.c) */
    const uint8_t *rows;     /* a second copy for tern_rows [n][row_size], or NULL */
    const uint8_t *cols;     /* one for tern_cols [k padded][cols_size], or NULL */
    size_t cols_size;
};

/* Packed weights lie in a few large blocks, one after another as they were bound, so that
 * huge pages hold them. The blocks live as long as the backend. */
typedef struct cpu_arena_block cpu_arena_block;

/* A backend's scratch buffers; cpu.c gives their sizes. */
typedef enum cpu_scratch {
    CPU_QUANT,    /* xq [n_batch][k_ternary] i8 | s [n_batch] f32 | xsum [n_batch] i32 */
    CPU_NONZERO,  /* indices [k_ternary] i32 | values [k_ternary] i8 */
    CPU_UNPACKED, /* [n_threads][CPU_UNPACK_BYTES], where is_fives */
    CPU_DECODED,  /* [n_threads][CPU_DECODE_ROWS][cpu_decoded_k] f32 */
    CPU_TILE,     /* [n_threads][2][cpu_tile_floats(n_batch)] f32: products on their way */
    CPU_ROWS,     /* [n_batch][n_embd] f32: rows for the head that do not lie together */
    CPU_SCAN,     /* unless staged is off: candidates [n_vocab] i32 | bounds |
                     [CPU_HEAD_TOKENS][2][n_embd] i8 */
    CPU_ATTN,     /* [n_threads] of cpu_attn_floats | [n_batch] cpu_attn_block */
    CPU_N_SCRATCH
} cpu_scratch;

struct bitnet_backend {
    bitnet_kernels kern;
    bitnet_pool *pool;
    bitnet_allocator allocator;
    cpu_arena_block *arena;
    bitnet_switch sparse, staged;
    bool is_fives; /* bind makes 1.6 bits a weight; weights_text says why */
    char weights_text[128];
    bitnet_os_mutex lock;         /* held from begin to end: guards everything below */
    _Atomic uint64_t memory_used; /* contexts are created on any thread */

    const bitnet_batch *batch;
    const bitnet_watch *watch; /* or NULL */
    bitnet_backend_need need;  /* reserved so far; k_ternary padded */
    bitnet_buf *scratch[CPU_N_SCRATCH];
};

/* Rows of blocks that a thread decodes at once: as many as a kernel works on side by side. */
#define CPU_DECODE_ROWS 4
/* Rows of a product that wait in a thread's tile for what is done to them next. */
#define CPU_TILE_ROWS 64

/* Weights of a slice stay in the second cache while several tokens pass over them; they are unpacked
 * so many at a time. A group of BITNET_TERN5_MAX_K fits. */
#define CPU_UNPACK_BYTES (256 << 10)

static inline uint64_t cpu_tile_floats(int32_t n_batch) {
    uint64_t n = (uint64_t)n_batch * CPU_TILE_ROWS;
    return n > 4096 ? n : 4096; /* of one token: enough rows that the kernel's start is nothing */
}

/* Tokens whose logits come in stages at once. */
#define CPU_HEAD_TOKENS 16

#define CPU_SLICE_BYTES (8 << 10) /* of weights: measured, docs/speed.md */
#define CPU_ELEM_GRAIN  4096      /* elements, likewise */

static inline float *cpu_f32(bitnet_buf *buf) {
    return (float *)(void *)buf->data;
}
static inline const float *cpu_f32_in(const bitnet_buf *buf) {
    return (const float *)(const void *)buf->data;
}

/* K of the widest rows that are decoded: of block types, and of a head in planes. */
static inline size_t cpu_decoded_k(const bitnet_backend *be, const bitnet_backend_need *n) {
    const bool is_head = be->staged != BITNET_OFF && n->n_embd > n->k_blocks;
    return (size_t)(is_head ? n->n_embd : n->k_blocks);
}

void bitnet_cpu_tell_work(const bitnet_backend *be, size_t bytes, size_t n_mac_i8,
                          size_t n_mac_f32); /* cpu.c */
static inline void cpu_tell_work(const bitnet_backend *be, size_t bytes, size_t n_mac_i8,
                                 size_t n_mac_f32) {
    if (be->watch) bitnet_cpu_tell_work(be, bytes, n_mac_i8, n_mac_f32);
}

/* How many items of n elements each are worth a thread. */
static inline int32_t cpu_items_a_slice(int32_t n) {
    return CPU_ELEM_GRAIN / n + 1;
}

/* cpu.c */
bitnet_status bitnet_cpu_alloc(bitnet_backend *be, size_t bytes, bitnet_buf **out);

/* cpu_weights.c */
bitnet_status bitnet_cpu_bind(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                              bitnet_error *err);
uint64_t bitnet_cpu_bind_plan(const bitnet_backend *be, const bitnet_tensor *t);
void bitnet_cpu_unbind(bitnet_backend *be, bitnet_weight *w);
void bitnet_cpu_free_arena(bitnet_backend *be);
bool bitnet_cpu_weights_at(const bitnet_backend *be, int32_t i, const void **data, size_t *size);
uint8_t *bitnet_cpu_arena_alloc(bitnet_backend *be, size_t bytes); /* bytes a multiple of 4 */

/* cpu_tune.c: decides be->is_fives */
void bitnet_cpu_tune(bitnet_backend *be, bitnet_weight_bits bits, uint64_t ternary_size);

/* cpu_matmul.c */
void bitnet_cpu_embed(bitnet_backend *be, bitnet_buf *y, const bitnet_weight *w);
void bitnet_cpu_matmul(bitnet_backend *be, const bitnet_product *p, int32_t n, const bitnet_buf *x);
void bitnet_cpu_matmul_add(bitnet_backend *be, const bitnet_product *p, const bitnet_buf *x);
void bitnet_cpu_matmul_gate(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x,
                            const bitnet_weight *gate, const bitnet_weight *up, bitnet_act act);
void bitnet_cpu_head(bitnet_backend *be, bitnet_buf *y, const bitnet_buf *x, const bitnet_weight *w,
                     bitnet_head_row *row, int32_t n);
void bitnet_cpu_decode_row(const bitnet_backend *be, const bitnet_weight *w, int32_t r, float *out);
/* a.y gets rows r .. r + a.n - 1 times a.x; w is ordinary */
void bitnet_cpu_ordinary_rows(const bitnet_backend *be, const bitnet_weight *w, bitnet_dense_args a,
                              int32_t r, int32_t thread);

/* cpu_head.c */
bool bitnet_cpu_head_pays(const bitnet_backend *be, const bitnet_tensor *t);
uint64_t bitnet_cpu_head_size(const bitnet_tensor *t);
bitnet_status bitnet_cpu_head_bind(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t);
void bitnet_cpu_head_unbind(bitnet_backend *be, bitnet_weight *w);
uint64_t bitnet_cpu_scan_size(const bitnet_backend_need *need, int32_t n_threads);
/* y[m][N] from x[m][K], and the tails of row [m]. False: not to be had, compute the whole. */
bool bitnet_cpu_head_in_stages(bitnet_backend *be, float *y, const float *x, const bitnet_weight *w,
                               bitnet_head_row *row, int32_t m);

/* cpu_planes.c: row r of a weight that is_split */
void bitnet_cpu_planes_row(const bitnet_backend *be, const bitnet_weight *w, int32_t r, float *out);

/* cpu_sparse.c */
bool bitnet_cpu_sparse_pays(const bitnet_backend *be, const bitnet_tensor *t);
uint64_t bitnet_cpu_sparse_size(const bitnet_tensor *t);
bool bitnet_cpu_sparse_bind(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t);
uint64_t bitnet_cpu_nonzero_size(const bitnet_backend_need *need);
/* A token as act_quant left it. */
typedef struct cpu_quant {
    const int8_t *xq;
    float s;
    int32_t xsum;
    int32_t k; /* padded */
} cpu_quant;
/* up[i] = row r + i of w times x where gate[i] > 0, else 0. False: most are, or it would not be the same
 * to the bit; compute all. */
bool bitnet_cpu_sparse_up(const bitnet_backend *be, const bitnet_weight *w, const cpu_quant *x,
                          float *up, const float *gate, int32_t r, int32_t n);
/* y += w times x, of one token. False: too few of x are 0. */
bool bitnet_cpu_sparse_down(bitnet_backend *be, const bitnet_weight *w, const cpu_quant *x,
                            const bitnet_product *p);

/* cpu_attend.c */
uint64_t bitnet_cpu_attn_size(const bitnet_backend_need *need, int32_t n_threads);
void bitnet_cpu_attend(bitnet_backend *be, bitnet_buf *y, bitnet_buf *q, bitnet_buf *k,
                       const bitnet_buf *v, const bitnet_rope *rope, int32_t layer);

#endif
