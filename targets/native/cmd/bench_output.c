/* bench_output.c: see bench_output.h. */
#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include "cmd/bench_output.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bitnet/bitnet.h"
#include "build_commit.h"
#include "os_cores.h"

#if defined(__GNUC__) && !defined(__clang__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER __VERSION__ /* clang's own begins with its name */
#endif

/* ---- Markdown ---------------------------------------------------------------------------------- */

/* Columns on a screen: bytes that begin a UTF-8 character. */
static int shown_width(const char *text) {
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int column_width(const bench_column *c) {
    int n = shown_width(c->title);
    return n > c->width ? n : c->width;
}

static void print_cell(const bench_column *c, const char *text) {
    int pad = column_width(c) - shown_width(text);
    if (pad < 0) pad = 0;
    if (c->is_left)
        printf("| %s%*s ", text, pad, "");
    else
        printf("| %*s%s ", pad, "", text);
}

static void print_head(const bench_output *o) {
    for (int32_t i = 0; i < o->n_columns; i++)
        print_cell(&o->columns[i], o->columns[i].title);
    puts("|");
    for (int32_t i = 0; i < o->n_columns; i++) {
        const bench_column *c = &o->columns[i];
        putchar('|');
        putchar(c->is_left ? ':' : '-');
        for (int w = column_width(c); w > 0; w--)
            putchar('-');
        putchar(c->is_left ? '-' : ':');
    }
    puts("|");
}

static void print_md(const bench_output *o, const char *const *cells) {
    if (o->n_rows == 0) print_head(o);
    for (int32_t i = 0; i < o->n_columns; i++)
        print_cell(&o->columns[i], cells[i]);
    puts("|");
}

/* ---- CSV (RFC 4180) ------------------------------------------------------------------------------ */

static void print_quoted(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(const bench_output *o, const cJSON *row) {
    const cJSON *item;
    for (int pass = o->n_rows > 0; pass < 2; pass++) { /* the first row brings the header */
        const char *comma = "";
        cJSON_ArrayForEach(item, row) {
            if (cJSON_IsArray(item)) continue;
            fputs(comma, stdout);
            comma = ",";
            if (pass == 0)
                fputs(item->string, stdout);
            else if (cJSON_IsString(item))
                print_quoted(item->valuestring);
            else if (!cJSON_IsNull(item)) {
                char *text = cJSON_PrintUnformatted(item);
                fputs(text && strcmp(text, "null") ? text : "", stdout);
                cJSON_free(text);
            }
        }
        putchar('\n');
    }
}

/* ---- rows ---------------------------------------------------------------------------------------- */

void bench_output_row(bench_output *o, cJSON *row, const char *const *cells) {
    char *text = NULL;
    switch (o->format) {
    case BENCH_MD:
        print_md(o, cells);
        break;
    case BENCH_CSV:
        print_csv(o, row);
        break;
    case BENCH_JSON:
    case BENCH_JSONL:
        text = cJSON_PrintUnformatted(row);
        if (o->format == BENCH_JSON) fputs(o->n_rows ? ",\n  " : "[\n  ", stdout);
        fputs(text ? text : "null", stdout);
        if (o->format == BENCH_JSONL) putchar('\n');
        cJSON_free(text);
        break;
    }
    o->n_rows++;
    cJSON_Delete(row);
}

void bench_output_end(const bench_output *o) {
    char cpu[OS_CPU_NAME_MAX];
    if (o->format == BENCH_JSON) puts(o->n_rows ? "\n]" : "[]");
    if (o->format == BENCH_MD && o->n_rows)
        printf("\nbuild %s (%s), %s; %s\n", bitnet_build_commit, BITNET_VERSION, COMPILER,
               bitnet_os_cpu_name(cpu));
}

cJSON *bench_output_new_row(void) {
    char cpu[OS_CPU_NAME_MAX];
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "build_commit", bitnet_build_commit);
    cJSON_AddStringToObject(row, "build_version", BITNET_VERSION);
    cJSON_AddStringToObject(row, "compiler", COMPILER);
    cJSON_AddStringToObject(row, "cpu_info", bitnet_os_cpu_name(cpu));
    return row;
}

/* ---- the machine, the time, figures ---------------------------------------------------------------- */

bench_time bench_time_now(void) {
    bench_time out;
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(out.s, sizeof out.s, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

bench_spread bench_spread_of(const double *v, int32_t n) {
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < n; i++)
        sum += v[i];
    bench_spread s = {.mean = sum / n};
    for (int32_t i = 0; i < n; i++)
        squares += (v[i] - s.mean) * (v[i] - s.mean);
    s.stddev = n > 1 ? sqrt(squares / (n - 1)) : 0;
    return s;
}
