/* files.h: the model file in the heap, or the parts of a split one, each in a block that JavaScript fills.
 *
 * A file is kept once: the source seam maps its block, and the model points into it. So a wasm_files does not
 * move, and outlives the model.
 */
#ifndef BITNET_WASM_FILES_H
#define BITNET_WASM_FILES_H

#include "bitnet/bitnet.h"

#define WASM_MAX_FILES 64

typedef struct wasm_block {
    uint8_t *bytes; /* [size] */
    size_t size;
    char name[16]; /* "file 1": errors speak of it */
} wasm_block;

/* {0} holds none. */
typedef struct wasm_files {
    wasm_block block[WASM_MAX_FILES];
    bitnet_file file[WASM_MAX_FILES]; /* over block */
    int32_t n;
} wasm_files;

/* One more file, in a heap that has `room` bytes beside it; NULL: the browser does not give that much, or there
 * are too many. */
uint8_t *wasm_files_add(wasm_files *f, size_t size, double room, bitnet_error *err);
/* The one that was added last. */
void wasm_files_drop(wasm_files *f);
void wasm_files_free(wasm_files *f);
uint64_t wasm_files_size(const bitnet_file *file, int32_t n);

#endif
