/* cmd_run.c: `bitnet run`: one prompt, the answer to stdout as it is made, a summary to stderr.
 * With --json nothing but one object goes to stdout.
 */
#define _GNU_SOURCE /* getrandom, sigaction */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "bitnet/bitnet.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"
#include "track.h"

#define PROMPT_CAP (16u << 20) /* bytes read from -f */
#define NO_SEED    UINT64_MAX

static volatile sig_atomic_t is_interrupted;

static void on_sigint(int sig) {
    (void)sig;
    if (is_interrupted) _exit(130); /* the second one does not wait */
    is_interrupted = 1;
}

typedef struct run {
    /* options */
    load_opts load;
    const char *prompt, *file, *track_url;
    int32_t n_predict, n_ctx, n_batch;
    bitnet_sampler_desc sampler;
    bool is_json;
    /* results */
    cJSON *prompt_ids, *ids;
    char *text;
    size_t text_len, text_cap;
    bool is_out_of_memory, stdout_failed;
    bitnet_finish finish;
    bitnet_timings timings;
} run;

static void keep_text(run *r, const char *text, size_t len) {
    if (r->text_len + len + 1 > r->text_cap) {
        size_t cap = (r->text_len + len + 1) * 2;
        char *bigger = realloc(r->text, cap);
        if (!bigger) {
            r->is_out_of_memory = true;
            return;
        }
        r->text = bigger, r->text_cap = cap;
    }
    memcpy(r->text + r->text_len, text, len);
    r->text_len += len;
    r->text[r->text_len] = 0;
}

static int on_event(void *user, const bitnet_event *ev) {
    run *r = user;
    if (ev->kind == BITNET_EVENT_PROMPT) {
        cJSON_Delete(r->prompt_ids);
        r->prompt_ids = cJSON_CreateIntArray(ev->prompt, ev->n_prompt);
        return is_interrupted;
    }
    if (ev->kind == BITNET_EVENT_TOKEN && r->is_json)
        cJSON_AddItemToArray(r->ids, cJSON_CreateNumber(ev->token));
    if (ev->kind == BITNET_EVENT_END) r->finish = ev->finish, r->timings = ev->timings;
    if (r->is_json)
        keep_text(r, ev->text, ev->text_len);
    else if (fwrite(ev->text, 1, ev->text_len, stdout) < ev->text_len || fflush(stdout) != 0)
        r->stdout_failed = true;
    return is_interrupted || r->is_out_of_memory || r->stdout_failed;
}

static double rate(double n, double seconds) {
    return seconds > 0 ? n / seconds : 0;
}

static void print_summary(const run *r, const bitnet_model_info *info) {
    const bitnet_timings *t = &r->timings;
    fprintf(stderr, "\nprompt %d tokens in %.1f ms (%.0f tok/s) | TTFT %.1f ms | %d tokens",
            t->n_prompt_computed, t->prefill_s * 1e3, rate(t->n_prompt_computed, t->prefill_s),
            t->ttft_s * 1e3, t->n_generated);
    if (t->n_generated > 1)
        fprintf(stderr, ", %.2f ms each (%.0f tok/s)", t->decode_s * 1e3 / (t->n_generated - 1),
                rate(t->n_generated - 1, t->decode_s));
    fprintf(stderr, " | %s | %s %s, %d threads", bitnet_finish_name(r->finish), info->backend,
            info->tier, info->n_threads);
    if (r->sampler.temp > 0) fprintf(stderr, " | seed %llu", (unsigned long long)r->sampler.seed);
    fprintf(stderr, "\n");
}

static void add_timings(cJSON *to, const bitnet_timings *t) {
    cJSON *o = cJSON_AddObjectToObject(to, "timings");
    cJSON_AddNumberToObject(o, "n_prompt", t->n_prompt);
    cJSON_AddNumberToObject(o, "n_prompt_computed", t->n_prompt_computed);
    cJSON_AddNumberToObject(o, "n_generated", t->n_generated);
    cJSON_AddNumberToObject(o, "tokenize_s", t->tokenize_s);
    cJSON_AddNumberToObject(o, "prefill_s", t->prefill_s);
    cJSON_AddNumberToObject(o, "ttft_s", t->ttft_s);
    cJSON_AddNumberToObject(o, "decode_s", t->decode_s);
    cJSON_AddNumberToObject(o, "sample_s", t->sample_s);
    cJSON_AddNumberToObject(o, "e2e_s", t->e2e_s);
    /* null, never zero, for what was not measured */
    if (t->n_generated > 1 && t->decode_s > 0)
        cJSON_AddNumberToObject(o, "decode_tokens_per_second", (t->n_generated - 1) / t->decode_s);
    else
        cJSON_AddNullToObject(o, "decode_tokens_per_second");
}

static int print_json(run *r, const bitnet_model_info *info) {
    cJSON *o = cJSON_CreateObject();
    char seed[24];
    snprintf(seed, sizeof seed, "%llu",
             (unsigned long long)r->sampler.seed); /* a double would lose bits */
    cJSON_AddItemToObject(o, "prompt_token_ids", r->prompt_ids);
    cJSON_AddItemToObject(o, "token_ids", r->ids);
    r->prompt_ids = r->ids = NULL;
    cJSON_AddStringToObject(o, "text", r->text ? r->text : "");
    cJSON_AddStringToObject(o, "finish_reason", bitnet_finish_name(r->finish));
    cJSON_AddStringToObject(o, "model", info->name);
    cJSON_AddStringToObject(o, "backend", info->backend);
    cJSON_AddStringToObject(o, "tier", info->tier);
    cJSON_AddNumberToObject(o, "threads", info->n_threads);
    if (r->sampler.temp > 0) cJSON_AddStringToObject(o, "seed", seed);
    add_timings(o, &r->timings);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text) return EX_OSERR;
    puts(text);
    cJSON_free(text);
    return args_flush();
}

/* Loads, runs, prints; everything it opened is closed by the caller. */
static int answer(run *r, loaded *l, bitnet_engine **engine, track **tracking, char **file_text) {
    bitnet_error err = {0};
    size_t prompt_len = 0;
    bitnet_status st = load_model(l, &r->load, &err);
    if (st >= 0 && r->file) st = load_text(file_text, &prompt_len, r->file, PROMPT_CAP, &err);
    if (st >= 0 && r->track_url) st = track_open(tracking, r->track_url, "cli", l->model, &err);
    if (st < 0) return args_fail(&err);

    bitnet_engine_desc ed = {
        .model = l->model, .n_ctx = r->n_ctx, .n_batch = r->n_batch, .ring = track_ring(*tracking)};
    if (bitnet_engine_create(engine, &ed, &err) < 0) return args_fail(&err);
    bitnet_request req = {.prompt = r->file ? *file_text : r->prompt,
                          .prompt_len = r->file ? prompt_len : strlen(r->prompt),
                          .max_tokens = r->n_predict,
                          .sampler = r->sampler};
    r->ids = cJSON_CreateArray();
    bitnet_model_info info = bitnet_model_get_info(l->model);
    st = bitnet_engine_run(*engine, &req, on_event, r, &err);
    if (r->stdout_failed) return args_flush();
    if (r->is_out_of_memory) return EX_OSERR;
    if (st < 0 && st != BITNET_E_CANCELLED) return args_fail(&err);
    int code = r->is_json ? print_json(r, &info) : 0;
    if (!r->is_json) print_summary(r, &info);
    return is_interrupted ? 130 : code;
}

int cmd_run(int argc, char **argv) {
    run r = {.n_predict = -1, .sampler = bitnet_sampler_default()};
    r.sampler.seed = NO_SEED;
    const arg_opt opts[] = {
        {'m', "model", ARG_STR, &r.load.path, "FILE", NULL,
         "GGUF file; the embedded bitnet-tales when absent", 0, 0},
        {'p', "prompt", ARG_STR, &r.prompt, "TEXT", NULL, "text to continue", 0, 0},
        {'f', "file", ARG_STR, &r.file, "FILE", NULL, "read the prompt from a file, - for stdin", 0,
         0},
        {'n', "predict", ARG_INT, &r.n_predict, "N", NULL,
         "most tokens to make; -1 until an end token or a full window", -1, 1 << 20},
        {'c', "ctx-size", ARG_INT, &r.n_ctx, "N", NULL,
         "context window in tokens; 0 = what the model was trained with", 0, 1 << 20},
        {'b', "batch-size", ARG_INT, &r.n_batch, "N", NULL,
         "prompt tokens per forward pass; 0 = 32", 0, 4096},
        {'t', "threads", ARG_INT, &r.load.n_threads, "N", "BITNET_NUM_THREADS",
         "0 = all usable cores", 0, 1024},
        {'s', "seed", ARG_U64, &r.sampler.seed, "N", NULL,
         "seed of the sampler; random when absent", 0, 0},
        {0, "temp", ARG_FLOAT, &r.sampler.temp, "X", NULL, "temperature; 0 = greedy (0.8)", 0, 100},
        {0, "top-k", ARG_INT, &r.sampler.top_k, "N", NULL, "keep the N likeliest; 0 = off (40)", 0,
         INT32_MAX},
        {0, "top-p", ARG_FLOAT, &r.sampler.top_p, "X", NULL,
         "keep the likeliest that make up X; 1 = off (0.95)", 0, 1},
        {0, "min-p", ARG_FLOAT, &r.sampler.min_p, "X", NULL,
         "drop what is below X times the likeliest; 0 = off (0.05)", 0, 1},
        {0, "json", ARG_FLAG, &r.is_json, NULL, NULL, "print one JSON object instead of the text",
         0, 0},
        {0, "track", ARG_STR, &r.track_url, "URL", NULL, "report to a hub: ws://127.0.0.1:8080", 0,
         0},
        {0, "cpu-mask", ARG_CPUS, &r.load.cpu_mask, "LIST", NULL,
         "kernels allowed: c, avx2, avx512vnni, all", 0, 0},
        {0}};
    const arg_cmd cmd = {"run",
                         "Answers one prompt: text to stdout, a summary to stderr.",
                         "-p TEXT [options]",
                         opts,
                         NULL,
                         NULL};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    if (!r.prompt == !r.file) {
        fprintf(stderr, "bitnet: error: give the prompt with -p TEXT or -f FILE, one of the two "
                        "[usage.prompt]\n");
        return EX_USAGE;
    }
    if (r.sampler.seed == NO_SEED && getrandom(&r.sampler.seed, sizeof r.sampler.seed, 0) < 0)
        r.sampler.seed = 0;

    struct sigaction sa = {.sa_handler = on_sigint};
    sigaction(SIGINT, &sa, NULL);
    loaded l = {0};
    bitnet_engine *engine = NULL;
    track *tracking = NULL;
    char *file_text = NULL;
    code = answer(&r, &l, &engine, &tracking, &file_text);
    track_close(tracking);
    bitnet_engine_free(engine);
    load_close(&l);
    free(file_text);
    free(r.text);
    cJSON_Delete(r.prompt_ids);
    cJSON_Delete(r.ids);
    return code;
}
