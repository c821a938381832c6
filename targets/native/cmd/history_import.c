/* history_import.c: `bitnet history import`: a file of messages, heard as a hub would have heard them.
 *
 * All of it or nothing: the file is one transaction. What the history has already is passed over, so
 * that a file may be imported twice. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/os.h"
#include "cmd/args.h"
#include "cmd/history.h"
#include "cmd/history_open.h"
#include "dash/message.h"

typedef struct reading {
    const char *path;
    long line;
    char instance[STORE_INSTANCE_MAX]; /* of the run that the lines belong to; "" before a hello */
    message_metrics metrics;           /* that its hello announced */
    int64_t wall_ms;
    int n_runs, n_stored, n_known;
} reading;

static bitnet_status bad_line(const reading *r, const char *why, bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_FORMAT, "history.line",
                       "%s, line %ld: %s Nothing was imported.", r->path, r->line, why);
}

/* One line, through the same gate as what a hub hears (dash/message.h). NULL, or what is wrong. */
static const char *read_line(reading *r, message *m, const char *line, size_t n) {
    static const char hello[] = "{\"type\":\"hello\"";
    if (n >= sizeof hello - 1 && memcmp(line, hello, sizeof hello - 1) == 0) {
        const char *why = message_read_hello(m, &r->metrics, line, n);
        if (why) return why;
        if (m->kind != MESSAGE_PRODUCER) return "It is a viewer's hello.";
        memcpy(r->instance, m->instance, sizeof m->instance);
        r->n_runs++;
        return NULL;
    }
    *m = (message){.kind = MESSAGE_BYE};
    return *r->instance ? message_read(m, &r->metrics, line, n) : "A run begins with a hello.";
}

static bitnet_status put_line(store *s, reading *r, const char *line, size_t n, bitnet_error *err) {
    message m;
    bitnet_error inner = {0};
    const char *why = read_line(r, &m, line, n);
    if (!why && m.n_rejected)
        why = "A value is outside the range that the hello gave."; /* any series */
    bitnet_status st =
        why ? bad_line(r, why, err) : store_put(s, r->instance, m.json, r->wall_ms, &inner);
    if (!why && st == BITNET_E_INVAL) {
        char sentence[sizeof inner.text + 1];
        snprintf(sentence, sizeof sentence, "%s.", inner.text);
        st = bad_line(r, sentence, err);
    } else if (!why && st < 0) {
        *err = inner;
    }
    if (st == BITNET_DONE)
        r->n_known++;
    else if (st >= 0 && m.kind >= MESSAGE_WINDOW && m.kind <= MESSAGE_GAP)
        r->n_stored++;
    message_free(&m);
    return st < 0 ? st : BITNET_OK;
}

static bitnet_status import_lines(store *s, reading *r, FILE *in, bitnet_error *err) {
    char *line = malloc(MESSAGE_MAX + 2);
    bitnet_status st =
        line ? BITNET_OK : bitnet_fail(err, BITNET_E_NOMEM, "history.memory", "no memory");
    while (st >= 0 && fgets(line, MESSAGE_MAX + 2, in)) {
        size_t n = strcspn(line, "\n");
        r->line++;
        if (line[n] != '\n' && !feof(in)) {
            st = bad_line(r, "It is longer than any message, or holds a zero byte.", err);
            break;
        }
        st = put_line(s, r, line, n, err);
    }
    if (st >= 0 && ferror(in))
        st = bitnet_fail(err, BITNET_E_IO, "history.read", "reading %s failed: %s", r->path,
                         strerror(errno));
    if (st >= 0 && r->n_runs == 0)
        st = bitnet_fail(err, BITNET_E_FORMAT, "history.empty", "%s holds no run", r->path);
    free(line);
    return st;
}

static bitnet_status import_file(store *s, reading *r, FILE *in, bitnet_error *err) {
    bitnet_status st = store_begin(s, err);
    if (st >= 0) st = import_lines(s, r, in, err);
    if (st >= 0) st = store_commit(s, err);
    if (st < 0) store_rollback(s);
    return st;
}

int history_import(int argc, char **argv) {
    const char *db = NULL;
    arg_operands file = {0};
    const arg_opt opts[] = {
        {0, "db", ARG_STR, &db, "PATH|URL", NULL, "the history, if not the default", 0, 0}, {0}};
    const arg_cmd cmd = {.verb = "history import",
                         .summary =
                             "Adds the runs of a file that export wrote as jsonl; - is stdin.",
                         .synopsis = "FILE [options]",
                         .opts = opts,
                         .operands = &file,
                         .max_operands = 1};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    if (!file.n) {
        fprintf(stderr, "bitnet: error: name a file to import, or - for stdin; see bitnet history "
                        "import --help [usage.operand]\n");
        return EX_USAGE;
    }
    bitnet_error err = {0};
    store *s;
    reading r = {.path = file.v[0], .wall_ms = (int64_t)bitnet_os_wall_ms()};
    FILE *in = strcmp(r.path, "-") == 0 ? stdin : fopen(r.path, "rb");
    if (!in) {
        bitnet_fail(&err, errno == ENOENT ? BITNET_E_NOENT : BITNET_E_IO,
                    errno == EACCES ? "file.permission" : "history.read", "cannot open %s: %s",
                    r.path, strerror(errno));
        return args_fail(&err);
    }
    bitnet_status st = history_open(&s, (store_desc){.location = db}, &err);
    if (st >= 0) st = import_file(s, &r, in, &err);
    store_close(s);
    if (in != stdin) fclose(in);
    if (st < 0) return history_fail(&err);
    printf("%d run%s: %d messages stored, %d were there\n", r.n_runs, r.n_runs == 1 ? "" : "s",
           r.n_stored, r.n_known);
    return args_flush();
}
