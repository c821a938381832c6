/* model_files.h: a path -> the files of a model: one GGUF file, all parts of a split one, or what a
 * Hugging Face folder holds. Which of these it is, the library finds out; here it is only about names.
 */
#ifndef BITNET_MODEL_FILES_H
#define BITNET_MODEL_FILES_H

#include "source_file.h"

typedef struct model_files {
    bitnet_file *files;  /* [n], for bitnet_model_desc */
    source_file *source; /* [n] */
    int32_t n;
} model_files;

/* path NULL = the embedded model. A file named *-00002-of-00005.gguf stands for all five; a folder, or a
 * *.safetensors or config.json in it, for every *.json and *.safetensors file of that folder.
 * E_NOENT, E_IO, E_NOMEM as source_file_open, with the name of the file. */
bitnet_status model_files_open(model_files *f, const char *path, bitnet_error *err);
void model_files_close(model_files *f); /* after the model is freed; {0} is fine */

#endif
