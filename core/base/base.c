/* base.c: raising errors, escaping untrusted text, the allocator, the log hook. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bitnet_status_name(bitnet_status status) {
    switch (status) {
#define X(name, value, text)                                                                       \
    case BITNET_##name:                                                                            \
        return "BITNET_" #name;
        BITNET_STATUS_LIST(X)
#undef X
    }
    return "BITNET_?";
}

const char *bitnet_status_text(bitnet_status status) {
    switch (status) {
#define X(name, value, text)                                                                       \
    case BITNET_##name:                                                                            \
        return text;
        BITNET_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

bitnet_status bitnet_fail(bitnet_error *err, bitnet_status status, const char *id, const char *fmt,
                          ...) {
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->status = status;
        err->id = id;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return status;
}

const char *bitnet_escape(bitnet_escaped *buf, const void *bytes, size_t n) {
    static const char hex[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    bool is_cut = n > 64;
    char *o = buf->s;
    for (size_t i = 0; i < (is_cut ? 61 : n); i++) {
        if (b[i] >= 0x20 && b[i] < 0x7f && b[i] != '\\') {
            *o++ = (char)b[i];
        } else {
            *o++ = '\\', *o++ = 'x', *o++ = hex[b[i] >> 4], *o++ = hex[b[i] & 15];
        }
    }
    if (is_cut) *o++ = '.', *o++ = '.', *o++ = '.';
    *o = 0;
    return buf->s;
}

void *bitnet_alloc_raw(const bitnet_allocator *a, size_t size) {
    if (size == 0) return NULL;
    return a && a->alloc ? a->alloc(a->ctx, size) : malloc(size);
}

void *bitnet_alloc(const bitnet_allocator *a, size_t size) {
    if (size > 0 && (!a || !a->alloc)) return calloc(1, size);
    void *p = bitnet_alloc_raw(a, size);
    if (p) memset(p, 0, size);
    return p;
}

void bitnet_free(const bitnet_allocator *a, void *ptr, size_t size) {
    if (!ptr) return;
    if (!a || !a->alloc)
        free(ptr);
    else
        a->free(a->ctx, ptr, size);
}

void bitnet_log(const bitnet_logger *l, bitnet_log_level level, const char *fmt, ...) {
    if (!l || !l->log) return;
    char line[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    l->log(l->ctx, level, line);
}
