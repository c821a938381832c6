/* tern_matmul_amx.c: tdpbsud multiplies a tile of 16 tokens x 64 activations, as xq holds them, by
 * a tile of 64 weights x 16 rows: a group's four vectors of a step, fields taken apart, one tile
 * row each (Intel SDM vol. 2, TDPBSUD; the codes are its unsigned operand). Two blocks of tokens
 * and two groups make four accumulator tiles, which stay in registers for the whole of k: a tensor
 * has one scale.
 *
 * A step of 64 weights keeps the tile unit busy for 4 x 16 cycles. Unpacking its two B tiles anew
 * for every 32 tokens is 32 stores (one a cycle) and 56 shifts and masks (two a cycle): 32 cycles
 * beside those 64, and 8 bytes a cycle of weights. Unpacking a panel once per call instead would
 * need 32 k bytes that a kernel does not have, or accumulators that leave the tiles; and since it
 * outgrows the first cache it would read 32 bytes a cycle from the second, which activations (32
 * more) already load. So the panel is a ring of four steps on the stack, filled two steps ahead:
 * tile loads find stores that have left the store buffer.
 *
 * Per 32 x 32 results some 250 cycles are not multiplication: tile stores, 64 quotients, the first
 * fill of the ring. At k = 2560 that is a tenth. A division would be 640 more, so f32(acc) is
 * divided by Markstein's method, see quotient(). ldtilecfg runs at most twice a call, some 100
 * cycles. One block of tokens has two accumulators, which tdpbsud's latency (52 cycles) holds to
 * 0.6 of the peak; the stream of weights from memory is slower than that. All cycles are counted,
 * for Sapphire Rapids, not measured.
 */
#include "kernels/x86/x86.h"

#include "kernels/kernels.h"

#define MIN_TOKENS 5  /* below, vpdpbusd is as fast */
#define BLOCK      16 /* tokens of a tile */
#define STEP       64 /* weights of a tile */
#define TILE       1024
#define RING       4
#define AHEAD      2
#define PREFETCH   2048              /* as tern_matmul_avx512vnni.c has it */
#define SLICE_SIZE ((size_t)1 << 19) /* of weights; it shares the second cache with activations */

/* GCC 12's tile intrinsics do not say which memory they read. */
#define MEMORY_IS_WRITTEN() __asm__ volatile("" ::: "memory")

typedef struct tile_config { /* the operand of ldtilecfg */
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16];
    uint8_t rows[16];
} tile_config;

/* tmm0 .. 3: results of block 0 with groups 0 and 1, of block 1 with both. tmm4, 5: activations of
 * the blocks. tmm6, 7: weights of the groups. */
static void configure(int32_t tokens) {
    const uint8_t first = (uint8_t)(tokens < BLOCK ? tokens : BLOCK);
    const uint8_t second = (uint8_t)(tokens - first);
    const tile_config c = {
        .palette = 1,
        .colsb = {64, 64, second ? 64 : 0, second ? 64 : 0, 64, second ? 64 : 0, 64, 64},
        .rows = {first, first, second, second, first, second, 16, 16},
    };
    MEMORY_IS_WRITTEN();
    _tile_loadconfig(&c);
}

/* A step of a group: row 4 b + f of the tile is field f of vector b. */
static inline void unpack(uint8_t *tile, const uint8_t *w) {
    const __m512i mask = _mm512_set1_epi8(0x03);
    UNROLL for (int b = 0; b < 4; b++, w += 64) {
        __m512i v = _mm512_loadu_si512((const void *)w);
        _mm_prefetch((const char *)w + PREFETCH, _MM_HINT_T0);
        UNROLL for (int f = 0; f < 4; f++, tile += 64) {
            _mm512_store_si512((void *)tile, _mm512_and_si512(v, mask));
            v = _mm512_srli_epi16(v, 2);
        }
    }
}

__attribute__((always_inline)) static inline void
multiply(const int8_t *x, ptrdiff_t k, uint8_t (*b)[TILE], const int blocks, const int groups) {
    _tile_loadd(4, x, k);
    _tile_loadd(6, b[0], 64);
    _tile_dpbsud(0, 4, 6);
    if (groups > 1) {
        _tile_loadd(7, b[1], 64);
        _tile_dpbsud(1, 4, 7);
    }
    if (blocks > 1) {
        _tile_loadd(5, x + BLOCK * k, k);
        _tile_dpbsud(2, 5, 6);
        if (groups > 1) _tile_dpbsud(3, 5, 7);
    }
}

/* a / s, correctly rounded, for whole a of at most 2^31. With inv = 1 / s rounded, a * inv is off
 * by less than 1.5 ulp, one correction makes that less than 1, and from there the next rounds
 * correctly (Markstein, IBM J. Res. Dev. 34, 1990: the remainder is exact; nothing underflows for
 * whole a). SMALLEST_S keeps a * inv finite; a smaller s comes from activations above 2^66. */
#define SMALLEST_S 0x1p-60f
static inline __m512 quotient(__m512 a, float s, float inv) {
    const __m512 vs = _mm512_set1_ps(s), vi = _mm512_set1_ps(inv);
    if (s < SMALLEST_S) return _mm512_div_ps(a, vs);
    __m512 q = _mm512_mul_ps(a, vi);
    q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, vs, a), vi, q);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(q, vs, a), vi, q);
}

/* f32(acc - xsum) / s * w_scale, in that order; rows at or past n are dropped. */
static inline void store(const bitnet_tern_args *a, int32_t r, int32_t t, const int32_t *acc) {
    __m512i v = _mm512_load_si512((const void *)acc);
    __m512 y = _mm512_cvtepi32_ps(_mm512_sub_epi32(v, _mm512_set1_epi32(a->xsum[t])));
    y = quotient(y, a->s[t], 1.0f / a->s[t]);
    y = _mm512_mul_ps(y, _mm512_set1_ps(a->w_scale));
    _mm512_mask_storeu_ps(a->y + t * a->ldy + r, first_lanes(a->n - r), y);
}

/* Groups from row r on, tokens t and up; blocks and groups are constants where this is inlined. */
__attribute__((always_inline)) static inline void results(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, int32_t tokens,
                                                          const int blocks, const int groups) {
    _Alignas(64) uint8_t ring[RING][2][TILE];
    _Alignas(64) int32_t acc[2 * BLOCK][2 * BITNET_ROW_GROUP];
    const ptrdiff_t k = a->k, group_size = 4 * k;
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * group_size;
    const int8_t *x = a->xq + t * k;

    _tile_zero(0);
    _tile_zero(1);
    if (blocks > 1) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (ptrdiff_t i = -AHEAD; i < k / STEP; i++) {
        if (i + AHEAD < k / STEP) {
            for (int g = 0; g < groups; g++)
                unpack(ring[(i + AHEAD) % RING][g], w + g * group_size);
            w += 4 * STEP;
            MEMORY_IS_WRITTEN();
        }
        if (i >= 0) multiply(x + i * STEP, k, ring[i % RING], blocks, groups);
    }
    _tile_stored(0, acc[0], sizeof *acc);
    if (groups > 1) _tile_stored(1, &acc[0][16], sizeof *acc);
    if (blocks > 1) _tile_stored(2, acc[BLOCK], sizeof *acc);
    if (blocks > 1 && groups > 1) _tile_stored(3, &acc[BLOCK][16], sizeof *acc);
    for (int32_t i = 0; i < tokens; i++)
        for (int g = 0; g < groups; g++)
            store(a, r + 16 * g, t + i, &acc[i][16 * g]);
}

/* Tokens t .. end - 1, so many at a time, by rows r .. r_end - 1. */
static void sweep_rows(const bitnet_tern_args *a, int32_t r, int32_t r_end, int32_t t,
                       int32_t tokens) {
#define ROWS(blocks)                                                                               \
    for (; r_end - r > 16; r += 32)                                                                \
        results(a, r, t, tokens, blocks, 2);                                                       \
    if (r < r_end) results(a, r, t, tokens, blocks, 1)
    if (tokens > BLOCK) {
        ROWS(2);
    } else {
        ROWS(1);
    }
#undef ROWS
}

/* A slice of the weights stays in the second cache while all tokens pass, and the activations of a
 * tile while the slice does. */
static void sweep(const bitnet_tern_args *a, int32_t t_begin, int32_t t_end, int32_t tokens) {
    const int32_t fit = (int32_t)(SLICE_SIZE / ((size_t)a->k / 4) / 32 * 32);
    const int32_t rows = fit ? fit : 32;
    configure(tokens);
    for (int32_t r = 0; r < a->n; r += rows)
        for (int32_t t = t_begin; t < t_end; t += tokens)
            sweep_rows(a, r, a->n - r < rows ? a->n : r + rows, t, tokens);
}

void bitnet_tern_matmul_amx(const bitnet_tern_args *a) {
    const int32_t whole = a->m / (2 * BLOCK) * (2 * BLOCK);
    if (a->m < MIN_TOKENS) {
        bitnet_tern_matmul_avx512vnni(a);
        return;
    }
    if (whole) sweep(a, 0, whole, 2 * BLOCK);
    if (whole < a->m) sweep(a, whole, a->m, a->m - whole);
    _tile_release(); /* or each switch of threads saves 8 KiB */
}
