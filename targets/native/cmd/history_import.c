/* history_import.c: `bitnet history import`: a file of messages, heard as a hub would have heard them.
 *
 * All of it or nothing: the file is one transaction. What the history has already is passed over, so
 * that a file may be imported twice. */
#include <cjson/cJSON.h>
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

enum { LINE_MAX_BYTES = 4 * MESSAGE_MAX }; /* our own lines are not longer than what was sent */

typedef struct reading {
    const char *path;
    long line;
    char instance[STORE_INSTANCE_MAX]; /* of the run that the lines belong to; "" before a hello */
    int64_t wall_ms;
    int n_runs, n_stored, n_known;
} reading;

/* The message of one line; NULL and a sentence when it is none. */
static cJSON *read_message(const char *line, size_t n, const char **why) {
    cJSON *json = cJSON_ParseWithLength(line, n);
    *why = cJSON_IsObject(json) ? NULL : "it is not a JSON object";
    if (!*why) return json;
    cJSON_Delete(json);
    return NULL;
}

static bitnet_status bad_line(const reading *r, const char *why, bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_FORMAT, "history.line",
                       "%s, line %ld: %s; nothing was imported", r->path, r->line, why);
}

static bitnet_status put_message(store *s, reading *r, const cJSON *m, bitnet_error *err) {
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(m, "type"));
    bool is_hello = type && strcmp(type, "hello") == 0;
    if (is_hello) {
        const char *instance =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(m, "instance"));
        if (!instance || !*instance || strlen(instance) >= sizeof r->instance)
            return bad_line(r, "the hello has no instance", err);
        strcpy(r->instance, instance);
        r->n_runs++;
    }
    if (!*r->instance) return bad_line(r, "a run begins with a hello", err);
    bitnet_error inner = {0};
    bitnet_status st = store_put(s, r->instance, m, r->wall_ms, &inner);
    if (st == BITNET_E_INVAL) return bad_line(r, inner.text, err);
    if (st < 0) {
        *err = inner;
        return st;
    }
    if (st == BITNET_DONE)
        r->n_known++;
    else if (store_message_seq(m))
        r->n_stored++;
    return BITNET_OK;
}

static bitnet_status import_lines(store *s, reading *r, FILE *in, bitnet_error *err) {
    char *line = malloc(LINE_MAX_BYTES + 2);
    bitnet_status st =
        line ? BITNET_OK : bitnet_fail(err, BITNET_E_NOMEM, "history.memory", "no memory");
    while (st >= 0 && fgets(line, LINE_MAX_BYTES + 2, in)) {
        const char *why;
        size_t n = strcspn(line, "\n");
        r->line++;
        if (line[n] != '\n' && !feof(in)) {
            st = bad_line(r, "it is longer than any message, or holds a zero byte", err);
            break;
        }
        cJSON *m = read_message(line, n, &why);
        st = m ? put_message(s, r, m, err) : bad_line(r, why, err);
        cJSON_Delete(m);
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
