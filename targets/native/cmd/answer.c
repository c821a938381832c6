/* answer.c: see answer.h. */
#define _GNU_SOURCE /* sigaction */
#include "cmd/answer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/args.h"

/* ---- Ctrl-C ------------------------------------------------------------------------------------
 */

volatile sig_atomic_t answer_is_interrupted;
static volatile sig_atomic_t second_exits;

static void on_sigint(int sig) {
    (void)sig;
    if (answer_is_interrupted && second_exits) _exit(130);
    answer_is_interrupted = 1;
}

void answer_catch_sigint(bool exits) {
    second_exits = exits;
    struct sigaction sa = {.sa_handler = on_sigint}; /* no SA_RESTART: a read ends, too */
    sigaction(SIGINT, &sa, NULL);
}

/* ---- events ------------------------------------------------------------------------------------
 */

static void keep_text(answer *a, const char *text, size_t len) {
    if (a->text_len + len + 1 > a->text_cap) {
        size_t cap = (a->text_len + len + 1) * 2;
        char *bigger = realloc(a->text, cap);
        if (!bigger) {
            a->is_out_of_memory = true;
            return;
        }
        a->text = bigger, a->text_cap = cap;
    }
    memcpy(a->text + a->text_len, text, len);
    a->text_len += len;
    a->text[a->text_len] = 0;
}

static cJSON *logprob_object(const bitnet_logprob *p) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "token_id", p->token);
    cJSON_AddNumberToObject(o, "logprob", (double)p->logprob);
    return o;
}

static void keep_token(answer *a, const bitnet_event *ev) {
    if (!a->ids) a->ids = cJSON_CreateArray();
    cJSON_AddItemToArray(a->ids, cJSON_CreateNumber(ev->token));
    if (ev->n_logprobs == 0) return;
    if (!a->logprobs) a->logprobs = cJSON_CreateArray();
    cJSON *o = logprob_object(&ev->logprobs[0]);
    cJSON *top = cJSON_AddArrayToObject(o, "top");
    for (int32_t i = 1; i < ev->n_logprobs; i++)
        cJSON_AddItemToArray(top, logprob_object(&ev->logprobs[i]));
    cJSON_AddItemToArray(a->logprobs, o);
}

/* Ctrl-C may interrupt a write to a terminal, which stdio would call an error, and lose the text. What else
 * fails is left to stdio, whose error args_flush tells. */
static bool put_text(const char *text, size_t len) {
    if (fflush(stdout) != 0) return false;
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) text += n, len -= (size_t)n;
    }
    return len == 0 || (fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0);
}

int answer_on_event(void *user, const bitnet_event *ev) {
    answer *a = user;
    if (ev->kind == BITNET_EVENT_PROMPT) {
        cJSON_Delete(a->prompt_ids);
        a->prompt_ids = a->is_json ? cJSON_CreateIntArray(ev->prompt, ev->n_prompt) : NULL;
        return answer_is_interrupted;
    }
    if (ev->kind == BITNET_EVENT_TOKEN && a->is_json) keep_token(a, ev);
    if (ev->kind == BITNET_EVENT_END)
        a->finish = ev->finish, a->stop_index = ev->stop_index, a->timings = ev->timings;
    size_t skip = a->skips_space && a->text_len == 0 && ev->text[0] == ' ';
    if (ev->text_len > 0) a->skips_space = false;
    const char *text = ev->text + skip;
    size_t len = ev->text_len - skip;
    if (len > 0) keep_text(a, text, len);
    if (!a->is_json && !put_text(text, len)) a->stdout_failed = true;
    return answer_is_interrupted || a->is_out_of_memory || a->stdout_failed;
}

void answer_free(answer *a) {
    free(a->text);
    cJSON_Delete(a->prompt_ids);
    cJSON_Delete(a->ids);
    cJSON_Delete(a->logprobs);
    *a = (answer){0};
}

/* ---- figures -----------------------------------------------------------------------------------
 */

static double rate(double n, double seconds) {
    return seconds > 0 ? n / seconds : 0;
}

void answer_print_figures(FILE *out, const answer *a, const bitnet_model_info *info) {
    const bitnet_timings *t = &a->timings;
    fprintf(out, "prompt %d tokens in %.1f ms (%.0f tok/s) | TTFT %.1f ms | %d tokens",
            t->n_prompt_computed, t->prefill_s * 1e3, rate(t->n_prompt_computed, t->prefill_s),
            t->ttft_s * 1e3, t->n_generated);
    if (t->n_generated > 1)
        fprintf(out, ", %.2f ms each (%.0f tok/s)", t->decode_s * 1e3 / (t->n_generated - 1),
                rate(t->n_generated - 1, t->decode_s));
    if (t->n_drafted > 0) fprintf(out, ", %d of %d guesses right", t->n_accepted, t->n_drafted);
    fprintf(out, " | %s | %s %s, %d threads", bitnet_finish_name(a->finish), info->backend,
            info->tier, info->n_threads);
}

/* A value as people read it, "12.3 ms", "-" when it was not measured. */
static const char *show(char out[32], const bitnet_metrics_field *f, double v) {
    if (isnan(v))
        snprintf(out, 32, "-");
    else if (f->kind == BITNET_METRICS_TIME)
        snprintf(out, 32, v < 1 ? "%.2f ms" : "%.2f s", v < 1 ? v * 1e3 : v);
    else if (f->kind == BITNET_METRICS_SIZE)
        snprintf(out, 32, "%.1f MB", v * 1e-6);
    else if (f->kind == BITNET_METRICS_RATIO)
        snprintf(out, 32, "%.0f %%", v * 100);
    else if (f->kind == BITNET_METRICS_RATE)
        snprintf(out, 32, "%.4g %s", v, strcmp(f->unit, "{token}/s") ? "tok/ms" : "tok/s");
    else
        snprintf(out, 32, "%.0f", v);
    return out;
}

void answer_print_split(FILE *out, const bitnet_metrics *m) {
    const double ms[] = {m->tokenize_s, m->prefill_s, m->decode_pass_s, m->sample_s,
                         m->detokenize_s};
    static const char *const names[] = {"tokenizer encode", "prefill", "decode", "sampling",
                                        "tokenizer decode"};
    for (size_t i = 0; i < 5; i++)
        if (!isnan(ms[i])) fprintf(out, "%s%s %.2f", i ? ", " : "", names[i], ms[i] * 1e3);
    fprintf(out, " ms of %.2f", m->e2e_s * 1e3);
    if (!isnan(m->cache_hit_rate)) fprintf(out, " | cache hits %.0f %%", m->cache_hit_rate * 100);
    if (!isnan(m->memory_size)) fprintf(out, " | memory %.1f MB", m->memory_size * 1e-6);
}

void answer_print_metrics(FILE *out, const bitnet_metrics *m) {
    const bitnet_metrics_field *f;
    char value[32];
    for (int32_t i = 0; (f = bitnet_metrics_field_at(i)); i++)
        fprintf(out, "  %-22s %14s  %s\n", f->label, show(value, f, bitnet_metrics_value(m, i)),
                f->help);
}

/* null, never zero, for what was not measured. */
static void add_metrics(cJSON *to, const bitnet_timings *t) {
    const bitnet_metrics m = bitnet_metrics_of(t);
    const bitnet_metrics_field *f;
    bitnet_error err = {0};
    if (bitnet_metrics_validate(&m, &err) < 0)
        fprintf(stderr, "bitnet: warning: the metrics cannot be true: %s [%s]\n", err.text, err.id);
    cJSON *o = cJSON_AddObjectToObject(to, "metrics");
    for (int32_t i = 0; (f = bitnet_metrics_field_at(i)); i++) {
        const double v = bitnet_metrics_value(&m, i);
        cJSON_AddItemToObject(o, f->name, isnan(v) ? cJSON_CreateNull() : cJSON_CreateNumber(v));
    }
}

static void add_timings(cJSON *to, const bitnet_timings *t) {
    cJSON *o = cJSON_AddObjectToObject(to, "timings");
    cJSON_AddNumberToObject(o, "n_prompt", t->n_prompt);
    cJSON_AddNumberToObject(o, "n_prompt_computed", t->n_prompt_computed);
    cJSON_AddNumberToObject(o, "n_generated", t->n_generated);
    cJSON_AddNumberToObject(o, "n_drafted", t->n_drafted);
    cJSON_AddNumberToObject(o, "n_accepted", t->n_accepted);
    cJSON_AddNumberToObject(o, "tokenize_s", t->tokenize_s);
    cJSON_AddNumberToObject(o, "prefill_s", t->prefill_s);
    cJSON_AddNumberToObject(o, "ttft_s", t->ttft_s);
    cJSON_AddNumberToObject(o, "decode_s", t->decode_s);
    cJSON_AddNumberToObject(o, "decode_pass_s", t->decode_pass_s);
    cJSON_AddNumberToObject(o, "sample_s", t->sample_s);
    cJSON_AddNumberToObject(o, "detokenize_s", t->detokenize_s);
    cJSON_AddNumberToObject(o, "e2e_s", t->e2e_s);
    /* null, never zero, for what was not measured */
    if (t->n_generated > 1 && t->decode_s > 0)
        cJSON_AddNumberToObject(o, "decode_tokens_per_second", (t->n_generated - 1) / t->decode_s);
    else
        cJSON_AddNullToObject(o, "decode_tokens_per_second");
}

int answer_print_json(answer *a, const bitnet_request *req, const bitnet_model_info *info) {
    cJSON *o = cJSON_CreateObject();
    char seed[24]; /* as a string: a double would lose bits */
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)req->sampler.seed);
    cJSON_AddItemToObject(o, "prompt_token_ids", a->prompt_ids);
    cJSON_AddItemToObject(o, "token_ids", a->ids ? a->ids : cJSON_CreateArray());
    if (req->has_logprobs)
        cJSON_AddItemToObject(o, "logprobs", a->logprobs ? a->logprobs : cJSON_CreateArray());
    else
        cJSON_Delete(a->logprobs);
    a->prompt_ids = a->ids = a->logprobs = NULL;
    cJSON_AddStringToObject(o, "text", a->text ? a->text : "");
    cJSON_AddStringToObject(o, "finish_reason", bitnet_finish_name(a->finish));
    if (a->stop_index >= 0) cJSON_AddStringToObject(o, "stop_string", req->stop[a->stop_index]);
    cJSON_AddStringToObject(o, "model", info->name);
    cJSON_AddStringToObject(o, "backend", info->backend);
    cJSON_AddStringToObject(o, "tier", info->tier);
    cJSON_AddNumberToObject(o, "threads", info->n_threads);
    if (req->sampler.temp > 0) cJSON_AddStringToObject(o, "seed", seed);
    add_timings(o, &a->timings);
    add_metrics(o, &a->timings);
    return args_print_json(o);
}
