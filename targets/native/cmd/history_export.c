/* history_export.c: `bitnet history export`.
 *
 * jsonl is the protocol itself, a message a line: what a hub that heard the run would have heard.
 * csv has a row for each sample; a cell that a spreadsheet could take for a formula gets an
 * apostrophe, numbers stay numbers. json is one array, for programs that read only that. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/history.h"
#include "cmd/history_open.h"

enum { FORMAT_JSONL, FORMAT_CSV, FORMAT_JSON };

typedef struct writing {
    FILE *out;
    const char *id;
    int32_t format;
    bool is_first, has_memory;
    cJSON *hello; /* of the run at work, for csv */
} writing;

static const cJSON *get(const cJSON *o, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static const char *text(const cJSON *o, const char *name) {
    const char *s = cJSON_GetStringValue(get(o, name));
    return s ? s : "";
}

static bool print_line(writing *w, const cJSON *message, const char *end) {
    char *line = cJSON_PrintUnformatted(message);
    if (!line) return w->has_memory = false;
    fprintf(w->out, "%s%s", line, end);
    cJSON_free(line);
    return !ferror(w->out);
}

/* ---- csv --------------------------------------------------------------------------------------- */

/* RFC 4180; OWASP's rule against formulas. */
static void print_cell(FILE *out, const char *s) {
    bool is_formula = *s && strchr("=+-@\t\r", *s);
    if (!is_formula && !strpbrk(s, ",\"\r\n")) {
        fputs(s, out);
        return;
    }
    fputs(is_formula ? "\"'" : "\"", out);
    for (; *s; s++) {
        if (*s == '"') putc('"', out);
        putc(*s, out);
    }
    putc('"', out);
}

static void print_number(FILE *out, const cJSON *o, const char *name) {
    char *s = cJSON_PrintUnformatted(get(o, name));
    fprintf(out, ",%s", s ? s : "");
    cJSON_free(s);
}

static void print_sample(writing *w, const cJSON *window, const char *metric, const cJSON *v) {
    static const char *const numbers[] = {"n", "sum", "min", "max", "last"};
    const cJSON *row, *unit = NULL;
    cJSON_ArrayForEach(row, get(w->hello, "metrics")) {
        if (!strcmp(text(row, "name"), metric)) unit = row;
    }
    char *labels = get(v, "labels") ? cJSON_PrintUnformatted(get(v, "labels")) : NULL;
    const char *cells[] = {w->id, text(w->hello, "name"), metric, text(unit, "unit"),
                           labels ? labels : ""};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        if (i) putc(',', w->out);
        print_cell(w->out, cells[i]);
    }
    cJSON_free(labels);
    print_number(w->out, window, "seq");
    print_number(w->out, window, "t_ms");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        print_number(w->out, v, numbers[i]);
    fputs("\r\n", w->out);
}

static bool export_rows(writing *w, const cJSON *message) {
    const cJSON *v;
    if (!strcmp(text(message, "type"), "hello")) {
        w->hello = cJSON_Duplicate(message, true);
        return w->has_memory = w->hello != NULL;
    }
    cJSON_ArrayForEach(v, get(message, "m")) print_sample(w, message, v->string, v);
    cJSON_ArrayForEach(v, get(message, "s")) print_sample(w, message, text(v, "name"), v);
    return !ferror(w->out);
}

/* ---- all formats ------------------------------------------------------------------------------- */

static bool export_message(void *user, const cJSON *message) {
    writing *w = user;
    if (w->format == FORMAT_CSV) return export_rows(w, message);
    if (w->format == FORMAT_JSONL) return print_line(w, message, "\n");
    if (!w->is_first) putc(',', w->out);
    w->is_first = false;
    return print_line(w, message, "");
}

static bitnet_status export_run(store *s, writing *w, const char *word, bool is_first_run,
                                bitnet_error *err) {
    char id[STORE_RUN_MAX];
    cJSON *header = NULL;
    bitnet_status st = store_find_run(s, word, id, err);
    if (st >= 0) st = store_run(s, id, &header, err);
    if (st < 0) return st;
    w->id = id;
    w->is_first = true;
    if (w->format == FORMAT_JSON) {
        fputs(is_first_run ? "{\"run\":" : ",{\"run\":", w->out);
        print_line(w, header, ",\"messages\":[");
    }
    cJSON_Delete(header);
    int kinds = w->format == FORMAT_CSV ? STORE_HELLO | STORE_WINDOW : STORE_ALL;
    st = store_replay(s, id, kinds, export_message, w, err);
    if (w->format == FORMAT_JSON) fputs("]}", w->out);
    cJSON_Delete(w->hello);
    w->hello = NULL;
    if (st >= 0 && !w->has_memory)
        st = bitnet_fail(err, BITNET_E_NOMEM, "history.memory", "no memory for a message");
    return st;
}

static bitnet_status export_all(store *s, writing *w, const arg_operands *runs, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    if (w->format == FORMAT_CSV)
        fputs("run,name,metric,unit,labels,seq,t_ms,n,sum,min,max,last\r\n", w->out);
    if (w->format == FORMAT_JSON) putc('[', w->out);
    for (int i = 0; i < runs->n && st >= 0; i++)
        st = export_run(s, w, runs->v[i], i == 0, err);
    if (w->format == FORMAT_JSON) fputs("]\n", w->out);
    return st;
}

static int finish(writing *w, const char *path) {
    if (!path) return args_flush();
    bool is_bad = ferror(w->out) != 0;
    int why = errno;
    if (fclose(w->out) != 0) is_bad = true, why = errno;
    if (!is_bad) return 0;
    fprintf(stderr, "bitnet: error: writing %s failed: %s [history.write]\n", path, strerror(why));
    return EX_IOERR;
}

int history_export(int argc, char **argv) {
    const char *db = NULL, *path = NULL;
    arg_operands runs = {0};
    writing w = {.out = stdout, .has_memory = true};
    const arg_opt opts[] = {
        {0, "db", ARG_STR, &db, "PATH|URL", NULL, "the history, if not the default", 0, 0},
        {'o', "output", ARG_STR, &path, "FILE", NULL, "write here instead of stdout", 0, 0},
        {0, "format", ARG_WORD, &w.format, "jsonl|csv|json", NULL, "form; default jsonl", 0, 0},
        {0}};
    const arg_cmd cmd = {.verb = "history export",
                         .summary =
                             "Writes runs as the messages they were heard as, as CSV or as JSON.\n"
                             "RUN is an id, the beginning of one, or latest.",
                         .synopsis = "RUN... [options]",
                         .opts = opts,
                         .operands = &runs,
                         .max_operands = 1000};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    bitnet_error err = {0};
    store *s;
    if (!runs.n) {
        fprintf(stderr, "bitnet: error: name a run to export, or latest; see bitnet history export "
                        "--help [usage.operand]\n");
        return EX_USAGE;
    }
    if (history_open(&s, (store_desc){.location = db, .is_read_only = true}, &err) < 0)
        return history_fail(&err);
    if (path && !(w.out = fopen(path, "wb"))) {
        fprintf(stderr, "bitnet: error: cannot create %s: %s [history.create]\n", path,
                strerror(errno));
        store_close(s);
        return EX_CANTCREAT;
    }
    bitnet_status st = export_all(s, &w, &runs, &err);
    store_close(s);
    code = finish(&w, path);
    return st < 0 ? history_fail(&err) : code;
}
