/* buckets.c: see buckets.h. */
#include "dash/buckets.h"

#include <math.h>
#include <string.h>

enum { MIN_EXP = -30, PER_OCTAVE = 16 }; /* an octave: a power of two */

static size_t put_varint(uint8_t *out, uint64_t v) {
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Bytes read; 0 when it does not end, does not fit 64 bits or is longer than it need be. */
static size_t get_varint(const uint8_t *in, size_t n, uint64_t *out) {
    uint64_t v = 0;
    for (size_t i = 0; i < n && i < 10; i++) {
        uint64_t part = in[i] & 0x7f;
        if (i == 9 && part > 1) return 0;
        v |= part << (7 * i);
        if (in[i] & 0x80) continue;
        if (i > 0 && part == 0) return 0;
        *out = v;
        return i + 1;
    }
    return 0;
}

size_t buckets_encode(const buckets *from, uint8_t *out) {
    size_t at = 0;
    int32_t before = 0;
    for (int i = 0; i < from->n; i++) {
        at += put_varint(out + at, (uint64_t)(from->b[i].index - before));
        at += put_varint(out + at, from->b[i].count);
        before = from->b[i].index;
    }
    return at;
}

bool buckets_decode(buckets *out, const void *blob, size_t n) {
    const uint8_t *p = blob;
    uint64_t index = 0;
    out->n = 0;
    for (size_t at = 0; at < n;) {
        uint64_t distance, count;
        size_t step = get_varint(p + at, n - at, &distance);
        size_t more = step ? get_varint(p + at + step, n - at - step, &count) : 0;
        if (!more || distance >= BUCKETS_N - index || (distance == 0 && out->n) || count == 0) {
            out->n = 0;
            return false;
        }
        index += distance;
        out->b[out->n].index = (int32_t)index;
        out->b[out->n++].count = count;
        at += step + more;
    }
    return true;
}

void buckets_merge(buckets *into, const buckets *from) {
    uint64_t count[BUCKETS_N] = {0};
    for (int i = 0; i < into->n; i++)
        count[into->b[i].index] = into->b[i].count;
    for (int i = 0; i < from->n; i++) {
        uint64_t *c = &count[from->b[i].index];
        *c = *c + from->b[i].count < *c ? UINT64_MAX : *c + from->b[i].count;
    }
    into->n = 0;
    for (int32_t i = 0; i < BUCKETS_N; i++) {
        if (!count[i]) continue;
        into->b[into->n].index = i;
        into->b[into->n++].count = count[i];
    }
}

double buckets_quantile(const buckets *of, double q, double min, double max) {
    double total = 0, seen = 0;
    for (int i = 0; i < of->n; i++)
        total += (double)of->b[i].count;
    double rank = ceil(q * total); /* nearest rank */
    int at = 0;
    for (; at < of->n - 1; at++) {
        seen += (double)of->b[at].count;
        if (seen >= rank) break;
    }
    int32_t index = of->b[at].index;
    double width = ldexp(1.0, index / PER_OCTAVE + MIN_EXP) / (double)PER_OCTAVE;
    double middle = width * (double)(PER_OCTAVE + index % PER_OCTAVE) + width / 2;
    return middle < min ? min : middle > max ? max : middle;
}
