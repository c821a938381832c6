/* test_gguf_flaws.c: the published flaws of GGUF readers and loaders, by number, each as the file that
 * would set it off here. A test is named after what the file does; its comment says whose flaw it was.
 *
 * Every file goes through the whole loader, mapped and read, under an allocator that hands out dirty
 * memory, counts bytes and checks frees: the answer must be one sentence with the expected id, within
 * the memory that docs/formats.md allows, with nothing left behind.
 */
#include "load_file.h"

#include <stdio.h>
#include <string.h>

#include "count_alloc.h"
#include "tiny_model.h"

#define MEMORY_PER_BYTE 8
#define MEMORY_FIXED    ((size_t)1 << 20)
#define TYPE_F32        0
#define META_U8         0
#define META_U32        4
#define META_F32        6
#define META_STR        8
#define META_U64        10

static void expect_refusal_of(gguf_bytes *file, bool is_mapped, const char *id) {
    count_alloc count = {0};
    bitnet_source src = gguf_bytes_source(file, is_mapped);
    bitnet_error err = {0};
    bitnet_model *model;
    bitnet_model_desc desc = {.source = &src, .n_threads = 1, .allocator = count_alloc_of(&count)};
    bitnet_status st = bitnet_model_load(&model, &desc, &err);
    if (st >= 0) fail_msg("the file was loaded; expected was %s", id);
    if (strcmp(err.id, id)) fail_msg("refused with %s (%s); expected was %s", err.id, err.text, id);
    assert_null(model);
    assert_int_equal(count.live, 0);
    if (count.peak > MEMORY_PER_BYTE * file->n + MEMORY_FIXED)
        fail_msg("a file of %zu bytes took %zu bytes of memory", file->n, count.peak);
}

static void expect_refusal(gguf_writer *w, const char *id) {
    gguf_bytes file = w->file;
    if (!file.n) file = *gguf_writer_finish(w);
    expect_refusal_of(&file, true, id);
    expect_refusal_of(&file, false, id);
    gguf_writer_free(w);
}

static gguf_writer sound(void) {
    tiny_model m = tiny_model_default();
    gguf_writer w;
    tiny_model_write(&m, &w);
    return w;
}

static gguf_writer without_key(const char *key) {
    tiny_model m = tiny_model_default();
    m.skip_key = key;
    gguf_writer w;
    tiny_model_write(&m, &w);
    return w;
}

/* ---- sizes that wrap ------------------------------------------------------------------------- */

/* CVE-2024-21802: the product of the dimensions overflowed and the buffer came out small */
static void dimensions_whose_product_wraps(void **state) {
    (void)state;
    gguf_writer w = sound();
    gguf_put_tensor_entry(&w, "big", TYPE_F32, 4,
                          (int64_t[]){(int64_t)1 << 33, (int64_t)1 << 33, 4, 1}, 0);
    expect_refusal(&w, "gguf.tensor.shape");
}

/* CVE-2026-33298: an exabyte tensor whose byte count wraps to nothing */
static void a_tensor_of_2_to_64_bytes(void **state) {
    (void)state;
    gguf_writer w = sound();
    gguf_put_tensor_entry(&w, "big", TYPE_F32, 2, (int64_t[]){(int64_t)1 << 31, (int64_t)1 << 31},
                          0);
    expect_refusal(&w, "gguf.tensor.shape");
}

/* CVE-2025-53630, and CVE-2026-27940 that got past its mending: the sum of all sizes wrapped */
static void tensors_whose_sizes_add_up_past_2_to_64(void **state) {
    (void)state;
    gguf_writer w = sound();
    char name[16];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "big.%d", i);
        gguf_put_tensor_entry(&w, name, TYPE_F32, 1, (int64_t[]){(int64_t)1 << 48}, 0);
    }
    expect_refusal(&w, "gguf.tensor.extent");
}

/* CVE-2024-21825: element count times element size */
static void an_array_whose_size_wraps(void **state) {
    (void)state;
    gguf_writer w = sound();
    gguf_put_array(&w, "x", META_U64, ((uint64_t)1 << 61) + 1);
    expect_refusal(&w, "gguf.kv.array.count");
}

/* CVE-2024-23496: room for the terminator made the length wrap to 0 */
static void a_string_of_2_to_64_minus_1_bytes(void **state) {
    (void)state;
    gguf_writer value = sound(), key = sound(), element = sound();
    gguf_put_key(&value, "x", META_STR);
    gguf_bytes_u64(&value.kv, UINT64_MAX);
    expect_refusal(&value, "gguf.kv.string");
    gguf_bytes_u64(&key.kv, UINT64_MAX);
    key.n_kv++;
    expect_refusal(&key, "gguf.kv.key");
    gguf_put_array(&element, "x", META_STR, 1);
    gguf_bytes_u64(&element.kv, UINT64_MAX);
    expect_refusal(&element, "gguf.kv.string");
}

/* ---- counts that are believed ------------------------------------------------------------------ */

/* CVE-2024-21836 and CVE-2024-23605: count times the size of a table's row */
static void counts_that_no_file_could_hold(void **state) {
    (void)state;
    static const uint64_t counts[] = {UINT64_MAX, (uint64_t)1 << 63, (uint64_t)1 << 60, 1u << 31};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        gguf_writer tensors = sound(), keys = sound();
        tensors.n_tensor = counts[i];
        expect_refusal(&tensors, "gguf.tensor.count");
        keys.n_kv = counts[i];
        expect_refusal(&keys, "gguf.kv.count");
    }
}

/* ollama #17042: a tiny file that asked for a huge allocation */
static void a_tiny_file_that_announces_an_array_of_a_billion(void **state) {
    (void)state;
    gguf_writer w;
    gguf_writer_init(&w);
    gguf_put_array(&w, "x", META_U8, 1000000000);
    expect_refusal(&w, "gguf.kv.array.count");
}

/* ---- cleaning up ------------------------------------------------------------------------------- */

/* CVE-2024-32878: the error path freed pointers that were never set */
static void a_file_that_ends_anywhere_in_its_metadata(void **state) {
    (void)state;
    gguf_writer w = sound();
    gguf_bytes file = *gguf_writer_finish(&w);
    size_t head = file.n - w.data.n;
    for (file.n = 0; file.n < head; file.n++)
        for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
            count_alloc count = {0};
            bitnet_source src = gguf_bytes_source(&file, is_mapped);
            bitnet_error err = {0};
            bitnet_model *model;
            bitnet_model_desc desc = {
                .source = &src, .n_threads = 1, .allocator = count_alloc_of(&count)};
            if (bitnet_model_load(&model, &desc, &err) >= 0)
                fail_msg("a file cut to %zu bytes was loaded", file.n);
            assert_non_null(err.id);
            assert_int_equal(count.live, 0);
        }
    gguf_writer_free(&w);
}

/* CVE-2024-39720 (ollama): a file of four bytes; and of none at all */
static void a_file_of_four_bytes(void **state) {
    (void)state;
    uint8_t magic[] = {'G', 'G', 'U', 'F'};
    gguf_bytes file = {magic, sizeof magic, 0};
    expect_refusal_of(&file, true, "gguf.truncated");
    expect_refusal_of(&file, false, "gguf.truncated");
    file.n = 0;
    expect_refusal_of(&file, true, "gguf.truncated");
    expect_refusal_of(&file, false, "gguf.truncated");
}

/* CVE-2024-41130: a sound header with nothing behind it led to a NULL pointer */
static void a_file_without_keys_and_tensors(void **state) {
    (void)state;
    gguf_writer w;
    gguf_writer_init(&w);
    expect_refusal(&w, "model.arch");
}

/* ---- enums, kinds, alignment ------------------------------------------------------------------- */

/* CVE-2024-42477: a type used as an index before it was compared with the table */
static void a_tensor_type_past_the_table(void **state) {
    (void)state;
    static const uint32_t types[] = {UINT32_MAX, 1u << 31, 1000, 255, 43};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        gguf_writer w = sound();
        gguf_put_tensor_entry(&w, "x", types[i], 1, (int64_t[]){256}, 0);
        expect_refusal(&w, "gguf.tensor.type");
    }
}

/* ggml c2cdd2b2, llama.cpp #24997: alignment of another type aborted, a huge one wrapped in 32 bits */
static void an_alignment_that_is_none(void **state) {
    (void)state;
    static const uint32_t values[] = {0, 3, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        gguf_writer w = sound();
        gguf_put_u32(&w, "general.alignment", values[i]);
        expect_refusal(&w, "gguf.alignment");
    }
    gguf_writer text = sound(), number = sound();
    gguf_put_str(&text, "general.alignment", "32");
    expect_refusal(&text, "gguf.alignment");
    gguf_put_f32(&number, "general.alignment", 32);
    expect_refusal(&number, "gguf.alignment");
}

/* llama.cpp #24997: a dimension of 0 was divided by */
static void a_dimension_of_zero(void **state) {
    (void)state;
    gguf_writer w = sound();
    gguf_put_tensor_entry(&w, "x", TYPE_F32, 2, (int64_t[]){0, 4}, 0);
    expect_refusal(&w, "gguf.tensor.shape");
}

/* CVE-2026-7482 (ollama): offset and size past the end of the file were read, and sent out */
static void a_tensor_past_the_end_of_the_file(void **state) {
    (void)state;
    gguf_writer w = sound();
    gguf_put_tensor_entry(&w, "x", TYPE_F32, 1, (int64_t[]){1 << 20}, 0);
    expect_refusal(&w, "gguf.tensor.extent");
    w = sound();
    gguf_put_tensor_entry(&w, "x", TYPE_F32, 1, (int64_t[]){8}, UINT64_MAX - 31);
    expect_refusal(&w, "gguf.tensor.extent");
}

/* ---- hyper-parameters -------------------------------------------------------------------------- */

/* llama.cpp #25821: more layers than the fixed arrays had room for; ollama #7802: divisions by 0 */
static void hyper_parameters_out_of_range(void **state) {
    (void)state;
    static const char *const keys[] = {"block_count", "attention.head_count", "embedding_length",
                                       "feed_forward_length", "context_length"};
    static const uint32_t values[] = {0, UINT32_MAX, 1u << 31, 10000000};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            char key[64];
            gguf_writer w = without_key(keys[k]);
            snprintf(key, sizeof key, "bitnet-b1.58.%s", keys[k]);
            gguf_put_u32(&w, key, values[i]);
            expect_refusal(&w, "model.hparam");
        }
    gguf_writer w = without_key("block_count");
    gguf_put_u32(&w, "bitnet-b1.58.block_count", 513);
    expect_refusal(&w, "model.hparam");
    w = without_key("attention.head_count_kv");
    gguf_put_u32(&w, "bitnet-b1.58.attention.head_count_kv", 0);
    expect_refusal(&w, "model.hparam");
}

/* ---- vocabulary -------------------------------------------------------------------------------- */

/* a model whose tokenizer keys the caller writes */
static gguf_writer without_vocabulary(void) {
    tiny_model m = tiny_model_default();
    m.has_vocab = false;
    gguf_writer w;
    tiny_model_write(&m, &w);
    gguf_put_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_put_str(&w, "tokenizer.ggml.pre", "llama-bpe");
    gguf_put_strs(&w, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "ab"}, 3);
    gguf_put_strs(&w, "tokenizer.ggml.merges", (const char *const[]){"a b"}, 1);
    return w;
}

/* llama.cpp #20735, #26690: arrays shorter than the tokens, or of a smaller type, were read past */
static void token_arrays_of_another_length_or_type(void **state) {
    (void)state;
    gguf_writer w = without_vocabulary();
    gguf_put_i32s(&w, "tokenizer.ggml.token_type", (const int32_t[]){1, 1}, 2);
    expect_refusal(&w, "tokenizer.token_type");
    w = without_vocabulary();
    gguf_put_array(&w, "tokenizer.ggml.token_type", META_U8, 3);
    gguf_bytes_put(&w.kv, "\1\1\1", 3);
    expect_refusal(&w, "tokenizer.token_type");
    w = without_vocabulary();
    gguf_put_array(&w, "tokenizer.ggml.scores", META_F32, 1);
    gguf_bytes_u32(&w.kv, 0);
    expect_refusal(&w, "tokenizer.scores");
    w = without_vocabulary();
    gguf_put_array(&w, "tokenizer.ggml.scores", META_U8, 3);
    gguf_bytes_put(&w.kv, "\1\1\1", 3);
    expect_refusal(&w, "tokenizer.scores");
}

/* llama.cpp #25475: special ids were used as indices unchecked. Here one past the end stands for none,
 * as published files have them; what is no id at all is refused. */
static void special_ids_outside_the_vocabulary(void **state) {
    (void)state;
    static const char *const keys[] = {"bos", "eos", "eot", "eom", "unknown"};
    static const uint32_t ids[] = {3, 1u << 31, UINT32_MAX - 1};
    char key[64];
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", keys[k]);
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
            gguf_writer w = without_vocabulary();
            gguf_put_u32(&w, key, ids[i]);
            bitnet_source src = gguf_writer_source(&w, true);
            bitnet_error err = {0};
            bitnet_model *model;
            bitnet_model_desc desc = {.source = &src, .n_threads = 1};
            if (bitnet_model_load(&model, &desc, &err) < 0) fail_msg("%s", err.text);
            bitnet_model_info info = bitnet_model_get_info(model);
            assert_int_equal(info.bos, -1);
            assert_int_equal(info.eos, -1);
            for (bitnet_token t = -1; t < info.n_vocab; t++)
                assert_int_equal(bitnet_token_is_end(model, t), 0);
            bitnet_model_free(model);
            gguf_writer_free(&w);
        }
        gguf_writer w = without_vocabulary();
        gguf_put_str(&w, key, "2");
        expect_refusal(&w, "tokenizer.special_id");
    }
}

/* llama.cpp #25969, #26511, #27226: "<0x-1>" became index -1 of the table of bytes */
static void a_byte_token_with_a_sign(void **state) {
    (void)state;
    static const char *const spellings[] = {"<0x-1>", "<0x 1>",  "<0x+1>",
                                            "<0x1>",  "<0x100>", "<0xag>"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        tiny_model m = tiny_model_default();
        m.has_vocab = false;
        gguf_writer w;
        tiny_model_write(&m, &w);
        gguf_put_str(&w, "tokenizer.ggml.model", "llama");
        gguf_put_strs(&w, "tokenizer.ggml.tokens",
                      (const char *const[]){"<unk>", "<s>", "</s>", spellings[i]}, 4);
        gguf_put_i32s(&w, "tokenizer.ggml.token_type", (const int32_t[]){2, 3, 3, 6}, 4);
        gguf_put_array(&w, "tokenizer.ggml.scores", META_F32, 4);
        for (int k = 0; k < 4; k++)
            gguf_bytes_u32(&w.kv, 0);
        expect_refusal(&w, "tokenizer.byte");
    }
}

/* CVE-2025-49847 and CVE-2025-52566: lengths cut to 32 bits, room compared with the wrong sign */
static void room_for_fewer_tokens_than_there_are(void **state) {
    (void)state;
    test_model t;
    test_model_open(&t, 1, 0, NULL);
    bitnet_token out[3] = {-7, -7, -7};
    const char text[] = "Once upon a time";
    int32_t need = bitnet_tokenize(t.model, text, sizeof text - 1, 0, NULL, 0);
    assert_int_equal(need, 4);
    assert_int_equal(bitnet_tokenize(t.model, text, sizeof text - 1, 0, out, -1), need);
    assert_int_equal(out[0], -7);
    assert_int_equal(bitnet_tokenize(t.model, text, sizeof text - 1, 0, out, 2), need);
    assert_int_not_equal(out[1], -7);
    assert_int_equal(out[2], -7);
    char piece[4] = "???";
    int32_t len = bitnet_token_text(t.model, out[0], piece, -1);
    assert_int_equal(len, 4); /* "Once" */
    assert_string_equal(piece, "???");
    assert_int_equal(bitnet_token_text(t.model, out[0], piece, 2), len);
    assert_memory_equal(piece, "On?", 3);
    test_model_close(&t);
}

/* ---- saved state ------------------------------------------------------------------------------- */

/* CVE-2026-43629: counts in a saved state were multiplied and believed */
static void a_saved_state_that_announces_too_much(void **state) {
    (void)state;
    test_model t;
    test_model_open(&t, 1, 0, NULL);
    bitnet_ctx *ctx;
    bitnet_ctx_desc cd = {.model = t.model, .n_ctx = 16};
    assert_int_equal(bitnet_ctx_create(&ctx, &cd, NULL), BITNET_OK);
    static const bitnet_token tok[16];
    static const uint8_t data[64];
    static const int32_t n[] = {-1, 0, 17, INT32_MAX};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        assert_int_equal(bitnet_ctx_load(ctx, tok, 0, n[i], data, sizeof data), BITNET_E_INVAL);
        assert_int_equal(bitnet_ctx_load(ctx, tok, n[i], 1, data, sizeof data), BITNET_E_INVAL);
    }
    assert_int_equal(bitnet_ctx_load(ctx, tok, 0, 16, data, SIZE_MAX), BITNET_E_INVAL);
    assert_int_equal(bitnet_ctx_len(ctx), 0);
    bitnet_ctx_free(ctx);
    test_model_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dimensions_whose_product_wraps),
        cmocka_unit_test(a_tensor_of_2_to_64_bytes),
        cmocka_unit_test(tensors_whose_sizes_add_up_past_2_to_64),
        cmocka_unit_test(an_array_whose_size_wraps),
        cmocka_unit_test(a_string_of_2_to_64_minus_1_bytes),
        cmocka_unit_test(counts_that_no_file_could_hold),
        cmocka_unit_test(a_tiny_file_that_announces_an_array_of_a_billion),
        cmocka_unit_test(a_file_that_ends_anywhere_in_its_metadata),
        cmocka_unit_test(a_file_of_four_bytes),
        cmocka_unit_test(a_file_without_keys_and_tensors),
        cmocka_unit_test(a_tensor_type_past_the_table),
        cmocka_unit_test(an_alignment_that_is_none),
        cmocka_unit_test(a_dimension_of_zero),
        cmocka_unit_test(a_tensor_past_the_end_of_the_file),
        cmocka_unit_test(hyper_parameters_out_of_range),
        cmocka_unit_test(token_arrays_of_another_length_or_type),
        cmocka_unit_test(special_ids_outside_the_vocabulary),
        cmocka_unit_test(a_byte_token_with_a_sign),
        cmocka_unit_test(room_for_fewer_tokens_than_there_are),
        cmocka_unit_test(a_saved_state_that_announces_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
