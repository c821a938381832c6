/* cmd_convert.c: `bitnet convert`: a model in, one GGUF file out, a summary to stderr.
 *
 * The new file grows under another name beside its own and gets its name when it is complete and on
 * disk: a failure, Ctrl-C or a full disk leave nothing behind and never touch what was there.
 */
#define _GNU_SOURCE /* asprintf, sigaction */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "bitnet/convert.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#define WRITE_BUFFER ((size_t)1 << 20)

static volatile sig_atomic_t is_interrupted;

static void on_signal(int sig) {
    (void)sig;
    is_interrupted = 1;
}

/* A file that is too large becomes an error of write instead of the end of the process. */
static void catch_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &stop, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

/* ---- the file being written ---------------------------------------------------------------- */

typedef struct output {
    const char *path;
    char *temporary;
    FILE *file;
    uint64_t size;
    bitnet_error err; /* of a write, with the system's words */
} output;

static bitnet_status fail_write(output *o, bitnet_error *err) {
    bitnet_escaped e;
    return bitnet_fail(err, BITNET_E_IO, "convert.output", "writing %s failed: %s",
                       bitnet_escape(&e, o->path, strlen(o->path)), strerror(errno));
}

static bitnet_status write_output(void *ctx, const void *data, size_t n) {
    output *o = ctx;
    if (is_interrupted)
        return bitnet_fail(&o->err, BITNET_E_CANCELLED, "convert.cancelled",
                           "interrupted; nothing was written");
    if (fwrite(data, 1, n, o->file) < n) return fail_write(o, &o->err);
    o->size += n;
    return BITNET_OK;
}

static bitnet_status begin_output(output *o, const char *path, bitnet_error *err) {
    *o = (output){.path = path};
    if (asprintf(&o->temporary, "%s.tmp-%ld", path, (long)getpid()) < 0) {
        o->temporary = NULL;
        return bitnet_fail(err, BITNET_E_NOMEM, "file.memory", "no memory for a file name");
    }
    int fd = open(o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) o->file = fdopen(fd, "wb");
    if (o->file) {
        setvbuf(o->file, NULL, _IOFBF, WRITE_BUFFER);
        return BITNET_OK;
    }
    bitnet_status st = fail_write(o, err);
    if (fd >= 0) close(fd);
    return st;
}

/* Gives a complete file its name; otherwise nothing of it is left. */
static bitnet_status end_output(output *o, bitnet_status st, bitnet_error *err) {
    if (o->file) {
        if (st >= 0 && (fflush(o->file) != 0 || fsync(fileno(o->file)) != 0))
            st = fail_write(o, err);
        if (fclose(o->file) != 0 && st >= 0) st = fail_write(o, err);
        if (st >= 0 && rename(o->temporary, o->path) != 0) st = fail_write(o, err);
        if (st < 0) unlink(o->temporary);
    }
    free(o->temporary);
    return st;
}

/* ---- warnings ---------------------------------------------------------------------------- */

#define MAX_WARNINGS 4 /* shown; a model may have hundreds of scales that are rounded */

static void log_some(void *ctx, bitnet_log_level level, const char *text) {
    int32_t *n = ctx;
    if (level == BITNET_LOG_WARN && ++*n > MAX_WARNINGS) return;
    load_logger.log(load_logger.ctx, level, text);
}

/* ---- checks before any work ---------------------------------------------------------------- */

static bool is_input(const struct stat *target, const model_files *files) {
    for (int32_t i = 0; i < files->n; i++)
        if (files->source[i].device == target->st_dev && files->source[i].inode == target->st_ino)
            return true;
    return false;
}

static bitnet_status check_target(const char *out, const model_files *files, bool is_forced,
                                  bitnet_error *err) {
    struct stat s;
    if (stat(out, &s) != 0) return BITNET_OK;
    bitnet_escaped e;
    bitnet_escape(&e, out, strlen(out));
    if (is_input(&s, files))
        return bitnet_fail(err, BITNET_E_INVAL, "convert.same_file",
                           "%s is read and cannot be written at the same time", e.s);
    if (!S_ISREG(s.st_mode))
        return bitnet_fail(err, BITNET_E_INVAL, "convert.exists", "%s is not a regular file", e.s);
    if (!is_forced)
        return bitnet_fail(err, BITNET_E_INVAL, "convert.exists",
                           "%s exists; --force writes over it", e.s);
    return BITNET_OK;
}

/* ---- the verb ------------------------------------------------------------------------------ */

typedef struct convert {
    load_opts load;
    const char *out, *type, *embd, *head;
    bool is_forced;
} convert;

/* Weights of all tensors of a file, 0 when it cannot be described. */
static uint64_t count_weights(const char *path) {
    source_file f;
    bitnet_model *model = NULL;
    uint64_t n = 0;
    if (source_file_open(&f, path, NULL) < 0) return 0;
    bitnet_model_desc desc = {.source = &f.source, .level = BITNET_LOAD_HEADER};
    bitnet_tensor_info t;
    if (bitnet_model_load(&model, &desc, NULL) >= 0)
        for (int32_t i = 0; bitnet_model_get_tensor(model, i, &t); i++)
            n += (uint64_t)(t.ne[0] * t.ne[1] * t.ne[2] * t.ne[3]);
    bitnet_model_free(model);
    source_file_close(&f);
    return n;
}

static void print_summary(const convert *v, const model_files *files, uint64_t size) {
    bitnet_escaped in, out;
    uint64_t size_in = 0, n = count_weights(v->out);
    for (int32_t i = 0; i < files->n; i++)
        size_in += files->files[i].source.size;
    const char *from = v->load.path ? v->load.path : "bitnet-tales";
    fprintf(stderr, "%s, %.2f MB -> %s, %.2f MB", bitnet_escape(&in, from, strlen(from)),
            (double)size_in * 1e-6, bitnet_escape(&out, v->out, strlen(v->out)),
            (double)size * 1e-6);
    if (n) fprintf(stderr, ", %.2f bits per weight", 8.0 * (double)size / (double)n);
    fprintf(stderr, "\n");
}

static bitnet_status write_model(const convert *v, const model_files *files,
                                 const bitnet_override *overrides, bitnet_error *err) {
    output o;
    bitnet_status st = begin_output(&o, v->out, err);
    if (st >= 0) {
        load_bar bar = load_bar_begin("converting");
        int32_t n_warnings = 0;
        bitnet_convert_desc desc = {.files = files->files,
                                    .n_files = files->n,
                                    .i2s_layout = (bitnet_i2s_layout)v->load.i2s_layout,
                                    .overrides = overrides,
                                    .n_overrides = v->load.overrides.n,
                                    .type = v->type,
                                    .embd = v->embd,
                                    .head = v->head,
                                    .write = write_output,
                                    .write_ctx = &o,
                                    .logger = {log_some, &n_warnings},
                                    .progress = {load_bar_report, &bar}};
        st = bitnet_convert(&desc, err);
        load_bar_end(&bar);
        if (n_warnings > MAX_WARNINGS)
            fprintf(stderr, "bitnet: warning: and %d more of them\n", n_warnings - MAX_WARNINGS);
        if (o.err.id) *err = o.err;
    }
    st = end_output(&o, st, err);
    if (st >= 0) print_summary(v, files, o.size);
    return st;
}

int cmd_convert(int argc, char **argv) {
    convert v = {0};
    arg_operands in = {0};
    const arg_opt opts[] = {
        {'o', "output", ARG_STR, &v.out, "FILE", NULL, "the GGUF file to write", 0, 0},
        {'T', "type", ARG_STR, &v.type, "TYPE", NULL,
         "ternary matrices: I2_S TQ1_0 TQ2_0, or F32 F16 BF16 Q8_0", 0, 0},
        {0, "embd", ARG_STR, &v.embd, "TYPE", NULL, "embedding: F32 F16 BF16 Q8_0 Q6_K Q4_0", 0, 0},
        {0, "head", ARG_STR, &v.head, "TYPE", NULL, "output matrix, the same types", 0, 0},
        {'f', "force", ARG_FLAG, &v.is_forced, NULL, NULL, "write over a file that exists", 0, 0},
        LOAD_FILE_OPTS(v.load),
        {0}};
    const arg_cmd cmd = {"convert",
                         "Write a model as one GGUF file, in other types.\n"
                         "IN is what -m takes.",
                         "[IN] -o FILE [options]",
                         opts,
                         &in,
                         1};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    if (in.n) v.load.path = in.v[0];
    if (!v.out) {
        fprintf(stderr, "bitnet: error: -o FILE is missing; see bitnet convert --help "
                        "[usage.missing]\n");
        return EX_USAGE;
    }

    bitnet_error err = {0};
    model_files files = {0};
    bitnet_override *overrides = NULL;
    catch_signals();
    bitnet_status st = load_overrides(&overrides, &v.load.overrides, &err);
    if (st >= 0) st = model_files_open(&files, v.load.path, &err);
    if (st >= 0) st = check_target(v.out, &files, v.is_forced, &err);
    if (st >= 0) st = write_model(&v, &files, overrides, &err);
    free(overrides);
    model_files_close(&files);
    return st < 0 ? args_fail(&err) : 0;
}
