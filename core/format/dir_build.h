/* dir_build.h: makes a directory entry by entry, for readers of files that are not GGUF.
 *
 * Memory grows with what is added, by half of what there is, so that growing never holds more than 2.5
 * times the bytes added. After the first failure (E_NOMEM, or a duplicate or overlong name) every call
 * is a no-op and finish returns it, so callers check once. Keys have 1 to 65,535 bytes and tensor names
 * 1 to 63, as in GGUF. Extents are the caller's to check.
 */
#ifndef BITNET_DIR_BUILD_H
#define BITNET_DIR_BUILD_H

#include "format/tensors.h"

typedef struct bitnet_dir_bytes {
    uint8_t *p;
    size_t n, cap;
} bitnet_dir_bytes;

typedef struct bitnet_dir_builder {
    const bitnet_allocator *alloc;
    bitnet_error *err;
    bitnet_status status;
    bitnet_dir_bytes values, names, metas, tensors; /* positions instead of pointers until finish */
} bitnet_dir_builder;

void bitnet_build_init(bitnet_dir_builder *b, const bitnet_allocator *alloc, bitnet_error *err);
void bitnet_build_free(bitnet_dir_builder *b); /* after init, also after finish */

void bitnet_build_i64(bitnet_dir_builder *b, const char *key, int64_t v);
void bitnet_build_f64(bitnet_dir_builder *b, const char *key, double v);
void bitnet_build_bool(bitnet_dir_builder *b, const char *key, bool v);
void bitnet_build_str(bitnet_dir_builder *b, const char *key, const char *s, size_t n);
/* Arrays: begin, then one call per element, then the next key. */
void bitnet_build_array(bitnet_dir_builder *b, const char *key, bitnet_meta_type elem);
void bitnet_build_array_str(bitnet_dir_builder *b, const char *s, size_t n);
void bitnet_build_array_i32(bitnet_dir_builder *b, int32_t v);
void bitnet_build_array_f32(bitnet_dir_builder *b, float v);
/* Copies a value as it is, from another directory. */
void bitnet_build_meta(bitnet_dir_builder *b, const bitnet_meta *m);
/* The entry is copied with its name. */
void bitnet_build_tensor(bitnet_dir_builder *b, const bitnet_tensor_entry *t);

/* Moves everything into *out, indices made; a name that occurs twice is E_FORMAT. */
bitnet_status bitnet_build_finish(bitnet_dir_builder *b, bitnet_dir *out);

#endif
