/* cpu_planes.c: an f16 head split, without loss and where it lies, into what its stages read.
 *
 * Kept beside the rows, the first stages' 6 + 2 bits a weight are half as much memory again. But they tell most of
 * each weight: where it lies within d/8. Numbers of f16 that near to each other differ in their low bytes, unless
 * they are small against their row. So n rows, 2 n k bytes, become
 *
 *     6 bits (scan6) [n/16][12 k] | 2 bits more (scan2) [n][k/4] | the low bytes [n][k]
 *
 * and weight j of a row is the f16 with its low byte that is nearest to  v d/8,  v = 8 q + 2 p - 259 of its codes.
 * Where |v| is below the row's limit, which is chosen such that this holds for all others, the high byte is kept,
 * too, in a list. That is a fifth of normally distributed weights.
 */
#include "backend/cpu_head.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 256
/* Rows of a lot: stages read pieces of a megabyte, and a thread's room is small. */
#define TOGETHER 512

/* One row, all [..][k]. */
typedef struct planes {
    uint8_t *six; /* blocks of 16, 192 bytes apart */
    uint8_t *two, *low;
    float step; /* d/8 */
} planes;

/* Of weights j .. j + BLOCK - 1: |v|, and what the three planes make of each. */
static void read_planes(const bitnet_kernels *kern, const planes *p, int32_t j, uint16_t *bits,
                        uint16_t *size) {
    int16_t v[BLOCK];
    float about[BLOCK];
    for (int32_t b = 0; b < BLOCK; b += 16) {
        const uint8_t *w = p->six + (size_t)(j + b) * 12;
        for (int i = 0; i < 4; i++) {
            const int high = w[i], first = w[64 + i], second = w[128 + i];
            v[b + i] = (int16_t)((high & 3) << 4 | (first & 15));
            v[b + 4 + i] = (int16_t)((high >> 2 & 3) << 4 | first >> 4);
            v[b + 8 + i] = (int16_t)((high >> 4 & 3) << 4 | (second & 15));
            v[b + 12 + i] = (int16_t)(high >> 6 << 4 | second >> 4);
        }
    }
    for (int q = 0; q < 4; q++)
        for (int i = 0; i < BLOCK / 4; i++) {
            const int two = p->two[j / 4 + i] >> 2 * q & 3;
            v[64 * q + i] = (int16_t)(8 * v[64 * q + i] + 2 * two - 259);
        }
    for (int i = 0; i < BLOCK; i++) {
        size[i] = (uint16_t)abs(v[i]);
        about[i] = (float)v[i] * p->step;
    }
    kern->f32_to_f16(bits, about, BLOCK);
    for (int i = 0; i < BLOCK; i++)
        bits[i] = (uint16_t)(bits[i] + (int8_t)(p->low[j + i] - (bits[i] & 255)));
}

/* Row r, of step d/8, whose lot of n rows lies at `lot`. */
static planes planes_of(const cpu_head *h, uint8_t *lot, int32_t r, float d) {
    const size_t k = (size_t)h->k, i = (size_t)(r - cpu_head_first(h, r));
    const size_t n = (size_t)(cpu_head_end(h, r) - cpu_head_first(h, r));
    uint8_t *more = lot + cpu_head_codes_size((int32_t)n, h->k);
    return (planes){lot + i / BITNET_ROW_GROUP * 12 * k + i % BITNET_ROW_GROUP * 4,
                    more + i * k / 4, more + n * k / 4 + i * k, d * 0.125f};
}

void bitnet_cpu_planes_row(const bitnet_backend *be, const bitnet_weight *w, int32_t r,
                           float *out) {
    const cpu_head *h = w->head;
    const planes p = planes_of(h, cpu_head_lot(h, r), r, h->d[r]);
    const uint8_t *high = h->high[r / h->n_together] + h->high_at[r];
    const uint16_t limit = h->limit[r];
    for (int32_t j = 0; j < w->k; j += BLOCK) {
        uint16_t bits[BLOCK], size[BLOCK];
        read_planes(&be->kern, &p, j, bits, size);
        for (int i = 0; i < BLOCK; i++) { /* the list has a byte to spare: no branch */
            const bool is_listed = size[i] < limit;
            const uint16_t listed = (uint16_t)(*high << 8 | p.low[j + i]);
            bits[i] = is_listed ? listed : bits[i];
            high += is_listed;
        }
        be->kern.f16_to_f32(out + j, bits, BLOCK);
    }
}

/* ---- making them ---------------------------------------------------------------------------------
 */

typedef struct split_job {
    bitnet_backend *be;
    cpu_head *head;
    const uint16_t *rows; /* f16 [n][k]; their memory, or other, is the head's lots */
    uint8_t *room;        /* [n_threads][room_size] */
    bitnet_os_mutex lock; /* of the arena */
    atomic_bool is_out_of_memory;
} split_job;

/* Of a thread. */
typedef struct split_room {
    uint8_t *lot;   /* [TOGETHER][2 k] what it becomes */
    uint8_t *list;  /* [TOGETHER][k] */
    float *row;     /* [k] */
    uint16_t *size; /* [k] of |v| */
} split_room;

static size_t room_size(int32_t k) {
    return (size_t)k * (3 * TOGETHER + sizeof(float) + sizeof(uint16_t));
}

static split_room room_of(const split_job *j, int32_t thread) {
    const size_t k = (size_t)j->head->k;
    uint8_t *lot = j->room + (size_t)thread * room_size(j->head->k);
    float *row = (float *)(void *)(lot + 3 * TOGETHER * k);
    return (split_room){lot, lot + 2 * TOGETHER * k, row, (uint16_t *)(void *)(row + k)};
}

static const uint16_t *row_of(const split_job *j, int32_t r) {
    return j->rows + (size_t)r * (size_t)j->head->k;
}

/* Row r into the room's lot. */
static planes make_planes(const split_job *j, int32_t r, const split_room *room) {
    const cpu_head *h = j->head;
    const size_t k = (size_t)h->k;
    const int32_t i = r % BITNET_ROW_GROUP; /* lots are whole groups */
    planes p = planes_of(h, room->lot, r, 0.0f);
    bitnet_scan_row out;
    j->be->kern.f16_to_f32(room->row, row_of(j, r), k);
    bitnet_scan_pack(p.six - 4 * i, i, p.two, room->row, h->k, &out);
    for (size_t c = 0; c < k; c++)
        p.low[c] = (uint8_t)row_of(j, r)[c];
    h->d[r] = out.d, h->norm[r] = out.norm, h->off[r] = out.off, h->off2[r] = out.off2;
    p.step = out.d * 0.125f;
    return p;
}

/* The row's limit, from what its planes tell; |v| is left in the room. */
static uint16_t limit_of(const split_job *j, int32_t r, const planes *p, const split_room *room) {
    uint16_t limit = 0, bits[BLOCK];
    for (int32_t at = 0; at < j->head->k; at += BLOCK) {
        uint16_t *size = room->size + at;
        read_planes(&j->be->kern, p, at, bits, size);
        for (int32_t i = 0; i < BLOCK; i++)
            if (bits[i] != row_of(j, r)[at + i] && size[i] >= limit)
                limit = (uint16_t)(size[i] + 1);
    }
    return limit;
}

static uint8_t *take_list(split_job *j, size_t size) {
    bitnet_os_mutex_lock(&j->lock);
    uint8_t *list = bitnet_cpu_arena_alloc(j->be, (size + 3) / 4 * 4);
    bitnet_os_mutex_unlock(&j->lock);
    return list;
}

/* Until the lot is whole its rows stay as they are. */
static bool split_lot(split_job *j, int32_t lot, const split_room *room) {
    cpu_head *h = j->head;
    const int32_t first = lot * TOGETHER, end = cpu_head_end(h, first);
    uint32_t n = 0;
    for (int32_t r = first; r < end; r++) {
        const planes p = make_planes(j, r, room);
        h->limit[r] = limit_of(j, r, &p, room);
        h->high_at[r] = n;
        for (int32_t c = 0; c < h->k; c++) {
            room->list[n] = (uint8_t)(row_of(j, r)[c] >> 8);
            n += room->size[c] < h->limit[r];
        }
    }
    h->high[lot] = take_list(j, (size_t)n + 1);
    if (!h->high[lot]) return false;
    memcpy(h->high[lot], room->list, n);
    memcpy(cpu_head_lot(h, first), room->lot, (size_t)(end - first) * 2 * (size_t)h->k);
    return true;
}

static void split_lots(void *ctx, int32_t begin, int32_t end, int32_t thread) {
    split_job *j = ctx;
    const split_room room = room_of(j, thread);
    for (int32_t lot = begin; lot < end && !atomic_load(&j->is_out_of_memory); lot++)
        if (!split_lot(j, lot, &room)) atomic_store(&j->is_out_of_memory, true);
}

bool bitnet_cpu_planes_fit(const bitnet_tensor *t) {
    return t->rewrite && t->type == BITNET_TYPE_F16 && t->scale == 1.0f &&
           t->ne[1] % BITNET_ROW_GROUP == 0 && t->ne[0] % BLOCK == 0;
}

static size_t lots_of(size_t n) {
    return (n - 1) / TOGETHER + 1;
}

static size_t tables_size(size_t n) {
    const size_t row = 4 * sizeof(float) + sizeof(uint32_t) + sizeof(uint16_t);
    return (n * row + lots_of(n) * sizeof(uint8_t *) + 3) / 4 * 4;
}

uint64_t bitnet_cpu_planes_size(const bitnet_tensor *t) {
    const size_t n = (size_t)t->ne[1];
    return tables_size(n) + n * (size_t)t->ne[0] / 4; /* bytes listed: more than most take */
}

bool bitnet_cpu_planes_make(bitnet_backend *be, bitnet_weight *w, const bitnet_tensor *t,
                            cpu_head *h) {
    const size_t n = (size_t)w->n;
    const size_t size = (size_t)bitnet_pool_size(be->pool) * room_size(w->k);
    split_job j = {.be = be, .head = h, .rows = t->data};
    uint8_t *tables = bitnet_cpu_arena_alloc(be, tables_size(n));
    j.room = bitnet_alloc_raw(&be->allocator, size);
    w->is_split = j.room && tables && bitnet_os_mutex_init(&j.lock) >= 0;
    if (w->is_split) {
        *h = (cpu_head){.lots = t->rewrite,
                        .lot_size = (size_t)TOGETHER * 2 * (size_t)w->k,
                        .n_together = TOGETHER,
                        .n = w->n,
                        .k = w->k,
                        .k_more = w->k,
                        .high = (uint8_t **)(void *)tables};
        h->d = (float *)(void *)(h->high + lots_of(n));
        h->norm = h->d + n, h->off = h->d + 2 * n, h->off2 = h->d + 3 * n;
        h->high_at = (uint32_t *)(void *)(h->d + 4 * n);
        h->limit = (uint16_t *)(void *)(h->high_at + n);
        bitnet_pool_run(be->pool, split_lots, &j, (int32_t)lots_of(n), 1);
        bitnet_os_mutex_destroy(&j.lock);
        w->is_split = !atomic_load(&j.is_out_of_memory);
    }
    bitnet_free(&be->allocator, j.room, size);
    return w->is_split;
}
