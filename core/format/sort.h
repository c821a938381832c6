/* sort.h: sorts an index in place, without recursion or memory, in O(n log n) whatever the input.
 * The keys come from a file, so a sort with a bad worst case (or libc's, which may allocate) will
 * not do. Heap sort (Williams 1964); not stable: `less` breaks ties itself where that matters.
 */
#ifndef BITNET_SORT_H
#define BITNET_SORT_H

#include <stdbool.h>
#include <stdint.h>

typedef bool (*bitnet_less_fn)(const void *ctx, uint32_t a, uint32_t b);

static inline void bitnet_sort_sift(uint32_t *v, uint32_t root, uint32_t n, bitnet_less_fn less,
                                    const void *ctx) {
    uint32_t moving = v[root];
    while (root < n / 2) { /* has a child */
        uint32_t child = 2 * root + 1;
        if (child + 1 < n && less(ctx, v[child], v[child + 1])) child++;
        if (!less(ctx, moving, v[child])) break;
        v[root] = v[child];
        root = child;
    }
    v[root] = moving;
}

/* index [n] ascending by less; n < 2^31 */
static inline void bitnet_sort(uint32_t *index, uint32_t n, bitnet_less_fn less, const void *ctx) {
    for (uint32_t i = n / 2; i > 0; i--)
        bitnet_sort_sift(index, i - 1, n, less, ctx);
    for (uint32_t end = n; end > 1; end--) {
        uint32_t top = index[0];
        index[0] = index[end - 1];
        index[end - 1] = top;
        bitnet_sort_sift(index, 0, end - 1, less, ctx);
    }
}

#endif
