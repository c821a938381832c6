/* history_export.c: `bitnet history export`: which runs, in which form and where to; dash/export.h
 * writes them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/history.h"
#include "cmd/history_open.h"
#include "dash/export.h"

static bitnet_status export_all(store *s, export_writing *w, const arg_operands *runs,
                                bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (int i = 0; i < runs->n && st >= 0; i++) {
        char id[STORE_RUN_MAX];
        st = store_find_run(s, runs->v[i], id, err);
        if (st >= 0) st = export_run(w, s, id, err);
    }
    export_end(w);
    return st;
}

static int finish(FILE *out, const char *path) {
    if (!path) return args_flush();
    bool is_bad = ferror(out) != 0;
    int why = errno;
    if (fclose(out) != 0) is_bad = true, why = errno;
    if (!is_bad) return 0;
    fprintf(stderr, "bitnet: error: writing %s failed: %s [history.write]\n", path, strerror(why));
    return EX_IOERR;
}

int history_export(int argc, char **argv) {
    const char *db = NULL, *path = NULL;
    arg_operands runs = {0};
    FILE *out = stdout;
    int32_t format = EXPORT_JSONL;
    export_writing w;
    const arg_opt opts[] = {
        {0, "db", ARG_STR, &db, "PATH|URL", NULL, "the history, if not the default", 0, 0},
        {'o', "output", ARG_STR, &path, "FILE", NULL, "write here instead of stdout", 0, 0},
        {0, "format", ARG_WORD, &format, "jsonl|csv|json", NULL, "form; default jsonl", 0, 0},
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
    if (path && !(out = fopen(path, "wb"))) {
        fprintf(stderr, "bitnet: error: cannot create %s: %s [history.create]\n", path,
                strerror(errno));
        store_close(s);
        return EX_CANTCREAT;
    }
    export_begin(&w, out, (export_format)format, 0);
    bitnet_status st = export_all(s, &w, &runs, &err);
    store_close(s);
    code = finish(out, path);
    return st < 0 ? history_fail(&err) : code;
}
