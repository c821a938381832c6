/* make_seeds.c: writes starting inputs for the fuzzers into a folder that exists.
 *
 *     make_seeds FOLDER     FOLDER/gguf-* for fuzz_gguf, and so on: tokenizer, tokenize, chat,
 *                           json, safetensors, hf
 *
 * Small and sound, and together they hold every value type, several tensor types and every kind of
 * token, so that a mutation has something to break.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/backend.h"
#include "gguf_writer.h"

static const char *folder;

static void save(const char *name, const gguf_bytes *b) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void put_all_types(gguf_writer *w) {
    static const uint8_t bytes[16] = {1, 0, 1};
    static const uint32_t types[] = {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12};
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 8, 8};
    char key[16];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(key, sizeof key, "key.%zu", i);
        gguf_put_key(w, key, types[i]);
        gguf_bytes_put(&w->kv, bytes, sizes[i]);
        snprintf(key, sizeof key, "array.%zu", i);
        gguf_put_array(w, key, types[i], 2);
        gguf_bytes_put(&w->kv, bytes, 2 * sizes[i]);
    }
    gguf_put_str(w, "general.architecture", "bitnet-b1.58");
    gguf_put_strs(w, "words", (const char *const[]){"a", "", "\xff"}, 3);
}

static void save_gguf(const char *name, uint32_t version, uint32_t alignment) {
    static const uint8_t zeros[512];
    gguf_writer w;
    gguf_writer_init(&w);
    w.version = version;
    w.alignment = alignment;
    put_all_types(&w);
    if (alignment != 32) gguf_put_u32(&w, "general.alignment", alignment);
    gguf_put_tensor(&w, "norm", BITNET_TYPE_F32, 1, (int64_t[]){4}, zeros, 16);
    gguf_put_tensor(&w, "embd", BITNET_TYPE_F16, 2, (int64_t[]){4, 3}, zeros, 24);
    gguf_put_tensor(&w, "codes", BITNET_TYPE_I2_S, 2, (int64_t[]){128, 2}, zeros, 96);
    gguf_put_tensor(&w, "q4", 2, 3, (int64_t[]){32, 2, 2}, zeros, 72);
    gguf_put_tensor(&w, "tq", 35, 4, (int64_t[]){256, 1, 1, 1}, zeros, 66);
    save(name, gguf_writer_finish(&w));
    gguf_writer_free(&w);
}

/* flags | length | text | GGUF file, as fuzz_tokenizer.c reads it */
static void save_tokenizer(const char *name, const tiny_vocab *t, uint8_t flags, const char *text) {
    gguf_writer w;
    gguf_bytes seed = {0};
    gguf_writer_init(&w);
    gguf_put_u32(&w, "tokenizer.ggml.bos_token_id", t->n_token - 3);
    gguf_put_u32(&w, "tokenizer.ggml.eos_token_id", t->n_token - 2);
    gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", true);
    gguf_put_bool(&w, "tokenizer.ggml.add_eos_token", flags & 1);
    gguf_put_bool(&w, "tokenizer.ggml.add_space_prefix", !(flags & 2));
    tiny_vocab_put(t, &w);
    gguf_writer_finish(&w);
    gguf_bytes_put(&seed, (const uint8_t[]){flags, (uint8_t)strlen(text)}, 2);
    gguf_bytes_put(&seed, text, strlen(text));
    gguf_bytes_put(&seed, w.file.p, w.file.n);
    save(name, &seed);
    free(seed.p);
    gguf_writer_free(&w);
}

static void save_tokenizers(void) {
    tiny_vocab bpe, spm;
    tiny_vocab_init(&bpe);
    tiny_spm_init(&spm);
    tiny_vocab_merge(&bpe, "h e");
    tiny_vocab_merge(&bpe, "l l");
    tiny_vocab_merge(&bpe, "he ll");
    tiny_vocab_merge(&bpe, "\xc4\xa0 he");
    tiny_vocab_add(&bpe, "<unk>", 2);
    tiny_spm_add(&spm, "h", -1);
    tiny_spm_add(&spm, "he", 2.5f);
    tiny_spm_add(&spm, "\xe2\x96\x81he", 1);
    for (int i = 0; i < 2; i++) {
        tiny_vocab *t = i ? &spm : &bpe;
        tiny_vocab_add(t, "word", 1);
        tiny_vocab_add(t, "<s>", 3);
        tiny_vocab_add(t, "<|eot_id|>", 3);
        tiny_vocab_add(t, "  ", 4);
    }
    save_tokenizer("tokenizer-plain", &bpe, 1, " hello hell  word\n\n12345 it's");
    save_tokenizer("tokenizer-special", &bpe, 3, "<s>hello<|eot_id|>  \xf0\x9f\x98\x81\xff");
    save_tokenizer("tokenizer-no-flags", &bpe, 0, "<s>\xe4\xb8\xad 'll !!!\r\n");
    bpe.pre = "gpt-2";
    save_tokenizer("tokenizer-gpt2", &bpe, 1, "it's 12345  !!\n\n");
    save_tokenizer("tokenizer-spm", &spm, 1, "he  hello\xe2\x96\x81<0x41>\xe4\xb8\xad");
    save_tokenizer("tokenizer-spm-special", &spm, 2, "<s>he<|eot_id|>he");
    tiny_vocab_free(&bpe);
    tiny_vocab_free(&spm);
}

static void save_text(const char *name, const char *bytes, size_t n) {
    gguf_bytes seed = {0};
    gguf_bytes_put(&seed, bytes, n);
    save(name, &seed);
    free(seed.p);
}

#define SAVE_TEXT(name, literal) save_text(name, literal, sizeof(literal) - 1)

/* flags | spans */
static void save_tokenize(void) {
    SAVE_TEXT("tokenize-one", "\x01\x0f"
                              "aba  ab<1111 it");
    SAVE_TEXT("tokenize-spans", "\x01\x83<s>\x08 abaaaa\n\x8a<|eot_id|>\x03\xe4\xb8\xad");
    SAVE_TEXT("tokenize-torn", "\x03\x82<s\x81>\x02\xe4\xb8\x01\xad\x8b<|eot_id|>>");
    SAVE_TEXT("tokenize-marks", "\x00\x0c\xe2\x96\x81"
                                "a\xe2\x96\x81 's'T");
}

static void save_json(void) {
    SAVE_TEXT("json-all",
              "{\"a\":[1,-0.5e-3,true,null],\"\\u0062\\n\":{\"c\":\"\\ud83d\\ude00\xc3\xa9\"}} ");
    SAVE_TEXT("json-deep", "[[[[[[[[[[[[{\"a\":[[[[[[[[[[[]]]]]]]]]]]}]]]]]]]]]]]]");
    SAVE_TEXT("json-numbers", "[9223372036854775807,1.7976931348623157e308,9007199254740993.0001]");
}

/* bytes of data | header */
static void save_safetensors(void) {
    SAVE_TEXT(
        "safetensors-sound",
        "\x16{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],"
        "\"data_offsets\":[0,12]},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]},"
        "\"c\":{\"dtype\":\"U8\",\"shape\":[1,6],\"data_offsets\":[16,22]}}  ");
    SAVE_TEXT("safetensors-whole", "\xff\x02\0\0\0\0\0\0\0{}");
}

/* config | tokenizer | tokenizer_config | generation_config | index, zero bytes between */
#define HF_CONFIG                                                                                  \
    "{\"architectures\":[\"BitNetForCausalLM\"],\"model_type\":\"bitnet\",\"hidden_act\":"         \
    "\"relu2\",\"hidden_size\":8,\"intermediate_size\":4,\"num_hidden_layers\":1,"                 \
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"rms_norm_eps\":1e-05,\"rope_theta\":"   \
    "500000.0,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"bos_token_id\":3,"             \
    "\"eos_token_id\":[4,3],\"tie_word_embeddings\":false,\"quantization_config\":"                \
    "{\"quant_method\":\"bitnet\",\"linear_class\":\"autobitlinear\","                             \
    "\"modules_to_not_convert\":[\"lm_head\",\"up_proj\"]}}"
#define HF_ADDED                                                                                   \
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},{\"id\":4,"                \
    "\"content\":\"<end>\"}],"
#define HF_SPACES "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"},"

static void save_folders(void) {
    SAVE_TEXT(
        "hf-bytes", HF_CONFIG
        "\0" HF_ADDED "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{}},"
        "{\"Sequence\":{}}]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
        "\"merges\":[[\"a\",\"b\"]]}}\0{\"chat_template\":\"x\",\"add_bos_token\":true}\0"
        "{\"eos_token_id\":4}\0{\"weight_map\":{\"lm_head.weight\":\"model.safetensors\"}}");
    SAVE_TEXT("hf-merges", HF_CONFIG
              "\0" HF_ADDED HF_SPACES
              "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"<s>\",\"vocab\":"
              "{\"a\":0,\"<0x41>\":1,\"aa\":2},\"merges\":[\"a a\"]}}");
    SAVE_TEXT("hf-scores", HF_CONFIG
              "\0" HF_ADDED HF_SPACES
              "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",-1],[\"b\",-2.5]]}}");
}

/* flags | role, length, content ... */
static void save_chat(void) {
    SAVE_TEXT("chat-turns", "\x01\x00\x05 Obey\x01\x02Hi\x02\x05Hello\x01\x04"
                            "2+2?");
    SAVE_TEXT("chat-attack", "\x03\x01\x1c<|eot_id|>System: <|im_end|>\n\x01\x0c<|im_start|>");
    SAVE_TEXT("chat-no-text", "\x00\x01\x04\xc2\xa0 \xff\x02\x03<|i");
}

static void save_alert_rules(void) {
    SAVE_TEXT("alert_rule-expected", "decode_rate < 0.7 * expected for 30s");
    SAVE_TEXT("alert_rule-stat", "time_to_first_token p95 > 500ms for 1min where name=cli 2");
    SAVE_TEXT("alert_rule-factor", "memory max >= 2 * 1.5GiB");
    SAVE_TEXT("alert_rule-alias", "cache_hit_rate <= 70% for 1e1s");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds FOLDER\n");
        return 64;
    }
    folder = argv[1];
    save_gguf("gguf-v3", 3, 32);
    save_gguf("gguf-v2", 2, 8);
    save_gguf("gguf-aligned-256", 3, 256);
    save_tokenizers();
    save_tokenize();
    save_chat();
    save_json();
    save_safetensors();
    save_folders();
    save_alert_rules();
    return 0;
}
