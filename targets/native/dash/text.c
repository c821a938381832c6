/* text.c: see text.h. */
#include "dash/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_FIRST = 1024 };

static bool make_room(text_buf *t, size_t n) {
    if (t->has_failed) return false;
    if (t->n + n + 1 <= t->cap) return true;
    size_t cap = t->cap ? t->cap : TEXT_FIRST;
    while (cap < t->n + n + 1)
        cap *= 2;
    char *p = realloc(t->p, cap);
    if (!p) {
        t->has_failed = true;
        return false;
    }
    t->p = p;
    t->cap = cap;
    return true;
}

void text_add(text_buf *t, const char *bytes, size_t n) {
    if (!make_room(t, n)) return;
    memcpy(t->p + t->n, bytes, n);
    t->n += n;
    t->p[t->n] = '\0';
}

void text_put(text_buf *t, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && make_room(t, (size_t)n)) {
        vsnprintf(t->p + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
}

void text_string(text_buf *t, const char *s) {
    text_add(t, "\"", 1);
    for (size_t from = 0, i = 0;; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        text_add(t, s + from, i - from);
        from = i + 1;
        if (c == '\0') break;
        if (c == '"' || c == '\\')
            text_put(t, "\\%c", c);
        else
            text_put(t, "\\u%04x", c);
    }
    text_add(t, "\"", 1);
}

void text_number(text_buf *t, double v) {
    char buf[32];
    if (!isfinite(v)) {
        text_add(t, "null", 4);
        return;
    }
    int n = snprintf(buf, sizeof buf, "%.15g", v);
    if (strtod(buf, NULL) != v) n = snprintf(buf, sizeof buf, "%.17g", v);
    text_add(t, buf, (size_t)n);
}

char *text_take(text_buf *t, size_t *n) {
    text_add(t, "", 0);
    char *p = t->has_failed ? NULL : t->p;
    *n = t->n;
    if (!p) free(t->p);
    *t = (text_buf){.p = NULL};
    return p;
}

void text_free(text_buf *t) {
    free(t->p);
    *t = (text_buf){.p = NULL};
}
