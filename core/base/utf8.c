/* utf8.c: see utf8.h. The well-formed sequences are those of Unicode's table 3-7: given the first
 * byte, only the range of the second one varies.
 */
#include "base/utf8.h"

#include <string.h>

/* Length of the sequence that `first` begins and the allowed range of its second byte; 0 when no
 * sequence begins so. */
static int lead(uint8_t first, uint8_t *lo, uint8_t *hi) {
    *lo = 0x80;
    *hi = 0xbf;
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0; /* a continuation byte, or overlong */
    if (first < 0xe0) return 2;
    if (first == 0xe0) *lo = 0xa0; /* less is overlong */
    if (first == 0xed) *hi = 0x9f; /* more is a surrogate */
    if (first < 0xf0) return 3;
    if (first == 0xf0) *lo = 0x90; /* less is overlong */
    if (first == 0xf4) *hi = 0x8f; /* more is above U+10FFFF */
    return first < 0xf5 ? 4 : 0;
}

/* How many of the first `max` bytes at s agree with one sequence; *len is that sequence's length,
 * 0 when not even the first byte can begin one. */
static int match(const char *s, size_t max, int *len) {
    uint8_t lo, hi;
    *len = lead((uint8_t)s[0], &lo, &hi);
    int n = *len ? 1 : 0;
    while (n < *len && (size_t)n < max) {
        uint8_t b = (uint8_t)s[n];
        if (b < lo || b > hi) break;
        lo = 0x80;
        hi = 0xbf;
        n++;
    }
    return n;
}

int bitnet_utf8_decode(const char *s, size_t n, uint32_t *cp) {
    static const uint8_t first_mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    int len;
    if (n == 0 || match(s, n, &len) < len || len == 0) return 0;
    uint32_t v = (uint8_t)s[0] & first_mask[len];
    for (int i = 1; i < len; i++)
        v = v << 6 | ((uint8_t)s[i] & 0x3f);
    *cp = v;
    return len;
}

size_t bitnet_utf8_check(const char *s, size_t n) {
    size_t i = 0;
    uint32_t cp;
    while (i < n) {
        int len = bitnet_utf8_decode(s + i, n - i, &cp);
        if (len == 0) return i;
        i += (size_t)len;
    }
    return n;
}

size_t bitnet_utf8_pending(const char *s, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        int len, n_ok = match(s + n - back, back, &len);
        if (len > 0) return (size_t)n_ok == back && (size_t)len > back ? back : 0;
    }
    return 0;
}

size_t bitnet_utf8_fit(const char *s, size_t cap) {
    if (!s) return 0;
    const char *end = memchr(s, 0, cap);
    return end ? (size_t)(end - s) : cap - 1 - bitnet_utf8_pending(s, cap - 1);
}

void bitnet_utf8_copy(char *dst, size_t cap, const char *s) {
    size_t n = bitnet_utf8_fit(s, cap);
    if (n > 0) memcpy(dst, s, n);
    dst[n] = 0;
}

int bitnet_utf8_encode(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) return 0;
    int len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    uint8_t mark = (uint8_t)(0xf00 >> len); /* 0xc0, 0xe0, 0xf0 */
    for (int i = len - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)(mark | cp);
    return len;
}

size_t bitnet_utf8_repaired_len(const char *s, size_t n) {
    size_t len = n;
    for (size_t i = bitnet_utf8_check(s, n); i < n;
         i += 1 + bitnet_utf8_check(s + i + 1, n - i - 1))
        len += 2;
    return len;
}

char *bitnet_utf8_repair(char *out, const char *s, size_t n) {
    while (n) {
        size_t ok = bitnet_utf8_check(s, n);
        memcpy(out, s, ok);
        out += ok;
        if (ok == n) break;
        out += bitnet_utf8_encode(0xfffd, out);
        s += ok + 1;
        n -= ok + 1;
    }
    return out;
}
