/* files.c: see files.h. */
#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"

#define FILE_ALIGN 64 /* weight rows start at multiples of 32 bytes (core/kernels/kernels.h) */

static bitnet_status block_read(void *ctx, uint64_t off, void *dst, size_t n) {
    memcpy(dst, ((wasm_block *)ctx)->bytes + off, n);
    return BITNET_OK;
}

static const void *block_map(void *ctx, uint64_t off, size_t n) {
    (void)n;
    return ((wasm_block *)ctx)->bytes + off;
}

/* Memory for a file, and the certainty that `room` more is there: the heap grows once. */
static uint8_t *take_memory(uint64_t size, double room) {
    uint64_t block = 0;
    if (ck_align(size ? size : 1, FILE_ALIGN, &block) || block > SIZE_MAX ||
        room > (double)SIZE_MAX)
        return NULL;
    uint8_t *file = aligned_alloc(FILE_ALIGN, (size_t)block);
    void *rest = file && room > 0 ? malloc((size_t)room) : file;
    if (!rest) free(file);
    if (rest != file) free(rest);
    return rest ? file : NULL;
}

uint8_t *wasm_files_add(wasm_files *f, size_t size, double room, bitnet_error *err) {
    if (f->n == WASM_MAX_FILES) {
        bitnet_fail(err, BITNET_E_INVAL, "session.files", "a model has at most %d files",
                    WASM_MAX_FILES);
        return NULL;
    }
    uint8_t *bytes = take_memory(size, room);
    if (!bytes) {
        bitnet_fail(
            err, BITNET_E_NOMEM, "session.memory",
            "the model needs %.1f MB, of which its file is %.1f MB, and the browser gave no more "
            "than the %.1f MB that the page holds already",
            ((double)size + room) * 1e-6, (double)size * 1e-6, (double)bitnet_os_rss() * 1e-6);
        return NULL;
    }
    wasm_block *b = &f->block[f->n];
    *b = (wasm_block){.bytes = bytes, .size = size};
    snprintf(b->name, sizeof b->name, "file %d", (int)f->n + 1);
    f->file[f->n] = (bitnet_file){
        .name = b->name,
        .source = {
            .size = size, .read = block_read, .map = block_map, .may_rewrite = true, .ctx = b}};
    f->n++;
    return bytes;
}

void wasm_files_drop(wasm_files *f) {
    if (f->n > 0) free(f->block[--f->n].bytes);
}

void wasm_files_free(wasm_files *f) {
    while (f->n > 0)
        wasm_files_drop(f);
}

uint64_t wasm_files_size(const bitnet_file *file, int32_t n) {
    uint64_t size = 0;
    for (int32_t i = 0; i < n; i++)
        size += file[i].source.size;
    return size;
}
