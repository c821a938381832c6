/* hf_writer.c: see hf_writer.h. */
#include "hf_writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_safetensors(const char *name) {
    size_t n = strlen(name);
    return n >= 12 && strcmp(name + n - 12, ".safetensors") == 0;
}

static int32_t find(const hf_folder *f, const char *name) {
    for (int32_t i = 0; i < f->n; i++)
        if (strcmp(f->name[i], name) == 0) return i;
    return -1;
}

gguf_bytes *hf_file(hf_folder *f, const char *name) {
    int32_t i = find(f, name);
    if (i < 0) {
        if (f->n == HF_FILES) abort();
        i = f->n++;
        f->name[i] = name;
        f->text[i] = f->data[i] = f->whole[i] = (gguf_bytes){0};
    }
    return &f->text[i];
}

void hf_text(gguf_bytes *b, const char *fmt, ...) {
    char text[4096];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) abort();
    gguf_bytes_put(b, text, (size_t)n);
}

void hf_json_str(gguf_bytes *b, const char *s, size_t n) {
    hf_text(b, "\"");
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)s[i];
        if (c < 0x20)
            hf_text(b, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            hf_text(b, "\\%c", c);
        else
            gguf_bytes_put(b, &s[i], 1);
    }
    hf_text(b, "\"");
}

void hf_tensor(hf_folder *f, const char *file, const char *name, const char *dtype,
               const char *shape, const void *data, size_t size) {
    gguf_bytes *text = hf_file(f, file), *to = &f->data[find(f, file)];
    hf_text(text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
            text->n ? "," : "", name, dtype, shape, to->n, to->n + size);
    gguf_bytes_put(to, data, size);
}

void hf_replace(hf_folder *f, const char *file, const char *from, const char *to) {
    gguf_bytes *b = hf_file(f, file), old = *b;
    size_t n = strlen(from), at = 0;
    while (at + n <= old.n && memcmp(old.p + at, from, n) != 0)
        at++;
    if (at + n > old.n) {
        fprintf(stderr, "%s holds no %s\n", file, from);
        abort();
    }
    *b = (gguf_bytes){0};
    gguf_bytes_put(b, old.p, at);
    gguf_bytes_put(b, to, strlen(to));
    gguf_bytes_put(b, old.p + at + n, old.n - at - n);
    free(old.p);
}

static void free_file(hf_folder *f, int32_t i) {
    free(f->text[i].p);
    free(f->data[i].p);
    free(f->whole[i].p);
}

void hf_remove(hf_folder *f, const char *file) {
    int32_t i = find(f, file), last = f->n - 1;
    if (i < 0) abort();
    free_file(f, i);
    f->name[i] = f->name[last];
    f->text[i] = f->text[last];
    f->data[i] = f->data[last];
    f->whole[i] = f->whole[last];
    f->n--;
}

const bitnet_file *hf_files(hf_folder *f, bool is_mapped) {
    for (int32_t i = 0; i < f->n; i++) {
        gguf_bytes *w = &f->whole[i];
        w->n = 0;
        if (is_safetensors(f->name[i])) {
            gguf_bytes_u64(w, f->text[i].n + 2);
            gguf_bytes_put(w, "{", 1);
            gguf_bytes_put(w, f->text[i].p, f->text[i].n);
            gguf_bytes_put(w, "}", 1);
            gguf_bytes_put(w, f->data[i].p, f->data[i].n);
        } else {
            gguf_bytes_put(w, f->text[i].p, f->text[i].n);
        }
        f->file[i] = (bitnet_file){f->name[i], gguf_bytes_source(w, is_mapped)};
    }
    return f->file;
}

void hf_free(hf_folder *f) {
    for (int32_t i = 0; i < f->n; i++)
        free_file(f, i);
    *f = (hf_folder){0};
}
