/* tern_matmul_avx512vnni.c: tiles of rows and tokens, two rows in each 512-bit register.
 *
 * A block of 128 weights is 32 bytes, so a register holds the same block of two neighbouring rows,
 * and the 32 activations of a field are broadcast to both halves. vpdpbusd takes the codes as its
 * unsigned operand and adds four products to an i32 lane without saturating.
 *
 * One shift and four masks unpack a register; fields 0 and 2 stay multiplied by 4 and are summed
 * apart, then divided exactly. Bound: such a lane gains at most 2*4*8*128 = 8192 per block, so it
 * lasts for 2^18 blocks, twice the 2^24 weights that the contract's own |acc| <= 127 k allows.
 */
#include "kernels/x86/tern_x86.h"

#define MAX_PAIRS  4
#define MAX_TOKENS 4

static inline __m512i load_pair(const uint8_t *row0, const uint8_t *row1) {
    __m256i lo = _mm256_loadu_si256((const __m256i *)(const void *)row0);
    __m256i hi = _mm256_loadu_si256((const __m256i *)(const void *)row1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}

static inline __m512i broadcast(const int8_t *x) {
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static inline i32x16 dot(i32x16 acc, __m512i codes, __m512i x) {
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, x);
}

/* Row sums of two registers, that is, of four rows. */
static inline __m128i sum_rows(__m512i a, __m512i b) {
    return sum_i32x8_of_4(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1),
                          _mm512_castsi512_si256(b), _mm512_extracti64x4_epi64(b, 1));
}

/* The weights that the next tile reads, as one linear stream: each step of this tile fetches as
 * many bytes as it consumes. Within the rows of a tile the addresses jump, which hardware
 * prefetchers follow badly when rows are short (640 bytes at k = 2560). Always inlined: GCC 12
 * takes a function that only prefetches for one without effect and drops its calls. */
__attribute__((always_inline)) static inline void prefetch_next(const uint8_t *next,
                                                                ptrdiff_t block, int pairs) {
    UNROLL for (int i = 0; i < pairs; i++) {
        _mm_prefetch((const char *)next + (block * pairs + i) * 64, _MM_HINT_T0);
    }
}

/* Rows r .. r + 2 pairs - 1 with tokens t .. t + tokens - 1; pairs (even) and tokens are constants
 * where this is inlined. Rows past n repeat the last one and are not stored. */
__attribute__((always_inline)) static inline void
tile(const bitnet_tern_args *a, int32_t r, int32_t t, const int pairs, const int tokens) {
    const __m512i low = _mm512_set1_epi8(0x03), high = _mm512_set1_epi8(0x0c);
    const ptrdiff_t row_size = a->k / 4, n_blocks = a->k / BITNET_K_BLOCK;
    const uint8_t *w[2 * MAX_PAIRS], *next;
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    i32x16 once[MAX_TOKENS][MAX_PAIRS], times4[MAX_TOKENS][MAX_PAIRS];

    UNROLL for (int i = 0; i < 2 * pairs; i++) {
        w[i] = a->w + (r + i < a->n ? r + i : a->n - 1) * row_size;
    }
    next = r + 4 * pairs <= a->n ? w[0] + 2 * pairs * row_size : w[0];
    UNROLL for (int i = 0; i < tokens; i++) {
        UNROLL for (int p = 0; p < pairs; p++) {
            once[i][p] = times4[i][p] = (i32x16){0};
        }
    }

    for (ptrdiff_t b = 0; b < n_blocks; b++, x += BITNET_K_BLOCK) {
        __m512i field[MAX_PAIRS][4];
        if (tokens == 1) prefetch_next(next, b, pairs);
        UNROLL for (int p = 0; p < pairs; p++) {
            __m512i v = load_pair(w[2 * p] + 32 * b, w[2 * p + 1] + 32 * b);
            __m512i v4 = _mm512_srli_epi16(v, 4);
            field[p][0] = _mm512_and_si512(v4, high);
            field[p][1] = _mm512_and_si512(v4, low);
            field[p][2] = _mm512_and_si512(v, high);
            field[p][3] = _mm512_and_si512(v, low);
        }
        UNROLL for (int i = 0; i < tokens; i++) {
            const int8_t *xi = x + (ptrdiff_t)i * a->k;
            __m512i x0 = broadcast(xi), x1 = broadcast(xi + 32);
            __m512i x2 = broadcast(xi + 64), x3 = broadcast(xi + 96);
            UNROLL for (int p = 0; p < pairs; p++) {
                times4[i][p] = dot(times4[i][p], field[p][0], x0);
                once[i][p] = dot(once[i][p], field[p][1], x1);
                times4[i][p] = dot(times4[i][p], field[p][2], x2);
                once[i][p] = dot(once[i][p], field[p][3], x3);
            }
        }
    }
    UNROLL for (int i = 0; i < tokens; i++) {
        UNROLL for (int p = 0; p < pairs; p += 2) {
            i32x16 s0 = once[i][p] + (times4[i][p] >> 2);
            i32x16 s1 = once[i][p + 1] + (times4[i][p + 1] >> 2);
            tern_store_rows(a, t + i, r + 2 * p, sum_rows((__m512i)s0, (__m512i)s1));
        }
    }
}

void bitnet_tern_matmul_avx512vnni(const bitnet_tern_args *a) {
    for (int32_t r = 0; r < a->n; r += 8) {
        int32_t t = 0;
        for (; t + 4 <= a->m; t += 4) /* prefill: an unpacked weight serves four tokens */
            for (int32_t i = r; i < r + 8 && i < a->n; i += 4)
                tile(a, i, t, 2, 4);
        for (; t < a->m; t++)
            tile(a, r, t, 4, 1); /* decode: an activation serves eight rows */
    }
}
