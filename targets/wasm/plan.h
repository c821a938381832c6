/* plan.h: what a model takes of a tab's memory, known from the beginning of its file, and how it is loaded
 * so that it takes little.
 */
#ifndef BITNET_WASM_PLAN_H
#define BITNET_WASM_PLAN_H

#include "bitnet/bitnet.h"

/* How a model is loaded. */
typedef struct wasm_how {
    int32_t n_ctx;                             /* <= 0: chosen */
    bitnet_kv_type cache_type_k, cache_type_v; /* AUTO: chosen by the model */
    bitnet_switch staged;                      /* AUTO: chosen */
} wasm_how;

/* In bytes. */
typedef struct wasm_plan {
    uint64_t file;
    uint64_t copies; /* made at load */
    uint64_t kv;
    uint64_t scratch; /* activations, tables, what is kept of earlier prompts, the module itself */
    uint64_t total;
} wasm_plan;

#define WASM_BATCH 32 /* tokens of a pass; a stop takes effect between two passes */

/* What earlier prompts may take. */
size_t wasm_prefix_size(uint64_t file_size);

/* Fills in what *how leaves open, and *plan, from the header of the file, or of a split one's parts; its `read`
 * may fail with E_IO where bytes are missing, and so does this then. *header gets the model at BITNET_LOAD_HEADER,
 * the caller's to free; NULL on failure. */
bitnet_status wasm_plan_make(wasm_plan *plan, wasm_how *how, bitnet_model **header,
                             const bitnet_file *files, int32_t n_files, bitnet_error *err);

#endif
