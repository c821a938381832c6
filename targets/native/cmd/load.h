/* load.h: what verbs that need a model share: options' values in, a loaded model out. */
#ifndef BITNET_LOAD_H
#define BITNET_LOAD_H

#include "bitnet/bitnet.h"
#include "cmd/args.h"
#include "model_files.h"

typedef struct load_opts {
    const char *path;                   /* NULL = the embedded model */
    int32_t n_threads;                  /* 0 = as many as pay */
    uint32_t cpu_mask;                  /* 0 = all */
    int32_t i2s_layout;                 /* bitnet_i2s_layout */
    int32_t weight_bits;                /* bitnet_weight_bits */
    arg_list overrides;                 /* "KEY=TYPE:VALUE" */
    int32_t cache_type_k, cache_type_v; /* bitnet_kv_type */
    int32_t sparse, staged;             /* bitnet_switch */
    bitnet_load_level level;
    uint64_t memory_limit;            /* most bytes that the plan may have; 0 = any */
    int32_t n_ctx, n_batch, n_logits; /* of the context that is planned with the weights, as in
                                         bitnet_ctx_desc; n_batch 0 = none is */
} load_opts;

/* Rows of a verb's option table; `o` is a load_opts. */
/* clang-format off */
#define LOAD_FILE_OPTS(o)                                                                           \
    {'m', "model", ARG_STR, &(o).path, "PATH", NULL,                                                \
     "GGUF file, first part of a split one, or Hugging Face folder; bitnet-tales when absent", 0, 0}, \
    LOAD_HOW_OPTS(o)
#define LOAD_HOW_OPTS(o)                                                                            \
    {0, "i2s-layout", ARG_WORD, &(o).i2s_layout, "a|b", NULL,                                       \
     "b for I2_S files written by bitnet.cpp on ARM since November 2025 (a)", 0, 0},                \
    {0, "override-kv", ARG_LIST, &(o).overrides, "KEY=TYPE:VALUE", NULL,                            \
     "replace a metadata key; types int float bool str; may be repeated", 0, 0}
#define LOAD_RUN_OPTS(o)                                                                            \
    {0, "cache-type-k", ARG_WORD, &(o).cache_type_k, "auto|f16|f32|q8_0", NULL,                     \
     "how keys are kept; auto: f16, f32 for the smallest models", 0, 0},                            \
    {0, "cache-type-v", ARG_WORD, &(o).cache_type_v, "auto|f16|f32|q8_0", NULL,                     \
     "how values are kept", 0, 0},                                                                  \
    {0, "sparse", ARG_WORD, &(o).sparse, "auto|on|off", NULL,                                       \
     "skip zeros of squared ReLU when decoding", 0, 0},                                             \
    {0, "staged-head", ARG_WORD, &(o).staged, "auto|on|off", NULL,                                  \
     "compute only those logits exactly that decide", 0, 0},                                        \
    {0, "weights", ARG_WORD, &(o).weight_bits, "auto|2bit|1.6bit", NULL,                            \
     "memory a ternary weight takes; auto measures, for large models", 0, 0},                       \
    {0, "cpu-mask", ARG_CPUS, &(o).cpu_mask, "LIST", NULL,                                          \
     "kernels allowed: c, avx2, ..., all; --version lists them", 0, 0},                             \
    {0, "memory-limit", ARG_SIZE, &(o).memory_limit, "SIZE", NULL,                                  \
     "refuse a model that takes more, as 512MiB or 1GB; inspect tells what one takes", 0, 0}
#define LOAD_OPTS(o)                                                                                \
    LOAD_FILE_OPTS(o),                                                                              \
    {'t', "threads", ARG_INT, &(o).n_threads, "N", "BITNET_NUM_THREADS",                            \
     "0 = as many as pay, see doctor", 0, 1024},                                                    \
    LOAD_RUN_OPTS(o)
/* clang-format on */

typedef struct loaded {
    model_files files;
    bitnet_model *model;
} loaded;

/* Shows a progress bar on stderr when it is a terminal and loading takes over a second, and warnings
 * of the library as they come.
 *   E_NOMEM  load.memory_limit: what the header plans is more than the limit; nothing was read of the weights */
bitnet_status load_model(loaded *out, const load_opts *opts, bitnet_error *err);
void load_close(loaded *l); /* {0} is fine */

/* Prints a sentence for each override that is none. */
bool load_check(const load_opts *opts);

/* The overrides as the library takes them; malloc'd, to be freed as one. E_INVAL: no KEY=VALUE. */
bitnet_status load_overrides(bitnet_override **out, const arg_list *list, bitnet_error *err);

/* A progress bar for anything: "loading [####    ] 12 of 50 MB". Draws at most ten times a second,
 * from the second second on, and only when stderr is a terminal. */
typedef struct load_bar {
    const char *what;
    uint64_t start_ns, shown_ns;
} load_bar;
load_bar load_bar_begin(const char *what);
void load_bar_report(void *bar, uint64_t done, uint64_t total); /* a bitnet_progress report */
void load_bar_end(load_bar *bar);

extern const bitnet_logger
    load_logger; /* "bitnet: warning: ..." to stderr; other levels are dropped */

/* The whole of a file, or of stdin for "-", at most cap bytes; malloc'd, terminated. */
bitnet_status load_text(char **out, size_t *len, const char *path, size_t cap, bitnet_error *err);

#endif
