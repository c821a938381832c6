/* test_hf_refuse.c: every way a Hugging Face folder is refused: each error id of the configuration, the
 * weights and the files is provoked by one change to a sound folder, and its sentence checked. */
#include "hf_fixture.h"

#define E_FORMAT      BITNET_E_FORMAT
#define E_UNSUPPORTED BITNET_E_UNSUPPORTED
#define CONFIG        "config.json"
#define QUANT         "\"quant_method\":\"bitnet\""
#define Q             "model.layers.0.self_attn.q_proj"

static void a_folder_without_config_json_is_refused(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    hf_remove(&f, CONFIG);
    expect_refusal(&f, BITNET_E_INVAL, "hf.config.missing", "no config.json among the files");
    hf_free(&f);
}

static void a_folder_without_weights_is_refused(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    hf_remove(&f, WEIGHTS);
    expect_refusal(&f, BITNET_E_NOENT, "hf.weights.missing", "no other *.safetensors");
    hf_free(&f);
}

static void a_config_above_1_mib_is_refused(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    gguf_bytes *b = hf_file(&f, CONFIG);
    while (b->n <= 1 << 20)
        hf_text(b, "%4000s", "");
    expect_refusal(&f, E_FORMAT, "hf.file.size", "allowed are 1048576");
    hf_free(&f);
}

static void an_empty_config_is_refused(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    hf_file(&f, CONFIG)->n = 0;
    expect_refusal(&f, E_FORMAT, "hf.json",
                   "config.json: not JSON at byte 0: the text ends where a value is due");
    hf_free(&f);
}

static void more_than_64_modules_not_to_convert_are_refused(void **state) {
    (void)state;
    char list[512] = "\"modules_to_not_convert\":[\"m\"";
    for (int i = 1; i <= 64; i++)
        strcat(list, ",\"m\"");
    strcat(list, "]");
    hf_folder f = folder_2b();
    hf_replace(&f, CONFIG, "\"modules_to_not_convert\":null", list);
    expect_refusal(&f, E_UNSUPPORTED, "hf.modules", "more than 64 modules_to_not_convert");
    hf_free(&f);
}

static bitnet_status read_nothing(void *ctx, uint64_t off, void *dst, size_t n) {
    (void)ctx, (void)off, (void)dst, (void)n;
    return BITNET_E_IO;
}

static void a_config_that_cannot_be_read_is_reported(void **state) {
    (void)state;
    bitnet_file file = {CONFIG, {.size = 10, .read = read_nothing}};
    bitnet_dir dir;
    bitnet_error err = {0};
    assert_int_equal(bitnet_hf_read(&dir, &file, 1, NULL, &err), BITNET_E_IO);
    assert_string_equal(err.id, "hf.read");
    assert_string_equal(err.text, "config.json: reading it failed");
}

/* Reads the header and the data apart, and fails in the data. */
typedef struct half_source {
    gguf_bytes *bytes;
    uint64_t readable;
} half_source;

static bitnet_status read_half(void *ctx, uint64_t off, void *dst, size_t n) {
    const half_source *h = ctx;
    if (off + n > h->readable) return BITNET_E_IO;
    memcpy(dst, h->bytes->p + off, n);
    return BITNET_OK;
}

static void a_scale_that_cannot_be_read_is_reported(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    bitnet_file files[HF_FILES];
    memcpy(files, hf_files(&f, false), sizeof files);
    half_source half = {0};
    for (int32_t i = 0; i < f.n; i++)
        if (!strcmp(f.name[i], WEIGHTS)) {
            half = (half_source){&f.whole[i], f.text[i].n + 10};
            files[i].source =
                (bitnet_source){.size = f.whole[i].n, .read = read_half, .ctx = &half};
        }
    bitnet_dir dir;
    bitnet_error err = {0};
    assert_int_equal(bitnet_hf_read(&dir, files, f.n, NULL, &err), BITNET_E_IO);
    assert_string_equal(err.id, "hf.scale.read");
    hf_free(&f);
}

/* A tensor in place of all others. */
static void expect_tensor_refused(const char *name, const char *dtype, const char *shape,
                                  size_t size, const refusal *want) {
    hf_folder f = folder_2b();
    hf_remove(&f, WEIGHTS);
    put_tagged(&f, WEIGHTS, name, dtype, shape, size);
    expect_refusal(&f, want->status, want->id, want->says);
    hf_free(&f);
}

static void tensors_of_no_known_name_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"model.layers.0.self_attn.q_proj.rms_norm.weight",
                                        "model.layers.0.mlp.gate_proj.bias",
                                        "model.layers.0.self_attn.q_proj",
                                        "model.layers.0.self_attn.q_proj_2.weight",
                                        "model.layers.00.mlp.up_proj.weight",
                                        "model.layers.10000.mlp.up_proj.weight",
                                        "model.layers..mlp.up_proj.weight",
                                        "model.layers.0",
                                        "model.layers.-1.mlp.up_proj.weight",
                                        "lm_head.bias",
                                        "x\n"};
    static const refusal want = {.status = E_UNSUPPORTED,
                                 .id = "hf.tensor.unknown",
                                 .says = "no supported model has a tensor of this name"};
    for (size_t i = 0; i < LEN(names); i++) {
        hf_folder f = folder_2b();
        gguf_bytes name = {0};
        hf_remove(&f, WEIGHTS);
        hf_json_str(&name, names[i], strlen(names[i]));
        gguf_bytes_put(&name, "", 1);
        hf_text(hf_file(&f, WEIGHTS), "%s:{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}",
                (const char *)name.p);
        gguf_bytes_put(&f.data[f.n - 1], "\0\0\0\0", 4);
        expect_refusal(&f, want.status, want.id, want.says);
        free(name.p);
        hf_free(&f);
    }
}

static void an_embedding_of_bytes_is_refused(void **state) {
    (void)state;
    expect_tensor_refused(
        "model.embed_tokens.weight", "U8", "[7,8]", 56,
        &(refusal){.status = E_UNSUPPORTED,
                   .id = "hf.tensor.dtype",
                   .says = "type U8 is not supported here; F32, F16 and BF16 are"});
}

static void a_projection_of_doubles_is_refused(void **state) {
    (void)state;
    expect_tensor_refused(Q ".weight", "F64", "[8,8]", 512,
                          &(refusal){.status = E_UNSUPPORTED,
                                     .id = "hf.tensor.dtype",
                                     .says = "type F64 is not supported here"});
}

static void a_matrix_of_three_dimensions_is_refused(void **state) {
    (void)state;
    expect_tensor_refused(Q ".weight", "F32", "[1,8,8]", 256,
                          &(refusal){.status = E_FORMAT,
                                     .id = "hf.tensor.shape",
                                     .says = "neither a matrix nor a vector"});
}

static void a_scalar_norm_is_refused(void **state) {
    (void)state;
    expect_tensor_refused("model.norm.weight", "F32", "[]", 4,
                          &(refusal){.status = E_FORMAT,
                                     .id = "hf.tensor.shape",
                                     .says = "neither a matrix nor a vector"});
}

static void a_packed_matrix_without_a_scale_is_refused(void **state) {
    (void)state;
    expect_tensor_refused(Q ".weight", "U8", "[2,8]", 16,
                          &(refusal){.status = E_FORMAT,
                                     .id = "hf.scale.missing",
                                     .says = "packed, but has no weight_scale"});
}

static void a_packed_matrix_of_the_wrong_height_is_refused(void **state) {
    (void)state;
    expect_tensor_refused(Q ".weight", "U8", "[8,8]", 64,
                          &(refusal){.status = E_FORMAT,
                                     .id = "hf.tensor.packed",
                                     .says = "not a quarter of what config.json gives"});
}

static void a_scale_without_packed_weights_is_refused(void **state) {
    (void)state;
    static const refusal want = {.status = E_UNSUPPORTED,
                                 .id = "hf.scale.dense",
                                 .says = "a weight_scale without packed weights beside it"};
    expect_tensor_refused(Q ".weight_scale", "BF16", "[1]", 2, &want);
    hf_folder f = folder_2b();
    hf_remove(&f, WEIGHTS);
    put_projection(&f, WEIGHTS, Q, 8, 8, "BF16");
    put_tagged(&f, WEIGHTS, Q ".weight_scale", "BF16", "[1]", 2);
    expect_refusal(&f, want.status, want.id, want.says);
    hf_free(&f);
}

static void expect_scale_refused(const char *dtype, const char *shape, const char *bytes, size_t n,
                                 const char *id) {
    hf_folder f = folder_2b();
    hf_remove(&f, WEIGHTS);
    put_tagged(&f, WEIGHTS, Q ".weight", "U8", "[2,8]", 16);
    hf_tensor(&f, WEIGHTS, Q ".weight_scale", dtype, shape, bytes, n);
    expect_refusal(&f, E_FORMAT, id, "weight_scale");
    hf_free(&f);
}

static void a_scale_of_two_elements_is_refused(void **state) {
    (void)state;
    expect_scale_refused("BF16", "[2]", "\x00\x3f\x00\x3f", 4, "hf.scale.type");
}

static void a_scale_of_an_integer_type_is_refused(void **state) {
    (void)state;
    expect_scale_refused("I16", "[1]", "\x01\x00", 2, "hf.scale.type");
}

static void a_scale_of_0_is_refused(void **state) {
    (void)state;
    expect_scale_refused("BF16", "[1]", "\x00\x80", 2, "hf.scale.value");
}

static void a_scale_that_is_not_a_number_is_refused(void **state) {
    (void)state;
    expect_scale_refused("F16", "[1]", "\x01\x7e", 2, "hf.scale.value");
}

static void an_infinite_scale_is_refused(void **state) {
    (void)state;
    expect_scale_refused("F32", "[1]", "\x00\x00\x80\x7f", 4, "hf.scale.value");
}

static void a_scale_whose_inverse_is_infinite_is_refused(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    hf_replace(&f, CONFIG, "autobitlinear", "bitlinear");
    hf_remove(&f, WEIGHTS);
    put_tagged(&f, WEIGHTS, Q ".weight", "U8", "[2,8]", 16);
    hf_tensor(&f, WEIGHTS, Q ".weight_scale", "F32", "[1]", "\x01\x00\x00\x00", 4);
    expect_refusal(&f, E_FORMAT, "hf.scale.value", "or one divided by it");
    hf_free(&f);
}

static void two_tensors_with_one_gguf_name_are_refused(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    put_tagged(&f, WEIGHTS, "model.layers.0.self_attn.inner_attn_ln.weight", "F32", "[8]", 32);
    expect_refusal(&f, E_FORMAT, "dir.duplicate", "'blk.0.attn_sub_norm.weight': occurs more than");
    hf_free(&f);
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    hf_text(hf_file(&f, "tokenizer_config.json"), "{\"chat_template\":\"{{ x }}\"}");
    hf_text(hf_file(&f, "generation_config.json"), "{}");
    long n = 1;
    for (reading r;; n++) {
        read_one(&r, &f, false, n);
        if (r.status >= 0) {
            close_one(&r);
            break;
        }
        assert_int_equal(r.status, BITNET_E_NOMEM);
        close_one(&r);
    }
    assert_true(n > 20);
    hf_free(&f);
}

static void every_text_cut_anywhere_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {CONFIG, "tokenizer.json"};
    for (size_t i = 0; i < LEN(names); i++) {
        hf_folder f = folder_2b();
        gguf_bytes *b = hf_file(&f, names[i]);
        for (size_t n = b->n; n-- > 0;) {
            reading r;
            b->n = n;
            read_both(&r, &f);
            if (r.status >= 0) fail_msg("%zu bytes of %s were taken for all", n, names[i]);
            assert_string_equal(r.err.id, "hf.json");
        }
        hf_free(&f);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_folder_without_config_json_is_refused),
    cmocka_unit_test(a_folder_without_weights_is_refused),
    cmocka_unit_test(a_config_above_1_mib_is_refused),
    cmocka_unit_test(an_empty_config_is_refused),
    cmocka_unit_test(more_than_64_modules_not_to_convert_are_refused),
    cmocka_unit_test(a_config_that_cannot_be_read_is_reported),
    cmocka_unit_test(a_scale_that_cannot_be_read_is_reported),
    cmocka_unit_test(tensors_of_no_known_name_are_refused),
    cmocka_unit_test(an_embedding_of_bytes_is_refused),
    cmocka_unit_test(a_projection_of_doubles_is_refused),
    cmocka_unit_test(a_matrix_of_three_dimensions_is_refused),
    cmocka_unit_test(a_scalar_norm_is_refused),
    cmocka_unit_test(a_packed_matrix_without_a_scale_is_refused),
    cmocka_unit_test(a_packed_matrix_of_the_wrong_height_is_refused),
    cmocka_unit_test(a_scale_without_packed_weights_is_refused),
    cmocka_unit_test(a_scale_of_two_elements_is_refused),
    cmocka_unit_test(a_scale_of_an_integer_type_is_refused),
    cmocka_unit_test(a_scale_of_0_is_refused),
    cmocka_unit_test(a_scale_that_is_not_a_number_is_refused),
    cmocka_unit_test(an_infinite_scale_is_refused),
    cmocka_unit_test(a_scale_whose_inverse_is_infinite_is_refused),
    cmocka_unit_test(two_tensors_with_one_gguf_name_are_refused),
    cmocka_unit_test(every_failing_allocation_is_survived),
    cmocka_unit_test(every_text_cut_anywhere_is_refused),
    REFUSAL("a_config_that_is_no_json_is_refused", CONFIG, "\"hidden_size\":8",
            "\"hidden_size\":", E_FORMAT, "hf.json", "config.json: not JSON at byte"),
    REFUSAL("an_unknown_class_is_refused_by_name", CONFIG, "BitNetForCausalLM", "bitnetforcausallm",
            E_UNSUPPORTED, "hf.class", "model class \"bitnetforcausallm\""),
    REFUSAL("a_class_that_is_no_string_is_refused", CONFIG, "[\"BitNetForCausalLM\"]", "[3]",
            E_FORMAT, "hf.config.key", "\"architectures\" is not an array of strings"),
    REFUSAL("another_activation_is_refused_by_name", CONFIG, "relu2", "gelu\\n", E_UNSUPPORTED,
            "hf.activation", "\"hidden_act\" is \"gelu\\x0a\"; supported are relu2 and silu"),
    REFUSAL("a_size_that_is_a_string_is_refused", CONFIG, "\"hidden_size\":8",
            "\"hidden_size\":\"8\"", E_FORMAT, "hf.config.key",
            "\"hidden_size\" is not an integer of 64 bits"),
    REFUSAL("a_size_that_is_a_fraction_is_refused", CONFIG, "\"head_dim\":4", "\"head_dim\":4.5",
            E_FORMAT, "hf.config.key", "\"head_dim\" is not an integer"),
    REFUSAL("a_size_beyond_64_bits_is_refused", CONFIG, "\"vocab_size\":7",
            "\"vocab_size\":18446744073709551616", E_FORMAT, "hf.config.key",
            "\"vocab_size\" is not an integer"),
    REFUSAL("an_epsilon_that_is_no_number_is_refused", CONFIG, "1e-05", "\"1e-05\"", E_FORMAT,
            "hf.config.key", "\"rms_norm_eps\" is not a number"),
    REFUSAL("a_tie_that_is_no_bool_is_refused", CONFIG, "\"tie_word_embeddings\":true",
            "\"tie_word_embeddings\":1", E_FORMAT, "hf.config.key",
            "\"tie_word_embeddings\" is not true or false"),
    REFUSAL("yarn_is_refused_by_name", CONFIG, "\"rope_scaling\":null",
            "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}", E_UNSUPPORTED,
            "hf.rope.scaling", "RoPE scaling \"yarn\"; supported are default and linear"),
    REFUSAL("a_scaling_that_is_no_object_is_refused", CONFIG, "\"rope_scaling\":null",
            "\"rope_scaling\":2", E_FORMAT, "hf.config.key", "\"rope_scaling\" is not an object"),
    REFUSAL("a_factor_that_is_no_number_is_refused", CONFIG, "\"rope_scaling\":null",
            "\"rope_scaling\":{\"type\":\"linear\",\"factor\":[]}", E_FORMAT, "hf.config.key",
            "\"factor\" is not a number"),
    REFUSAL("another_quantisation_is_refused_by_name", CONFIG, QUANT, "\"quant_method\":\"gptq\"",
            E_UNSUPPORTED, "hf.quantization", "quantization method \"gptq\""),
    REFUSAL("a_norm_before_every_projection_is_refused", CONFIG, QUANT,
            QUANT ",\"use_rms_norm\":true", E_UNSUPPORTED, "hf.rms_norm",
            "\"use_rms_norm\" is true"),
    REFUSAL("modules_that_are_no_array_are_refused", CONFIG, "\"modules_to_not_convert\":null",
            "\"modules_to_not_convert\":\"lm_head\"", E_FORMAT, "hf.config.key",
            "\"modules_to_not_convert\" is not an array of strings"),
    REFUSAL("packed_weights_without_a_quantisation_are_refused", CONFIG, "\"quantization_config\"",
            "\"q\"", E_UNSUPPORTED, "hf.tensor.dtype",
            "config.json has no quantization_config of method bitnet"),
    REFUSAL("an_end_that_is_no_id_is_refused", CONFIG, "\"eos_token_id\":6",
            "\"eos_token_id\":[6,\"</s>\"]", E_FORMAT, "hf.config.key",
            "config.json: \"eos_token_id\" is not an integer or an array of integers"),
    REFUSAL("a_begin_that_is_no_id_is_refused", CONFIG, "\"bos_token_id\":5",
            "\"bos_token_id\":true", E_FORMAT, "hf.config.key",
            "\"bos_token_id\" is not an integer"),
};

static void every_id_is_in_the_page(void **state) {
    (void)state;
    expect_documented(tests, LEN(tests));
}

int main(void) {
    const struct CMUnitTest last[] = {cmocka_unit_test(every_id_is_in_the_page)};
    int n_failed = cmocka_run_group_tests_name("hf_refuse_page", last, NULL, NULL);
    return n_failed + cmocka_run_group_tests_name("hf_refuse", tests, NULL, NULL);
}
