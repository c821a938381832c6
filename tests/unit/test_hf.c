/* test_hf.c: folders of the three model classes come out as directories in GGUF's words: keys, tensor
 * names, shapes, types, scales and places; one file or shards. */
#include "hf_fixture.h"

/* ---- keys -------------------------------------------------------------------------------- */

static void the_2b_model_comes_out_under_its_gguf_keys(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    reading r;
    read_sound(&r, &f);
    assert_int_equal(r.dir.container, BITNET_CONTAINER_SAFETENSORS);
    assert_int_equal(r.dir.n_file, 3);
    expect_str(&r, "general.architecture", "bitnet-b1.58");
    expect_str(&r, "general.name", "");
    expect_str(&r, "bitnet-b1.58.hidden_activation", "relu2");
    expect_int(&r, "bitnet-b1.58.embedding_length", 8);
    expect_int(&r, "bitnet-b1.58.feed_forward_length", 16);
    expect_int(&r, "bitnet-b1.58.block_count", 1);
    expect_int(&r, "bitnet-b1.58.attention.head_count", 2);
    expect_int(&r, "bitnet-b1.58.attention.head_count_kv", 1);
    expect_int(&r, "bitnet-b1.58.attention.key_length", 4);
    expect_int(&r, "bitnet-b1.58.rope.dimension_count", 4);
    expect_int(&r, "bitnet-b1.58.context_length", 64);
    expect_int(&r, "bitnet-b1.58.vocab_size", 7);
    expect_float(&r, "bitnet-b1.58.attention.layer_norm_rms_epsilon", 1e-5);
    expect_float(&r, "bitnet-b1.58.rope.freq_base", 500000);
    expect_absent(&r, "bitnet-b1.58.rope.scaling.type");
    expect_int(&r, "tokenizer.ggml.bos_token_id", 5);
    expect_int(&r, "tokenizer.ggml.eos_token_id", 6);
    close_one(&r);
    hf_free(&f);
}

static void what_config_json_leaves_out_is_left_out_or_follows(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    reading r;
    hf_replace(&f, "config.json", "\"num_key_value_heads\":1,\"head_dim\":4,",
               "\"head_dim\":null,");
    hf_replace(&f, "config.json", "\"rms_norm_eps\":1e-05,", "");
    hf_remove(&f, WEIGHTS);
    put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32);
    read_sound(&r, &f);
    expect_int(&r, "bitnet-b1.58.attention.head_count_kv", 2);
    expect_int(&r, "bitnet-b1.58.attention.key_length", 4);
    expect_absent(&r, "bitnet-b1.58.attention.layer_norm_rms_epsilon");
    close_one(&r);
    hf_free(&f);
}

static void without_a_class_the_model_type_decides(void **state) {
    (void)state;
    static const char *const types[][2] = {{"bitnet", "bitnet-b1.58"}, {"llama", "llama"}};
    for (size_t i = 0; i < LEN(types); i++) {
        hf_folder f = folder_2b();
        reading r;
        char type[64];
        snprintf(type, sizeof type, "\"model_type\":\"%s\"", types[i][0]);
        hf_replace(&f, "config.json", "\"architectures\":[\"BitNetForCausalLM\"],", "");
        hf_replace(&f, "config.json", "\"model_type\":\"bitnet\"", type);
        read_sound(&r, &f);
        expect_str(&r, "general.architecture", types[i][1]);
        close_one(&r);
        hf_free(&f);
    }
}

static void linear_rope_scaling_comes_out_in_either_spelling(void **state) {
    (void)state;
    static const char *const spellings[] = {
        "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}",
        "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2.5}",
        "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2.5,\"rope_theta\":500000}"};
    for (size_t i = 0; i < LEN(spellings); i++) {
        hf_folder f = folder_2b();
        reading r;
        hf_replace(&f, "config.json", "\"rope_scaling\":null", spellings[i]);
        read_sound(&r, &f);
        expect_str(&r, "bitnet-b1.58.rope.scaling.type", "linear");
        expect_float(&r, "bitnet-b1.58.rope.scaling.factor", 2.5);
        expect_float(&r, "bitnet-b1.58.rope.freq_base", 500000);
        close_one(&r);
        hf_free(&f);
    }
    hf_folder f = folder_2b();
    reading r;
    hf_replace(&f, "config.json", "\"rope_scaling\":null",
               "\"rope_scaling\":{\"type\":\"default\"}");
    read_sound(&r, &f);
    expect_str(&r, "bitnet-b1.58.rope.scaling.type", "none");
    close_one(&r);
    hf_free(&f);
}

static void several_ends_become_eos_eot_and_eom(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    reading r;
    hf_replace(&f, "config.json", "\"eos_token_id\":6",
               "\"eos_token_id\":[6,4,3,2],\"pad_token_id\":1");
    read_sound(&r, &f);
    expect_int(&r, "tokenizer.ggml.eos_token_id", 6);
    expect_int(&r, "tokenizer.ggml.eot_token_id", 4);
    expect_int(&r, "tokenizer.ggml.eom_token_id", 3);
    expect_int(&r, "tokenizer.ggml.padding_token_id", 1);
    close_one(&r);
    hf_text(hf_file(&f, "generation_config.json"), "{\"eos_token_id\":[3,6]}");
    read_sound(&r, &f);
    expect_int(&r, "tokenizer.ggml.eos_token_id", 3);
    expect_int(&r, "tokenizer.ggml.eot_token_id", 6);
    expect_absent(&r, "tokenizer.ggml.eom_token_id");
    close_one(&r);
    hf_free(&f);
}

static void a_folder_without_tokenizer_json_has_no_tokenizer_keys(void **state) {
    (void)state;
    hf_folder f = folder_2b();
    reading r;
    hf_remove(&f, "tokenizer.json");
    read_sound(&r, &f);
    for (uint32_t i = 0; i < r.dir.n_meta; i++)
        assert_null(strstr(r.dir.meta[i].key, "tokenizer"));
    close_one(&r);
    hf_free(&f);
}

/* ---- tensors ----------------------------------------------------------------------------- */

typedef struct wanted {
    const char *gguf, *hf;
    uint32_t type;
    int64_t ne[2];
    float scale;
    bool is_latent;
} wanted;

/* One entry, and that its bytes in the file are those of the tensor it was made from. */
static void expect_tensor(const reading *r, const hf_folder *f, const wanted *w) {
    const bitnet_tensor_entry *t = bitnet_dir_tensor(&r->dir, w->gguf);
    if (!t) fail_msg("%s is missing", w->gguf);
    uint32_t n_dims = w->ne[1] > 0 ? 2 : 1;
    int64_t rows = n_dims == 2 ? w->ne[1] : 1;
    if (t->type != w->type || t->n_dims != n_dims || t->ne[0] != w->ne[0] || t->ne[1] != rows ||
        t->scale != w->scale || t->is_latent != w->is_latent)
        fail_msg("%s: type %u, %u dimensions [%lld, %lld], scale %g, latent %d", w->gguf, t->type,
                 t->n_dims, (long long)t->ne[0], (long long)t->ne[1], (double)t->scale,
                 t->is_latent);
    const bitnet_type_info *info = bitnet_type_get_info(t->type);
    assert_int_equal(t->size, (uint64_t)(w->ne[0] * rows) / info->block * info->block_size);
    const gguf_bytes *file = &f->whole[t->file];
    assert_true(t->offset <= file->n && t->size <= file->n - t->offset);
    for (uint64_t i = 0; i < t->size; i++)
        assert_int_equal(file->p[t->offset + i], tag_of(w->hf));
}

#define L "model.layers.0."
#define P BITNET_TYPE_HF_PACKED
enum { F32 = 0, F16 = 1, BF16 = 30 };

static void packed_weights_of_the_2b_model_come_out_multiplied(void **state) {
    (void)state;
    static const wanted want[] = {
        {"token_embd.weight", "model.embed_tokens.weight", F16, {8, 7}, 1, false},
        {"output_norm.weight", "model.norm.weight", F32, {8}, 1, false},
        {"blk.0.attn_norm.weight", L "input_layernorm.weight", BF16, {8}, 1, false},
        {"blk.0.ffn_norm.weight", L "post_attention_layernorm.weight", F32, {8}, 1, false},
        {"blk.0.attn_sub_norm.weight", L "self_attn.attn_sub_norm.weight", F32, {8}, 1, false},
        {"blk.0.ffn_sub_norm.weight", L "mlp.ffn_sub_norm.weight", F32, {16}, 1, false},
        {"blk.0.attn_q.weight", L "self_attn.q_proj.weight", P, {8, 8}, 0.5f, false},
        {"blk.0.attn_k.weight", L "self_attn.k_proj.weight", P, {8, 4}, 0.5f, false},
        {"blk.0.attn_v.weight", L "self_attn.v_proj.weight", P, {8, 4}, 0.5f, false},
        {"blk.0.attn_output.weight", L "self_attn.o_proj.weight", P, {8, 8}, 0.5f, false},
        {"blk.0.ffn_gate.weight", L "mlp.gate_proj.weight", P, {8, 16}, 0.5f, false},
        {"blk.0.ffn_up.weight", L "mlp.up_proj.weight", P, {8, 16}, 0.5f, false},
        {"blk.0.ffn_down.weight", L "mlp.down_proj.weight", P, {16, 8}, 0.5f, false},
    };
    hf_folder f = folder_2b();
    reading r;
    read_sound(&r, &f);
    assert_int_equal(r.dir.n_tensor, LEN(want)); /* scales are no entries of their own */
    for (size_t i = 0; i < LEN(want); i++)
        expect_tensor(&r, &f, &want[i]);
    close_one(&r);
    hf_free(&f);
}

static void without_autobitlinear_scales_divide(void **state) {
    (void)state;
    static const char *const classes[] = {"\"linear_class\":\"bitlinear\",", ""};
    for (size_t i = 0; i < LEN(classes); i++) {
        hf_folder f = folder_2b();
        reading r;
        hf_replace(&f, "config.json", "\"linear_class\":\"autobitlinear\",", classes[i]);
        read_sound(&r, &f);
        expect_tensor(
            &r, &f, &(wanted){"blk.0.attn_q.weight", L "self_attn.q_proj.weight", P, {8, 8}, 2, 0});
        close_one(&r);
        hf_free(&f);
    }
}

static void scales_are_read_in_every_float_type(void **state) {
    (void)state;
    static const struct {
        const char *dtype, *shape, *bytes;
        size_t n;
    } scales[] = {{"F32", "[]", "\x00\x00\x80\x3e", 4},
                  {"F16", "[1,1]", "\x00\x34", 2},
                  {"BF16", "[1]", "\x80\x3e", 2}};
    for (size_t i = 0; i < LEN(scales); i++) {
        hf_folder f = folder_2b();
        reading r;
        hf_remove(&f, WEIGHTS);
        put_tagged(&f, WEIGHTS, L "mlp.up_proj.weight", "U8", "[4,8]", 32);
        hf_tensor(&f, WEIGHTS, L "mlp.up_proj.weight_scale", scales[i].dtype, scales[i].shape,
                  scales[i].bytes, scales[i].n);
        read_sound(&r, &f);
        assert_int_equal(r.dir.n_tensor, 1);
        if (r.dir.tensor[0].scale != 0.25f)
            fail_msg("%s: %g", scales[i].dtype, (double)r.dir.tensor[0].scale);
        close_one(&r);
        hf_free(&f);
    }
}

static void dense_weights_of_1bitllm_are_masters(void **state) {
    (void)state;
    hf_folder f = {0};
    reading r;
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_1BITLLM);
    put_weights(&f, "F32", sub_norms_1bitllm);
    put_tagged(&f, WEIGHTS, L "self_attn.rotary_emb.inv_freq", "F32", "[2]", 8);
    read_sound(&r, &f);
    expect_str(&r, "general.architecture", "bitnet");
    expect_str(&r, "general.name", "one/bit");
    expect_str(&r, "bitnet.hidden_activation", "silu");
    assert_int_equal(r.dir.n_tensor, 13); /* inv_freq is what rope_theta says already */
    static const wanted want[] = {
        {"blk.0.attn_sub_norm.weight", L "self_attn.inner_attn_ln.weight", F32, {8}, 1, false},
        {"blk.0.ffn_sub_norm.weight", L "mlp.ffn_layernorm.weight", F32, {16}, 1, false},
        {"blk.0.attn_q.weight", L "self_attn.q_proj.weight", F32, {8, 8}, 1, true},
        {"blk.0.ffn_down.weight", L "mlp.down_proj.weight", F32, {16, 8}, 1, true},
        {"token_embd.weight", "model.embed_tokens.weight", F16, {8, 7}, 1, false},
    };
    for (size_t i = 0; i < LEN(want); i++)
        expect_tensor(&r, &f, &want[i]);
    close_one(&r);
    hf_free(&f);
}

static void a_quantised_llama_has_a_head_and_masters_but_for_named_modules(void **state) {
    (void)state;
    hf_folder f = {0};
    reading r;
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_LLAMA);
    put_weights(&f, "BF16", no_sub_norms);
    put_tagged(&f, WEIGHTS, "lm_head.weight", "BF16", "[7,8]", 112);
    put_tagged(&f, WEIGHTS, L "self_attn.q_proj.bias", "F32", "[8]", 32);
    put_tagged(&f, WEIGHTS, L "self_attn.o_proj.bias", "F32", "[8]", 32);
    read_sound(&r, &f);
    static const wanted want[] = {
        {"output.weight", "lm_head.weight", BF16, {8, 7}, 1, false},
        {"blk.0.attn_q.weight", L "self_attn.q_proj.weight", BF16, {8, 8}, 1, true},
        {"blk.0.attn_v.weight", L "self_attn.v_proj.weight", BF16, {8, 4}, 1, false},
        {"blk.0.attn_q.bias", L "self_attn.q_proj.bias", F32, {8}, 1, false},
        {"blk.0.attn_output.bias", L "self_attn.o_proj.bias", F32, {8}, 1, false},
    };
    for (size_t i = 0; i < LEN(want); i++)
        expect_tensor(&r, &f, &want[i]);
    assert_int_equal(r.dir.n_tensor, 14);
    close_one(&r);
    hf_replace(&f, "config.json", "\"tie_word_embeddings\":false", "\"tie_word_embeddings\":true");
    read_sound(&r, &f);
    assert_null(bitnet_dir_tensor(&r.dir, "output.weight"));
    close_one(&r);
    hf_free(&f);
}

static void a_plain_llama_is_ordinary(void **state) {
    (void)state;
    hf_folder f = {0};
    reading r;
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_LLAMA);
    hf_replace(&f, "config.json", "\"quantization_config\"", "\"no_config\"");
    put_weights(&f, "F16", no_sub_norms);
    read_sound(&r, &f);
    expect_str(&r, "general.architecture", "llama");
    for (uint32_t i = 0; i < r.dir.n_tensor; i++)
        assert_false(r.dir.tensor[i].is_latent);
    close_one(&r);
    hf_free(&f);
}

/* A module is named by whole parts of its name, wherever they stand. */
static void modules_not_to_convert_are_matched_by_whole_parts(void **state) {
    (void)state;
    static const struct {
        const char *module;
        bool is_latent;
    } cases[] = {{"q_proj", false},
                 {"self_attn", false},
                 {"model.layers.0", false},
                 {"model.layers.0.self_attn.q_pro\\u006a", false},
                 {"proj", true},
                 {"layers.0.self_att", true},
                 {"model.layers.0.self_attn.q_proj.weight", true},
                 {"", true}};
    for (size_t i = 0; i < LEN(cases); i++) {
        hf_folder f = {0};
        reading r;
        hf_text(hf_file(&f, "config.json"), "%s", CONFIG_LLAMA);
        hf_replace(&f, "config.json", "self_attn.v_proj", cases[i].module);
        put_weights(&f, "BF16", no_sub_norms);
        read_sound(&r, &f);
        if (bitnet_dir_tensor(&r.dir, "blk.0.attn_q.weight")->is_latent != cases[i].is_latent)
            fail_msg("%s", cases[i].module);
        close_one(&r);
        hf_free(&f);
    }
}

static void forty_thousand_tensors_stay_within_the_memory(void **state) {
    (void)state;
    static const char *const vectors[] = {"input_layernorm", "post_attention_layernorm",
                                          "self_attn.attn_sub_norm", "mlp.ffn_sub_norm"};
    hf_folder f = {0};
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
    for (int i = 0; i < 40000; i++) {
        char name[96];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", i / 4, vectors[i % 4]);
        hf_tensor(&f, WEIGHTS, name, "F16", "[1]", "\0\0", 2);
    }
    for (int is_mapped = 0; is_mapped <= 1; is_mapped++) {
        reading r;
        read_one(&r, &f, is_mapped, 0); /* which checks */
        if (r.status < 0) fail_msg("%s", r.err.text);
        assert_int_equal(r.dir.n_tensor, 40000);
        assert_non_null(bitnet_dir_tensor(&r.dir, "blk.9999.ffn_sub_norm.weight"));
        close_one(&r);
    }
    hf_free(&f);
}

/* ---- shards ------------------------------------------------------------------------------ */

#define INDEX  "model.safetensors.index.json"
#define SHARD1 "model-00001-of-00002.safetensors"
#define SHARD2 "model-00002-of-00002.safetensors"

static hf_folder sharded(void) {
    hf_folder f = {0};
    hf_text(hf_file(&f, INDEX),
            "{\"metadata\":{\"total_size\":144},\"weight_map\":{"
            "\"model.norm.weight\":\"" SHARD2 "\",\"model.embed_tokens.weight\":\"" SHARD1 "\"}}");
    put_tagged(&f, SHARD1, "model.embed_tokens.weight", "F16", "[7,8]", 112);
    put_tagged(&f, "other.safetensors", "no.model.has.this", "F32", "[1]", 4);
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
    put_tagged(&f, SHARD2, "model.norm.weight", "F32", "[8]", 32);
    return f;
}

static void shards_are_found_by_the_index_and_others_ignored(void **state) {
    (void)state;
    hf_folder f = sharded();
    reading r;
    read_sound(&r, &f);
    assert_int_equal(r.dir.n_file, 5);
    assert_int_equal(r.dir.n_tensor, 2);
    expect_tensor(&r, &f,
                  &(wanted){"token_embd.weight", "model.embed_tokens.weight", F16, {8, 7}, 1, 0});
    expect_tensor(&r, &f, &(wanted){"output_norm.weight", "model.norm.weight", F32, {8}, 1, 0});
    assert_int_not_equal(r.dir.tensor[0].file, r.dir.tensor[1].file);
    close_one(&r);
    hf_free(&f);
}

static void a_shard_that_is_not_there_is_refused(void **state) {
    (void)state;
    hf_folder f = sharded();
    hf_remove(&f, SHARD1);
    expect_refusal(&f, BITNET_E_NOENT, "hf.shard.missing",
                   "names 'model-00001-of-00002.safetensors', which is not among the files");
    hf_free(&f);
}

static void a_tensor_in_another_shard_than_the_index_says_is_refused(void **state) {
    (void)state;
    hf_folder f = sharded();
    hf_replace(&f, INDEX, SHARD2, SHARD1);
    expect_refusal(
        &f, BITNET_E_FORMAT, "hf.index.tensor",
        "'model.norm.weight' should be in 'model-00001-of-00002.safetensors' and is not");
    hf_free(&f);
}

static void an_index_without_a_map_is_refused(void **state) {
    (void)state;
    hf_folder f = sharded();
    hf_replace(&f, INDEX, "weight_map", "map");
    expect_refusal(&f, BITNET_E_FORMAT, "hf.index", "\"weight_map\" is not an object");
    hf_free(&f);
}

static void an_index_that_maps_to_a_number_is_refused(void **state) {
    (void)state;
    hf_folder f = sharded();
    hf_replace(&f, INDEX, "\"" SHARD2 "\"", "2");
    expect_refusal(&f, BITNET_E_FORMAT, "hf.index", "something else than strings");
    hf_free(&f);
}

static void a_single_file_of_another_name_will_do(void **state) {
    (void)state;
    hf_folder f = {0};
    reading r;
    hf_text(hf_file(&f, "config.json"), "%s", CONFIG_2B);
    put_tagged(&f, "bitnet.safetensors", "model.norm.weight", "F32", "[8]", 32);
    read_sound(&r, &f);
    assert_int_equal(r.dir.n_tensor, 1);
    close_one(&r);
    put_tagged(&f, "second.safetensors", "model.embed_tokens.weight", "F16", "[7,8]", 112);
    expect_refusal(&f, BITNET_E_FORMAT, "hf.weights.many", "2 *.safetensors, but neither");
    put_tagged(&f, WEIGHTS, "model.norm.weight", "F32", "[8]", 32); /* this one goes before */
    read_sound(&r, &f);
    assert_int_equal(r.dir.n_tensor, 1);
    close_one(&r);
    hf_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_2b_model_comes_out_under_its_gguf_keys),
        cmocka_unit_test(what_config_json_leaves_out_is_left_out_or_follows),
        cmocka_unit_test(without_a_class_the_model_type_decides),
        cmocka_unit_test(linear_rope_scaling_comes_out_in_either_spelling),
        cmocka_unit_test(several_ends_become_eos_eot_and_eom),
        cmocka_unit_test(a_folder_without_tokenizer_json_has_no_tokenizer_keys),
        cmocka_unit_test(packed_weights_of_the_2b_model_come_out_multiplied),
        cmocka_unit_test(without_autobitlinear_scales_divide),
        cmocka_unit_test(scales_are_read_in_every_float_type),
        cmocka_unit_test(dense_weights_of_1bitllm_are_masters),
        cmocka_unit_test(a_quantised_llama_has_a_head_and_masters_but_for_named_modules),
        cmocka_unit_test(a_plain_llama_is_ordinary),
        cmocka_unit_test(modules_not_to_convert_are_matched_by_whole_parts),
        cmocka_unit_test(forty_thousand_tensors_stay_within_the_memory),
        cmocka_unit_test(shards_are_found_by_the_index_and_others_ignored),
        cmocka_unit_test(a_shard_that_is_not_there_is_refused),
        cmocka_unit_test(a_tensor_in_another_shard_than_the_index_says_is_refused),
        cmocka_unit_test(an_index_without_a_map_is_refused),
        cmocka_unit_test(an_index_that_maps_to_a_number_is_refused),
        cmocka_unit_test(a_single_file_of_another_name_will_do),
    };
    return cmocka_run_group_tests_name("hf", tests, NULL, NULL);
}
