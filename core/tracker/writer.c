/* writer.c: see writer.h. */
#include "tracker/writer.h"

#include <stdarg.h>
#include <stdio.h>

void bitnet_put(bitnet_writer *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(w->buf + w->len, w->cap - w->len, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= w->cap - w->len)
        w->is_cut = true;
    else
        w->len += (size_t)n;
}

void bitnet_put_string(bitnet_writer *w, const char *s) {
    bitnet_put(w, "\"");
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            bitnet_put(w, "\\%c", c);
        else if (c < 0x20)
            bitnet_put(w, "\\u%04x", c);
        else
            bitnet_put(w, "%c", c);
    }
    bitnet_put(w, "\"");
}

void bitnet_put_number(bitnet_writer *w, const char *key, double v) {
    bitnet_put(w, ",\"%s\":%.9g", key, v);
}
