/* stop.c: see stop.h. */
#include "engine/stop.h"

#include <string.h>

void bitnet_stop_add(bitnet_stop *s, const char *text, size_t len) {
    int32_t k = s->n++;
    char *t = s->string[k].text;
    uint8_t *border = s->string[k].border;
    memcpy(t, text, len);
    s->string[k].len = (uint16_t)len;
    s->string[k].seen = 0;
    border[0] = 0;
    for (size_t i = 1, b = 0; i < len; i++) {
        while (b > 0 && t[i] != t[b])
            b = border[b - 1];
        if (t[i] == t[b]) b++;
        border[i] = (uint8_t)b;
    }
}

/* Takes one byte of text into every automaton. Returns the string that it completes, or -1. */
static int32_t advance(bitnet_stop *s, char byte) {
    int32_t found = -1;
    for (int32_t k = 0; k < s->n; k++) {
        size_t seen = s->string[k].seen, len = s->string[k].len;
        while (seen > 0 && s->string[k].text[seen] != byte)
            seen = s->string[k].border[seen - 1];
        if (s->string[k].text[seen] == byte) seen++;
        s->string[k].seen = (uint16_t)seen;
        if (seen == len && (found < 0 || len > s->string[found].len)) found = k;
    }
    return found;
}

static void forget(bitnet_stop *s) {
    s->n_held = 0;
    for (int32_t k = 0; k < s->n; k++)
        s->string[k].seen = 0;
}

static size_t longest_seen(const bitnet_stop *s) {
    size_t longest = 0;
    for (int32_t k = 0; k < s->n; k++)
        if (s->string[k].seen > longest) longest = s->string[k].seen;
    return longest;
}

int32_t bitnet_stop_push(bitnet_stop *s, const char *bytes, size_t n, char *out, size_t *len) {
    memcpy(out, s->held, s->n_held);
    size_t at = s->n_held;
    for (size_t i = 0; i < n; i++) {
        out[at++] = bytes[i];
        int32_t found = advance(s, bytes[i]);
        if (found < 0) continue;
        *len = at - s->string[found].len; /* all of it is here: it was held or has just come */
        out[*len] = 0;
        forget(s);
        return found;
    }
    s->n_held = longest_seen(s);
    *len = at - s->n_held;
    memcpy(s->held, out + *len, s->n_held);
    out[*len] = 0;
    return -1;
}

size_t bitnet_stop_flush(bitnet_stop *s, char *out) {
    size_t len = s->n_held;
    memcpy(out, s->held, len);
    out[len] = 0;
    forget(s);
    return len;
}
