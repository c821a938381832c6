/* fuzz_gguf.c: any bytes as a GGUF file. The reader gives a directory or an error, the same through
 * a mapping and through reads, within its memory, whichever allocation fails; what a directory
 * offers can be visited byte by byte.
 */
#include "fuzz.h"

#include "count_alloc.h"
#include "format/gguf.h"
#include "gguf_writer.h"

static volatile uint8_t sink;

static void touch(const uint8_t *p, uint64_t n) {
    for (uint64_t i = 0; i < n; i++)
        sink ^= p[i];
}

static void walk_meta(const bitnet_dir *dir) {
    for (uint32_t i = 0; i < dir->n_meta; i++) {
        const bitnet_meta *m = &dir->meta[i];
        const char *s;
        size_t len;
        int64_t iv;
        double fv;
        bool bv;
        uint64_t pos = 0, n = 0;
        ORACLE(bitnet_dir_meta(dir, m->key) == m);
        touch(m->data, m->size);
        if (bitnet_meta_str(m, &s, &len)) touch((const uint8_t *)s, len);
        int kinds = bitnet_meta_i64(m, &iv) + bitnet_meta_f64(m, &fv) + bitnet_meta_bool(m, &bv);
        ORACLE(kinds <= 1);
        while (bitnet_meta_next_str(m, &pos, &s, &len))
            touch((const uint8_t *)s, len), n++;
        ORACLE(n == (m->type == BITNET_META_ARR && m->elem == BITNET_META_STR ? m->n : 0));
    }
}

static void walk_tensors(const bitnet_dir *dir, const gguf_bytes *file) {
    for (uint32_t i = 0; i < dir->n_tensor; i++) {
        const bitnet_tensor_entry *t = &dir->tensor[i];
        ORACLE(bitnet_dir_tensor(dir, t->name) == t);
        ORACLE(strlen(t->name) >= 1 && strlen(t->name) <= 63);
        ORACLE(bitnet_type_get_info(t->type) && t->n_dims >= 1 && t->n_dims <= 4);
        ORACLE(t->ne[0] >= 1 && t->ne[1] >= 1 && t->ne[2] >= 1 && t->ne[3] >= 1);
        ORACLE(t->size <= file->n && t->offset <= file->n - t->size);
        touch(file->p + t->offset, t->size);
    }
}

static bitnet_status read_once(gguf_bytes *file, int is_mapped, long fail_at, bitnet_error *err) {
    count_alloc c = {.fail_at = fail_at};
    bitnet_allocator a = count_alloc_of(&c);
    bitnet_source src = gguf_bytes_source(file, is_mapped);
    bitnet_dir dir;
    bitnet_status st = bitnet_gguf_read(&dir, &src, &a, err);
    ORACLE(c.peak <= 8 * file->n + ((size_t)1 << 20));
    ORACLE(st == BITNET_OK || (st < 0 && err->status == st && err->id && err->text[0]));
    if (st == BITNET_OK) {
        walk_meta(&dir);
        walk_tensors(&dir, file);
    }
    bitnet_dir_free(&dir);
    ORACLE(c.live == 0);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gguf_bytes file = {malloc(size ? size : 1), size, size}; /* exact: one byte too far is seen */
    bitnet_error mapped = {0}, plain = {0}, failed = {0};
    if (!file.p) return 0;
    if (size) memcpy(file.p, data, size);
    ORACLE(read_once(&file, 1, 0, &mapped) == read_once(&file, 0, 0, &plain));
    ORACLE(strcmp(mapped.text, plain.text) == 0);
    read_once(&file, 0, 1 + (long)(size % 3), &failed);
    free(file.p);
    return 0;
}
