/* tern5_matvec_avx512vnni.c: digits are never taken out. With c[0] a byte, c[f + 1] = 3 c[f] mod 256,
 * digit f is (3 c[f] - c[f + 1]) / 256. So a sum of digits times activations is that of the bytes
 * themselves,
 *
 *     256 sum d[f] x[f] = 3 sum c[f] x[f] - sum c[f + 1] x[f],
 *
 * and vpdpbusd takes bytes: two of them and two additions (3 c = c + c + c, which wraps by itself) for
 * each of the five digits, 20 operations for 320 weights. Sums may wrap: what is left modulo 2^32 is
 * 256 times a number below 2^23 in magnitude, as k <= 32768. Four groups side by side, as tern_matmul, or
 * two where tokens need the accumulators; near their ends what is fetched ahead are the beginnings of
 * the next ones.
 */
#include "kernels/x86/tern_avx512.h"

#define MAX_GROUPS 4
#define MAX_TOKENS BITNET_TERN5_MAX_TOKENS
#define PREFETCH   4096 /* bytes ahead in each stream; docs/speed.md */

static inline __m512i times3(__m512i c) {
    return _mm512_add_epi8(c, _mm512_add_epi8(c, c));
}

/* Sums over bytes, and over the bytes that follow them. */
typedef struct sums {
    i32x16 c, next;
} sums;

/* Where a vector of each group is, and the activations of each token. */
typedef struct place {
    const uint8_t *w;
    ptrdiff_t group_size, ahead;
    const int8_t *x;
    ptrdiff_t ldx;
} place;

/* groups and tokens are constants where this is inlined. */
__attribute__((always_inline)) static inline void step(sums acc[MAX_TOKENS][MAX_GROUPS], place p,
                                                       const int groups, const int tokens) {
    __m512i c[MAX_GROUPS], x[MAX_TOKENS];
    UNROLL for (int g = 0; g < groups; g++) {
        const uint8_t *at = p.w + g * p.group_size;
        _mm_prefetch((const char *)at + p.ahead, _MM_HINT_T0);
        c[g] = load(at);
        KEEP(c[g]);
    }
    UNROLL for (int f = 0; f < 5; f++) {
        UNROLL for (int t = 0; t < tokens; t++) {
            x[t] = activations(p.x + t * p.ldx + 4 * f);
        }
        UNROLL for (int g = 0; g < groups; g++) {
            UNROLL for (int t = 0; t < tokens; t++) {
                acc[t][g].c = dot(acc[t][g].c, c[g], x[t]);
            }
            c[g] = times3(c[g]);
            UNROLL for (int t = 0; t < tokens; t++) {
                acc[t][g].next = dot(acc[t][g].next, c[g], x[t]);
            }
        }
    }
}

/* The sum over digits */
static inline i32x16 digits(sums acc) {
    __m512i c = (__m512i)acc.c, all = _mm512_add_epi32(c, _mm512_add_epi32(c, c));
    return (i32x16)_mm512_sub_epi32(all, (__m512i)acc.next) >> 8;
}

__attribute__((always_inline)) static inline void rows(const bitnet_tern_args *a, int32_t r,
                                                       const int groups, const int tokens) {
    const ptrdiff_t group_size = (ptrdiff_t)bitnet_tern5_group_size(a->k);
    const int32_t tail = a->k % 20;
    place p = {a->w + r / BITNET_ROW_GROUP * group_size, group_size, PREFETCH, a->xq, a->k};
    sums acc[MAX_TOKENS][MAX_GROUPS];
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int g = 0; g < groups; g++) {
            acc[t][g].c = acc[t][g].next = (i32x16){0};
        }
    }
    for (int32_t b = 0; b < a->k / 20; b++, p.w += 64, p.x += 20) {
        p.ahead = tern_ahead(64 * b, PREFETCH, group_size, groups);
        step(acc, p, groups, tokens);
    }
    if (tail) {
        int8_t last[MAX_TOKENS][20] = {{0}};
        for (int t = 0; t < tokens; t++)
            memcpy(last[t], p.x + t * p.ldx, (size_t)tail);
        p.x = last[0], p.ldx = 20;
        p.ahead = tern_ahead(group_size - 64, PREFETCH, group_size, groups);
        step(acc, p, groups, tokens);
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int g = 0; g < groups; g++) {
            store_group(a, t, r + 16 * g, digits(acc[t][g]));
        }
    }
}

#define ROWS(most, tokens)                                                                         \
    for (; most == 4 && a->n - r > 48; r += 64)                                                    \
        rows(a, r, 4, tokens);                                                                     \
    for (; a->n - r > 16; r += 32)                                                                 \
        rows(a, r, 2, tokens);                                                                     \
    if (r < a->n) rows(a, r, 1, tokens)

void bitnet_tern5_matvec_avx512vnni(const bitnet_tern_args *a) {
    int32_t r = 0;
    switch (a->m) {
    case 1:
        ROWS(4, 1);
        break;
    case 2:
        ROWS(4, 2);
        break;
    case 3:
        ROWS(2, 3);
        break;
    case 4:
        ROWS(2, 4);
        break;
    }
}
