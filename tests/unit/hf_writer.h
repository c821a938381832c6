/* hf_writer.h: writes Hugging Face folders in memory, sound ones and damaged ones.
 *
 *     hf_folder f = {0};
 *     hf_text(hf_file(&f, "config.json"), "{\"hidden_size\":%d}", 8);
 *     hf_tensor(&f, "model.safetensors", "model.norm.weight", "F32", "[4]", data, 16);
 *     ... bitnet_hf_read(&dir, hf_files(&f, true), f.n, NULL, &err) ...
 *     hf_free(&f);
 *
 * It shares no code with the readers. Running out of memory aborts: this is for tests only.
 */
#ifndef BITNET_TEST_HF_WRITER_H
#define BITNET_TEST_HF_WRITER_H

#include "gguf_writer.h"

#define HF_FILES 16

typedef struct hf_folder { /* {0} is empty */
    const char *name[HF_FILES];
    gguf_bytes text[HF_FILES]; /* a whole file, or the JSON of a safetensors file without braces */
    gguf_bytes data[HF_FILES]; /* of a safetensors file */
    gguf_bytes whole[HF_FILES];
    bitnet_file file[HF_FILES];
    int32_t n;
} hf_folder;

/* The text of a file, which is added when it is not there yet. */
gguf_bytes *hf_file(hf_folder *f, const char *name);
void hf_text(gguf_bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void hf_json_str(gguf_bytes *b, const char *s, size_t n); /* in quotes, escaped where it must be */
/* Appends a tensor to a safetensors file; shape as in JSON: "[2, 4]". */
void hf_tensor(hf_folder *f, const char *file, const char *name, const char *dtype,
               const char *shape, const void *data, size_t size);
/* Replaces the first `from` in the file's text; aborts when there is none. */
void hf_replace(hf_folder *f, const char *file, const char *from, const char *to);
void hf_remove(hf_folder *f, const char *file);

/* Joins safetensors files and makes the sources, which borrow f; may be called again after changes. */
const bitnet_file *hf_files(hf_folder *f, bool is_mapped);
void hf_free(hf_folder *f);

#endif
