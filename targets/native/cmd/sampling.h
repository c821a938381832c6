/* sampling.h: the sampling options that `run` and `chat` share: names and defaults of llama.cpp. */
#ifndef BITNET_SAMPLING_H
#define BITNET_SAMPLING_H

#include "bitnet/engine.h"
#include "cmd/args.h"
#include "cmd/load.h"

typedef struct sampling_opts {
    bitnet_sampler_desc desc;
    arg_list bias_text, stop;
    bitnet_logit_bias bias[ARG_LIST_CAP]; /* of desc, after sampling_check */
    int32_t draft_max, draft_min;         /* of the engine; see sampling_n_draft */
    bool is_deterministic;
} sampling_opts;

/* What the options hold before parsing: the library's defaults and a seed still to be drawn. */
sampling_opts sampling_default(void);
/* Parses the biases; prints a sentence for each that is not TOKEN_ID+BIAS, and returns false when there is
 * one. *s must stay where it is from here on. */
bool sampling_check(sampling_opts *s);
/* Draws the seed when none was given. */
void sampling_draw_seed(sampling_opts *s);

/* What --deterministic sets: all that would be drawn, or chosen by a clock. Threads are left alone: tokens do
 * not depend on them. Ends with NULL. */
extern const arg_preset sampling_deterministic[];

/* bitnet_engine_desc.n_draft, where 0 is the default. */
static inline int32_t sampling_n_draft(const sampling_opts *s) {
    return s->draft_max > 0 ? s->draft_max : -1;
}

/* The context that an engine with these options makes, for the memory limit. */
static inline void sampling_plan_context(const sampling_opts *s, load_opts *load, int32_t n_ctx,
                                         int32_t n_batch) {
    load->n_ctx = n_ctx;
    load->n_batch = n_batch > 0 ? n_batch : BITNET_BATCH_DEFAULT;
    load->n_logits = 1 + (s->draft_max < load->n_batch ? s->draft_max : load->n_batch - 1);
}

/* Rows of a verb's option table; `o` is a sampling_opts. */
/* clang-format off */
#define SAMPLING_OPTS(o)                                                                            \
    {'s', "seed", ARG_U64, &(o).desc.seed, "N", NULL, "seed of the sampler; random when absent", 0, 0}, \
    {0, "temp", ARG_FLOAT, &(o).desc.temp, "X", NULL, "temperature; 0 = greedy (0.8)", 0, 100},     \
    {0, "top-k", ARG_INT, &(o).desc.top_k, "N", NULL, "keep the N likeliest; 0 = off (40)", 0, INT32_MAX}, \
    {0, "top-p", ARG_FLOAT, &(o).desc.top_p, "X", NULL,                                             \
     "keep the likeliest that make up X; 1 = off (0.95)", 0, 1},                                    \
    {0, "min-p", ARG_FLOAT, &(o).desc.min_p, "X", NULL,                                             \
     "drop what is below X times the likeliest; 0 = off (0.05)", 0, 1},                             \
    {0, "repeat-penalty", ARG_FLOAT, &(o).desc.repeat_penalty, "X", NULL,                           \
     "divide the logits of recent tokens by X; 1 = off (1)", 0, 100},                               \
    {0, "repeat-last-n", ARG_INT, &(o).desc.penalty_last_n, "N", NULL,                              \
     "how many tokens are recent; 0 = off, -1 = all (64)", -1, INT32_MAX},                          \
    {0, "presence-penalty", ARG_FLOAT, &(o).desc.presence_penalty, "X", NULL,                       \
     "taken from the logit of each recent token; 0 = off", -100, 100},                              \
    {0, "frequency-penalty", ARG_FLOAT, &(o).desc.frequency_penalty, "X", NULL,                     \
     "taken once for each time it occurs; 0 = off", -100, 100},                                     \
    {0, "logit-bias", ARG_LIST, &(o).bias_text, "ID+X|ID-X", NULL,                                  \
     "added to the logit of token ID; ID-inf bans it; may be repeated", 0, 0},                      \
    {0, "stop", ARG_LIST, &(o).stop, "TEXT", NULL,                                                  \
     "end before this text; may be repeated, up to 16", 0, 0},                                      \
    {'r', "reverse-prompt", ARG_LIST, &(o).stop, "TEXT", NULL, "the same as --stop", 0, 0},         \
    {0, "draft-max", ARG_INT, &(o).draft_max, "N", NULL,                                            \
     "guess up to N tokens ahead where the text repeats itself, as it pays; 0 = off (8)", 0,        \
     BITNET_MAX_DRAFT},                                                                             \
    {0, "draft-min", ARG_INT, &(o).draft_min, "N", NULL,                                            \
     "and at least N, whether it pays or not (0)", 0, BITNET_MAX_DRAFT},                            \
    {0, "deterministic", ARG_FLAG, &(o).is_deterministic, NULL, NULL,                               \
     "the same in every run but for times: --seed 0 --draft-max 0 --weights 2bit, where not given", 0, 0}
/* clang-format on */

#endif
