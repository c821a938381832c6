/* cpu_weights.c: binding. A ternary matrix is packed once into groups of sixteen rows (kernels.h), by
 * all threads, in 2 bits a weight or in 1.6; an ordinary one is used where it lies.
 */
#include "backend/cpu.h"

#include <string.h>

#include "format/ternary.h"

/* ---- memory for packed weights -----------------------------------------------------------------
 */

/* A new block is as large as all before it, within these bounds: few blocks, and little of the last
 * one unused. Memory that is never touched costs nothing where pages come on demand. */
#define BLOCK_MIN ((size_t)256 << 10)
#define BLOCK_MAX ((size_t)64 << 20)

struct cpu_arena_block {
    cpu_arena_block *next;
    size_t size;       /* of the allocation */
    size_t used, room; /* of data */
    uint8_t *data;
};

static cpu_arena_block *add_block(bitnet_backend *be, size_t bytes) {
    size_t room = be->arena ? 2 * be->arena->room : BLOCK_MIN;
    if (room > BLOCK_MAX) room = BLOCK_MAX;
    if (room < bytes) room = bytes;
    /* a block of several huge pages begins at one */
    size_t align = room >= 2 * BITNET_HUGE_PAGE ? BITNET_HUGE_PAGE : CPU_ALIGN;
    size_t size = sizeof(cpu_arena_block) + room + align;
    cpu_arena_block *b = size > room ? bitnet_alloc_raw(&be->allocator, size) : NULL;
    if (!b) return NULL;
    uintptr_t start = (uintptr_t)(b + 1);
    *b = (cpu_arena_block){.next = be->arena,
                           .size = size,
                           .room = room,
                           .data = (uint8_t *)(b + 1) + (align - start % align) % align};
    if (align == BITNET_HUGE_PAGE) bitnet_os_advise_huge(b->data, room);
    be->arena = b;
    return b;
}

uint8_t *bitnet_cpu_arena_alloc(bitnet_backend *be, size_t bytes) {
    cpu_arena_block *b = be->arena;
    if (!b || b->room - b->used < bytes) b = add_block(be, bytes);
    if (!b) return NULL;
    uint8_t *p = b->data + b->used;
    b->used += (bytes + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
    if (b->used > b->room) b->used = b->room;
    be->memory_used += bytes;
    return p;
}

bool bitnet_cpu_weights_at(const bitnet_backend *be, int32_t i, const void **data, size_t *size) {
    const cpu_arena_block *b = be->arena;
    while (b && i-- > 0)
        b = b->next;
    if (!b) return false;
    *data = b->data, *size = b->used;
    return true;
}

void bitnet_cpu_free_arena(bitnet_backend *be) {
    while (be->arena) {
        cpu_arena_block *b = be->arena;
        be->arena = b->next;
        bitnet_free(&be->allocator, b, b->size);
    }
}

/* ---- binding -----------------------------------------------------------------------------------
 */

typedef struct pack_job {
    uint8_t *out;
    const uint8_t *rows;
    uint8_t *room; /* [n_threads] groups of 2 bits: rows to be overwritten, or on the way to 1.6 */
    bool is_fives;
    size_t row_size, group_size;
    int32_t n;
} pack_job;

static void pack_groups(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    const pack_job *j = ctx;
    const size_t size = j->row_size * BITNET_ROW_GROUP; /* in 2 bits */
    const int32_t k = (int32_t)(j->row_size * 4);
    for (int32_t g = begin; g < end; g++) {
        const uint8_t *rows = j->rows + (size_t)g * size;
        const int32_t n = j->n - g * BITNET_ROW_GROUP;
        uint8_t *out = j->out + (size_t)g * j->group_size,
                *room = j->room ? j->room + (size_t)thread * size : NULL;
        if (j->is_fives) {
            bitnet_tern_pack(room, rows, n, k);
            bitnet_tern5_pack(out, room, k);
        } else {
            bitnet_tern_pack(out, room ? memcpy(room, rows, size) : rows, n, k);
        }
    }
}

/* Whether t is packed where it lies: a group takes the place of its rows, but not of fewer. */
static bool is_in_place(const bitnet_tensor *t) {
    return t->rewrite && t->ne[1] % BITNET_ROW_GROUP == 0;
}

/* Groups of 1.6 bits lie closer than the rows they are made from, so these are not made in place. */
static bool takes_fives(const bitnet_backend *be, const bitnet_tensor *t) {
    return be->is_fives && !is_in_place(t) &&
           bitnet_ternary_row_size(t->ne[0]) * 4 <= BITNET_TERN5_MAX_K;
}

static uint64_t packed_size(const bitnet_backend *be, const bitnet_tensor *t) {
    uint64_t n_groups = ((uint64_t)t->ne[1] + BITNET_ROW_GROUP - 1) / BITNET_ROW_GROUP;
    uint64_t row_size = bitnet_ternary_row_size(t->ne[0]);
    return n_groups * (takes_fives(be, t) ? bitnet_tern5_group_size((int32_t)(row_size * 4))
                                          : row_size * BITNET_ROW_GROUP);
}

uint64_t bitnet_cpu_bind_plan(const bitnet_backend *be, const bitnet_tensor *t) {
    if (t->type == BITNET_TYPE_I2_S)
        return (is_in_place(t) ? 0 : packed_size(be, t)) +
               (bitnet_cpu_sparse_pays(be, t) ? bitnet_cpu_sparse_size(t) : 0);
    return bitnet_cpu_head_pays(be, t) ? bitnet_cpu_head_size(t) : 0;
}

static bool pack(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t) {
    int32_t n_groups = (w->n - 1) / BITNET_ROW_GROUP + 1;
    const bool in_place = is_in_place(t);
    const size_t size = w->row_size * BITNET_ROW_GROUP; /* of a group in 2 bits */
    w->is_fives = takes_fives(be, t);
    w->group_size = w->is_fives ? bitnet_tern5_group_size((int32_t)(w->row_size * 4)) : size;
    pack_job j = {.rows = t->data,
                  .is_fives = w->is_fives,
                  .row_size = w->row_size,
                  .group_size = w->group_size,
                  .n = w->n};
    const size_t room_size = (size_t)bitnet_pool_size(be->pool) * size;
    if (in_place || w->is_fives) {
        j.room = bitnet_alloc(&be->allocator, room_size);
        if (!j.room) return false;
    }
    j.out = in_place ? t->rewrite : bitnet_cpu_arena_alloc(be, (size_t)packed_size(be, t));
    if (j.out) bitnet_pool_run(be->pool, pack_groups, &j, n_groups, 16);
    bitnet_free(&be->allocator, j.room, room_size);
    w->data = j.out;
    return j.out != NULL;
}

/* A kernel where this CPU has one, otherwise the format's own. */
static bitnet_decode_fn decoder_of(const bitnet_backend *be, bitnet_type type) {
    switch (type) {
    case BITNET_TYPE_Q8_0:
        return be->kern.decode_q8_0;
    case BITNET_TYPE_Q6_K:
        return be->kern.decode_q6_k;
    case BITNET_TYPE_Q4_K:
        return be->kern.decode_q4_k;
    case BITNET_TYPE_Q4_0:
        return be->kern.decode_q4_0;
    default:
        return bitnet_block_decoder(type);
    }
}

bitnet_status bitnet_cpu_bind(bitnet_backend *be, const bitnet_tensor *t, bitnet_weight **out,
                              bitnet_error *err) {
    *out = NULL;
    bool is_ternary = t->type == BITNET_TYPE_I2_S;
    bitnet_decode_fn decode = decoder_of(be, t->type);
    if (t->ne[0] > INT32_MAX - BITNET_K_BLOCK || t->ne[1] > INT32_MAX - BITNET_ROW_GROUP)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.shape",
                           "%s: [%lld, %lld] is larger than the 2^31 - 1 a kernel counts to",
                           t->name, (long long)t->ne[0], (long long)t->ne[1]);
    if (!is_ternary && !decode)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "backend.type",
                           "%s: the cpu backend does not run type %s", t->name,
                           bitnet_type_name(t->type));
    bitnet_weight *w = bitnet_alloc(&be->allocator, sizeof *w);
    if (!w) return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory", "%s: out of memory", t->name);
    *w = (bitnet_weight){.type = t->type,
                         .k = (int32_t)t->ne[0],
                         .n = (int32_t)t->ne[1],
                         .data = t->data,
                         .scale = t->scale,
                         .decode = decode};
    w->row_size = (size_t)(is_ternary ? bitnet_ternary_row_size(t->ne[0])
                                      : bitnet_row_size(t->type, t->ne[0]));
    bool is_sparse = is_ternary && bitnet_cpu_sparse_pays(be, t);
    /* first: packing may be in place */
    if ((is_sparse && !bitnet_cpu_sparse_bind(be, w, t)) || (is_ternary && !pack(be, w, t))) {
        bitnet_fail(err, BITNET_E_NOMEM, "backend.memory", "%s: no memory for %llu bytes", t->name,
                    (unsigned long long)w->row_size * (uint64_t)t->ne[1]);
        bitnet_cpu_unbind(be, w);
        return BITNET_E_NOMEM;
    }
    if (bitnet_cpu_head_pays(be, t) && bitnet_cpu_head_bind(be, w, t) < 0) {
        bitnet_cpu_unbind(be, w);
        return bitnet_fail(err, BITNET_E_NOMEM, "backend.memory",
                           "%s: no memory for its copy in 6 bits", t->name);
    }
    *out = w;
    return BITNET_OK;
}

void bitnet_cpu_unbind(bitnet_backend *be, bitnet_weight *w) {
    bitnet_cpu_head_unbind(be, w);
    bitnet_free(&be->allocator, w, sizeof *w);
}
