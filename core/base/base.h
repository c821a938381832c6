/* base.h: the few helpers every room uses: raising errors, checked sizes, the allocator.
 *
 * Library code returns a status and, for faults in the data, fills a bitnet_error through
 * bitnet_fail(). Sizes read from a file go through the ck_* helpers before they are believed.
 */
#ifndef BITNET_BASE_H
#define BITNET_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitnet/hooks.h"
#include "bitnet/status.h"

/* Fills err (when not NULL) and returns status, so that a check is one line. `id` is a literal. */
bitnet_status bitnet_fail(bitnet_error *err, bitnet_status status, const char *id, const char *fmt,
                          ...) BITNET_PRINTF(4, 5);

/* Untrusted bytes made printable: at most 64 of them, everything but printable ASCII as \xNN.
 * Returns buf. */
typedef struct bitnet_escaped {
    char s[64 * 4 + 4];
} bitnet_escaped;
const char *bitnet_escape(bitnet_escaped *buf, const void *bytes, size_t n);

/* True when the result does not fit; *out is then unspecified. */
static inline bool ck_add(uint64_t a, uint64_t b, uint64_t *out) {
    return __builtin_add_overflow(a, b, out);
}
static inline bool ck_mul(uint64_t a, uint64_t b, uint64_t *out) {
    return __builtin_mul_overflow(a, b, out);
}
/* Rounds up to a power of two `align`. */
static inline bool ck_align(uint64_t a, uint64_t align, uint64_t *out) {
    if (ck_add(a, align - 1, out)) return true;
    *out &= ~(align - 1);
    return false;
}

/* Through the caller's allocator, or malloc when that is {0}; NULL when it fails or size is 0. Zeroed, or
 * _raw: with any contents, so that large memory that is never used is never touched. */
void *bitnet_alloc(const bitnet_allocator *a, size_t size);
void *bitnet_alloc_raw(const bitnet_allocator *a, size_t size);
void bitnet_free(const bitnet_allocator *a, void *ptr, size_t size);

void bitnet_log(const bitnet_logger *l, bitnet_log_level level, const char *fmt, ...)
    BITNET_PRINTF(3, 4);

#endif
