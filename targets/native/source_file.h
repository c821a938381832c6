/* source_file.h: the source seam over a mapped file, or over the embedded model. */
#ifndef BITNET_SOURCE_FILE_H
#define BITNET_SOURCE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "bitnet/model.h"

typedef struct source_file {
    bitnet_source source; /* give &source to bitnet_model_load */
    const void *data;
    bool is_mapped;
    dev_t device; /* which file it is, whatever it is called; 0, 0: the embedded model */
    ino_t inode;
} source_file;

/* path NULL = the embedded model. E_NOENT, E_IO (ids file.open, file.permission, file.kind). */
bitnet_status source_file_open(source_file *f, const char *path, bitnet_error *err);
void source_file_close(source_file *f); /* after the model is freed; {0} is fine */

#endif
