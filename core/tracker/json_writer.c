/* json_writer.c: see json_writer.h. */
#include "tracker/json_writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void bitnet_json_put(bitnet_json_writer *w, const char *fmt, ...) {
    size_t room = w->len < w->cap ? w->cap - w->len : 0;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(room ? w->buf + w->len : NULL, room, fmt, ap);
    va_end(ap);
    if (n > 0) w->len += (size_t)n;
}

void bitnet_json_put_string(bitnet_json_writer *w, const char *s) {
    bitnet_json_put(w, "\"");
    const char *plain = s ? s : "", *at = plain; /* [plain, at) goes out as it is */
    for (size_t left = strlen(at); left > 0;) {
        uint32_t cp = 0;
        int n = bitnet_utf8_decode(at, left, &cp);
        bool is_plain = n > 0 && cp >= 0x20 && cp != 0x7f && cp != '"' && cp != '\\';
        if (!is_plain) {
            bitnet_json_put(w, "%.*s", (int)(at - plain), plain);
            if (n == 0)
                bitnet_json_put(w, "\xef\xbf\xbd");
            else if (cp == '"' || cp == '\\')
                bitnet_json_put(w, "\\%c", (int)cp);
            else
                bitnet_json_put(w, " ");
        }
        at += n ? n : 1;
        left -= n ? (size_t)n : 1;
        if (!is_plain) plain = at;
    }
    bitnet_json_put(w, "%s\"", plain);
}

/* The locale's decimal point, of one byte or more, becomes a point. */
static void put_digits(bitnet_json_writer *w, char *text) {
    char *end = text;
    for (const char *c = text; *c; c++) {
        if (strchr("0123456789+-e", *c))
            *end++ = *c;
        else if (end > text && end[-1] != '.')
            *end++ = '.';
    }
    bitnet_json_put(w, "%.*s", (int)(end - text), text);
}

void bitnet_json_put_number(bitnet_json_writer *w, double v) {
    char text[40];
    snprintf(text, sizeof text, "%.15g", v);
    if (strtod(text, NULL) != v) snprintf(text, sizeof text, "%.17g", v);
    put_digits(w, text);
}

static void put_bytes(bitnet_json_writer *w, const char *bytes, size_t n) {
    size_t room = w->len < w->cap ? w->cap - w->len - 1 : 0;
    if (n <= room) {
        memcpy(w->buf + w->len, bytes, n);
        w->buf[w->len + n] = 0;
    }
    w->len += n;
}

void bitnet_json_put_text(bitnet_json_writer *w, const char *s) {
    put_bytes(w, s, strlen(s));
}

/* The digits of v, at the end of `text`; returns where they begin. */
static char *digits_of(uint64_t v, char text[20]) {
    char *at = text + 20;
    do {
        *--at = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return at;
}

void bitnet_json_put_uint(bitnet_json_writer *w, uint64_t v) {
    char text[20], *at = digits_of(v, text);
    put_bytes(w, at, (size_t)(text + 20 - at));
}

/* v > 0 as nine digits, zeros at their end left out, and a power of ten: v is about digits * 10^exponent. */
static uint64_t nine_digits(double v, int *exponent) {
    static const double ten_to[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int e = 0, e2;
    for (; v >= 1e30; v /= 1e22) /* out of the table's reach, and of any metric's */
        e += 22;
    for (; v < 1e-13; v *= 1e22)
        e -= 22;
    frexp(v, &e2); /* v is in [2^(e2-1), 2^e2); log10(2) = 0.30103 */
    int shift = (int)floor((e2 - 1) * 0.30103) - 8;
    v = shift < 0 ? v * ten_to[-shift] : v / ten_to[shift];
    if (v >= 1e9) v /= 10, shift++;
    uint64_t digits = (uint64_t)(v + 0.5);
    *exponent = e + shift;
    for (; digits % 10 == 0; digits /= 10)
        ++*exponent;
    return digits;
}

void bitnet_json_put_measure(bitnet_json_writer *w, const char *key, double v) {
    put_bytes(w, ",\"", 2);
    bitnet_json_put_text(w, key);
    put_bytes(w, "\":", 2);
    if (v < 0) put_bytes(w, "-", 1);
    v = fabs(v);
    if (v < 9e15 && v == (double)(uint64_t)v) {
        bitnet_json_put_uint(w, (uint64_t)v);
        return;
    }
    int exponent;
    bitnet_json_put_uint(w, nine_digits(v, &exponent));
    if (exponent == 0) return;
    put_bytes(w, exponent < 0 ? "e-" : "e", exponent < 0 ? 2 : 1);
    bitnet_json_put_uint(w, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

void bitnet_json_put_member(bitnet_json_writer *w, const char *key, double v) {
    if (!isfinite(v)) return;
    bitnet_json_put(w, ",\"%s\":", key);
    bitnet_json_put_number(w, v);
}
