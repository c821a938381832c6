/* fuzz_load.c: libFuzzer over the whole path from a file to its first token: reader,
 * hyper-parameters, vocabulary, weights, context, one decode.
 *
 *     input   u8 which seed | u8 level and layout | edits
 *
 * The edits change a valid tiny model (two bytes of offset, one of value: an offset of 64 Ki covers the
 * metadata and the start of the data), so that nearly every input gets far; there is one for each
 * family and each kind of tensor. When the input is long enough to be a file itself, it is also tried as
 * one. Memory is capped, so that a huge announced size is a clean E_NOMEM, not a dead machine.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/bitnet.h"
#include "tiny_model.h"

#define MEMORY_CAP ((size_t)64 << 20)

static size_t in_use;

static void *capped_alloc(void *ctx, size_t size) {
    (void)ctx;
    if (size > MEMORY_CAP - in_use) return NULL;
    in_use += size;
    return malloc(size);
}

static void capped_free(void *ctx, void *ptr, size_t size) {
    (void)ctx;
    in_use -= size;
    free(ptr);
}

static void run(bitnet_model *model, bitnet_error *err) {
    bitnet_engine *engine = NULL;
    bitnet_token ids[] = {0, 1};
    bitnet_request text = {.prompt = "ab c", .prompt_len = 4, .max_tokens = 2};
    bitnet_request raw = {
        .tokens = ids, .n_tokens = 2, .max_tokens = 2, .sampler = {.temp = 1, .top_p = 0.5f}};
    bitnet_perplexity p;
    bitnet_perplexity_desc pd = {.model = model, .tokens = ids, .n_tokens = 2, .n_ctx = 4};
    if (bitnet_engine_create(&engine, &(bitnet_engine_desc){.model = model, .n_ctx = 8}, err) >=
        0) {
        bitnet_engine_run(engine, &text, NULL, NULL, err);
        bitnet_engine_run(engine, &raw, NULL, NULL, err);
    }
    bitnet_engine_free(engine);
    bitnet_perplexity_run(&p, &pd, err);
}

/* Everything that describes a model, whatever was loaded of it. */
static void describe(const bitnet_model *model) {
    bitnet_tensor_info ti;
    const char *key;
    char value[100];
    bitnet_model_info info = bitnet_model_get_info(model);
    if (!info.arch || !info.tokenizer || !info.chat_template || !info.container) abort();
    for (int32_t i = 0; bitnet_model_get_tensor(model, i, &ti); i++)
        if (!ti.layout || !ti.type) abort();
    for (int32_t i = 0; bitnet_model_get_meta(model, i, &key, value, sizeof value); i++)
        if (strlen(value) >= sizeof value) abort();
    bitnet_model_plan(model, 64, 8, 1);
}

static void load_and_run(gguf_bytes *file, uint8_t how) {
    bitnet_source src = gguf_bytes_source(file, how & 1);
    bitnet_error err = {0};
    bitnet_model *model = NULL;
    bitnet_model_desc md = {.source = &src,
                            .n_threads = 1,
                            .i2s_layout = how & 2 ? BITNET_I2S_B : BITNET_I2S_A,
                            .level = how & 4   ? BITNET_LOAD_HEADER
                                     : how & 8 ? BITNET_LOAD_VOCAB
                                               : BITNET_LOAD_WEIGHTS,
                            .allocator = {capped_alloc, capped_free, NULL}};
    if (bitnet_model_load(&model, &md, &err) >= 0) {
        describe(model);
        run(model, &err);
    }
    bitnet_model_free(model);
    if (err.status < 0 && (!err.id || !err.text[0])) abort(); /* a failure without a sentence */
    if (in_use != 0) abort();                                 /* a leak */
}

#define N_SEEDS 8

static void write_seed(uint32_t which, gguf_writer *w) {
    static const struct {
        const char *arch;
        uint32_t linear, embd, vector;
        int32_t width; /* a multiple of the types' blocks, and small, for many runs a second */
    } seeds[N_SEEDS] = {
        {"bitnet-b1.58", BITNET_TYPE_I2_S, BITNET_TYPE_F16, BITNET_TYPE_F32, 128},
        {"bitnet-25", BITNET_TYPE_TQ1_0, BITNET_TYPE_Q6_K, BITNET_TYPE_F32, 256},
        {"bitnet", BITNET_TYPE_TQ2_0, BITNET_TYPE_TQ2_0, BITNET_TYPE_F16, 256},
        {"llama", BITNET_TYPE_I2_S, BITNET_TYPE_BF16, BITNET_TYPE_BF16, 128},
        {"llama", BITNET_TYPE_Q4_K, BITNET_TYPE_Q4_K, BITNET_TYPE_F32, 256},
        {"llama", BITNET_TYPE_Q4_0, BITNET_TYPE_Q8_0, BITNET_TYPE_F32, 32},
        {"bitnet", BITNET_TYPE_F32, BITNET_TYPE_F32, BITNET_TYPE_F32, 32},
        {"llama", BITNET_TYPE_BF16, BITNET_TYPE_Q4_0, BITNET_TYPE_F16, 32},
    };
    tiny_model m = tiny_model_default();
    m.arch = seeds[which].arch;
    m.linear_type = seeds[which].linear;
    m.embd_type = seeds[which].embd;
    m.vector_type = seeds[which].vector;
    m.n_embd = m.n_ff = seeds[which].width;
    m.head_dim = m.n_embd / m.n_head;
    m.has_head = which % 2;
    m.has_biases = m.has_scales = m.has_rope_freqs = which >= 3;
    tiny_model_write(&m, w);
    gguf_writer_finish(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static gguf_writer seed[N_SEEDS];
    if (size < 2) return 0;
    gguf_writer *w = &seed[data[0] % N_SEEDS];
    uint8_t how = data[1];
    if (!w->file.n) write_seed(data[0] % N_SEEDS, w);
    gguf_bytes file = {0};
    gguf_bytes_put(&file, w->file.p, w->file.n);
    for (size_t i = 2; i + 3 <= size; i += 3) {
        size_t at = (size_t)data[i] | (size_t)data[i + 1] << 8;
        if (at < file.n) file.p[at] = data[i + 2];
    }
    load_and_run(&file, how);
    free(file.p);
    if (size > 64) {
        gguf_bytes raw = {0};
        gguf_bytes_put(&raw, data + 2, size - 2);
        load_and_run(&raw, how);
        free(raw.p);
    }
    return 0;
}
