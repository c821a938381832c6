/* heap.h: candidates of one draw in a binary heap, largest first.
 *
 * The order (logit descending, id ascending) is total, so every target pops the same sequence. No
 * NaN may enter: it has no place in the order.
 */
#ifndef BITNET_HEAP_H
#define BITNET_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fmath.h"

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

static inline bool heap_comes_before(candidate a, candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restores the heap property of c[0..n) below index i: every parent comes before its children. */
static inline void heap_sift(candidate *c, int32_t n, int32_t i) {
    candidate moving = c[i];
    for (;;) {
        int64_t child = 2 * (int64_t)i + 1;
        if (child >= n) break;
        if (child + 1 < n && heap_comes_before(c[child + 1], c[child])) child++;
        if (!heap_comes_before(c[child], moving)) break;
        c[i] = c[child];
        i = (int32_t)child;
    }
    c[i] = moving;
}

static inline void heap_make(candidate *c, int32_t n) {
    for (int32_t i = n / 2 - 1; i >= 0; i--)
        heap_sift(c, n, i);
}

/* Moves the first of the heap c[0..n) to c[n - 1]. Popping repeatedly leaves the candidates sorted
 * from the array's end backwards. */
static inline candidate heap_pop(candidate *c, int32_t n) {
    candidate top = c[0];
    c[0] = c[n - 1];
    c[n - 1] = top;
    heap_sift(c, n - 1, 0);
    return top;
}

/* e^x for x <= 0, 0 where it no longer matters: the weight of a candidate x below the largest. */
static inline double heap_weight(double x) {
    return x < -700.0 ? 0.0 : fmath_exp(x);
}

#endif
