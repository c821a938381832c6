/* test_arch.c: what a family's row and its keys decide: activation, sub-norms, head, RoPE pairing and
 * scaling, biases and output scales. Two ways to the same maths must give the same bits.
 */
#include "load_file.h"

#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "tiny_model.h"

typedef float logits[TINY_LOGITS];

static void must_load(tiny_loaded *t, const tiny_model *m, const bitnet_override *o, int32_t n) {
    bitnet_error err = {0};
    bitnet_model_desc desc = {.n_threads = 1, .overrides = o, .n_overrides = n};
    if (tiny_model_load(t, m, &desc, &err) < 0) fail_msg("%s: %s [%s]", m->arch, err.text, err.id);
}

static void run_with(const tiny_model *m, const bitnet_override *o, int32_t n, logits out) {
    tiny_loaded t;
    must_load(&t, m, o, n);
    tiny_model_logits(t.model, out);
    tiny_model_close(&t);
}

static void run(const tiny_model *m, logits out) {
    run_with(m, NULL, 0, out);
}

static void expect_same(const logits got, const logits want, const char *what) {
    for (size_t i = 0; i < TINY_LOGITS; i++)
        if (memcmp(&got[i], &want[i], sizeof got[i]))
            fail_msg("%s: logit %zu is %.9g, expected %.9g", what, i, (double)got[i],
                     (double)want[i]);
}

static void expect_other(const logits got, const logits other, const char *what) {
    size_t n_same = 0;
    for (size_t i = 0; i < TINY_LOGITS; i++)
        n_same += got[i] == other[i];
    if (n_same > TINY_LOGITS / 2)
        fail_msg("%s: %zu of %d logits are the same", what, n_same, TINY_LOGITS);
}

static void expect_refusal(const bitnet_override *o, int32_t n, bitnet_status status,
                           const char *id, const char *says) {
    tiny_model m = tiny_model_default();
    tiny_loaded t;
    bitnet_error err = {0};
    bitnet_model_desc desc = {.overrides = o, .n_overrides = n};
    bitnet_status st = tiny_model_load(&t, &m, &desc, &err);
    tiny_model_close(&t);
    if (st != status || strcmp(err.id, id) || !strstr(err.text, says))
        fail_msg("got %s [%s] \"%s\", expected [%s] and \"%s\"", bitnet_status_name(st), err.id,
                 err.text, id, says);
}

static tiny_model two_layers(const char *arch) {
    tiny_model m = tiny_model_default();
    m.arch = arch, m.n_layer = 2, m.head_dim = 80, m.n_embd = 256, m.n_head = 8, m.n_head_kv = 2;
    return m;
}

static void every_family_runs_and_is_one_of_its_own(void **state) {
    (void)state;
    static const struct {
        const char *arch, *act, *rope;
    } rows[] = {{"bitnet-b1.58", "relu2", "neox"},
                {"bitnet-25", "relu2", "neox"},
                {"bitnet", "silu", "neox"},
                {"llama", "silu", "norm"}};
    logits of[4];
    for (size_t i = 0; i < 4; i++) {
        tiny_model m = two_layers(rows[i].arch);
        tiny_loaded t;
        must_load(&t, &m, NULL, 0);
        bitnet_model_info info = bitnet_model_get_info(t.model);
        assert_string_equal(info.arch, rows[i].arch);
        assert_string_equal(info.act, rows[i].act);
        assert_string_equal(info.rope, rows[i].rope);
        tiny_model_logits(t.model, of[i]);
        tiny_model_close(&t);
    }
    expect_same(of[0], of[1], "bitnet-25 against bitnet-b1.58");
    expect_other(of[0], of[2], "silu against relu2");
    expect_other(of[2], of[3], "llama against bitnet");
}

/* ---- activation --------------------------------------------------------------------------------
 */

static void the_activation_key_overrides_the_family(void **state) {
    (void)state;
    tiny_model b158 = two_layers("bitnet-b1.58"), bitnet = two_layers("bitnet");
    const bitnet_override silu = {"bitnet-b1.58.hidden_activation", "str:silu"},
                          squared = {"bitnet.hidden_activation", "str:relu_squared"},
                          relu2 = {"bitnet.hidden_activation", "str:relu2"};
    logits plain, other, got;
    run(&b158, plain);
    run(&bitnet, other);
    run_with(&b158, &silu, 1, got);
    expect_same(got, other, "bitnet-b1.58 with silu");
    run_with(&bitnet, &relu2, 1, got);
    expect_same(got, plain, "bitnet with relu2");
    run_with(&bitnet, &squared, 1, got);
    expect_same(got, plain, "bitnet with relu_squared");
}

static void an_unknown_activation_is_refused_by_name(void **state) {
    (void)state;
    const bitnet_override gelu = {"bitnet-b1.58.hidden_activation", "str:gelu"},
                          number = {"bitnet-b1.58.hidden_activation", "int:1"};
    expect_refusal(&gelu, 1, BITNET_E_UNSUPPORTED, "model.activation", "\"gelu\"");
    expect_refusal(&number, 1, BITNET_E_UNSUPPORTED, "model.activation", "relu_squared");
}

static void keep_warning(void *ctx, bitnet_log_level level, const char *text) {
    char *out = ctx;
    if (level == BITNET_LOG_WARN) strncpy(out, text, 199);
}

/* The file says bitnet-b1.58 and has n tokens of a SentencePiece vocabulary; the header is all that is
 * read. */
static void describe_with_tokens(uint64_t n, const char *act, bool has_warning) {
    tiny_model m = tiny_model_default();
    gguf_writer w;
    bitnet_model *model;
    bitnet_error err = {0};
    char warning[200] = "";
    m.has_vocab = false;
    tiny_model_write(&m, &w);
    gguf_put_str(&w, "tokenizer.ggml.model", "llama");
    gguf_put_array(&w, "tokenizer.ggml.tokens", 8, n);
    for (uint64_t i = 0; i < n; i++)
        gguf_bytes_str(&w.kv, "x", 1);
    bitnet_source src = gguf_writer_source(&w, true);
    bitnet_model_desc desc = {
        .source = &src, .level = BITNET_LOAD_HEADER, .logger = {keep_warning, warning}};
    if (bitnet_model_load(&model, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    assert_string_equal(bitnet_model_get_info(model).act, act);
    assert_int_equal(strstr(warning, "silu") != NULL, has_warning);
    bitnet_model_free(model);
    gguf_writer_free(&w);
}

static void a_mislabelled_1bitllm_model_is_known_by_its_tokenizer(void **state) {
    (void)state;
    describe_with_tokens(32002, "silu", true);
    describe_with_tokens(32000, "relu2", false);
}

/* ---- head, biases, scales ----------------------------------------------------------------------
 */

static void only_llama_uses_an_output_matrix_of_its_own(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "bitnet-b1.58", "bitnet"};
    for (size_t i = 0; i < 3; i++) {
        tiny_model tied = two_layers(archs[i]), untied = tied;
        logits a, b;
        untied.has_head = true;
        run(&tied, a);
        run(&untied, b);
        if (i == 0)
            expect_other(b, a, archs[i]);
        else
            expect_same(b, a, archs[i]);
    }
}

static void zero_bias(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    (void)type, (void)user;
    if (strstr(name, ".bias")) memset(data, 0, size);
}

static void biases_are_added_and_zeros_change_nothing(void **state) {
    (void)state;
    tiny_model plain = two_layers("llama"), biased = plain, zeros = plain;
    logits a, b, c;
    biased.has_biases = zeros.has_biases = true;
    zeros.spoil = zero_bias;
    run(&plain, a);
    run(&biased, b);
    run(&zeros, c);
    expect_other(b, a, "with and without biases");
    expect_same(c, a, "biases of 0 against none");
}

static void keep_bias(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    if (strstr(name, ".bias") && !strstr(name, user)) zero_bias(name, type, data, size, user);
}

static void each_of_the_four_biases_matters(void **state) {
    (void)state;
    /* a bias of k alone moves all scores of a query by the same amount only where RoPE is the identity,
     * at position 0 */
    static const char *const names[] = {"attn_q.bias", "attn_k.bias", "attn_v.bias",
                                        "attn_output.bias"};
    tiny_model plain = two_layers("llama");
    logits a, b;
    run(&plain, a);
    for (size_t i = 0; i < 4; i++) {
        char name[20];
        tiny_model one = plain;
        strcpy(name, names[i]);
        one.has_biases = true, one.spoil = keep_bias, one.user = name;
        run(&one, b);
        expect_other(b, a, name);
    }
}

/* Half the scale in the weights themselves. */
static void halve_scale(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    (void)user;
    float half = TINY_SCALE / 2;
    bool is_linear = strstr(name, "blk.") && !strstr(name, "norm") && strstr(name, ".weight");
    if (type == BITNET_TYPE_I2_S) memcpy(data + size - 32, &half, sizeof half);
    for (size_t i = 0; is_linear && type == BITNET_TYPE_F32 && i < size / 4; i++) {
        float x;
        memcpy(&x, data + 4 * i, 4);
        x *= 0.5f;
        memcpy(data + 4 * i, &x, 4);
    }
}

static void a_scale_beside_a_layer_is_a_factor_of_its_output(void **state) {
    (void)state;
    static const uint32_t types[] = {BITNET_TYPE_I2_S, BITNET_TYPE_F32};
    for (size_t i = 0; i < 2; i++) {
        tiny_model plain = two_layers("bitnet"), scaled = plain, halved = plain;
        logits a, b, c;
        plain.linear_type = scaled.linear_type = halved.linear_type = types[i];
        scaled.has_scales = true;
        halved.has_scales = false;
        halved.spoil = halve_scale;
        run(&plain, a);
        run(&scaled, b);
        run(&halved, c);
        expect_same(b, c, "0.5 beside the weights against half the weights");
        expect_other(b, a, "with and without the scale");
    }
}

/* ---- RoPE --------------------------------------------------------------------------------------
 */

static void permuted_llama_rows_give_the_bits_of_the_rows_they_were_made_from(void **state) {
    (void)state;
    for (int has_biases = 0; has_biases < 2; has_biases++) {
        tiny_model source = two_layers("llama"), converted = source;
        logits want, got, wrong;
        tiny_loaded t;
        source.has_biases = converted.has_biases = has_biases;
        converted.is_permuted = true;
        run(&converted, got);
        run(&source, wrong);
        must_load(&t, &source, NULL, 0);
        t.model->hp.is_rope_norm = false; /* as safetensors are read */
        tiny_model_logits(t.model, want);
        tiny_model_close(&t);
        expect_same(got, want, "a permuted file against half-split rows");
        expect_other(wrong, want, "adjacent pairs against half split");
    }
}

static void set_freqs(const char *name, uint32_t type, uint8_t *data, size_t size, void *user) {
    if (strcmp(name, "rope_freqs.weight")) return;
    assert_int_equal(type, BITNET_TYPE_F32);
    for (size_t i = 0; i < size / 4; i++)
        memcpy(data + 4 * i, user, 4);
}

static void a_linear_factor_and_frequency_factors_divide_the_angles(void **state) {
    (void)state;
    const bitnet_override factor[] = {{"bitnet.rope.scaling.type", "str:linear"},
                                      {"bitnet.rope.scaling.factor", "float:2"}},
                          none[] = {{"bitnet.rope.scaling.type", "str:none"}, factor[1]};
    float one = 1.0f, two = 2.0f;
    tiny_model m = two_layers("bitnet");
    logits plain, by_factor, got;
    m.has_rope_freqs = true;
    m.spoil = set_freqs;
    m.user = &one;
    run(&m, plain);
    run_with(&m, factor, 2, by_factor);
    expect_other(by_factor, plain, "factor 2");
    run_with(&m, factor + 1, 1, got);
    expect_same(got, by_factor, "a factor without a type");
    run_with(&m, none, 2, got);
    expect_same(got, plain, "type none");
    m.user = &two;
    run(&m, got);
    expect_same(got, by_factor, "rope_freqs of 2 against factor 2");
    m.skip_tensor = "rope_freqs.weight";
    run(&m, got);
    expect_same(got, plain, "no rope_freqs against ones");
}

static void other_rope_scalings_are_refused_by_name(void **state) {
    (void)state;
    const bitnet_override yarn = {"bitnet-b1.58.rope.scaling.type", "str:yarn"},
                          half = {"bitnet-b1.58.rope.scaling.factor", "float:0.5"},
                          base = {"bitnet-b1.58.rope.freq_base", "float:0.5"};
    expect_refusal(&yarn, 1, BITNET_E_UNSUPPORTED, "model.rope.scaling", "\"yarn\"");
    expect_refusal(&half, 1, BITNET_E_FORMAT, "model.hparam", "factor is 0.5");
    expect_refusal(&base, 1, BITNET_E_FORMAT, "model.hparam", "freq_base is 0.5");
}

static void a_frequency_factor_near_zero_is_refused(void **state) {
    (void)state;
    float bad[] = {0.25f, 0.0f, -1.0f};
    for (size_t i = 0; i < 3; i++) {
        tiny_model m = tiny_model_default();
        tiny_loaded t;
        bitnet_error err = {0};
        m.has_rope_freqs = true, m.spoil = set_freqs, m.user = &bad[i];
        assert_int_equal(tiny_model_load(&t, &m, NULL, &err), BITNET_E_FORMAT);
        assert_string_equal(err.id, "model.rope.freqs");
        tiny_model_close(&t);
    }
}

/* ---- keys that contradict ----------------------------------------------------------------------
 */

static void keys_that_contradict_the_tensors_are_refused_with_both_numbers(void **state) {
    (void)state;
    const bitnet_override value = {"bitnet-b1.58.attention.value_length", "int:32"},
                          vocab = {"bitnet-b1.58.vocab_size", "int:300"};
    expect_refusal(&value, 1, BITNET_E_FORMAT, "model.hparam", "value_length is 32");
    expect_refusal(&value, 1, BITNET_E_FORMAT, "model.hparam", "64");
    expect_refusal(&vocab, 1, BITNET_E_FORMAT, "model.hparam", "vocab_size is 300");
    expect_refusal(&vocab, 1, BITNET_E_FORMAT, "model.hparam", "257 rows");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_runs_and_is_one_of_its_own),
        cmocka_unit_test(the_activation_key_overrides_the_family),
        cmocka_unit_test(an_unknown_activation_is_refused_by_name),
        cmocka_unit_test(a_mislabelled_1bitllm_model_is_known_by_its_tokenizer),
        cmocka_unit_test(only_llama_uses_an_output_matrix_of_its_own),
        cmocka_unit_test(biases_are_added_and_zeros_change_nothing),
        cmocka_unit_test(each_of_the_four_biases_matters),
        cmocka_unit_test(a_scale_beside_a_layer_is_a_factor_of_its_output),
        cmocka_unit_test(permuted_llama_rows_give_the_bits_of_the_rows_they_were_made_from),
        cmocka_unit_test(a_linear_factor_and_frequency_factors_divide_the_angles),
        cmocka_unit_test(other_rope_scalings_are_refused_by_name),
        cmocka_unit_test(a_frequency_factor_near_zero_is_refused),
        cmocka_unit_test(keys_that_contradict_the_tensors_are_refused_with_both_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
