/* cmd_history.c: `bitnet history`: what the hub keeps of past runs: list and show here, export and
 * import beside it. Reading needs no lock and goes on while a hub writes. */
#define _GNU_SOURCE /* localtime_r */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/base.h"
#include "base/os.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/history.h"
#include "cmd/history_open.h"

enum { SHOWN_MAX = 20 }; /* operations and gaps in the text of a run; JSON has all */

/* ---- fields of what the store gives ----------------------------------------------------------- */

static const cJSON *get(const cJSON *o, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static double number(const cJSON *o, const char *name) {
    const cJSON *item = get(o, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* Producers are strangers: what they say is escaped before a terminal gets it. */
static const char *text(const cJSON *o, const char *name, bitnet_escaped *e) {
    const char *s = cJSON_GetStringValue(get(o, name));
    return s ? bitnet_escape(e, s, strlen(s)) : "";
}

typedef struct time_text {
    char s[32];
} time_text;

static const char *local_time(double t_ms, time_text *out) {
    time_t t = (time_t)(t_ms / 1000);
    struct tm tm;
    if (!localtime_r(&t, &tm) || !strftime(out->s, sizeof out->s, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(out->s, sizeof out->s, "?");
    return out->s;
}

static double started(const cJSON *run) {
    return get(run, "started_ms") ? number(run, "started_ms") : number(run, "t_ms");
}

static const char *length(const cJSON *run, time_text *out) {
    double s = (number(run, "last_t_ms") - started(run)) / 1000;
    if (!get(run, "last_t_ms") || s < 0) return "-";
    if (s < 60)
        snprintf(out->s, sizeof out->s, "%.1fs", s);
    else if (s < 3600)
        snprintf(out->s, sizeof out->s, "%.0fm%02.0fs", (double)((int)s / 60),
                 (double)((int)s % 60));
    else
        snprintf(out->s, sizeof out->s, "%.1fh", s / 3600);
    return out->s;
}

/* ---- list -------------------------------------------------------------------------------------- */

typedef struct list_opts {
    const char *db, *since, *name, *model;
    int32_t limit;
    bool is_json;
} list_opts;

/* "90m", "12h", "7d", "2w" before now. */
static bool read_age(const char *s, int64_t *since_ms) {
    static const char units[] = "mhdw";
    static const int64_t ms[] = {60000, 3600000, 86400000, 604800000};
    char *end;
    if (!isdigit((unsigned char)*s)) return false;
    long n = strtol(s, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (!unit || end[1] || n > 1000000) return false;
    *since_ms = (int64_t)bitnet_os_wall_ms() - n * ms[unit - units];
    return true;
}

static void print_runs(const cJSON *runs) {
    const cJSON *run;
    printf("%-26s  %-19s  %8s  %-16s %-20s %-24s %s\n", "run", "started", "length", "name", "on",
           "model", "end");
    cJSON_ArrayForEach(run, runs) {
        bitnet_escaped e[5];
        time_text t[2];
        char on[80];
        snprintf(on, sizeof on, "%.32s %.32s", text(run, "backend", &e[0]),
                 text(run, "tier", &e[1]));
        printf("%-26s  %-19s  %8s  %-16s %-20s %-24s %s\n", get(run, "id")->valuestring,
               local_time(started(run), &t[0]), length(run, &t[1]), text(run, "name", &e[2]), on,
               text(run, "model", &e[3]),
               get(run, "ended_ms") ? text(run, "reason", &e[4]) : "(open)");
    }
}

static int list(int argc, char **argv) {
    list_opts o = {0};
    const arg_opt opts[] = {
        {0, "db", ARG_STR, &o.db, "PATH|URL", NULL, "the history, if not the default", 0, 0},
        {0, "since", ARG_STR, &o.since, "AGE", NULL, "not older than this: 90m, 12h, 7d, 2w", 0, 0},
        {0, "name", ARG_STR, &o.name, "NAME", NULL, "only runs of this name", 0, 0},
        {0, "model", ARG_STR, &o.model, "MODEL", NULL, "only runs with this model", 0, 0},
        {'n', "limit", ARG_INT, &o.limit, "N", NULL, "at most so many; 0 = 1000", 0, 1000000},
        {0, "json", ARG_FLAG, &o.is_json, NULL, NULL, "print one JSON array", 0, 0},
        {0}};
    const arg_cmd cmd = {.verb = "history list",
                         .summary = "Lists the runs that the history holds, the newest first.",
                         .synopsis = "[options]",
                         .opts = opts};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    store_filter filter = {.name = o.name, .model = o.model, .limit = o.limit};
    bitnet_error err = {0};
    if (o.since && !read_age(o.since, &filter.since_ms)) {
        bitnet_fail(&err, BITNET_E_INVAL, "usage.value",
                    "--since is \"%.40s\"; a number and m, h, d or w is allowed", o.since);
        return args_fail(&err);
    }
    store *s;
    cJSON *runs;
    if (history_open(&s, (store_desc){.location = o.db, .is_read_only = true}, &err) < 0)
        return history_fail(&err);
    bitnet_status st = store_runs(s, &filter, &runs, &err);
    store_close(s);
    if (st < 0) return history_fail(&err);
    if (o.is_json) return args_print_json(runs);
    print_runs(runs);
    cJSON_Delete(runs);
    return args_flush();
}

/* ---- show -------------------------------------------------------------------------------------- */

static void print_header(const cJSON *run) {
    static const struct {
        const char *label, *field;
    } rows[] = {{"name", "name"},  {"model", "model"},      {"backend", "backend"},
                {"tier", "tier"},  {"host", "host"},        {"build", "build"},
                {"end", "reason"}, {"instance", "instance"}};
    time_text t;
    printf("%-10s %s\n%-10s %s\n", "run", get(run, "id")->valuestring, "started",
           local_time(started(run), &t));
    printf("%-10s %s\n", "length", length(run, &t));
    printf("%-10s %.0f\n", "threads", number(run, "threads"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bitnet_escaped e;
        const char *value = text(run, rows[i].field, &e);
        if (*value) printf("%-10s %s\n", rows[i].label, value);
    }
}

static void print_number(const cJSON *o, const char *name) {
    if (get(o, name))
        printf(" %10.4g", number(o, name));
    else
        printf(" %10s", "-"); /* not measured */
}

static void print_metrics(const cJSON *metrics) {
    static const char *const columns[] = {"mean", "p50", "p95", "p99", "min", "max"};
    enum { N = sizeof columns / sizeof *columns };
    const cJSON *m;
    if (!cJSON_GetArraySize(metrics)) return;
    printf("\n%-40s %-10s %10s", "metric", "unit", "n");
    for (size_t i = 0; i < N; i++)
        printf(" %10s", columns[i]);
    putchar('\n');
    cJSON_ArrayForEach(m, metrics) {
        bitnet_escaped e, unit, labels;
        char name[600];
        char *l = get(m, "labels") ? cJSON_PrintUnformatted(get(m, "labels")) : NULL;
        snprintf(name, sizeof name, "%s%s", text(m, "name", &e),
                 l ? bitnet_escape(&labels, l, strlen(l)) : "");
        cJSON_free(l);
        printf("%-40s %-10s %10.0f", name, text(m, "unit", &unit), number(m, "n"));
        for (size_t i = 0; i < N; i++)
            print_number(m, columns[i]);
        putchar('\n');
    }
}

static void print_ops(const cJSON *ops) {
    int n = cJSON_GetArraySize(ops), from = n > SHOWN_MAX ? n - SHOWN_MAX : 0;
    if (!n) return;
    printf("\n%-24s %-14s %10s %12s %-10s %s\n", "operation", "strategy", "seconds", "units/s",
           "unit", "outcome");
    if (from) printf("(%d before these; --json has all)\n", from);
    for (int i = from; i < n; i++) {
        const cJSON *op = cJSON_GetArrayItem(ops, i);
        bitnet_escaped e[4];
        double seconds = number(op, "duration_s");
        char rate[32] = "-";
        if (get(op, "units") && seconds > 0)
            snprintf(rate, sizeof rate, "%.4g", number(op, "units") / seconds);
        printf("%-24s %-14s %10.4g %12s %-10s %s\n", text(op, "op", &e[0]),
               text(op, "strategy", &e[1]), seconds, rate, text(op, "unit", &e[2]),
               cJSON_IsTrue(get(op, "ok")) ? "ok"
               : *text(op, "error", &e[3]) ? text(op, "error", &e[3])
                                           : "failed");
    }
}

static void print_gaps(const cJSON *gaps) {
    const cJSON *gap;
    double lost = 0;
    int n = cJSON_GetArraySize(gaps), i = 0;
    if (!n) return;
    cJSON_ArrayForEach(gap, gaps) lost += number(gap, "n");
    printf("\n%d gap%s, %.0f samples\n", n, n == 1 ? "" : "s", lost);
    cJSON_ArrayForEach(gap, gaps) {
        bitnet_escaped e;
        if (i++ < n - SHOWN_MAX) continue;
        printf("  messages %.0f to %.0f, %.0f samples: %s\n", number(gap, "seq"), number(gap, "to"),
               number(gap, "n"), text(gap, "reason", &e));
    }
}

static bool keep(void *user, const cJSON *message) {
    cJSON *copy = cJSON_Duplicate(message, true);
    return copy && cJSON_AddItemToArray(user, copy);
}

typedef struct shown {
    cJSON *run, *metrics, *gaps, *ops, *events;
} shown;

static bitnet_status read_shown(store *s, const char *word, shown *out, bitnet_error *err) {
    char id[STORE_RUN_MAX];
    *out = (shown){.gaps = cJSON_CreateArray(), .ops = cJSON_CreateArray()};
    bitnet_status st = store_find_run(s, word, id, err);
    if (st >= 0) st = store_run(s, id, &out->run, err);
    if (st >= 0) st = store_summaries(s, id, &out->metrics, err);
    if (st >= 0) st = store_replay(s, id, STORE_GAP, keep, out->gaps, err);
    if (st >= 0) st = store_replay(s, id, STORE_OP, keep, out->ops, err);
    if (st >= 0) st = store_events(s, id, 0, 0, &out->events, err);
    return st;
}

static void free_shown(shown *w) {
    cJSON_Delete(w->run);
    cJSON_Delete(w->metrics);
    cJSON_Delete(w->gaps);
    cJSON_Delete(w->ops);
    cJSON_Delete(w->events);
}

static int print_shown(shown *w, bool is_json) {
    if (!is_json) {
        print_header(w->run);
        print_metrics(w->metrics);
        print_ops(w->ops);
        print_gaps(w->gaps);
        if (cJSON_GetArraySize(w->events))
            printf("\n%d alerts; --json has them\n", cJSON_GetArraySize(w->events));
        return args_flush();
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "run", w->run);
    cJSON_AddItemToObject(o, "metrics", w->metrics);
    cJSON_AddItemToObject(o, "gaps", w->gaps);
    cJSON_AddItemToObject(o, "ops", w->ops);
    cJSON_AddItemToObject(o, "events", w->events);
    *w = (shown){0};
    return args_print_json(o);
}

static int show(int argc, char **argv) {
    const char *db = NULL;
    bool is_json = false;
    arg_operands run = {0};
    const arg_opt opts[] = {
        {0, "db", ARG_STR, &db, "PATH|URL", NULL, "the history, if not the default", 0, 0},
        {0, "json", ARG_FLAG, &is_json, NULL, NULL, "print one JSON object", 0, 0},
        {0}};
    const arg_cmd cmd = {
        .verb = "history show",
        .summary = "Shows one run: its metrics over its whole length, its operations and gaps.\n"
                   "RUN is an id, the beginning of one, or latest, the default.",
        .synopsis = "[RUN] [options]",
        .opts = opts,
        .operands = &run,
        .max_operands = 1};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    bitnet_error err = {0};
    store *s;
    shown w;
    if (history_open(&s, (store_desc){.location = db, .is_read_only = true}, &err) < 0)
        return history_fail(&err);
    code = read_shown(s, run.n ? run.v[0] : "latest", &w, &err) < 0 ? history_fail(&err)
                                                                    : print_shown(&w, is_json);
    free_shown(&w);
    store_close(s);
    return code;
}

/* ---- the verb ---------------------------------------------------------------------------------- */

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} parts[] = {
    {"list", "the runs, newest first", list},
    {"show", "one run: metrics, operations, gaps", show},
    {"export", "runs as the messages they were heard as, CSV or JSON", history_export},
    {"import", "what was exported", history_import},
};

static void print_help(FILE *out) {
    fprintf(out, "usage: bitnet history <part> [options]\n\nWhat the hub keeps of past runs.\n\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        fprintf(out, "  %-8s %s\n", parts[i].name, parts[i].summary);
    fprintf(out, "\n  bitnet history <part> --help   the options of a part\n");
}

int cmd_history(int argc, char **argv) {
    if (args_only_looks()) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            (void)parts[i].run(argc, argv);
        return 0;
    }
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help(stdout);
        return args_flush();
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(argv[1], parts[i].name)) return parts[i].run(argc - 1, argv + 1);
    bitnet_escaped e;
    fprintf(stderr,
            "bitnet: error: history has no part \"%s\"; list, show, export and import are allowed "
            "[usage.part]\n",
            bitnet_escape(&e, argv[1], strlen(argv[1])));
    return EX_USAGE;
}
