/* stream.c: see stream.h. */
#include "engine/stream.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static size_t put_replacement(char *out) {
    memcpy(out, "\xef\xbf\xbd", 3);
    return 3;
}

static char byte_at(const bitnet_stream *s, const char *bytes, size_t i) {
    return i < s->n_held ? s->held[i] : bytes[i - s->n_held];
}

size_t bitnet_stream_push(bitnet_stream *s, const char *bytes, size_t n, char *out) {
    size_t total = s->n_held + n, at = 0, len = 0;
    while (at < total) {
        char window[4];
        size_t n_window = 0;
        for (; n_window < 4 && at + n_window < total; n_window++)
            window[n_window] = byte_at(s, bytes, at + n_window);
        uint32_t cp;
        int n_char = bitnet_utf8_decode(window, n_window, &cp);
        if (n_char > 0) {
            memcpy(out + len, window, (size_t)n_char);
            len += (size_t)n_char;
            at += (size_t)n_char;
        } else if (bitnet_utf8_pending(window, n_window) == n_window) {
            break; /* the beginning of a character, and nothing after it yet */
        } else {
            len += put_replacement(out + len);
            at++;
        }
    }
    bitnet_stream next = {.n_held = total - at};
    for (size_t i = 0; i < next.n_held; i++)
        next.held[i] = byte_at(s, bytes, at + i);
    *s = next;
    out[len] = 0;
    return len;
}

size_t bitnet_stream_flush(bitnet_stream *s, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < s->n_held; i++)
        len += put_replacement(out + len);
    s->n_held = 0;
    out[len] = 0;
    return len;
}
