/* bench_output.h: how benchmarks write their rows: a Markdown table, CSV or JSON, row by row as they are
 * measured. `bitnet bench` and bench/kernels share it.
 *
 * A row is a JSON object. json and jsonl hold all of it; csv its members but the arrays, with a header
 * from the first row, so every row has the same members; md shows cells of its own. What ends early has
 * still written whole rows.
 */
#ifndef BITNET_BENCH_OUTPUT_H
#define BITNET_BENCH_OUTPUT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_FORMATS "md|csv|json|jsonl"
typedef enum bench_format { /* in the order of BENCH_FORMATS */
                            BENCH_MD,
                            BENCH_CSV,
                            BENCH_JSON,
                            BENCH_JSONL
} bench_format;

typedef struct bench_column { /* of the Markdown table */
    const char *title;
    int width; /* at least; a longer title or cell makes room for itself */
    bool is_left;
} bench_column;

typedef struct bench_output {
    bench_format format;
    const bench_column *columns;
    int32_t n_columns;
    int32_t n_rows; /* written so far */
} bench_output;

/* Prints to stdout and frees `row`; cells [n_columns]. The caller flushes. */
void bench_output_row(bench_output *o, cJSON *row, const char *const *cells);
/* What ends the format; also when no row was printed. */
void bench_output_end(const bench_output *o);

/* Build and machine, the members that every row begins with: build_commit, build_version, compiler,
 * cpu_info. */
cJSON *bench_output_new_row(void);
/* Now, as ISO 8601 in UTC with seconds. */
typedef struct bench_time {
    char s[32];
} bench_time;
bench_time bench_time_now(void);

/* Mean and the standard deviation of a sample (n - 1), 0 for one value. */
typedef struct bench_spread {
    double mean, stddev;
} bench_spread;
bench_spread bench_spread_of(const double *v, int32_t n);

#endif
