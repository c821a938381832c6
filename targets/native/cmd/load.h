/* load.h: what verbs that need a model share: options' values in, a loaded model out. */
#ifndef BITNET_LOAD_H
#define BITNET_LOAD_H

#include "bitnet/bitnet.h"
#include "source_file.h"

typedef struct load_opts {
    const char *path;  /* NULL = the embedded model */
    int32_t n_threads; /* 0 = all usable cores */
    uint32_t cpu_mask; /* 0 = all */
} load_opts;

typedef struct loaded {
    source_file file;
    bitnet_model *model;
} loaded;

/* Shows a progress bar on stderr when it is a terminal and loading takes over a second. */
bitnet_status load_model(loaded *out, const load_opts *opts, bitnet_error *err);
void load_close(loaded *l); /* {0} is fine */

/* The whole of a file, or of stdin for "-", at most cap bytes; malloc'd, terminated. */
bitnet_status load_text(char **out, size_t *len, const char *path, size_t cap, bitnet_error *err);

#endif
