/* plan.c: see plan.h, and the export that plans from the first bytes of a file.
 *
 * A tab shares its memory with everything else that is open, and a heap that has grown never shrinks. So a
 * window is not as long as the model was trained for where its keys and values would rival the weights, and
 * the head comes in stages where what they take is small beside the file.
 */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define HEAD_SHARE   5 /* the head's stages may take a fifth of what the file takes */
#define KV_SHARE     6 /* keys and values of a window that nobody asked for may take a sixth, */
#define KV_SMALL     ((uint64_t)96 << 20) /* or this much */
#define WINDOW_STEP  256
#define SHORTEST     512
#define PREFIX_SHARE 32
#define PREFIX_LARGE ((uint64_t)32 << 20)
#define MODULE_MEMORY                                                                              \
    ((uint64_t)8 << 20) /* stacks, data, vocabulary; INITIAL_MEMORY in cmake/wasm.cmake */

size_t wasm_prefix_size(uint64_t file_size) {
    const uint64_t n = file_size / PREFIX_SHARE;
    return (size_t)(n < PREFIX_LARGE ? n : PREFIX_LARGE);
}

static bitnet_status open_header(bitnet_model **out, const wasm_how *how, const bitnet_file *files,
                                 int32_t n_files, bitnet_error *err) {
    const bitnet_model_desc md = {.files = files,
                                  .n_files = n_files,
                                  .level = BITNET_LOAD_HEADER,
                                  .n_threads = 1,
                                  .cache_type_k = how->cache_type_k,
                                  .cache_type_v = how->cache_type_v,
                                  .staged = how->staged};
    return bitnet_model_load(out, &md, err);
}

/* Whether what the head's stages take, which m has and lean has not, is more than their share. */
static bool is_large(const bitnet_model *m, const bitnet_model *lean, uint64_t file_size) {
    const uint64_t taken =
        bitnet_model_plan(m, 1, 1, 1).copied - bitnet_model_plan(lean, 1, 1, 1).copied;
    return taken > file_size / HEAD_SHARE;
}

static bitnet_memory_plan plan_of(const bitnet_model *m, int32_t n_ctx) {
    return bitnet_model_plan(m, n_ctx, WASM_BATCH, 1 + BITNET_DRAFT_DEFAULT);
}

/* The longest window, in steps, whose keys and values are within their share. */
static int32_t choose_window(const bitnet_model *m, uint64_t file_size) {
    const int32_t trained = bitnet_model_get_info(m).n_ctx_train;
    const uint64_t share = file_size / KV_SHARE, most = share > KV_SMALL ? share : KV_SMALL;
    const uint64_t step = bitnet_model_ctx_size(m, WINDOW_STEP);
    const uint64_t n = step > 0 ? most / step * WINDOW_STEP : (uint64_t)trained;
    if (n >= (uint64_t)trained || trained < SHORTEST) return trained;
    return n < SHORTEST ? SHORTEST : (int32_t)n;
}

bitnet_status wasm_plan_make(wasm_plan *plan, wasm_how *how, bitnet_model **header,
                             const bitnet_file *files, int32_t n_files, bitnet_error *err) {
    const uint64_t size = wasm_files_size(files, n_files);
    bitnet_model *m = NULL;
    bitnet_status st = open_header(&m, how, files, n_files, err);
    if (st >= 0 && how->staged == BITNET_AUTO) {
        wasm_how without = *how;
        bitnet_model *lean = NULL;
        without.staged = BITNET_OFF;
        st = open_header(&lean, &without, files, n_files, err);
        if (st >= 0 && is_large(m, lean, size)) {
            bitnet_model *staged = m;
            m = lean, lean = staged;
            how->staged = BITNET_OFF;
        }
        bitnet_model_free(lean);
    }
    if (st < 0) {
        bitnet_model_free(m);
        *header = NULL;
        return st;
    }
    if (how->n_ctx <= 0) how->n_ctx = choose_window(m, size);
    const bitnet_memory_plan p = plan_of(m, how->n_ctx);
    *plan = (wasm_plan){.file = size,
                        .copies = p.copied,
                        .kv = p.kv,
                        .scratch = p.scratch + p.backend + wasm_prefix_size(size) + MODULE_MEMORY};
    plan->total = plan->file + plan->copies + plan->kv + plan->scratch;
    *header = m;
    return BITNET_OK;
}

/* ---- from the first bytes ---------------------------------------------------------------------- */

typedef struct head_bytes {
    const uint8_t *bytes;
    size_t len;
    uint64_t wanted; /* the end of what was asked for and is not there */
} head_bytes;

static bitnet_status head_read(void *ctx, uint64_t off, void *dst, size_t n) {
    head_bytes *h = ctx;
    if (off + n > h->len) {
        h->wanted = off + n;
        return BITNET_E_IO;
    }
    memcpy(dst, h->bytes + off, n);
    return BITNET_OK;
}

static const void *head_map(void *ctx, uint64_t off, size_t n) {
    const head_bytes *h = ctx;
    return off + n <= h->len ? h->bytes + off : NULL;
}

/* Bytes of ternary weights, and of the head, in the file. */
static void sum_tensors(const bitnet_model *m, uint64_t *ternary, uint64_t *head) {
    bitnet_tensor_info t;
    *ternary = *head = 0;
    for (int32_t i = 0; bitnet_model_get_tensor(m, i, &t); i++) {
        if (t.is_ternary) *ternary += t.size;
        const bool is_output = !strcmp(t.name, "output.weight");
        if (is_output || (*head == 0 && !strcmp(t.name, "token_embd.weight"))) *head = t.size;
    }
}

static void write_plan(char *out, size_t cap, const bitnet_model *m, const wasm_plan *p,
                       const wasm_how *how) {
    const bitnet_model_info i = bitnet_model_get_info(m);
    uint64_t ternary, head;
    size_t at = 1;
    sum_tensors(m, &ternary, &head);
    out[0] = '{';
    at = json_put_string(out, cap, at, "arch", i.arch);
    at = json_put_string(out, cap, at, "name", i.name);
    snprintf(out + at, cap - at,
             "\"fileSize\":%" PRIu64 ",\"nParams\":%" PRIu64
             ",\"nCtxTrain\":%d,\"nLayer\":%d,\"nEmbd\":%d,\"nVocab\":%d,\"nCtx\":%d,"
             "\"isStaged\":%s,\"tokenBytes\":%" PRIu64 ",\"ternaryBytes\":%" PRIu64
             ",\"headBytes\":%" PRIu64 ",\"memory\":{\"file\":%" PRIu64 ",\"copies\":%" PRIu64
             ",\"kv\":%" PRIu64 ",\"scratch\":%" PRIu64 ",\"total\":%" PRIu64 "}}",
             p->file, i.n_params, i.n_ctx_train, i.n_layer, i.n_embd, i.n_vocab, how->n_ctx,
             how->staged == BITNET_OFF ? "false" : "true", i.token_bytes, ternary, head, p->file,
             p->copies, p->kv, p->scratch, p->total);
}

const char *bitnet_session_plan(bitnet_session *s, const uint8_t *bytes, size_t len,
                                double file_size, int32_t n_ctx, bitnet_kv_type cache_type_k,
                                bitnet_kv_type cache_type_v, bitnet_switch staged) {
    char *out = s->json;
    bitnet_error *err = &s->err;
    head_bytes h = {bytes, len, 0};
    const bitnet_file file = {.name = "the file",
                              .source = {.size = (uint64_t)file_size,
                                         .read = head_read,
                                         .map = head_map,
                                         .may_rewrite = true,
                                         .ctx = &h}};
    wasm_how how = {.n_ctx = n_ctx,
                    .cache_type_k = cache_type_k,
                    .cache_type_v = cache_type_v,
                    .staged = staged};
    wasm_plan plan;
    bitnet_model *m;
    bitnet_status st = wasm_plan_make(&plan, &how, &m, &file, 1, err);
    if (st < 0 && h.wanted > len && h.wanted <= file.source.size) {
        snprintf(out, SESSION_JSON_CAP, "{\"needMore\":%" PRIu64 "}", h.wanted);
        return out;
    }
    if (st < 0) return NULL;
    write_plan(out, SESSION_JSON_CAP, m, &plan, &how);
    bitnet_model_free(m);
    return out;
}
