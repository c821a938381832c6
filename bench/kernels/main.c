/* main.c: bench_kernels: see bench.h. Rows to stdout, a line about what runs to stderr when that is a
 * terminal. Exits with 0; 1 when a variant of this CPU has no row; 64 for a bad argument.
 */
#define _GNU_SOURCE /* getopt_long, isatty */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "bench.h"
#include "bitnet/backend.h"
#include "cmd/bench_output.h"

enum { SLOT, VARIANT, SHAPE, MIN, MEDIAN, GB, OF_READ, GMAC, OF_PEAK, GELEM, N_CELLS };

static const bench_column columns[N_CELLS] = {
    [SLOT] = {"slot", 11, true},         [VARIANT] = {"variant", 10, true},
    [SHAPE] = {"shape", 24, true},       [MIN] = {"min us", 10, false},
    [MEDIAN] = {"median us", 10, false}, [GB] = {"GB/s", 6, false},
    [OF_READ] = {"of read", 7, false},   [GMAC] = {"GMAC/s", 7, false},
    [OF_PEAK] = {"of peak", 7, false},   [GELEM] = {"Gelem/s", 7, false},
};
static bench_output out = {.columns = columns, .n_columns = N_CELLS};

/* ---- the table, as kernels.def has it ------------------------------------------------------------------ */

typedef void (*any_fn)(void);

static const struct entry {
    const char *slot, *variant;
    uint32_t needs;
    any_fn fn;
} entries[] = {
#define KERNEL(slot, variant, needs) {#slot, #variant, needs, (any_fn)bitnet_##slot##_##variant},
#include "kernels/kernels.def"
#undef KERNEL
};
#define N_ENTRIES (sizeof entries / sizeof *entries)

#define X(slot)                                                                                    \
    static void run_##slot(bench *b, any_fn fn) {                                                  \
        bench_##slot(b, (bitnet_##slot##_fn)fn);                                                   \
    }
BITNET_SLOTS(X)
#undef X

static const struct slot {
    const char *name;
    void (*run)(bench *b, any_fn fn);
} slots[] = {
#define X(slot) {#slot, run_##slot},
    BITNET_SLOTS(X)
#undef X
};
#define N_SLOTS (sizeof slots / sizeof *slots)

/* ---- rows ------------------------------------------------------------------------------------------------ */

/* A figure as a member of the row and as a cell; null and "" when it means nothing here. */
static void add_figure(cJSON *row, const char *name, char cell[24], const char *format, double v) {
    *cell = 0;
    if (v > 0) {
        cJSON_AddNumberToObject(row, name, v);
        snprintf(cell, 24, "%.*f%s", *format - '0', v * (format[1] ? 100 : 1), format + 1);
    } else {
        cJSON_AddNullToObject(row, name);
    }
}

void bench_print(bench *b, const bench_case *c, const bench_result *r) {
    const double peak = !b->peak ? 0 : c->is_int8 ? b->peak->i8 : b->peak->f32;
    const double gb = (double)c->weight_size / r->min_ns, gmac = c->n_mac / r->min_ns;
    char cell[N_CELLS][24];
    cJSON *row = bench_output_new_row();
    cJSON_AddStringToObject(row, "slot", b->slot);
    cJSON_AddStringToObject(row, "variant", b->variant);
    cJSON_AddStringToObject(row, "shape", c->shape);
    cJSON_AddNumberToObject(row, "weight_size", (double)c->weight_size);
    cJSON_AddNumberToObject(row, "n_mac", c->n_mac);
    cJSON_AddNumberToObject(row, "min_ns", r->min_ns);
    cJSON_AddNumberToObject(row, "median_ns", r->median_ns);
    add_figure(row, "gb_per_s", cell[GB], "2", gb);
    add_figure(row, "read_share", cell[OF_READ], "0%", gb / b->read_gb_per_s);
    add_figure(row, "gmac_per_s", cell[GMAC], "1", gmac);
    add_figure(row, "peak_share", cell[OF_PEAK], "0%", peak > 0 ? gmac * 1e9 / peak : 0);
    add_figure(row, "gelem_per_s", cell[GELEM], "2", c->n_elem / r->min_ns);
    cJSON_AddNumberToObject(row, "read_gb_per_s", b->read_gb_per_s);
    add_figure(row, "peak_gmac_per_s", cell[MIN], "1", c->n_mac > 0 ? peak * 1e-9 : 0);
    cJSON_AddItemToObject(row, "samples_ns", cJSON_CreateDoubleArray(r->ns, r->n));
    snprintf(cell[MIN], sizeof cell[MIN], "%.2f", r->min_ns * 1e-3);
    snprintf(cell[MEDIAN], sizeof cell[MEDIAN], "%.2f", r->median_ns * 1e-3);
    const char *cells[N_CELLS] = {b->slot, b->variant, c->shape};
    for (int i = MIN; i < N_CELLS; i++)
        cells[i] = cell[i];
    bench_output_row(&out, row, cells);
    fflush(stdout);
}

static void print_bounds(const bench *b, const char *reader) {
    if (out.format != BENCH_MD) return;
    printf("read: %.2f GB/s by one thread, %zu MiB front to back (%s)\n", b->read_gb_per_s,
           b->pool_size >> 20, reader);
    const bench_peak *p;
    for (int i = 0; (p = bench_peak_at(i)); i++) {
        printf("peak: %s int8 %.1f", p->variant, p->i8 * 1e-9);
        if (p->f32 > 0) printf(", f32 %.1f", p->f32 * 1e-9);
        printf(" GMAC/s\n");
    }
    putchar('\n');
}

/* ---- the run --------------------------------------------------------------------------------------------- */

typedef struct choice {
    const char *slot, *variant; /* NULL = all */
    uint32_t flags;
    bool is_terminal;
    int n_run, n_empty;
} choice;

static bool is_chosen(const char *wanted, const char *name) {
    return !wanted || !strcmp(wanted, name);
}

static void run_entry(bench *b, choice *ch, const struct entry *e, const struct slot *s) {
    if ((ch->flags & e->needs) != e->needs) {
        fprintf(stderr, "skipped %s %s: this CPU lacks what it needs\n", e->slot, e->variant);
        return;
    }
    b->slot = e->slot;
    b->variant = e->variant;
    b->peak = bench_peak_of(e->variant);
    b->n_cases = 0;
    if (ch->is_terminal) fprintf(stderr, "\r%s %s\033[K\r", e->slot, e->variant);
    s->run(b, e->fn);
    ch->n_run++;
    if (b->n_cases > 0) return;
    fprintf(stderr, "bench_kernels: error: %s %s printed no row\n", e->slot, e->variant);
    ch->n_empty++;
}

static int run(bench *b, choice *ch) {
    const char *reader = NULL;
    if (!bench_open(b)) {
        fprintf(stderr, "bench_kernels: error: no memory for the weights\n");
        return EX_OSERR;
    }
    b->read_gb_per_s = bench_read_rate(b, bench_reader(ch->flags, &reader));
    bench_peak_measure(ch->flags, b->is_quick);
    print_bounds(b, reader);
    for (size_t i = 0; i < N_SLOTS; i++) /* variants of a slot side by side */
        for (size_t j = 0; j < N_ENTRIES; j++)
            if (!strcmp(slots[i].name, entries[j].slot) && is_chosen(ch->slot, entries[j].slot) &&
                is_chosen(ch->variant, entries[j].variant))
                run_entry(b, ch, &entries[j], &slots[i]);
    bench_output_end(&out);
    bench_close(b);
    return fflush(stdout) ? EX_IOERR : ch->n_empty > 0;
}

/* ---- arguments ------------------------------------------------------------------------------------------- */

static void print_help(void) {
    puts("usage: bench_kernels [options]\n\n"
         "Times every kernel of this CPU at the shapes of BitNet-b1.58-2B-4T.\n\n"
         "      --slot NAME            only this slot: tern_matmul, rmsnorm, ...\n"
         "      --variant NAME         only this variant: c, avx2, ...\n"
         "  -r, --repetitions N        of each shape (9)\n"
         "  -o, --output " BENCH_FORMATS "\n"
         "      --quick                one small call of each: does it run?\n"
         "  -h, --help                 show this help");
}

static int refuse(const char *option, const char *value, const char *allowed) {
    fprintf(stderr, "bench_kernels: error: --%s is \"%s\"; %s is allowed\n", option, value,
            allowed);
    return EX_USAGE;
}

/* Does any line of kernels.def have the name? */
static bool is_known(const char *name, bool is_slot) {
    for (size_t i = 0; i < N_ENTRIES; i++)
        if (!strcmp(name, is_slot ? entries[i].slot : entries[i].variant)) return true;
    return false;
}

static int find_format(const char *name) {
    static const char *const names[] = {"md", "csv", "json", "jsonl"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) return i;
    return -1;
}

/* -1 to go on, or the exit code. */
static int take(bench *b, choice *ch, int option) {
    char *end;
    int format;
    switch (option) {
    case 's':
        ch->slot = optarg;
        return is_known(optarg, true) ? -1 : refuse("slot", optarg, "a slot of kernels.def");
    case 'v':
        ch->variant = optarg;
        return is_known(optarg, false) ? -1 : refuse("variant", optarg, "a variant of kernels.def");
    case 'r':
        b->n_reps = (int32_t)strtol(optarg, &end, 10);
        if (end != optarg && !*end && b->n_reps >= 1 && b->n_reps <= BENCH_MAX_REPS) return -1;
        return refuse("repetitions", optarg, "an integer from 1 to 1000");
    case 'o':
        format = find_format(optarg);
        out.format = (bench_format)(format < 0 ? 0 : format);
        return format >= 0 ? -1 : refuse("output", optarg, BENCH_FORMATS);
    case 'q':
        b->is_quick = true;
        b->n_reps = 1;
        return -1;
    case 'h':
        print_help();
        return 0;
    default:
        fprintf(stderr, "bench_kernels: error: see bench_kernels --help\n");
        return EX_USAGE;
    }
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"slot", required_argument, NULL, 's'},
                                            {"variant", required_argument, NULL, 'v'},
                                            {"repetitions", required_argument, NULL, 'r'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bench b = {.n_reps = 9};
    choice ch = {.flags = bitnet_cpu_flags(), .is_terminal = isatty(STDERR_FILENO) == 1};
    for (int c; (c = getopt_long(argc, argv, "r:o:h", options, NULL)) != -1;) {
        int code = take(&b, &ch, c);
        if (code >= 0) return code;
    }
    if (optind < argc) return take(&b, &ch, '?');
    return run(&b, &ch);
}
