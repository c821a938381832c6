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
                bitnet_json_put(w, "\\u%04x", (unsigned)cp);
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

void bitnet_json_put_measure(bitnet_json_writer *w, const char *key, double v) {
    char text[40];
    bitnet_json_put(w, ",\"%s\":", key);
    snprintf(text, sizeof text, "%.9g", v);
    put_digits(w, text);
}

void bitnet_json_put_member(bitnet_json_writer *w, const char *key, double v) {
    if (!isfinite(v)) return;
    bitnet_json_put(w, ",\"%s\":", key);
    bitnet_json_put_number(w, v);
}
