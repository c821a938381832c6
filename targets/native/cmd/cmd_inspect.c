/* cmd_inspect.c: `bitnet inspect`: what a model is, what its bytes are spent on and what running it
 * takes. Only the header is read, so that it answers at once whatever the size of the file.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

#define GROUP_CAP 64 /* kinds of tensors told apart; more than there are */
#define VALUE_CAP 300

typedef struct inspect {
    load_opts load;
    int32_t n_ctx;
    bool is_json, has_tensors;
} inspect;

/* ---- sums over the tensors ------------------------------------------------------------------- */

typedef struct group { /* tensors of one type that lie and run alike */
    const char *type, *layout;
    bool is_ternary;
    int32_t n;
    uint64_t size;
} group;

enum { PART_EMBEDDING, PART_HEAD, PART_ATTENTION, PART_FFN, PART_NORMS, PART_OTHER, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"embedding",    "head",  "attention",
                                                   "feed-forward", "norms", "other"};

typedef struct sums {
    group groups[GROUP_CAP];
    int32_t n_group, n_tensor;
    uint64_t part[PART_COUNT], total;
} sums;

/* By the words of GGUF's names; the first that occurs decides. */
static int part_of(const char *name) {
    static const struct {
        const char *word;
        int part;
    } rules[] = {{"norm", PART_NORMS},
                 {"token_embd.", PART_EMBEDDING},
                 {".attn_", PART_ATTENTION},
                 {".ffn_", PART_FFN},
                 {"output.", PART_HEAD}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strstr(name, rules[i].word)) return rules[i].part;
    return PART_OTHER;
}

static void add_to_group(sums *s, const bitnet_tensor_info *t) {
    int32_t i = 0;
    while (i < s->n_group &&
           (strcmp(s->groups[i].type, t->type) || strcmp(s->groups[i].layout, t->layout) ||
            s->groups[i].is_ternary != t->is_ternary))
        i++;
    if (i == GROUP_CAP) return;
    if (i == s->n_group) {
        s->groups[i] = (group){.type = t->type, .layout = t->layout, .is_ternary = t->is_ternary};
        s->n_group++;
    }
    s->groups[i].n++;
    s->groups[i].size += t->size;
}

static sums sum_up(const bitnet_model *m) {
    sums s = {0};
    bitnet_tensor_info t;
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++) {
        add_to_group(&s, &t);
        s.part[part_of(t.name)] += t.size;
        s.total += t.size;
        s.n_tensor++;
    }
    return s;
}

/* ---- as text --------------------------------------------------------------------------------- */

static double mb(uint64_t bytes) {
    return (double)bytes * 1e-6;
}

static void print_model(const bitnet_model_info *info) {
    printf("%s: %s, %s, %.2f M parameters, %.2f MB\n\n", *info->name ? info->name : "(no name)",
           info->arch, info->container, (double)info->n_params * 1e-6, mb(info->file_size));
    printf("vocabulary     %d, tokenizer %s, bos %d, eos %d\n", info->n_vocab, info->tokenizer,
           info->bos, info->eos);
    printf("chat template  %s\n", info->chat_template);
    if (info->n_layer == 0) return; /* a vocabulary alone */
    printf("layers         %d, %d wide; feed-forward %d, %s\n", info->n_layer, info->n_embd,
           info->n_ff, info->act);
    printf("attention      %d query heads, %d key-value, of %d\n", info->n_head, info->n_head_kv,
           info->head_dim);
    printf("rope           %d of %d, %s, base %g\n", info->n_rot, info->head_dim,
           !strcmp(info->rope, "norm") ? "adjacent pairs (norm)" : "half split (neox)",
           (double)info->rope_base);
    printf("norm eps       %g\n", (double)info->norm_eps);
    printf("trained on     %d tokens\n", info->n_ctx_train);
}

/* A TQ tensor is ternary when all its blocks share one scale; the header does not tell. */
static const char *runs_as(const group *g) {
    if (!g->is_ternary) return "ordinary";
    return !strncmp(g->type, "TQ", 2) ? "ternary*" : "ternary";
}

static void print_sums(const sums *s) {
    bool has_note = false;
    printf("\n%-14s %-18s %-10s %7s %12s\n", "type", "layout", "runs as", "tensors", "MB");
    for (int32_t i = 0; i < s->n_group; i++) {
        const group *g = &s->groups[i];
        printf("%-14s %-18s %-10s %7d %12.2f\n", g->type, g->layout, runs_as(g), g->n, mb(g->size));
        has_note = has_note || strchr(runs_as(g), '*');
    }
    if (has_note) printf("* if the blocks of a tensor share one scale; else ordinary\n");
    printf("\n%-14s %12s\n", "part", "MB");
    for (int i = 0; i < PART_COUNT; i++)
        if (s->part[i])
            printf("%-14s %12.2f%s\n", part_names[i], mb(s->part[i]),
                   i == PART_EMBEDDING && !s->part[PART_HEAD] ? "  also the head" : "");
    printf("%-14s %12.2f\n", "total", mb(s->total));
}

static void print_memory(const inspect *in, const bitnet_model *m, const bitnet_model_info *info) {
    bitnet_memory_plan p =
        bitnet_model_plan(m, in->n_ctx, BITNET_BATCH_DEFAULT, 1 + BITNET_DRAFT_DEFAULT);
    printf("\nmemory for %d tokens, in passes of %d\n", in->n_ctx, BITNET_BATCH_DEFAULT);
    const struct {
        const char *name;
        uint64_t size;
        const char *note;
    } rows[] = {{"mapped", p.mapped, "weights used where they lie in the file"},
                {"copied", p.copied, "weights repacked at load"},
                {"kv cache", p.kv, ""},
                {"scratch", p.scratch + p.backend, "activations, tables, logits"},
                {"total", p.mapped + p.copied + p.kv + p.scratch + p.backend, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-14s %12.2f MB%s%s\n", rows[i].name, mb(rows[i].size), *rows[i].note ? "  " : "",
               rows[i].note);
    printf("one token      reads %.2f MB of weights\n", mb(info->token_bytes));
}

static void print_meta(const bitnet_model *m) {
    const char *key;
    char value[VALUE_CAP];
    bitnet_escaped e;
    printf("\nmetadata\n");
    for (int32_t i = 0; bitnet_model_get_meta(m, i, &key, value, sizeof value); i++)
        printf("  %-46s %s\n", bitnet_escape(&e, key, strlen(key)), value);
}

static void print_tensors(const bitnet_model *m) {
    bitnet_tensor_info t;
    bitnet_escaped e;
    printf("\n%-32s %-6s %-18s %-16s %4s %12s %12s\n", "tensor", "type", "layout", "shape", "file",
           "at", "bytes");
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++) {
        char shape[96]; /* four numbers of at most 20 characters */
        int n = 0;
        for (int d = 0; d < 4; d++)
            if (d == 0 || t.ne[d] != 1)
                n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%lld", d ? " x " : "",
                              (long long)t.ne[d]);
        printf("%-32s %-6s %-18s %-16s %4d %12llu %12llu\n",
               bitnet_escape(&e, t.name, strlen(t.name)), t.type, t.layout, shape, t.file,
               (unsigned long long)t.offset, (unsigned long long)t.size);
    }
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void json_model(cJSON *o, const bitnet_model_info *info) {
    const struct {
        const char *name, *value;
    } words[] = {{"name", info->name},
                 {"arch", info->arch},
                 {"container", info->container},
                 {"tokenizer", info->tokenizer},
                 {"chat_template", info->chat_template},
                 {"act", info->act},
                 {"rope", info->rope}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cJSON_AddStringToObject(o, words[i].name, words[i].value);
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"n_layer", info->n_layer},
                   {"n_embd", info->n_embd},
                   {"n_head", info->n_head},
                   {"n_head_kv", info->n_head_kv},
                   {"head_dim", info->head_dim},
                   {"n_rot", info->n_rot},
                   {"n_ff", info->n_ff},
                   {"n_vocab", info->n_vocab},
                   {"n_ctx_train", info->n_ctx_train},
                   {"rope_base", (double)info->rope_base},
                   {"norm_eps", (double)info->norm_eps},
                   {"bos", info->bos},
                   {"eos", info->eos},
                   {"n_params", (double)info->n_params},
                   {"file_size", (double)info->file_size},
                   {"weight_size", (double)info->weight_size},
                   {"token_bytes", (double)info->token_bytes}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cJSON_AddNumberToObject(o, numbers[i].name, numbers[i].value);
}

static void json_sums(cJSON *o, const sums *s) {
    cJSON *types = cJSON_AddArrayToObject(o, "types");
    for (int32_t i = 0; i < s->n_group; i++) {
        const group *g = &s->groups[i];
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "type", g->type);
        cJSON_AddStringToObject(e, "layout", g->layout);
        cJSON_AddBoolToObject(e, "is_ternary", g->is_ternary);
        cJSON_AddNumberToObject(e, "n_tensors", g->n);
        cJSON_AddNumberToObject(e, "size", (double)g->size);
        cJSON_AddItemToArray(types, e);
    }
    cJSON *parts = cJSON_AddObjectToObject(o, "parts");
    for (int i = 0; i < PART_COUNT; i++)
        cJSON_AddNumberToObject(parts, part_names[i], (double)s->part[i]);
}

static void json_memory(cJSON *o, const inspect *in, const bitnet_model *m) {
    bitnet_memory_plan p =
        bitnet_model_plan(m, in->n_ctx, BITNET_BATCH_DEFAULT, 1 + BITNET_DRAFT_DEFAULT);
    cJSON *memory = cJSON_AddObjectToObject(o, "memory");
    cJSON_AddNumberToObject(memory, "n_ctx", in->n_ctx);
    cJSON_AddNumberToObject(memory, "n_batch", BITNET_BATCH_DEFAULT);
    cJSON_AddNumberToObject(memory, "mapped", (double)p.mapped);
    cJSON_AddNumberToObject(memory, "copied", (double)p.copied);
    cJSON_AddNumberToObject(memory, "kv", (double)p.kv);
    cJSON_AddNumberToObject(memory, "scratch", (double)(p.scratch + p.backend));
    cJSON_AddNumberToObject(memory, "total",
                            (double)(p.mapped + p.copied + p.kv + p.scratch + p.backend));
}

static void json_lists(cJSON *o, const bitnet_model *m) {
    const char *key;
    char value[VALUE_CAP];
    bitnet_escaped esc;
    cJSON *meta = cJSON_AddObjectToObject(o, "metadata");
    for (int32_t i = 0; bitnet_model_get_meta(m, i, &key, value, sizeof value); i++)
        cJSON_AddStringToObject(meta, bitnet_escape(&esc, key, strlen(key)), value);
    cJSON *tensors = cJSON_AddArrayToObject(o, "tensors");
    bitnet_tensor_info t;
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "name", bitnet_escape(&esc, t.name, strlen(t.name)));
        cJSON_AddStringToObject(e, "type", t.type);
        cJSON_AddStringToObject(e, "layout", t.layout);
        cJSON_AddBoolToObject(e, "is_ternary", t.is_ternary);
        cJSON *ne = cJSON_AddArrayToObject(e, "ne");
        for (int d = 0; d < 4; d++)
            cJSON_AddItemToArray(ne, cJSON_CreateNumber((double)t.ne[d]));
        cJSON_AddNumberToObject(e, "file", t.file);
        cJSON_AddNumberToObject(e, "offset", (double)t.offset);
        cJSON_AddNumberToObject(e, "size", (double)t.size);
        cJSON_AddItemToArray(tensors, e);
    }
}

static int print_json(const inspect *in, const bitnet_model *m, const bitnet_model_info *info,
                      const sums *s) {
    cJSON *o = cJSON_CreateObject();
    json_model(o, info);
    json_sums(o, s);
    json_memory(o, in, m);
    json_lists(o, m);
    return args_print_json(o);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int show(const inspect *in, const bitnet_model *m, const bitnet_model_info *info) {
    sums s = sum_up(m);
    if (in->is_json) return print_json(in, m, info, &s);
    print_model(info);
    if (s.n_tensor) print_sums(&s);
    if (info->n_layer) print_memory(in, m, info);
    print_meta(m);
    if (in->has_tensors) print_tensors(m);
    return 0;
}

int cmd_inspect(int argc, char **argv) {
    inspect in = {.load = {.n_threads = 1, .level = BITNET_LOAD_HEADER}};
    arg_operands path;
    const arg_opt opts[] = {
        {'c', "ctx-size", ARG_INT, &in.n_ctx, "N", NULL,
         "plan memory for this window; 0 = what the model was trained with", 0, 1 << 20},
        {0, "tensors", ARG_FLAG, &in.has_tensors, NULL, NULL, "list the tensors too", 0, 0},
        {0, "json", ARG_FLAG, &in.is_json, NULL, NULL, "print one JSON object with all of it", 0,
         0},
        LOAD_FILE_OPTS(in.load),
        {0}};
    const arg_cmd cmd = {"inspect",
                         "Shows what a model is and what running it takes.",
                         "[PATH] [options]",
                         opts,
                         &path,
                         1};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    if (path.n) in.load.path = path.v[0];
    bitnet_error err = {0};
    loaded l;
    if (load_model(&l, &in.load, &err) < 0) return args_fail(&err);
    bitnet_model_info info = bitnet_model_get_info(l.model);
    if (in.n_ctx == 0) in.n_ctx = info.n_ctx_train;
    code = show(&in, l.model, &info);
    load_close(&l);
    return code ? code : args_flush();
}
