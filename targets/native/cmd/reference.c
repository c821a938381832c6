/* reference.c: see reference.h.
 *
 * No shell is involved. What the two processes exchange lies in unlinked files that the child finds as
 * /dev/fd/N, so nothing is left behind however either of them ends.
 */
#define _GNU_SOURCE /* posix_spawn, realpath */
#include "cmd/reference.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "cmd/beside.h"
#include "model_embedded.h"

extern char **environ;

#define ARGV_CAP (24 + 2 * ARG_LIST_CAP)
#define ID_CAP   12 /* an id and its comma */

/* ---- processes ------------------------------------------------------------------------------- */

/* Runs argv and waits; stdout goes to fd out, and so does stderr when is_quiet. The exit status; -1
 * when it could not be started or was killed. */
static int run_process(char *const argv[], int out, bool is_quiet) {
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (is_quiet) posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Asks the reference itself, so that nothing of the current folder is imported on the way. */
static bool can_run(const char *python, const char *package) {
    char plain[] = "-B", ask[] = "--version";
    char *argv[] = {strdup(python), plain, strdup(package), ask, NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    bool found = argv[0] && argv[2] && null >= 0 && run_process(argv, null, true) == 0;
    if (null >= 0) close(null);
    free(argv[0]);
    free(argv[2]);
    return found;
}

static const char *find_python(const char *wanted, const char *package) {
    static const char *const candidates[] = {"python3", "/usr/bin/python3"};
    if (wanted) return can_run(wanted, package) ? wanted : NULL;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        if (can_run(candidates[i], package)) return candidates[i];
    return NULL;
}

/* The folder bitnet_ref, which Python runs like a script. */
static bool find_package(char out[PATH_MAX], const char *dir) {
    static const char *const places[] = {"../../tests/reference/bitnet_ref",
                                         "../share/libbitnet/reference/bitnet_ref"};
    char path[PATH_MAX];
    if (!dir) return find_beside(out, places, sizeof places / sizeof *places);
    int n = snprintf(path, sizeof path, "%s/bitnet_ref", dir);
    return n > 0 && (size_t)n < sizeof path && realpath(path, out);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The embedded model as a file that Python can open. */
static FILE *embedded_file(void) {
    FILE *f = tmpfile();
    size_t n = (size_t)(bitnet_default_model_end - bitnet_default_model);
    if (f && (fwrite(bitnet_default_model, 1, n, f) != n || fflush(f) != 0)) {
        fclose(f);
        f = NULL;
    }
    return f;
}

/* What is in f from its beginning, malloc'd and terminated; NULL when that is not n bytes. */
static void *read_file(FILE *f, size_t n) {
    char *data = malloc(n + 1);
    rewind(f);
    if (data && (fread(data, 1, n, f) != n || getc(f) != EOF)) {
        free(data);
        return NULL;
    }
    if (data) data[n] = '\0';
    return data;
}

static size_t file_size(FILE *f) {
    long n = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    return n > 0 ? (size_t)n : 0;
}

/* ---- the run --------------------------------------------------------------------------------- */

typedef struct job {
    const char *python;
    char *argv[ARGV_CAP]; /* malloc'd strings */
    int n_arg;
    bool has_failed; /* no memory for an argument */
    FILE *model, *logits, *report;
} job;

static void add_arg(job *j, const char *text) {
    char *copy = strdup(text);
    if (!copy || j->n_arg + 1 >= ARGV_CAP) {
        free(copy);
        j->has_failed = true;
        return;
    }
    j->argv[j->n_arg++] = copy;
}

static void add_fd(job *j, FILE *f) {
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(f));
    add_arg(j, path);
}

static void add_ids(job *j, const reference_desc *d) {
    size_t cap = (size_t)d->n_ids * ID_CAP + 1, at = 0;
    char *list = malloc(cap);
    if (!list) {
        j->has_failed = true;
        return;
    }
    for (int32_t i = 0; i < d->n_ids; i++)
        at += (size_t)snprintf(list + at, cap - at, "%s%d", i ? "," : "", d->ids[i]);
    add_arg(j, list);
    free(list);
}

static void add_args(job *j, const reference_desc *d, const char *package) {
    const char *const begin[] = {j->python, "-B", package, "--json", "--ids"};
    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++)
        add_arg(j, begin[i]);
    add_ids(j, d);
    add_arg(j, "--out");
    add_fd(j, j->logits);
    char n_layer[16];
    snprintf(n_layer, sizeof n_layer, "%d", d->n_layer);
    add_arg(j, "--layers");
    add_arg(j, n_layer);
    add_arg(j, "--i2s-layout");
    add_arg(j, d->load->i2s_layout == BITNET_I2S_B ? "b" : "a");
    for (int32_t i = 0; i < d->load->overrides.n; i++) {
        add_arg(j, "--override-kv");
        add_arg(j, d->load->overrides.v[i]);
    }
    add_arg(j, "--");
    if (d->load->path)
        add_arg(j, d->load->path);
    else
        add_fd(j, j->model);
}

static bitnet_status open_files(job *j, const reference_desc *d, bitnet_error *err) {
    j->logits = tmpfile();
    j->report = tmpfile();
    if (!d->load->path) j->model = embedded_file();
    if (j->logits && j->report && (d->load->path || j->model)) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_IO, "reference.files", "cannot make a temporary file: %s",
                       strerror(errno));
}

static bitnet_status prepare(job *j, const reference_desc *d, bitnet_error *err) {
    char package[PATH_MAX];
    if (!find_package(package, d->dir))
        return bitnet_fail(err, BITNET_E_BACKEND, "reference.missing",
                           "the reference is not where it was looked for; name the folder that "
                           "holds bitnet_ref with --reference-dir");
    j->python = find_python(d->python, package);
    if (!j->python)
        return bitnet_fail(err, BITNET_E_BACKEND, "reference.numpy",
                           "the reference needs Python 3.9 or newer with NumPy: apt install "
                           "python3-numpy, or name one that has it with --python");
    bitnet_status st = open_files(j, d, err);
    if (st < 0) return st;
    add_args(j, d, package);
    if (j->has_failed)
        return bitnet_fail(err, BITNET_E_NOMEM, "reference.memory",
                           "no memory for the reference's arguments");
    return BITNET_OK;
}

static bitnet_status read_report(reference_result *out, job *j, bitnet_error *err) {
    char *text = read_file(j->report, file_size(j->report));
    cJSON *o = text ? cJSON_Parse(text) : NULL;
    const cJSON *perplexity = cJSON_GetObjectItemCaseSensitive(o, "perplexity");
    const cJSON *spread = cJSON_GetObjectItemCaseSensitive(o, "spread");
    bool is_sound =
        cJSON_IsNumber(spread) && (cJSON_IsNumber(perplexity) || cJSON_IsNull(perplexity));
    if (is_sound) {
        out->spread = cJSON_GetNumberValue(spread);
        out->perplexity =
            cJSON_IsNumber(perplexity) ? cJSON_GetNumberValue(perplexity) : (double)NAN;
    }
    cJSON_Delete(o);
    free(text);
    if (is_sound) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_BACKEND, "reference.report",
                       "the reference printed no report; is it the one of this version?");
}

static bitnet_status read_results(reference_result *out, job *j, const reference_desc *d,
                                  bitnet_error *err) {
    size_t n = (size_t)d->n_ids * (size_t)d->n_vocab * sizeof(float), found = file_size(j->logits);
    if (found != n)
        return bitnet_fail(err, BITNET_E_BACKEND, "reference.logits",
                           "the reference wrote %zu bytes of logits; %d positions of %d tokens are "
                           "%zu",
                           found, d->n_ids, d->n_vocab, n);
    out->logits = read_file(j->logits, n);
    if (!out->logits)
        return bitnet_fail(err, BITNET_E_NOMEM, "reference.memory",
                           "no memory for %zu bytes of logits", n);
    return read_report(out, j, err);
}

bitnet_status reference_run(reference_result *out, const reference_desc *desc, bitnet_error *err) {
    job j = {0};
    *out = (reference_result){0};
    bitnet_status st = prepare(&j, desc, err);
    if (st >= 0) {
        int status = run_process(j.argv, fileno(j.report), false);
        st = status == 0 ? read_results(out, &j, desc, err)
                         : bitnet_fail(err, BITNET_E_BACKEND, "reference.failed",
                                       "the reference ended with status %d; its own message is "
                                       "above",
                                       status);
    }
    FILE *files[] = {j.model, j.logits, j.report};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i]) fclose(files[i]);
    for (int i = 0; i < j.n_arg; i++)
        free(j.argv[i]);
    if (st < 0) {
        free(out->logits);
        *out = (reference_result){0};
    }
    return st;
}
