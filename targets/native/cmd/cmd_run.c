/* cmd_run.c: `bitnet run`: one prompt, the answer to stdout as it is made, a summary to stderr.
 * With --json nothing but one object goes to stdout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "bitnet/bitnet.h"
#include "cmd/answer.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"
#include "cmd/profiling.h"
#include "cmd/sampling.h"
#include "track.h"

#define PROMPT_CAP (16u << 20) /* bytes read from -f */

typedef struct run {
    load_opts load;
    sampling_opts sampling;
    const char *prompt, *file, *track_url, *track_token;
    int32_t n_predict, n_ctx, n_batch, n_logprobs;
    bool is_json, is_profiled;
    profiling profiling;
} run;

static int print_answer(const run *r, answer *a, const bitnet_request *req,
                        const bitnet_model_info *info) {
    if (r->is_json) return answer_print_json(a, req, info);
    fprintf(stderr, "\n");
    answer_print_figures(stderr, a, info);
    if (req->sampler.temp > 0)
        fprintf(stderr, " | seed %llu", (unsigned long long)req->sampler.seed);
    fprintf(stderr, "\n");
    const bitnet_metrics m = bitnet_metrics_of(&a->timings);
    answer_print_split(stderr, &m);
    fprintf(stderr, "\n");
    return 0;
}

typedef struct listener {
    answer *answer;
    profiling *profiling;
} listener;

static int on_event(void *user, const bitnet_event *ev) {
    const listener *l = user;
    profiling_on_event(l->profiling, ev);
    return answer_on_event(l->answer, ev);
}

static int run_request(run *r, bitnet_engine *engine, const bitnet_request *req,
                       const bitnet_model_info *info) {
    bitnet_error err = {0};
    answer a = {.is_json = r->is_json};
    listener l = {&a, &r->profiling};
    bitnet_status st = bitnet_engine_run(engine, req, on_event, &l, &err);
    int code;
    if (a.stdout_failed)
        code = args_flush();
    else if (a.is_out_of_memory)
        code = EX_OSERR;
    else if (st < 0 && st != BITNET_E_CANCELLED)
        code = args_fail(&err);
    else
        code = print_answer(r, &a, req, info);
    if (r->profiling.profile) profiling_print(stderr, &r->profiling);
    answer_free(&a);
    return answer_is_interrupted ? 130 : code;
}

/* Loads, runs, prints; everything it opened is closed by the caller. */
static int run_all(run *r, loaded *l, bitnet_engine **engine, track **tracking, char **file_text) {
    bitnet_error err = {0};
    size_t prompt_len = 0;
    sampling_draw_seed(&r->sampling);
    sampling_plan_context(&r->sampling, &r->load, r->n_ctx, r->n_batch);
    bitnet_status st = load_model(l, &r->load, &err);
    if (st >= 0 && r->file) st = load_text(file_text, &prompt_len, r->file, PROMPT_CAP, &err);
    if (st >= 0 && r->track_url)
        st = track_open(tracking, r->track_url, r->track_token, "cli", l->model, &err);
    if (st < 0) return args_fail(&err);

    bitnet_engine_desc ed = {.model = l->model,
                             .n_ctx = r->n_ctx,
                             .n_batch = r->n_batch,
                             .ring = track_ring(*tracking),
                             .ops = track_ops(*tracking),
                             .n_draft = sampling_n_draft(&r->sampling),
                             .n_draft_min = r->sampling.draft_min};
    if (bitnet_engine_create(engine, &ed, &err) < 0) return args_fail(&err);
    if (r->is_profiled && profiling_open(&r->profiling, l->model, 0, &err) < 0)
        return args_fail(&err);
    track_profile(*tracking, r->profiling.profile);
    bitnet_request req = {.prompt = r->file ? *file_text : r->prompt,
                          .prompt_len = r->file ? prompt_len : strlen(r->prompt),
                          .max_tokens = r->n_predict,
                          .stop = r->sampling.stop.v,
                          .n_stop = r->sampling.stop.n,
                          .has_logprobs = r->n_logprobs >= 0,
                          .n_top_logprobs = r->n_logprobs > 0 ? r->n_logprobs : 0,
                          .sampler = r->sampling.desc};
    bitnet_model_info info = bitnet_model_get_info(l->model);
    return run_request(r, *engine, &req, &info);
}

static bool complain(const char *text) {
    fprintf(stderr, "bitnet: error: %s\n", text);
    return false;
}

static bool check(void *user, bool will_run) {
    run *r = user;
    bool is_ok = sampling_check(&r->sampling);
    is_ok = load_check(&r->load) && is_ok;
    if (r->n_logprobs >= 0 && !r->is_json)
        is_ok = complain("--logprobs is for --json, which is missing [usage.logprobs]");
    if (will_run ? !r->prompt == !r->file : r->prompt && r->file)
        is_ok = complain("give the prompt with -p TEXT or -f FILE, one of the two [usage.prompt]");
    return is_ok;
}

int cmd_run(int argc, char **argv) {
    run r = {.n_predict = -1, .n_logprobs = -1, .sampling = sampling_default()};
    const arg_opt opts[] = {
        LOAD_OPTS(r.load),
        {'p', "prompt", ARG_STR, &r.prompt, "TEXT", NULL, "text to continue", 0, 0},
        {'f', "file", ARG_STR, &r.file, "FILE", NULL, "read the prompt from a file, - for stdin", 0,
         0},
        {'n', "predict", ARG_INT, &r.n_predict, "N", NULL,
         "most tokens to make; -1 until an end token or a full window", -1, 1 << 20},
        {'c', "ctx-size", ARG_INT, &r.n_ctx, "N", NULL,
         "context window in tokens; 0 = what the model was trained with", 0, 1 << 20},
        {'b', "batch-size", ARG_INT, &r.n_batch, "N", NULL,
         "prompt tokens per forward pass; 0 = 128", 0, 4096},
        SAMPLING_OPTS(r.sampling),
        {0, "json", ARG_FLAG, &r.is_json, NULL, NULL, "print one JSON object instead of the text",
         0, 0},
        {0, "logprobs", ARG_INT, &r.n_logprobs, "N", NULL,
         "with --json: each token's log-probability and those of the N likeliest", 0,
         BITNET_MAX_LOGPROBS},
        {0, "profile", ARG_FLAG, &r.is_profiled, NULL, NULL,
         "tell what each kernel took, beside what this machine can do", 0, 0},
        {0, "track", ARG_STR, &r.track_url, "URL", NULL, "report to a hub: ws://127.0.0.1:8080", 0,
         0},
        {0, "track-token-file", ARG_STR, &r.track_token, "FILE", NULL,
         "the hub's token, where it asks for one", 0, 0},
        {0}};
    const arg_cmd cmd = {"run",
                         "Answers one prompt: text to stdout, a summary to stderr.",
                         "-p TEXT [options]",
                         opts,
                         NULL,
                         0};
    const arg_rules rules = {"deterministic", sampling_deterministic, check, &r};
    int code = args_parse_with(&cmd, &rules, argc, argv);
    if (code >= 0) return code;

    answer_catch_sigint(true);
    loaded l = {0};
    bitnet_engine *engine = NULL;
    track *tracking = NULL;
    char *file_text = NULL;
    code = run_all(&r, &l, &engine, &tracking, &file_text);
    track_close(tracking);
    profiling_close(&r.profiling);
    bitnet_engine_free(engine);
    load_close(&l);
    free(file_text);
    return code;
}
