/* load_file.c: see load_file.h. */
#include "load_file.h"

#include <stdio.h>
#include <stdlib.h>

void test_model_open_as(test_model *t, const bitnet_model_desc *how) {
    bitnet_error err = {0};
    bitnet_model_desc desc = *how;
    if (source_file_open(&t->file, NULL, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
    desc.source = &t->file.source;
    if (bitnet_model_load(&t->model, &desc, &err) < 0) fail_msg("%s [%s]", err.text, err.id);
}

void test_model_open(test_model *t, int32_t n_threads, uint32_t cpu_mask,
                     const bitnet_allocator *allocator) {
    bitnet_model_desc desc = {.n_threads = n_threads, .cpu_mask = cpu_mask};
    if (allocator) desc.allocator = *allocator;
    test_model_open_as(t, &desc);
}

void test_model_close(test_model *t) {
    bitnet_model_free(t->model);
    source_file_close(&t->file);
}

test_model test_shared;

int test_shared_open(void **state) {
    (void)state;
    test_model_open(&test_shared, 1, 0, NULL);
    return 0;
}

int test_shared_close(void **state) {
    (void)state;
    test_model_close(&test_shared);
    return 0;
}

char *test_file_read(const char *path_in_tree, size_t *len) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", BITNET_SOURCE_DIR, path_in_tree);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s cannot be opened", path);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    text[size] = 0;
    fclose(f);
    if (len) *len = (size_t)size;
    return text;
}

cJSON *test_golden(void) {
    char *text = test_file_read("tests/golden/bitnet-tales.json", NULL);
    cJSON *json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    return json;
}

int32_t test_int_array(const cJSON *array, bitnet_token *out, int32_t cap) {
    int32_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, array) {
        assert_true(n < cap);
        out[n++] = item->valueint;
    }
    return n;
}
