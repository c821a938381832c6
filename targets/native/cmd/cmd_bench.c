/* cmd_bench.c: `bitnet bench`: prompt and decode rates in llama-bench's notation (docs/bench.md). Rows go
 * to stdout as they are measured, a line about what runs now to stderr when that is a terminal.
 *
 * Timed is the forward pass alone, through bitnet/context.h: no tokenizer, no sampler. Every allocation,
 * the tokens at a depth and one whole repetition to warm up come before the first sample.
 */
#define _POSIX_C_SOURCE 200809L /* isatty, nanosleep */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os.h"
#include "base/rng.h"
#include "bitnet/bitnet.h"
#include "cmd/answer.h"
#include "cmd/args.h"
#include "cmd/bench_output.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#define TOKEN_SEED  1
#define DEPTH_CHUNK 512 /* tokens between two looks for Ctrl-C while a depth is filled */
#define MAX_TOKENS  (1 << 20)
#define MAX_REPS    1000
#define BUILT_IN    "bitnet-tales (built in)"

enum { MODEL, SIZE, PARAMS, BACKEND, THREADS, BATCH, TEST, RATE, RATE_EACH, N_CELLS };

typedef struct bench_test {
    int32_t n_prompt, n_gen, n_depth, n_batch;
    int32_t n_parallel; /* sequences that generate together */
    char name[64];      /* "pp512", "tg128 @ d4096", "pp512+tg128 x8" */
} bench_test;

typedef struct bench {
    load_opts load;
    arg_list models;
    arg_numbers n_prompt, n_gen, pairs, n_parallel, n_depth, n_batch, n_threads;
    int32_t n_best; /* logits wanted; 0 = all */
    int32_t n_reps, delay_s, format;
    bool skips_warmup, is_terminal;
    int32_t n_tests, n_done;
    const char *path; /* of the model at hand, NULL = the built-in one */
    bench_column columns[N_CELLS];
    bench_output out;
} bench;

/* One test's raw times. */
typedef struct bench_samples {
    uint64_t *total_ns; /* [n_reps] */
    uint64_t *token_ns; /* [n_reps][n_gen] */
    bench_time started;
} bench_samples;

/* ---- the plan ------------------------------------------------------------------------------------ */

static void add_name(bench_test *t, const char *kind, int32_t n) {
    size_t len = strlen(t->name);
    if (n > 0) snprintf(t->name + len, sizeof t->name - len, "%s%s%d", len ? "+" : "", kind, n);
}

/* `t` with its name. */
static bench_test named(bench_test t) {
    add_name(&t, "pp", t.n_prompt);
    add_name(&t, "tg", t.n_gen);
    size_t len = strlen(t.name);
    if (t.n_parallel > 1) snprintf(t.name + len, sizeof t.name - len, " x%d", t.n_parallel);
    len = strlen(t.name);
    if (t.n_depth > 0) snprintf(t.name + len, sizeof t.name - len, " @ d%d", t.n_depth);
    return t;
}

/* Number i of the tests of one batch size and depth, less the tests already counted; false past the end. A
 * prompt alone fills its batches by itself and is one sequence always. */
static bool get_test_of(const bench *b, int32_t *i, bench_test t, bench_test *out) {
    const int32_t *p = b->pairs.v, *n_parallel = b->n_parallel.v;
    for (int32_t j = 0; j < b->n_prompt.n; j++) {
        t.n_prompt = b->n_prompt.v[j], t.n_gen = 0, t.n_parallel = 1;
        if (t.n_prompt > 0 && (*i)-- == 0) return *out = named(t), true;
    }
    for (int32_t j = 0; j < b->n_gen.n * b->n_parallel.n; j++) {
        t.n_prompt = 0, t.n_gen = b->n_gen.v[j / b->n_parallel.n];
        t.n_parallel = n_parallel[j % b->n_parallel.n];
        if (t.n_gen > 0 && (*i)-- == 0) return *out = named(t), true;
    }
    for (int32_t j = 0; j < b->pairs.n / 2 * b->n_parallel.n; j++) {
        const int32_t *pair = p + j / b->n_parallel.n * 2;
        t.n_prompt = pair[0], t.n_gen = pair[1];
        t.n_parallel = n_parallel[j % b->n_parallel.n];
        if (t.n_prompt + t.n_gen > 0 && (*i)-- == 0) return *out = named(t), true;
    }
    return false;
}

/* Number i of the tests that every model runs with every number of threads; false past the end. The order
 * is llama-bench's: batch sizes, within them depths, within them prompts, generations, pairs. */
static bool get_test(const bench *b, int32_t i, bench_test *out) {
    for (int32_t at_batch = 0; at_batch < b->n_batch.n; at_batch++)
        for (int32_t at_depth = 0; at_depth < b->n_depth.n; at_depth++) {
            bench_test t = {.n_depth = b->n_depth.v[at_depth], .n_batch = b->n_batch.v[at_batch]};
            if (get_test_of(b, &i, t, out)) return true;
        }
    return false;
}

/* Tokens of one sequence. */
static int32_t length_of(const bench_test *t) {
    return t->n_depth + t->n_prompt + t->n_gen;
}

/* What context number i of a test is made with. The first one's memory is that of all in a step, and a
 * window has room for a batch. */
static bitnet_ctx_desc desc_of(const bench_test *t, const bitnet_model *m, int32_t i) {
    const int32_t n = length_of(t), n_lead = i == 0 ? t->n_parallel : 1;
    bitnet_ctx_desc d = {.model = m, .n_ctx = n, .n_logits = n_lead};
    if (d.n_ctx < t->n_parallel) d.n_ctx = t->n_parallel;
    d.n_batch = t->n_batch > 0 ? t->n_batch : BITNET_BATCH_DEFAULT;
    if (d.n_batch < n_lead) d.n_batch = n_lead;
    return d;
}

/* ---- one test ------------------------------------------------------------------------------------ */

static bitnet_status cancelled(const bench *b, bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_CANCELLED, "bench.cancelled", "cancelled after %d of %d tests",
                       b->n_done, b->n_tests);
}

/* The timeline becomes the first n_depth tokens, which are computed the first time only. */
static bitnet_status go_to_depth(bitnet_ctx *ctx, const bitnet_token *tok, int32_t n_depth) {
    if (n_depth == 0) {
        bitnet_ctx_clear(ctx);
        return BITNET_OK;
    }
    int32_t len = bitnet_ctx_match(ctx, tok, n_depth);
    do {
        len = n_depth - len > DEPTH_CHUNK ? len + DEPTH_CHUNK : n_depth;
        bitnet_status st = bitnet_ctx_sync(ctx, tok, len);
        if (st < 0) return st;
        if (answer_is_interrupted) return BITNET_E_CANCELLED;
    } while (len < n_depth);
    return BITNET_OK;
}

/* All sequences at the depth: what the first one computed is copied into the others. */
static bitnet_status all_to_depth(bitnet_ctx *const *ctx, const bench_test *t,
                                  const bitnet_token *tok) {
    bitnet_status st = go_to_depth(ctx[0], tok, t->n_depth);
    void *state = NULL;
    size_t size = 0;
    for (int32_t i = 1; st >= 0 && i < t->n_parallel; i++) {
        if (bitnet_ctx_match(ctx[i], tok, t->n_depth) == t->n_depth) {
            bitnet_ctx_cut(ctx[i], t->n_depth);
            continue;
        }
        if (!state) {
            size = bitnet_ctx_save(ctx[0], 0, t->n_depth, NULL, 0);
            state = malloc(size);
            if (state) bitnet_ctx_save(ctx[0], 0, t->n_depth, state, size);
        }
        st = state ? bitnet_ctx_load(ctx[i], tok, 0, t->n_depth, state, size) : BITNET_E_NOMEM;
    }
    free(state);
    return st;
}

/* The next token of every sequence. */
static bitnet_status decode_all(bitnet_ctx *const *ctx, int32_t n, const bitnet_token *next) {
    bitnet_ctx_run run[BITNET_MAX_RUNS];
    if (n == 1) return bitnet_ctx_decode(ctx[0], *next);
    for (int32_t i = 0; i < n; i++)
        run[i] = (bitnet_ctx_run){ctx[i], next, 1, 1};
    return bitnet_ctx_extend(run, n);
}

/* One repetition: the prompt of each sequence in one call, then a token of all at a time. ctx
 * [n_parallel], token_ns [n_gen]. */
static bitnet_status run_once(bitnet_ctx *const *ctx, const bench_test *t, const bitnet_token *tok,
                              uint64_t *total_ns, uint64_t *token_ns) {
    bitnet_status st = all_to_depth(ctx, t, tok);
    if (st < 0) return st;
    const int32_t n_before = t->n_depth + t->n_prompt;
    const uint64_t start = bitnet_os_now_ns();
    for (int32_t i = 0; st >= 0 && t->n_prompt > 0 && i < t->n_parallel; i++)
        st = answer_is_interrupted ? BITNET_E_CANCELLED : bitnet_ctx_sync(ctx[i], tok, n_before);
    uint64_t last = bitnet_os_now_ns();
    for (int32_t i = 0; st >= 0 && i < t->n_gen; i++) {
        st = decode_all(ctx, t->n_parallel, &tok[n_before + i]);
        const uint64_t now = bitnet_os_now_ns();
        token_ns[i] = now - last;
        last = now;
        if (answer_is_interrupted) st = BITNET_E_CANCELLED;
    }
    *total_ns = last - start;
    return answer_is_interrupted ? BITNET_E_CANCELLED : st;
}

static void show(const bench *b, const bench_test *t, int32_t rep) {
    if (!b->is_terminal) return;
    fprintf(stderr, "\rtest %d of %d: %s, ", b->n_done + 1, b->n_tests, t->name);
    if (rep < 0)
        fprintf(stderr, "warm-up\033[K");
    else
        fprintf(stderr, "repetition %d of %d\033[K", rep + 1, b->n_reps);
}

static bitnet_status repeat(const bench *b, const bench_test *t, bitnet_ctx *const *ctx,
                            const bitnet_token *tok, bench_samples *s) {
    bitnet_status st = BITNET_OK;
    for (int32_t rep = b->skips_warmup ? 0 : -1; st >= 0 && rep < b->n_reps; rep++) {
        size_t row = rep < 0 ? 0 : (size_t)rep; /* the warm-up is overwritten */
        show(b, t, rep);
        st = run_once(ctx, t, tok, &s->total_ns[row], &s->token_ns[row * (size_t)t->n_gen]);
    }
    if (b->is_terminal) fprintf(stderr, "\r\033[K");
    return st;
}

/* Pseudo-random ids, the same for every test of a model. What a token is changes its cost by a little: how
 * many zeros squared ReLU makes, how many rows of the head are computed exactly. */
static bitnet_token *make_tokens(int32_t n, int32_t n_vocab) {
    bitnet_token *tok = malloc((size_t)n * sizeof *tok);
    uint64_t rng = rng_seed(TOKEN_SEED);
    for (int32_t i = 0; tok && i < n; i++)
        tok[i] = (bitnet_token)((rng_next(&rng) >> 32) * (uint64_t)n_vocab >> 32);
    return tok;
}

static bitnet_status open_contexts(bitnet_ctx **ctx, const bench_test *t, const bitnet_model *m,
                                   int32_t n_best, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (int32_t i = 0; st >= 0 && i < t->n_parallel; i++) {
        bitnet_ctx_desc desc = desc_of(t, m, i);
        st = bitnet_ctx_create(&ctx[i], &desc, err);
        if (st >= 0) bitnet_ctx_want(ctx[i], (bitnet_want){.n_best = n_best});
    }
    return st;
}

static bitnet_status measure(const bench *b, const bench_test *t, const bitnet_model *m,
                             bench_samples *s, bitnet_error *err) {
    const size_t n_reps = (size_t)b->n_reps;
    bitnet_ctx *ctx[BITNET_MAX_RUNS] = {NULL};
    bitnet_token *tok = make_tokens(length_of(t), bitnet_model_get_info(m).n_vocab);
    s->total_ns = calloc(n_reps, sizeof *s->total_ns);
    s->token_ns = calloc(n_reps * (size_t)t->n_gen + 1, sizeof *s->token_ns);
    s->started = bench_time_now();
    bitnet_status st = open_contexts(ctx, t, m, b->n_best, err);
    if (st >= 0 && (!tok || !s->total_ns || !s->token_ns)) {
        st = bitnet_fail(err, BITNET_E_NOMEM, "bench.memory", "no memory for the times of %s",
                         t->name);
    } else if (st >= 0) {
        st = repeat(b, t, ctx, tok, s);
        if (st == BITNET_E_CANCELLED)
            cancelled(b, err);
        else if (st < 0)
            bitnet_fail(err, st, "bench.run", "running %s: %s", t->name, bitnet_status_text(st));
    }
    free(tok);
    for (int32_t i = 0; i < t->n_parallel; i++)
        bitnet_ctx_free(ctx[i]);
    return st;
}

/* ---- one row ------------------------------------------------------------------------------------- */

static const char *base_name(const char *path) {
    if (!path) return BUILT_IN;
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void add_model(cJSON *row, const bench *b, const bitnet_model *m) {
    const bitnet_model_info info = bitnet_model_get_info(m);
    bitnet_tensor_info tensor = {.type = ""};
    char type[96];
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &tensor) && !tensor.is_ternary;)
        i++;
    snprintf(type, sizeof type, "%s%s%s", info.arch, tensor.is_ternary ? " " : "",
             tensor.is_ternary ? tensor.type : "");
    cJSON_AddStringToObject(row, "backends", info.backend);
    cJSON_AddStringToObject(row, "tier", info.tier);
    cJSON_AddNumberToObject(row, "n_threads", info.n_threads);
    cJSON_AddStringToObject(row, "model_filename", b->path ? b->path : BUILT_IN);
    cJSON_AddStringToObject(row, "model_type", type);
    cJSON_AddNumberToObject(row, "model_size", (double)info.weight_size);
    cJSON_AddNumberToObject(row, "model_n_params", (double)info.n_params);
}

static cJSON *number_array(const double *v, int32_t n) {
    cJSON *a = cJSON_CreateArray();
    for (int32_t i = 0; i < n; i++)
        cJSON_AddItemToArray(a, cJSON_CreateNumber(v[i]));
    return a;
}

/* Returns the tokens per second of all sequences together. */
static bench_spread add_samples(cJSON *row, const bench *b, const bench_test *t,
                                const bench_samples *s) {
    double ns[MAX_REPS], ts[MAX_REPS];
    for (int32_t i = 0; i < b->n_reps; i++) {
        ns[i] = (double)s->total_ns[i];
        ts[i] = 1e9 * t->n_parallel * (t->n_prompt + t->n_gen) / ns[i];
    }
    bench_spread in_ns = bench_spread_of(ns, b->n_reps), in_ts = bench_spread_of(ts, b->n_reps);
    cJSON_AddNumberToObject(row, "avg_ns", (double)(uint64_t)in_ns.mean);
    cJSON_AddNumberToObject(row, "stddev_ns", (double)(uint64_t)in_ns.stddev);
    cJSON_AddNumberToObject(row, "avg_ts", in_ts.mean);
    cJSON_AddNumberToObject(row, "stddev_ts", in_ts.stddev);
    cJSON_AddNumberToObject(row, "avg_ts_each", in_ts.mean / t->n_parallel);
    cJSON_AddItemToObject(row, "samples_ns", number_array(ns, b->n_reps));
    cJSON_AddItemToObject(row, "samples_ts", number_array(ts, b->n_reps));
    cJSON *reps = cJSON_AddArrayToObject(row, "token_ns");
    for (int32_t rep = 0; t->n_gen > 0 && rep < b->n_reps; rep++) {
        cJSON *one = cJSON_CreateArray();
        for (int32_t i = 0; i < t->n_gen; i++) {
            size_t at = (size_t)rep * (size_t)t->n_gen + (size_t)i;
            cJSON_AddItemToArray(one, cJSON_CreateNumber((double)s->token_ns[at]));
        }
        cJSON_AddItemToArray(reps, one);
    }
    return in_ts;
}

static int print_row(bench *b, const bench_test *t, const bitnet_model *m, const bench_samples *s) {
    const bitnet_model_info info = bitnet_model_get_info(m);
    const int32_t n_batch = t->n_batch > 0 ? t->n_batch : BITNET_BATCH_DEFAULT;
    cJSON *row = bench_output_new_row();
    add_model(row, b, m);
    cJSON_AddNumberToObject(row, "n_batch", n_batch);
    cJSON_AddNumberToObject(row, "n_prompt", t->n_prompt);
    cJSON_AddNumberToObject(row, "n_gen", t->n_gen);
    cJSON_AddNumberToObject(row, "n_depth", t->n_depth);
    cJSON_AddNumberToObject(row, "top_k", b->n_best);
    cJSON_AddNumberToObject(row, "n_parallel", t->n_parallel);
    cJSON_AddStringToObject(row, "test", t->name);
    cJSON_AddStringToObject(row, "test_time", s->started.s);
    bench_spread rate = add_samples(row, b, t, s);

    char size[32], params[32], backend[64], threads[16], batch[16], figure[64], each[32];
    snprintf(size, sizeof size, "%.2f MiB", (double)info.weight_size / (1 << 20));
    snprintf(params, sizeof params, "%.2f M", (double)info.n_params * 1e-6);
    snprintf(backend, sizeof backend, "%s %s", info.backend, info.tier);
    snprintf(threads, sizeof threads, "%d", info.n_threads);
    snprintf(batch, sizeof batch, "%d", n_batch);
    snprintf(figure, sizeof figure, "%.2f ± %.2f", rate.mean, rate.stddev);
    snprintf(each, sizeof each, "%.2f", rate.mean / t->n_parallel);
    const char *const cells[N_CELLS] = {
        base_name(b->path), size, params, backend, threads, batch, t->name, figure, each};
    bench_output_row(&b->out, row, cells);
    return args_flush();
}

/* ---- every test ---------------------------------------------------------------------------------- */

static int run_test(bench *b, const bench_test *t, const bitnet_model *m) {
    bench_samples s = {0};
    bitnet_error err = {0};
    struct timespec pause = {.tv_sec = b->delay_s};
    if (!answer_is_interrupted && b->delay_s > 0) nanosleep(&pause, NULL); /* Ctrl-C ends it */
    bitnet_status st = answer_is_interrupted ? cancelled(b, &err) : measure(b, t, m, &s, &err);
    int code = st < 0 ? args_fail(&err) : print_row(b, t, m, &s);
    free(s.total_ns);
    free(s.token_ns);
    b->n_done++;
    return code;
}

/* Bytes that can be had without taking them from others; UINT64_MAX where the system does not say. */
static uint64_t memory_free(void) {
    char line[256];
    uint64_t kib = UINT64_MAX >> 10;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1) break;
    if (f) fclose(f);
    return kib << 10;
}

/* The system promises memory that it does not have and ends the process that believes it: what many
 * contexts take is counted beforehand. */
static bitnet_status check_memory(const bench_test *t, const bitnet_model *m, bitnet_error *err) {
    if (t->n_parallel == 1) return BITNET_OK;
    uint64_t each = 0, shared = 0;
    for (int32_t i = 0; i < t->n_parallel; i++) {
        const bitnet_ctx_desc d = desc_of(t, m, i);
        const bitnet_memory_plan p = bitnet_model_plan(m, d.n_ctx, d.n_batch, d.n_logits);
        each += p.kv + p.scratch;
        if (p.backend > shared) shared = p.backend;
    }
    const uint64_t size = each + shared, room = memory_free();
    if (size <= room) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_NOMEM, "bench.memory",
                       "%s takes %.1f GiB for %d contexts of %d tokens; %.1f GiB are free", t->name,
                       (double)size / (1 << 30), t->n_parallel, length_of(t),
                       (double)room / (1 << 30));
}

/* A context of the longest test: what cannot be had is said before the first minute is spent. */
static bitnet_status try_longest(const bench *b, const bitnet_model *m, bitnet_error *err) {
    bitnet_ctx_desc desc = {.model = m};
    bitnet_ctx *ctx;
    bench_test t;
    for (int32_t i = 0; get_test(b, i, &t); i++) {
        const bitnet_ctx_desc d = desc_of(&t, m, 0);
        if (d.n_ctx > desc.n_ctx) desc.n_ctx = d.n_ctx;
        if (d.n_batch > desc.n_batch) desc.n_batch = d.n_batch;
        if (d.n_logits > desc.n_logits) desc.n_logits = d.n_logits;
        if (check_memory(&t, m, err) < 0) return BITNET_E_NOMEM;
    }
    bitnet_status st = bitnet_ctx_create(&ctx, &desc, err);
    bitnet_ctx_free(ctx);
    return st;
}

static int run_model(bench *b, const char *path, int32_t n_threads) {
    loaded l = {0};
    bitnet_error err = {0};
    bench_test t;
    int code = 0;
    load_opts load = b->load;
    load.path = b->path = path;
    load.n_threads = n_threads;
    bitnet_status st = load_model(&l, &load, &err);
    if (st >= 0) st = try_longest(b, l.model, &err);
    if (st < 0) code = args_fail(&err);
    for (int32_t i = 0; code == 0 && get_test(b, i, &t); i++)
        code = run_test(b, &t, l.model);
    load_close(&l);
    return code;
}

/* Widths of the Markdown table are known beforehand, so that rows can be printed as they come. */
static void set_columns(bench *b) {
    static const bench_column columns[N_CELLS] = {
        [MODEL] = {"model", 24, true},        [SIZE] = {"size", 11, false},
        [PARAMS] = {"params", 10, false},     [BACKEND] = {"backend", 14, true},
        [THREADS] = {"threads", 7, false},    [BATCH] = {"n_batch", 7, false},
        [TEST] = {"test", 12, false},         [RATE] = {"t/s", 18, false},
        [RATE_EACH] = {"t/s each", 9, false},
    };
    bench_test t;
    int32_t n_columns = RATE_EACH; /* the last one where it says something */
    memcpy(b->columns, columns, sizeof columns);
    for (int32_t i = 0; i < b->models.n; i++) {
        int n = (int)strlen(base_name(b->models.v[i]));
        if (n > b->columns[MODEL].width) b->columns[MODEL].width = n;
    }
    for (int32_t i = 0; get_test(b, i, &t); i++) {
        int n = (int)strlen(t.name);
        if (n > b->columns[TEST].width) b->columns[TEST].width = n;
        if (t.n_parallel > 1) n_columns = N_CELLS;
    }
    b->out = (bench_output){(bench_format)b->format, b->columns, n_columns, 0};
}

/* A name that is wrong is said before the first model is measured. */
static bitnet_status look_at_models(const bench *b, bitnet_error *err) {
    bitnet_status st = BITNET_OK;
    for (int32_t i = 0; st >= 0 && i < b->models.n; i++) {
        loaded l;
        load_opts load = b->load;
        load.path = b->models.v[i];
        load.level = BITNET_LOAD_HEADER;
        st = load_model(&l, &load, err);
        load_close(&l);
    }
    return st;
}

static int run_all(bench *b) {
    int code = 0;
    bench_test t;
    if (b->models.n == 0) b->models.v[b->models.n++] = NULL; /* the built-in one */
    set_columns(b);
    for (b->n_tests = 0; get_test(b, b->n_tests, &t);)
        b->n_tests++;
    if (b->n_tests == 0) {
        fprintf(stderr, "bitnet: error: there is nothing to measure: -p, -n and -pg are all 0 "
                        "[usage.bench]\n");
        return EX_USAGE;
    }
    b->n_tests *= b->models.n * b->n_threads.n;
    bitnet_error err = {0};
    if (b->models.n > 1 && look_at_models(b, &err) < 0) return args_fail(&err);
    answer_catch_sigint(true);
    for (int32_t i = 0; code == 0 && i < b->models.n; i++)
        for (int32_t j = 0; code == 0 && j < b->n_threads.n; j++)
            code = run_model(b, b->models.v[i], b->n_threads.v[j]);
    if (b->out.n_rows > 0) bench_output_end(&b->out); /* rows already measured stay readable */
    int flushed = args_flush();
    return code ? code : flushed;
}

/* llama-bench's -pg and llama-batched-bench's -npl are several letters behind one dash, which getopt takes
 * for -p g and -n pl. */
static void allow_one_dash(int argc, char **argv) {
    static char pg[] = "--pg", npl[] = "--parallel";
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "-pg")) argv[i] = pg;
        if (!strcmp(argv[i], "-npl")) argv[i] = npl;
    }
}

int cmd_bench(int argc, char **argv) {
    bench b = {.n_best = 40,
               .n_prompt = {{512}, 1},
               .n_gen = {{128}, 1},
               .n_parallel = {{1}, 1},
               .n_depth = {{0}, 1},
               .n_batch = {{0}, 1},
               .n_threads = {{0}, 1},
               .n_reps = 5,
               .is_terminal = isatty(STDERR_FILENO) == 1};
    const arg_opt opts[] = {
        {'m', "model", ARG_LIST, &b.models, "PATH", NULL,
         "a model, as in run; may be repeated; bitnet-tales when absent", 0, 0},
        {'p', "n-prompt", ARG_NUMBERS, &b.n_prompt, "LIST", NULL,
         "prompt tokens (512); 0 = no such test", 0, MAX_TOKENS},
        {'n', "n-gen", ARG_NUMBERS, &b.n_gen, "LIST", NULL,
         "generated tokens (128); 0 = no such test", 0, MAX_TOKENS},
        {0, "pg", ARG_PAIR, &b.pairs, "PP,TG", NULL,
         "a prompt and generation after it, timed as one; -pg too; may be repeated", 0, MAX_TOKENS},
        {0, "parallel", ARG_NUMBERS, &b.n_parallel, "LIST", NULL,
         "sequences that generate together, a token of each a step (1); -npl too", 1,
         BITNET_MAX_RUNS},
        {'d', "n-depth", ARG_NUMBERS, &b.n_depth, "LIST", NULL,
         "tokens in the context before the timed ones (0)", 0, MAX_TOKENS},
        {'b', "batch-size", ARG_NUMBERS, &b.n_batch, "LIST", NULL,
         "tokens per forward pass; 0 = 128", 0, 4096},
        {'t', "threads", ARG_NUMBERS, &b.n_threads, "LIST", "BITNET_NUM_THREADS",
         "0 = as many as pay, see doctor", 0, 1024},
        {'r', "repetitions", ARG_INT, &b.n_reps, "N", NULL, "of each test (5)", 1, MAX_REPS},
        {0, "delay", ARG_INT, &b.delay_s, "N", NULL, "seconds of rest before each test (0)", 0,
         86400},
        {'o', "output", ARG_WORD, &b.format, BENCH_FORMATS, "BITNET_OUTPUT_FORMAT",
         "form of the result (md); json and jsonl hold the raw times", 0, 0},
        {0, "no-warmup", ARG_FLAG, &b.skips_warmup, NULL, NULL, "skip the unmeasured repetition", 0,
         0},
        {0, "top-k", ARG_INT, &b.n_best, "N", NULL,
         "of a token's logits only the N largest are wanted, as by run's sampler (40); 0 = all", 0,
         MAX_TOKENS},
        LOAD_RUN_OPTS(b.load),
        LOAD_HOW_OPTS(b.load),
        {0}};
    const arg_cmd cmd = {"bench",
                         "Measures how fast a model runs here, every combination of what the lists "
                         "hold; a LIST is 1,8 or 1-4, 128-512+128, 64-512*2.",
                         "[options]",
                         opts,
                         NULL,
                         0};
    allow_one_dash(argc, argv);
    int code = args_parse(&cmd, argc, argv);
    return code >= 0 ? code : run_all(&b);
}
