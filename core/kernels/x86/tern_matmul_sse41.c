/* tern_matmul_sse41.c: SSSE3's pmaddubsw multiplies codes and activations and adds two neighbours into a
 * 16-bit lane, and it saturates, so everything here keeps such lanes within [-32767, 32767]. The two
 * lanes of a row are added when they are widened. |xq| <= 127.
 *
 * A 64-byte vector of a group is four registers of four rows, and the 16 activations it meets are one:
 * pshufd takes out the four of a field. Every field is shifted down, so a lane gains at most
 * 4 * (2*2*127) = 2032 per vector and is widened after 16, at 32512.
 *
 * A tile is a whole group and one token (decode) or half a group and four tokens, whose unpacked codes
 * serve all four: 4 or 8 accumulators; codes, activations, mask and products take the rest.
 */
#include "kernels/tern_tiles.h"
#include "kernels/x86/x86.h"

#define MAX_QUARTERS 4
#define MAX_TOKENS   4
#define FLUSH        16 /* vectors between two widenings */

typedef struct tern_tile {
    const uint8_t *w;
    const int8_t *x; /* [tokens][k] */
    ptrdiff_t k;
    int quarters, tokens; /* constants wherever they appear */
} tern_tile;

static inline __m128i load(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

/* Four activations for all rows; f is a constant where this is inlined. */
static inline __m128i activations(__m128i x, const int f) {
    switch (f) {
    case 0:
        return _mm_shuffle_epi32(x, 0x00);
    case 1:
        return _mm_shuffle_epi32(x, 0x55);
    case 2:
        return _mm_shuffle_epi32(x, 0xaa);
    default:
        return _mm_shuffle_epi32(x, 0xff);
    }
}

/* Vector b */
__attribute__((always_inline)) static inline void step(u16x8 sum[MAX_TOKENS][MAX_QUARTERS],
                                                       const tern_tile *d, ptrdiff_t b) {
    const __m128i mask = _mm_set1_epi8(0x03);
    UNROLL for (int f = 0; f < 4; f++) {
        __m128i codes[MAX_QUARTERS];
        UNROLL for (int q = 0; q < d->quarters; q++) {
            __m128i v = load(d->w + 64 * b + 16 * q);
            codes[q] = _mm_and_si128(f ? _mm_srli_epi16(v, 2 * f) : v, mask);
        }
        UNROLL for (int i = 0; i < d->tokens; i++) {
            __m128i xi = activations(load(d->x + i * d->k + 16 * b), f);
            UNROLL for (int q = 0; q < d->quarters; q++) {
                sum[i][q] += (u16x8)_mm_maddubs_epi16(codes[q], xi);
                KEEP(sum[i][q]);
            }
        }
    }
}

/* Rows r .. and tokens t .. */
__attribute__((always_inline)) static inline void
tile(const bitnet_tern_args *a, int32_t r, int32_t t, const int quarters, const int tokens) {
    const ptrdiff_t k = a->k, n_vectors = k / 16;
    const tern_tile d = {.w = tern_weights(a, r),
                         .x = a->xq + t * k,
                         .k = k,
                         .quarters = quarters,
                         .tokens = tokens};
    i32x4 acc[MAX_TOKENS][MAX_QUARTERS];
    u16x8 sum[MAX_TOKENS][MAX_QUARTERS];
    UNROLL for (int i = 0; i < tokens; i++) {
        UNROLL for (int q = 0; q < quarters; q++) {
            acc[i][q] = (i32x4){0};
        }
    }
    for (ptrdiff_t first = 0; first < n_vectors; first += FLUSH) {
        const ptrdiff_t end = n_vectors - first < FLUSH ? n_vectors : first + FLUSH;
        UNROLL for (int i = 0; i < tokens; i++) {
            UNROLL for (int q = 0; q < quarters; q++) {
                sum[i][q] = (u16x8){0};
            }
        }
        for (ptrdiff_t b = first; b < end; b++)
            step(sum, &d, b);
        UNROLL for (int i = 0; i < tokens; i++) {
            UNROLL for (int q = 0; q < quarters; q++) {
                acc[i][q] += (i32x4)_mm_madd_epi16((__m128i)sum[i][q], _mm_set1_epi16(1));
            }
        }
    }
    UNROLL for (int i = 0; i < tokens; i++) {
        UNROLL for (int q = 0; q < quarters; q++) {
            tern_store_4(a, t + i, r + 4 * q, acc[i][q]);
        }
    }
}

void bitnet_tern_matmul_sse41(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(4, 8) tile(a, r, t, 2, 4);
    TILES(1, BITNET_ROW_GROUP) tile(a, r, t, 4, 1);
}
