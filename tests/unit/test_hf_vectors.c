/* test_hf_vectors.c: two published vocabularies, written as their tokenizer.json and read again, give
 * the recorded ids: LLaMA 3's byte-level BPE and LLaMA 2's SentencePiece. The latter's merges are made from
 * its scores as transformers makes them (convert_slow_tokenizer.py, generate_merges), so that this
 * shows the scores made from merges to be as good as the original ones.
 */
#include "vocab_fixture.h"

#include "format/hf.h"
#include "hf_writer.h"

#define LLAMA3_PRE                                                                                 \
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":" \
    "{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|"           \
    "\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|"  \
    "\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","               \
    "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}]}"
#define SPM_PRE                                                                                    \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"    \
    "\"\\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}"

typedef struct piece {
    const char *s;
    size_t n;
    int32_t id;
    int64_t type;
    float score;
} piece;

typedef struct vocabulary {
    gguf_bytes file;
    bitnet_dir dir;
    piece *by_id, *by_text;
    int32_t n;
} vocabulary;

static int text_order(const void *a, const void *b) {
    const piece *p = a, *q = b;
    int order = memcmp(p->s, q->s, p->n < q->n ? p->n : q->n);
    return order ? order : (p->n > q->n) - (p->n < q->n);
}

/* False where the file is not beside the tree. */
static bool open_vocabulary(vocabulary *v, const char *name) {
    bitnet_error err = {0};
    *v = (vocabulary){0};
    v->file.p = (uint8_t *)published_file(name, &v->file.n);
    if (!v->file.p) return false;
    bitnet_source src = gguf_bytes_source(&v->file, true);
    if (bitnet_gguf_read(&v->dir, &src, NULL, &err) < 0) fail_msg("%s", err.text);
    const bitnet_meta *tokens = bitnet_dir_meta(&v->dir, "tokenizer.ggml.tokens"),
                      *types = bitnet_dir_meta(&v->dir, "tokenizer.ggml.token_type"),
                      *scores = bitnet_dir_meta(&v->dir, "tokenizer.ggml.scores");
    v->n = (int32_t)tokens->n;
    v->by_id = calloc((size_t)v->n, sizeof *v->by_id);
    v->by_text = calloc((size_t)v->n, sizeof *v->by_text);
    assert_true(v->by_id && v->by_text);
    uint64_t pos = 0;
    for (int32_t i = 0; i < v->n; i++) {
        piece *p = &v->by_id[i];
        p->id = i;
        p->type = NORMAL;
        assert_true(bitnet_meta_next_str(tokens, &pos, &p->s, &p->n));
        bitnet_meta_at_i64(types, (uint64_t)i, &p->type);
        if (scores) memcpy(&p->score, scores->data + 4 * (size_t)i, 4);
        v->by_text[i] = *p;
    }
    qsort(v->by_text, (size_t)v->n, sizeof *v->by_text, text_order);
    return true;
}

static void close_vocabulary(vocabulary *v) {
    bitnet_dir_free(&v->dir);
    free(v->by_id);
    free(v->by_text);
    free(v->file.p);
}

/* ---- writing a tokenizer.json ------------------------------------------------------------ */

static bool is_added(const piece *p) {
    return p->type == UNKNOWN || p->type == CONTROL || p->type == USER_DEFINED;
}

/* Added tokens, the parts in front of the model, and the vocabulary, by text: in no order of ids. */
static void write_tokens(gguf_bytes *b, const vocabulary *v, const char *parts, const char *model) {
    const char *comma = "";
    hf_text(b, "{\"version\":\"1.0\",\"added_tokens\":[");
    for (int32_t i = 0; i < v->n; i++) {
        const piece *p = &v->by_id[i];
        if (!is_added(p)) continue;
        hf_text(b, "%s{\"id\":%d,\"special\":%s,\"content\":", comma, i,
                p->type == USER_DEFINED ? "false" : "true");
        hf_json_str(b, p->s, p->n);
        hf_text(b, "}");
        comma = ",";
    }
    hf_text(b, "],");
    gguf_bytes_put(b, parts, strlen(parts));
    hf_text(b, ",\"model\":{\"type\":\"BPE\",%s,\"vocab\":{", model);
    comma = "";
    for (int32_t i = 0; i < v->n; i++) {
        const piece *p = &v->by_text[i];
        gguf_bytes_put(b, comma, strlen(comma));
        hf_json_str(b, p->s, p->n);
        hf_text(b, ":%d", p->id);
        comma = ",";
    }
    hf_text(b, "},\"merges\":[");
}

static void write_list_of_merges(gguf_bytes *b, const vocabulary *v, bool as_pairs) {
    const bitnet_meta *merges = bitnet_dir_meta(&v->dir, "tokenizer.ggml.merges");
    const char *s;
    size_t n;
    uint64_t pos = 0;
    for (const char *comma = ""; bitnet_meta_next_str(merges, &pos, &s, &n); comma = ",") {
        const char *space = memchr(s + 1, ' ', n - 1);
        size_t left = (size_t)(space - s);
        gguf_bytes_put(b, comma, strlen(comma));
        if (!as_pairs) {
            hf_json_str(b, s, n);
            continue;
        }
        gguf_bytes_put(b, "[", 1);
        hf_json_str(b, s, left);
        gguf_bytes_put(b, ",", 1);
        hf_json_str(b, space + 1, n - left - 1);
        gguf_bytes_put(b, "]", 1);
    }
    hf_text(b, "]}}");
}

static int score_order(const void *a, const void *b) {
    const piece *p = a, *q = b;
    return (p->score < q->score) - (p->score > q->score);
}

/* All splits of a piece into two pieces, as merges, ordered by the ids of the parts. */
static int32_t splits_of(const vocabulary *v, const piece *p, int32_t out[][2]) {
    int32_t n = 0;
    for (size_t at = 1; at < p->n; at++) {
        piece l = {.s = p->s, .n = at}, r = {.s = p->s + at, .n = p->n - at};
        const piece *left = bsearch(&l, v->by_text, (size_t)v->n, sizeof l, text_order);
        const piece *right = bsearch(&r, v->by_text, (size_t)v->n, sizeof r, text_order);
        if (!left || !right) continue;
        int32_t i = n++;
        for (; i > 0 && out[i - 1][0] > left->id; i--)
            memcpy(out[i], out[i - 1], sizeof out[i]);
        out[i][0] = left->id;
        out[i][1] = right->id;
    }
    return n;
}

static void write_merges_of_scores(gguf_bytes *b, const vocabulary *v) {
    piece *order = calloc((size_t)v->n, sizeof *order);
    assert_non_null(order);
    memcpy(order, v->by_id, (size_t)v->n * sizeof *order);
    qsort(order, (size_t)v->n, sizeof *order, score_order);
    const char *comma = "";
    for (int32_t i = 0; i < v->n; i++) {
        int32_t splits[256][2], n = order[i].type == NORMAL ? splits_of(v, &order[i], splits) : 0;
        for (int32_t k = 0; k < n; k++) {
            const piece *l = &v->by_id[splits[k][0]], *r = &v->by_id[splits[k][1]];
            gguf_bytes both = {0};
            gguf_bytes_put(&both, l->s, l->n);
            gguf_bytes_put(&both, " ", 1);
            gguf_bytes_put(&both, r->s, r->n);
            gguf_bytes_put(b, comma, strlen(comma));
            hf_json_str(b, (const char *)both.p, both.n);
            comma = ",";
            free(both.p);
        }
    }
    hf_text(b, "]}}");
    free(order);
}

/* ---- reading it -------------------------------------------------------------------------- */

static bitnet_dir read_json(const gguf_bytes *json) {
    bitnet_dir_builder b;
    bitnet_dir dir = {0};
    bitnet_error err = {0};
    bitnet_build_init(&b, NULL, &err);
    bitnet_status st = bitnet_hf_tokenizer(&b, (const char *)json->p, json->n, NULL, 0, &err);
    if (st >= 0) st = bitnet_build_finish(&b, &dir);
    if (st < 0) fail_msg("%s [%s]", err.text, err.id);
    bitnet_build_free(&b);
    return dir;
}

static void expect_same(const bitnet_dir *got, const bitnet_dir *want, const char *key) {
    const bitnet_meta *p = bitnet_dir_meta(got, key), *q = bitnet_dir_meta(want, key);
    assert_non_null(p);
    assert_non_null(q);
    if (p->n != q->n || p->size != q->size || memcmp(p->data, q->data, p->size) != 0)
        fail_msg("%s differs: %llu entries in %llu bytes, expected %llu in %llu", key,
                 (unsigned long long)p->n, (unsigned long long)p->size, (unsigned long long)q->n,
                 (unsigned long long)q->size);
}

/* The 47 cases that llama.cpp tests its tokenizers with: one line of ids per case. */
static void expect_recorded_ids(const bitnet_dir *dir, int32_t n_rows, const char *out_name) {
    static const char sep[] = "\n__ggml_vocab_test__\n";
    size_t len_in, len_out;
    char *in = published_file("tokenizer-cases.inp", &len_in);
    char *out = published_file(out_name, &len_out);
    bitnet_vocab *v = NULL;
    bitnet_error err = {0};
    assert_true(in && out); /* they lie beside the vocabulary */
    if (bitnet_vocab_create(&v, dir, NULL, n_rows, NULL, &err) < 0) fail_msg("%s", err.text);
    char *text = in, *line = out;
    int n_case = 0;
    for (bool is_last = false; !is_last; n_case++) {
        char *end = strstr(text, sep), *next = NULL;
        is_last = !end;
        if (is_last) end = in + len_in;
        bitnet_token want[512];
        int32_t n = 0;
        for (char *stop = line + strcspn(line, "\n"); line < stop; line = next)
            want[n++] = (bitnet_token)strtol(line, &next, 10);
        if (*line) line++;
        expect_ids(v, text, (size_t)(end - text), 0, want, n);
        text = end + sizeof sep - 1;
    }
    assert_int_equal(n_case, 47);
    bitnet_vocab_free(v);
    free(in);
    free(out);
}

static void llama3_comes_back_from_its_tokenizer_json(void **state) {
    (void)state;
    vocabulary v;
    if (!open_vocabulary(&v, "llama3-vocab.gguf")) skip();
    for (int as_pairs = 0; as_pairs <= 1; as_pairs++) {
        gguf_bytes json = {0};
        write_tokens(&json, &v, LLAMA3_PRE, "\"ignore_merges\":true");
        write_list_of_merges(&json, &v, as_pairs);
        bitnet_dir dir = read_json(&json);
        expect_same(&dir, &v.dir, "tokenizer.ggml.tokens");
        expect_same(&dir, &v.dir, "tokenizer.ggml.token_type");
        expect_same(&dir, &v.dir, "tokenizer.ggml.merges");
        expect_recorded_ids(&dir, 128256, "llama3.out");
        bitnet_dir_free(&dir);
        free(json.p);
    }
    close_vocabulary(&v);
}

static void llama2_comes_back_with_scores_made_from_merges(void **state) {
    (void)state;
    vocabulary v;
    if (!open_vocabulary(&v, "llama-spm-vocab.gguf")) skip();
    gguf_bytes json = {0};
    write_tokens(&json, &v, SPM_PRE, "\"byte_fallback\":true,\"unk_token\":\"<unk>\"");
    write_merges_of_scores(&json, &v);
    bitnet_dir dir = read_json(&json);
    expect_same(&dir, &v.dir, "tokenizer.ggml.tokens");
    expect_same(&dir, &v.dir, "tokenizer.ggml.token_type");
    expect_recorded_ids(&dir, 32000, "llama-spm.out");
    bitnet_dir_free(&dir);
    free(json.p);
    close_vocabulary(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama3_comes_back_from_its_tokenizer_json),
        cmocka_unit_test(llama2_comes_back_with_scores_made_from_merges),
    };
    return cmocka_run_group_tests_name("hf_vectors", tests, NULL, NULL);
}
