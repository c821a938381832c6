/* model_files.c: see model_files.h. */
#define _GNU_SOURCE /* asprintf */
#include "model_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

#define MAX_FILES 10000 /* a split name has five digits */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bitnet_status no_memory(bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_NOMEM, "file.memory", "no memory for the list of files");
}

/* Opens path as one more file. The arrays were made large enough. */
static bitnet_status add(model_files *f, const char *path, const char *name, bitnet_error *err) {
    source_file *s = &f->source[f->n];
    bitnet_status st = source_file_open(s, path, err);
    if (st < 0) return st;
    char *copy = strdup(name);
    if (!copy) {
        source_file_close(s);
        return no_memory(err);
    }
    f->files[f->n++] = (bitnet_file){copy, s->source};
    return BITNET_OK;
}

static bitnet_status make_room(model_files *f, size_t n, bitnet_error *err) {
    f->files = calloc(n, sizeof *f->files);
    f->source = calloc(n, sizeof *f->source); /* sources point at themselves: never moved */
    return f->files && f->source ? BITNET_OK : no_memory(err);
}

static int is_model_part(const struct dirent *e) {
    return e->d_name[0] != '.' &&
           (ends_with(e->d_name, ".json") || ends_with(e->d_name, ".safetensors"));
}

static bitnet_status add_folder(model_files *f, const char *folder, bitnet_error *err) {
    struct dirent **entry = NULL;
    int n = scandir(folder, &entry, is_model_part, alphasort);
    bitnet_escaped e;
    bitnet_status st = BITNET_OK;
    if (n <= 0) {
        st = bitnet_fail(err, n < 0 ? BITNET_E_IO : BITNET_E_NOENT, "file.folder", "%s: %s",
                         bitnet_escape(&e, folder, strlen(folder)),
                         n < 0 ? strerror(errno)
                               : "the folder holds no model: no config.json, no *.safetensors");
    } else {
        st = make_room(f, (size_t)n, err);
    }
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        if (st >= 0 && asprintf(&path, "%s/%s", folder, entry[i]->d_name) < 0) st = no_memory(err);
        struct stat s;
        bool is_file = st >= 0 && stat(path, &s) == 0 && S_ISREG(s.st_mode);
        if (is_file) st = add(f, path, entry[i]->d_name, err);
        free(path);
        free(entry[i]);
    }
    free(entry);
    return st;
}

/* "x-00002-of-00005.gguf": 5, and the length of "x"; otherwise 0. */
static int split_count(const char *path, size_t *stem) {
    static const char form[] = "-00000-of-00000.gguf";
    size_t n = strlen(path), m = sizeof form - 1;
    if (n <= m) return 0;
    const char *tail = path + n - m;
    for (size_t i = 0; i < m; i++) {
        bool is_digit = tail[i] >= '0' && tail[i] <= '9';
        if (form[i] == '0' ? !is_digit : tail[i] != form[i]) return 0;
    }
    *stem = n - m;
    return atoi(tail + 10);
}

static bitnet_status add_parts(model_files *f, const char *path, size_t stem, int count,
                               bitnet_error *err) {
    if (count > MAX_FILES)
        return bitnet_fail(err, BITNET_E_FORMAT, "file.parts",
                           "the name speaks of %d parts; at most %d are allowed", count, MAX_FILES);
    bitnet_status st = make_room(f, (size_t)count, err);
    for (int i = 1; st >= 0 && i <= count; i++) {
        char *part = NULL;
        if (asprintf(&part, "%.*s-%05d-of-%05d.gguf", (int)stem, path, i, count) < 0)
            return no_memory(err);
        st = add(f, part, last_part(part), err);
        free(part);
    }
    return st;
}

static bitnet_status add_all(model_files *f, const char *path, bitnet_error *err) {
    struct stat s;
    bool is_there = path && stat(path, &s) == 0;
    if (is_there && S_ISDIR(s.st_mode)) return add_folder(f, path, err);
    if (is_there && (ends_with(path, ".safetensors") || !strcmp(last_part(path), "config.json"))) {
        size_t n = (size_t)(last_part(path) - path);
        char *folder = n ? strndup(path, n) : strdup(".");
        if (!folder) return no_memory(err);
        bitnet_status st = add_folder(f, folder, err);
        free(folder);
        return st;
    }
    size_t stem;
    int count = path ? split_count(path, &stem) : 0;
    if (count > 0) return add_parts(f, path, stem, count, err);
    bitnet_status st = make_room(f, 1, err);
    return st < 0 ? st : add(f, path, path ? last_part(path) : "bitnet-tales.gguf", err);
}

bitnet_status model_files_open(model_files *f, const char *path, bitnet_error *err) {
    *f = (model_files){0};
    bitnet_status st = add_all(f, path, err);
    if (st < 0) model_files_close(f);
    return st;
}

void model_files_close(model_files *f) {
    for (int32_t i = 0; i < f->n; i++) {
        source_file_close(&f->source[i]);
        free((void *)(uintptr_t)f->files[i].name); /* ours, from strdup */
    }
    free(f->files);
    free(f->source);
    *f = (model_files){0};
}
