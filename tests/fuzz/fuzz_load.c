/* fuzz_load.c: libFuzzer over the whole path from a file to its first token: reader,
 * hyper-parameters, vocabulary, weights, context, one decode.
 *
 * The input is a list of edits to a valid tiny model (two bytes of offset, one of value: an offset
 * of 64 Ki covers the metadata and the start of the data), so that nearly every input gets far.
 * When the list is long enough to be a file itself, it is also tried as one. Memory is capped, so
 * that a huge announced size is a clean E_NOMEM, not a dead machine.
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

static void load_and_run(gguf_bytes *file) {
    bitnet_source src = gguf_bytes_source(file, true);
    bitnet_error err = {0};
    bitnet_model *model = NULL;
    bitnet_engine *engine = NULL;
    bitnet_model_desc md = {
        .source = &src, .n_threads = 1, .allocator = {capped_alloc, capped_free, NULL}};
    if (bitnet_model_load(&model, &md, &err) >= 0) {
        bitnet_token ids[] = {0, 1};
        bitnet_request text = {.prompt = "ab c", .prompt_len = 4, .max_tokens = 2};
        bitnet_request raw = {
            .tokens = ids, .n_tokens = 2, .max_tokens = 2, .sampler = {.temp = 1, .top_p = 0.5f}};
        if (bitnet_engine_create(&engine, &(bitnet_engine_desc){.model = model, .n_ctx = 8},
                                 &err) >= 0) {
            bitnet_engine_run(engine, &text, NULL, NULL, &err);
            bitnet_engine_run(engine, &raw, NULL, NULL, &err);
        }
    }
    bitnet_engine_free(engine);
    bitnet_model_free(model);
    if (err.status < 0 && (!err.id || !err.text[0])) abort(); /* a failure without a sentence */
    if (in_use != 0) abort();                                 /* a leak */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static gguf_writer seed;
    if (!seed.file.n) {
        tiny_model m = tiny_model_default();
        tiny_model_write(&m, &seed);
        gguf_writer_finish(&seed);
    }
    gguf_bytes file = {0};
    gguf_bytes_put(&file, seed.file.p, seed.file.n);
    for (size_t i = 0; i + 3 <= size; i += 3) {
        size_t at = (size_t)data[i] | (size_t)data[i + 1] << 8;
        if (at < file.n) file.p[at] = data[i + 2];
    }
    load_and_run(&file);
    free(file.p);
    if (size > 64) {
        gguf_bytes raw = {0};
        gguf_bytes_put(&raw, data, size);
        load_and_run(&raw);
        free(raw.p);
    }
    return 0;
}
