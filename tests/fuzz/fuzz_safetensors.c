/* fuzz_safetensors.c: any bytes as safetensors files.
 *
 *     input   u8 n | header of one file
 *
 * The text becomes the header of a file with n bytes of data; with n == 255 the input behind the first byte
 * is the whole file. The reader gives a list or an error, the same through a mapping and through reads,
 * within its memory, whichever allocation fails; a list is sorted, and its tensors fill the data.
 */
#include "fuzz_text.h"

#include "count_alloc.h"
#include "format/safetensors.h"
#include "gguf_writer.h"

static void check_list(const bitnet_st_list *list, const gguf_bytes *file) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const bitnet_st_tensor *t = &list->tensor[i];
        ORACLE(bitnet_st_find(list, t->name) == t);
        ORACLE(i == 0 || strcmp(t[-1].name, t->name) < 0);
        ORACLE(strlen(t->name) >= 1 && strlen(t->name) <= 255);
        ORACLE(t->n_dims <= 4 && t->size >= 1 && t->file == 0);
        ORACLE(t->size <= file->n && t->offset >= 8 && t->offset <= file->n - t->size);
        int64_t n = t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
        ORACLE(n >= 1 && t->size % (uint64_t)n == 0 && t->size / (uint64_t)n <= 8);
        sum += t->size;
    }
    ORACLE(list->n == 0 || sum < file->n - 8);
}

static bitnet_status read_once(gguf_bytes *file, bool is_mapped, long fail_at, bitnet_error *err) {
    count_alloc c = {.fail_at = fail_at};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_file f = {"model.safetensors", gguf_bytes_source(file, is_mapped)};
    bitnet_st_list list = {0};
    bitnet_status st = bitnet_st_read(&list, &f, 0, &a, err);
    ORACLE(c.peak <= 5 * file->n + 4096);
    ORACLE(st == BITNET_OK || (st < 0 && err->status == st && err->id && err->text[0]));
    if (st == BITNET_OK) {
        check_list(&list, file);
        bitnet_error again = {0};
        bitnet_status twice = bitnet_st_read(&list, &f, 1, &a, &again);
        ORACLE(fail_at > 0 || twice == (list.n ? BITNET_E_FORMAT : BITNET_OK));
        check_list(&list, file); /* what it was */
    }
    bitnet_st_free(&list);
    ORACLE(c.live == 0);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    gguf_bytes made = {0};
    uint8_t n_data = data[0];
    if (n_data != 255) {
        gguf_bytes_u64(&made, size - 1);
        gguf_bytes_put(&made, data + 1, size - 1);
        for (uint8_t i = 0; i < n_data; i++)
            gguf_bytes_put(&made, &i, 1);
    } else {
        gguf_bytes_put(&made, data + 1, size - 1);
    }
    gguf_bytes file = {malloc(made.n ? made.n : 1), made.n, made.n}; /* exact */
    if (!file.p) abort();
    if (made.n) memcpy(file.p, made.p, made.n);
    free(made.p);
    bitnet_error mapped = {0}, plain = {0}, failed = {0};
    ORACLE(read_once(&file, true, 0, &mapped) == read_once(&file, false, 0, &plain));
    ORACLE(strcmp(mapped.text, plain.text) == 0);
    read_once(&file, false, 1 + (long)(size % 5), &failed);
    free(file.p);
    return 0;
}
