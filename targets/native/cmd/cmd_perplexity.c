/* cmd_perplexity.c: `bitnet perplexity`: how well a model predicts a text. One line, or one JSON object,
 * to stdout; a progress bar with the figure so far to stderr when that is a terminal.
 */
#define _POSIX_C_SOURCE 200809L /* isatty */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os.h"
#include "bitnet/bitnet.h"
#include "cmd/answer.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#define TEXT_CAP      (256u << 20) /* bytes read from -f */
#define CHUNK_DEFAULT 512          /* bitnet_perplexity_desc.n_ctx */

typedef struct evaluation {
    load_opts load;
    const char *text, *file;
    int32_t n_ctx, n_batch;
    bool is_json, is_terminal;
    uint64_t shown_ns;
} evaluation;

static int on_progress(void *user, int32_t done, int32_t total, const bitnet_perplexity *so_far) {
    static const char full[] = "##############################";
    evaluation *e = user;
    uint64_t now = bitnet_os_now_ns();
    if (e->is_terminal && (now - e->shown_ns >= 100000000u || done == total)) {
        int n = (int)((int64_t)30 * done / total);
        e->shown_ns = now;
        fprintf(stderr, "\r[%.*s%*s] %d of %d tokens, perplexity %.3f\033[K", n, full, 30 - n, "",
                done, total, so_far->perplexity);
    }
    return answer_is_interrupted;
}

static int print_result(const evaluation *e, const bitnet_perplexity *p) {
    /* d exp(x) = exp(x) dx */
    double uncertainty = p->perplexity * p->nll_stderr;
    if (!e->is_json) {
        printf("perplexity %.4f +/- %.2f (%d tokens, %d chunk%s of %d)\n", p->perplexity,
               uncertainty, p->n_tokens, p->n_chunks, p->n_chunks == 1 ? "" : "s", p->chunk_size);
        return args_flush();
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "perplexity", p->perplexity);
    cJSON_AddNumberToObject(o, "perplexity_stderr", uncertainty);
    cJSON_AddNumberToObject(o, "nll", p->nll);
    cJSON_AddNumberToObject(o, "nll_stderr", p->nll_stderr);
    cJSON_AddNumberToObject(o, "n_tokens", p->n_tokens);
    cJSON_AddNumberToObject(o, "n_chunks", p->n_chunks);
    cJSON_AddNumberToObject(o, "chunk_size", p->chunk_size);
    return args_print_json(o);
}

/* The text's ids, malloc'd. */
static bitnet_status tokenize(bitnet_token **ids, int32_t *n, const bitnet_model *m,
                              const char *text, size_t len, bitnet_error *err) {
    *n = bitnet_tokenize(m, text, len, 0, NULL, 0);
    if (*n == BITNET_E_UNSUPPORTED)
        return bitnet_fail(err, BITNET_E_UNSUPPORTED, "request.tokenizer",
                           "the model has no tokenizer; there is no way from text to tokens");
    *ids = *n < 0 ? NULL : malloc(((size_t)*n + 1) * sizeof **ids);
    if (!*ids)
        return bitnet_fail(err, BITNET_E_NOMEM, "request.memory",
                           "no memory for the tokens of %zu bytes of text", len);
    bitnet_tokenize(m, text, len, 0, *ids, *n);
    return BITNET_OK;
}

static int evaluate(evaluation *e, loaded *l, char **file_text, bitnet_token **ids) {
    bitnet_error err = {0};
    size_t len = e->text ? strlen(e->text) : 0;
    bitnet_perplexity_desc desc = {
        .n_ctx = e->n_ctx, .n_batch = e->n_batch, .progress = on_progress, .user = e};
    bitnet_perplexity result;
    e->load.n_ctx = e->n_ctx > 0 ? e->n_ctx : CHUNK_DEFAULT;
    e->load.n_batch = e->n_batch > 0 ? e->n_batch : BITNET_BATCH_DEFAULT;
    e->load.n_logits = e->load.n_batch;
    bitnet_status st = load_model(l, &e->load, &err);
    if (st >= 0 && e->file) st = load_text(file_text, &len, e->file, TEXT_CAP, &err);
    if (st >= 0)
        st = tokenize(ids, &desc.n_tokens, l->model, e->file ? *file_text : e->text, len, &err);
    if (st < 0) return args_fail(&err);
    desc.model = l->model;
    desc.tokens = *ids;
    st = bitnet_perplexity_run(&result, &desc, &err);
    if (e->is_terminal) fprintf(stderr, "\r\033[K");
    if (st < 0) return args_fail(&err);
    return print_result(e, &result);
}

int cmd_perplexity(int argc, char **argv) {
    evaluation e = {.is_terminal = isatty(STDERR_FILENO) == 1};
    const arg_opt opts[] = {
        {'p', "prompt", ARG_STR, &e.text, "TEXT", NULL, "the text", 0, 0},
        {'f', "file", ARG_STR, &e.file, "FILE", NULL, "read the text from a file, - for stdin", 0,
         0},
        {'c', "ctx-size", ARG_INT, &e.n_ctx, "N", NULL,
         "tokens in a chunk, BOS included; 0 = 512, or what the model was trained with if less", 0,
         1 << 20},
        {'b', "batch-size", ARG_INT, &e.n_batch, "N", NULL, "tokens per forward pass; 0 = 128", 0,
         4096},
        {0, "json", ARG_FLAG, &e.is_json, NULL, NULL, "print one JSON object", 0, 0},
        LOAD_OPTS(e.load),
        {0}};
    const arg_cmd cmd = {"perplexity",
                         "Tells how well a model predicts a text: exp of the mean negative "
                         "log-likelihood per token.",
                         "-f FILE [options]",
                         opts,
                         NULL,
                         0};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    if (!e.text == !e.file) {
        fprintf(stderr, "bitnet: error: give the text with -p TEXT or -f FILE, one of the two "
                        "[usage.prompt]\n");
        return EX_USAGE;
    }
    answer_catch_sigint(true);
    loaded l = {0};
    char *file_text = NULL;
    bitnet_token *ids = NULL;
    code = evaluate(&e, &l, &file_text, &ids);
    load_close(&l);
    free(file_text);
    free(ids);
    return code;
}
