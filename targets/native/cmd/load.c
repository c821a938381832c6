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

static bool is_terminal(void) {
    return isatty(STDERR_FILENO) == 1;
}

load_bar load_bar_begin(const char *what) {
    return (load_bar){.what = what, .start_ns = bitnet_os_now_ns()};
}

void load_bar_report(void *bar, uint64_t done, uint64_t total) {
    load_bar *b = bar;
    uint64_t now = bitnet_os_now_ns();
    if (!is_terminal() || now - b->start_ns < 1000000000u ||
        (now - b->shown_ns < 100000000u && done < total))
        return;
    b->shown_ns = now;
    static const char full[] = "##############################";
    int n = total ? (int)(30 * done / total) : 0;
    fprintf(stderr, "\r%s [%.*s%*s] %.0f of %.0f MB", b->what, n, full, 30 - n, "",
            (double)done * 1e-6, (double)total * 1e-6);
}

void load_bar_end(load_bar *b) {
    if (b->shown_ns) fprintf(stderr, "\r\033[K");
}

static void log_line(void *ctx, bitnet_log_level level, const char *text) {
    (void)ctx;
    if (level == BITNET_LOG_WARN) fprintf(stderr, "bitnet: warning: %s\n", text);
}

const bitnet_logger load_logger = {log_line, NULL};

bitnet_status load_overrides(bitnet_override **out, const arg_list *list, bitnet_error *err) {
    size_t size = (size_t)list->n * sizeof **out;
    for (int32_t i = 0; i < list->n; i++)
        size += strlen(list->v[i]) + 1;
    *out = NULL;
    if (list->n == 0) return BITNET_OK;
    *out = malloc(size);
    if (!*out)
        return bitnet_fail(err, BITNET_E_NOMEM, "override.memory", "no memory for the overrides");
    char *text = (char *)(*out + list->n);
    for (int32_t i = 0; i < list->n; i++) {
        size_t n = strlen(list->v[i]) + 1;
        memcpy(text, list->v[i], n);
        char *cut = strchr(text, '=');
        if (!cut) {
            bitnet_escaped e;
            free(*out);
            *out = NULL;
            return bitnet_fail(err, BITNET_E_INVAL, "override.form",
                               "override \"%s\" has no =; KEY=TYPE:VALUE is allowed",
                               bitnet_escape(&e, list->v[i], n - 1));
        }
        *cut = 0;
        (*out)[i] = (bitnet_override){text, cut + 1};
        text += n;
    }
    return BITNET_OK;
}

bool load_check(const load_opts *opts) {
    bool is_ok = true;
    for (int32_t i = 0; i < opts->overrides.n; i++) {
        const arg_list one = {{opts->overrides.v[i]}, 1};
        bitnet_override *out;
        bitnet_error err = {0};
        if (load_overrides(&out, &one, &err) < 0) args_fail(&err), is_ok = false;
        free(out);
    }
    return is_ok;
}

static double mb(uint64_t bytes) {
    return (double)bytes * 1e-6;
}

/* The plan of the weights, and of the context that the verb will make, against the limit. */
static bitnet_status check_memory(const bitnet_model_desc *desc, const load_opts *opts,
                                  bitnet_error *err) {
    bitnet_model_desc header_only = *desc;
    bitnet_model *header;
    header_only.level = BITNET_LOAD_HEADER;
    header_only.progress = (bitnet_progress){0};
    header_only.logger = (bitnet_logger){0};
    bitnet_status st = bitnet_model_load(&header, &header_only, err);
    if (st < 0) return st;
    bitnet_memory_plan p = bitnet_model_plan(header, opts->n_ctx, opts->n_batch, opts->n_logits);
    if (opts->n_batch == 0) p.kv = p.scratch = p.backend = 0;
    const int32_t n_ctx = opts->n_ctx ? opts->n_ctx : bitnet_model_get_info(header).n_ctx_train;
    bitnet_model_free(header);
    const uint64_t weights = p.mapped + p.copied, buffers = p.scratch + p.backend;
    if (weights + p.kv + buffers <= opts->memory_limit) return BITNET_OK;
    if (opts->n_batch == 0)
        return bitnet_fail(err, BITNET_E_NOMEM, "load.memory_limit",
                           "the model's weights take %.1f MB; the memory limit allows %.1f MB",
                           mb(weights), mb(opts->memory_limit));
    return bitnet_fail(err, BITNET_E_NOMEM, "load.memory_limit",
                       "the model takes %.1f MB (weights %.1f, keys and values of %d tokens %.1f, "
                       "buffers %.1f); the memory limit allows %.1f MB",
                       mb(weights + p.kv + buffers), mb(weights), n_ctx, mb(p.kv), mb(buffers),
                       mb(opts->memory_limit));
}

static bitnet_status load_files(loaded *out, const load_opts *opts,
                                const bitnet_override *overrides, bitnet_error *err) {
    load_bar bar = load_bar_begin("loading");
    const bitnet_model_desc desc = {.files = out->files.files,
                                    .n_files = out->files.n,
                                    .level = opts->level,
                                    .i2s_layout = (bitnet_i2s_layout)opts->i2s_layout,
                                    .overrides = overrides,
                                    .n_overrides = opts->overrides.n,
                                    .weight_bits = (bitnet_weight_bits)opts->weight_bits,
                                    .n_threads = opts->n_threads,
                                    .cpu_mask = opts->cpu_mask,
                                    .sparse = (bitnet_switch)opts->sparse,
                                    .staged = (bitnet_switch)opts->staged,
                                    .cache_type_k = (bitnet_kv_type)opts->cache_type_k,
                                    .cache_type_v = (bitnet_kv_type)opts->cache_type_v,
                                    .logger = load_logger,
                                    .progress = {load_bar_report, &bar}};
    bitnet_status st = BITNET_OK;
    if (opts->level == BITNET_LOAD_WEIGHTS && opts->memory_limit > 0)
        st = check_memory(&desc, opts, err);
    if (st >= 0) st = bitnet_model_load(&out->model, &desc, err);
    load_bar_end(&bar);
    return st;
}

bitnet_status load_model(loaded *out, const load_opts *opts, bitnet_error *err) {
    *out = (loaded){0};
    bitnet_override *overrides;
    bitnet_status st = load_overrides(&overrides, &opts->overrides, err);
    if (st >= 0) st = model_files_open(&out->files, opts->path, err);
    if (st >= 0) st = load_files(out, opts, overrides, err);
    free(overrides);
    if (st < 0) load_close(out);
    return st;
}

void load_close(loaded *l) {
    bitnet_model_free(l->model);
    model_files_close(&l->files);
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
