/* cmd_inspect.c: `bitnet inspect`: what is in a model file, in bytes and in words. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/load.h"

typedef struct inspect {
    load_opts load;
    int32_t n_ctx;
    bool is_json, has_tensors;
} inspect;

static void print_text(const inspect *in, const bitnet_model *m, const bitnet_model_info *info) {
    printf("%s: %s, %.2f M parameters, %.2f MB\n\n", *info->name ? info->name : "(no name)",
           info->arch, (double)info->n_params * 1e-6, (double)info->file_size * 1e-6);
    printf("layers      %d\nwidth       %d\nheads       %d query, %d key-value, of %d\nffn         "
           "%d\n",
           info->n_layer, info->n_embd, info->n_head, info->n_head_kv, info->head_dim, info->n_ff);
    printf("vocabulary  %d, tokenizer %s, bos %d, eos %d\n", info->n_vocab, info->tokenizer,
           info->bos, info->eos);
    printf("trained on  %d tokens, rope base %g, norm eps %g\n", info->n_ctx_train,
           (double)info->rope_base, (double)info->norm_eps);
    printf("memory      weights %.2f MB, kv cache %.2f MB for %d tokens\n",
           (double)info->weight_size * 1e-6, (double)bitnet_model_ctx_size(m, in->n_ctx) * 1e-6,
           in->n_ctx);
    printf("one token   reads %.2f MB of weights\n\nmetadata\n", (double)info->token_bytes * 1e-6);
    const char *key;
    char value[300];
    for (int32_t i = 0; bitnet_model_get_meta(m, i, &key, value, sizeof value); i++)
        printf("  %-42s %s\n", key, value);
    if (!in->has_tensors) return;
    printf("\ntensors\n");
    bitnet_tensor_info t;
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++)
        printf("  %-30s %-5s %-11s [%lld, %lld] at %llu, %llu bytes\n", t.name, t.type, t.layout,
               (long long)t.ne[0], (long long)t.ne[1], (unsigned long long)t.offset,
               (unsigned long long)t.size);
}

static int print_json(const inspect *in, const bitnet_model *m, const bitnet_model_info *info) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", info->name);
    cJSON_AddStringToObject(o, "arch", info->arch);
    cJSON_AddStringToObject(o, "tokenizer", info->tokenizer);
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"n_layer", info->n_layer},
                   {"n_embd", info->n_embd},
                   {"n_head", info->n_head},
                   {"n_head_kv", info->n_head_kv},
                   {"head_dim", info->head_dim},
                   {"n_ff", info->n_ff},
                   {"n_vocab", info->n_vocab},
                   {"n_ctx_train", info->n_ctx_train},
                   {"n_params", (double)info->n_params},
                   {"file_size", (double)info->file_size},
                   {"weight_size", (double)info->weight_size},
                   {"token_bytes", (double)info->token_bytes},
                   {"n_ctx", in->n_ctx},
                   {"kv_cache_size", (double)bitnet_model_ctx_size(m, in->n_ctx)}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cJSON_AddNumberToObject(o, numbers[i].name, numbers[i].value);
    const char *key;
    char value[300];
    cJSON *meta = cJSON_AddObjectToObject(o, "metadata");
    for (int32_t i = 0; bitnet_model_get_meta(m, i, &key, value, sizeof value); i++)
        cJSON_AddStringToObject(meta, key, value);
    cJSON *tensors = cJSON_AddArrayToObject(o, "tensors");
    bitnet_tensor_info t;
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "name", t.name);
        cJSON_AddStringToObject(e, "type", t.type);
        cJSON_AddStringToObject(e, "layout", t.layout);
        cJSON *ne = cJSON_AddArrayToObject(e, "ne");
        for (int d = 0; d < 4; d++)
            cJSON_AddItemToArray(ne, cJSON_CreateNumber((double)t.ne[d]));
        cJSON_AddNumberToObject(e, "offset", (double)t.offset);
        cJSON_AddNumberToObject(e, "size", (double)t.size);
        cJSON_AddItemToArray(tensors, e);
    }
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text) return EX_OSERR;
    puts(text);
    cJSON_free(text);
    return 0;
}

int cmd_inspect(int argc, char **argv) {
    inspect in = {0};
    const char *operand = NULL;
    const arg_opt opts[] = {
        {'m', "model", ARG_STR, &in.load.path, "FILE", NULL,
         "GGUF file; the embedded bitnet-tales when absent", 0, 0},
        {'c', "ctx-size", ARG_INT, &in.n_ctx, "N", NULL,
         "plan memory for this window; 0 = what the model was trained with", 0, 1 << 20},
        {0, "tensors", ARG_FLAG, &in.has_tensors, NULL, NULL, "list the tensors too", 0, 0},
        {0, "json", ARG_FLAG, &in.is_json, NULL, NULL, "print one JSON object", 0, 0},
        {0}};
    const arg_cmd cmd = {
        "inspect", "Shows what is in a model file.", "[FILE] [options]", opts, &operand, "FILE"};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    if (operand) in.load.path = operand;
    bitnet_error err = {0};
    loaded l;
    in.load.n_threads = 1;
    if (load_model(&l, &in.load, &err) < 0) return args_fail(&err);
    bitnet_model_info info = bitnet_model_get_info(l.model);
    if (in.n_ctx == 0) in.n_ctx = info.n_ctx_train;
    if (in.is_json)
        code = print_json(&in, l.model, &info);
    else
        print_text(&in, l.model, &info), code = 0;
    load_close(&l);
    return code ? code : args_flush();
}
