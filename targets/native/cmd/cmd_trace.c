/* cmd_trace.c: `bitnet trace`: one prompt, profiled: the answer to stdout, a Chrome trace to a file, what each kernel
 * took to stderr. With --json nothing but one object goes to stdout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/os.h"
#include "bitnet/bitnet.h"
#include "cmd/answer.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"
#include "cmd/profiling.h"
#include "cmd/sampling.h"
#include "cmd/trace_file.h"

#define PROMPT_CAP  (16u << 20) /* bytes read from -f */
#define MEMORY_EACH 10000000u   /* ns between two points of resident memory */

typedef struct tracing {
    load_opts load;
    sampling_opts sampling;
    const char *prompt, *file, *out;
    int32_t n_predict, n_ctx, n_batch, max_events;
    bool is_json;

    loaded model;
    bitnet_engine *engine;
    profiling profiling;
    trace_file trace;
    char *file_text;
    int32_t n_held; /* tokens in the KV cache */
    uint64_t memory_ns;
} tracing;

/* ---- one request, step by step ------------------------------------------------------------------------
 */

static void put_counters(tracing *t, uint64_t begin_ns, int32_t n_tokens) {
    const uint64_t now = bitnet_os_now_ns();
    if (n_tokens > 0)
        trace_counter(&t->trace, "tokens/s", now,
                      (double)n_tokens * 1e9 / (double)(now > begin_ns ? now - begin_ns : 1));
    trace_counter(&t->trace, "KV cache bytes", now,
                  (double)bitnet_model_ctx_size(t->model.model, t->n_held));
    if (now - t->memory_ns < MEMORY_EACH) return;
    t->memory_ns = now;
    trace_counter(&t->trace, "resident bytes", now, (double)bitnet_os_rss());
}

/* Hands events on; true when the request has ended. */
static bool take_events(tracing *t, answer *a, uint32_t id, bitnet_error *err, int32_t *n_tokens) {
    bitnet_event ev;
    bool has_ended = false;
    while (bitnet_engine_poll(t->engine, &ev) == BITNET_OK) {
        profiling_on_event(&t->profiling, &ev);
        if (ev.kind == BITNET_EVENT_PROMPT) t->n_held = ev.n_prompt;
        if (ev.kind == BITNET_EVENT_TOKEN) ++*n_tokens, t->n_held++;
        if (answer_on_event(a, &ev)) bitnet_engine_cancel(t->engine, ev.request);
        if (ev.kind != BITNET_EVENT_END || ev.request != id) continue;
        *err = ev.error;
        has_ended = true;
    }
    return has_ended;
}

static bitnet_status run_request(tracing *t, const bitnet_request *req, answer *a,
                                 bitnet_error *err) {
    bitnet_profile *p = t->profiling.profile;
    uint32_t id = 0;
    const uint64_t start = bitnet_os_now_ns();
    bitnet_status st = bitnet_engine_submit(t->engine, req, &id, err);
    if (st < 0) return st;
    bitnet_profile_tell(p, BITNET_SPAN_SUBMIT, start, bitnet_os_now_ns(), id);
    for (bool has_ended = false; !has_ended;) {
        const uint64_t step = bitnet_os_now_ns();
        int32_t n_tokens = 0;
        bitnet_profile_step_begin(p);
        bitnet_engine_step(t->engine);
        bitnet_profile_step_end(p, id);
        has_ended = take_events(t, a, id, err, &n_tokens);
        if (has_ended) bitnet_profile_tell(p, BITNET_SPAN_REQUEST, start, bitnet_os_now_ns(), id);
        trace_take(&t->trace, p);
        put_counters(t, step, n_tokens);
    }
    return err->status < 0 ? err->status : BITNET_OK;
}

/* ---- what it was ----------------------------------------------------------------------------------------
 */

static cJSON *about(tracing *t, const answer *a) {
    const bitnet_model_info info = bitnet_model_get_info(t->model.model);
    bitnet_profile *p = t->profiling.profile;
    cJSON *o = profiling_json(&t->profiling);
    cJSON_AddStringToObject(o, "model", info.name);
    cJSON_AddStringToObject(o, "backend", info.backend);
    cJSON_AddStringToObject(o, "tier", info.tier);
    cJSON_AddStringToObject(o, "weights", info.weights);
    cJSON_AddNumberToObject(o, "token_bytes", (double)info.token_bytes);
    cJSON_AddNumberToObject(o, "n_prompt", a->timings.n_prompt);
    cJSON_AddNumberToObject(o, "n_generated", a->timings.n_generated);
    cJSON_AddNumberToObject(o, "dropped_spans", (double)bitnet_profile_n_dropped(p));
    cJSON_AddNumberToObject(o, "cut_events", (double)t->trace.n_cut);
    cJSON_AddStringToObject(o, "clock", "monotonic, one for all threads");
    cJSON *errors = cJSON_AddArrayToObject(o, "clock_error_us");
    for (int32_t i = 0; i < bitnet_profile_n_threads(p); i++) {
        const uint64_t error = bitnet_profile_clock(p, i).error_ns;
        cJSON_AddItemToArray(errors, error == UINT64_MAX
                                         ? cJSON_CreateNull()
                                         : cJSON_CreateNumber((double)error * 1e-3));
    }
    return o;
}

static int report(tracing *t, const answer *a, cJSON *o) {
    const bitnet_model_info info = bitnet_model_get_info(t->model.model);
    if (!t->is_json) fprintf(stderr, "\n");
    answer_print_figures(stderr, a, &info);
    fprintf(stderr, "\n");
    profiling_print(stderr, &t->profiling);
    fprintf(stderr, "\n%s: %llu events; open it at https://ui.perfetto.dev\n", t->trace.path,
            (unsigned long long)t->trace.n_events);
    if (t->trace.n_cut > 0)
        fprintf(stderr, "bitnet: warning: %llu more were left out; --max-events allows more\n",
                (unsigned long long)t->trace.n_cut);
    if (t->is_json) return args_print_json(o);
    cJSON_Delete(o);
    return 0;
}

/* Loads, runs, writes; everything it opened is closed by the caller. */
static int trace_all(tracing *t, answer *a) {
    bitnet_error err = {0};
    size_t prompt_len = t->prompt ? strlen(t->prompt) : 0;
    bitnet_status st = BITNET_OK;
    sampling_draw_seed(&t->sampling);
    sampling_plan_context(&t->sampling, &t->load, t->n_ctx, t->n_batch);
    if (t->file) st = load_text(&t->file_text, &prompt_len, t->file, PROMPT_CAP, &err);
    if (st >= 0) st = load_model(&t->model, &t->load, &err);
    const bitnet_engine_desc ed = {.model = t->model.model,
                                   .n_ctx = t->n_ctx,
                                   .n_batch = t->n_batch,
                                   .n_draft = sampling_n_draft(&t->sampling),
                                   .n_draft_min = t->sampling.draft_min};
    if (st >= 0) st = bitnet_engine_create(&t->engine, &ed, &err);
    if (st >= 0) st = profiling_open(&t->profiling, t->model.model, BITNET_PROFILE_SPANS, &err);
    if (st >= 0)
        st = trace_open(&t->trace, t->out, (uint64_t)t->max_events, bitnet_os_now_ns(), &err);
    if (st < 0) return args_fail(&err);
    trace_names(&t->trace, t->profiling.profile, "bitnet");
    const bitnet_request req = {.prompt = t->file ? t->file_text : t->prompt,
                                .prompt_len = prompt_len,
                                .max_tokens = t->n_predict,
                                .stop = t->sampling.stop.v,
                                .n_stop = t->sampling.stop.n,
                                .sampler = t->sampling.desc};
    st = run_request(t, &req, a, &err);
    cJSON *o = about(t, a);
    bitnet_error closing = {0};
    const bitnet_status closed = trace_close(&t->trace, cJSON_Duplicate(o, true), &closing);
    int code = a->stdout_failed ? args_flush() : a->is_out_of_memory ? EX_OSERR : 0;
    if (code == 0 && st < 0) code = args_fail(&err);
    if (code == 0 && closed < 0) code = args_fail(&closing);
    if (code == 0) return report(t, a, o);
    cJSON_Delete(o);
    return code;
}

static bool check(void *user, bool will_run) {
    tracing *t = user;
    bool is_ok = sampling_check(&t->sampling);
    is_ok = load_check(&t->load) && is_ok;
    if (will_run ? !t->prompt == !t->file : t->prompt && t->file) {
        fprintf(stderr, "bitnet: error: give the prompt with -p TEXT or -f FILE, one of the two "
                        "[usage.prompt]\n");
        is_ok = false;
    }
    return is_ok;
}

int cmd_trace(int argc, char **argv) {
    tracing t = {.n_predict = 64, .max_events = 500000, .out = "trace.json"};
    t.sampling = sampling_default();
    const arg_opt opts[] = {
        LOAD_OPTS(t.load),
        {'p', "prompt", ARG_STR, &t.prompt, "TEXT", NULL, "text to continue", 0, 0},
        {'f', "file", ARG_STR, &t.file, "FILE", NULL, "read the prompt from a file, - for stdin", 0,
         0},
        {'n', "predict", ARG_INT, &t.n_predict, "N", NULL,
         "most tokens to make; -1 until an end token or a full window", -1, 1 << 20},
        {'c', "ctx-size", ARG_INT, &t.n_ctx, "N", NULL,
         "context window in tokens; 0 = what the model was trained with", 0, 1 << 20},
        {'b', "batch-size", ARG_INT, &t.n_batch, "N", NULL,
         "prompt tokens per forward pass; 0 = 128", 0, 4096},
        SAMPLING_OPTS(t.sampling),
        {'o', "output", ARG_STR, &t.out, "FILE", NULL, "where the trace goes, over what is there",
         0, 0},
        {0, "max-events", ARG_INT, &t.max_events, "N", NULL,
         "events in the file, of about 150 bytes each", 1, 100000000},
        {0, "json", ARG_FLAG, &t.is_json, NULL, NULL,
         "print the table of kernels as one JSON object instead of the text", 0, 0},
        {0}};
    const arg_cmd cmd = {
        "trace",
        "Answers one prompt and writes what every thread did, for ui.perfetto.dev.",
        "-p TEXT [options]",
        opts,
        NULL,
        0};
    const arg_rules rules = {"deterministic", sampling_deterministic, check, &t};
    int code = args_parse_with(&cmd, &rules, argc, argv);
    if (code >= 0) return code;
    answer_catch_sigint(true);
    answer a = {.is_json = t.is_json};
    code = trace_all(&t, &a);
    answer_free(&a);
    trace_close(&t.trace, NULL, NULL);
    profiling_close(&t.profiling);
    bitnet_engine_free(t.engine);
    load_close(&t.model);
    free(t.file_text);
    return answer_is_interrupted ? 130 : code;
}
