/* load.c: see load.h. */
#define _POSIX_C_SOURCE 200809L /* isatty */
#include "cmd/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os.h"

typedef struct bar {
    uint64_t start_ns, shown_ns;
} bar;

static void show_progress(void *ctx, uint64_t done, uint64_t total) {
    bar *b = ctx;
    uint64_t now = bitnet_os_now_ns();
    if (now - b->start_ns < 1000000000u || (now - b->shown_ns < 100000000u && done < total)) return;
    b->shown_ns = now;
    static const char full[] = "##############################";
    int n = total ? (int)(30 * done / total) : 0;
    fprintf(stderr, "\rloading [%.*s%*s] %.0f of %.0f MB", n, full, 30 - n, "", (double)done * 1e-6,
            (double)total * 1e-6);
}

bitnet_status load_model(loaded *out, const load_opts *opts, bitnet_error *err) {
    *out = (loaded){0};
    bitnet_status st = source_file_open(&out->file, opts->path, err);
    if (st < 0) return st;
    bar b = {.start_ns = bitnet_os_now_ns()};
    bitnet_model_desc desc = {
        .source = &out->file.source, .n_threads = opts->n_threads, .cpu_mask = opts->cpu_mask};
    if (isatty(STDERR_FILENO)) desc.progress = (bitnet_progress){show_progress, &b};
    st = bitnet_model_load(&out->model, &desc, err);
    if (b.shown_ns) fprintf(stderr, "\r\033[K");
    if (st < 0) load_close(out);
    return st;
}

void load_close(loaded *l) {
    bitnet_model_free(l->model);
    source_file_close(&l->file);
    *l = (loaded){0};
}

bitnet_status load_text(char **out, size_t *len, const char *path, size_t cap, bitnet_error *err) {
    bitnet_escaped e;
    const char *shown = bitnet_escape(&e, path, strlen(path));
    bool is_stdin = !strcmp(path, "-");
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    *out = NULL, *len = 0;
    if (!f)
        return bitnet_fail(err, errno == ENOENT ? BITNET_E_NOENT : BITNET_E_IO,
                           errno == EACCES ? "file.permission" : "file.open", "%s: %s", shown,
                           strerror(errno));
    size_t room = 0;
    bitnet_status st = BITNET_OK;
    for (;;) {
        if (*len + 1 >= room) {
            room = room ? room * 2 : 4096;
            char *bigger = realloc(*out, room);
            if (!bigger) {
                st = bitnet_fail(err, BITNET_E_NOMEM, "file.memory", "%s: no memory for %zu bytes",
                                 shown, room);
                break;
            }
            *out = bigger;
        }
        size_t n = fread(*out + *len, 1, room - *len - 1, f);
        *len += n;
        (*out)[*len] = 0;
        if (*len > cap) {
            st = bitnet_fail(err, BITNET_E_FORMAT, "file.too_long",
                             "%s: longer than the %zu bytes allowed", shown, cap);
            break;
        }
        if (n > 0) continue;
        if (ferror(f))
            st = bitnet_fail(err, BITNET_E_IO, "file.read", "%s: %s", shown, strerror(errno));
        break;
    }
    if (!is_stdin) fclose(f);
    if (st < 0) {
        free(*out);
        *out = NULL;
    }
    return st;
}
