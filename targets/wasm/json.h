/* json.h: what the exports share to answer in JSON: the size of the session's buffer, and strings in it. */
#ifndef BITNET_WASM_JSON_H
#define BITNET_WASM_JSON_H

#include <stddef.h>
#include <stdio.h>

#define SESSION_JSON_CAP 2048

/* Quotes, backslashes and control bytes escaped; names in a file may hold any byte but zero, and the
 * reader's UTF-8 decoder replaces what is not UTF-8. */
static inline size_t json_put_string(char *out, size_t cap, size_t at, const char *key,
                                     const char *text) {
    at += (size_t)snprintf(out + at, cap - at, "\"%s\":\"", key);
    for (; *text && at + 16 < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\' || c < 0x20)
            at += (size_t)snprintf(out + at, cap - at, "\\u%04x", c);
        else
            out[at++] = (char)c;
    }
    return at + (size_t)snprintf(out + at, cap - at, "\",");
}

#endif
