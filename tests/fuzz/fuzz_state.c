/* fuzz_state.c: libFuzzer over saved states (core/engine/state.h): a valid one with edits, cut or not, with its checksum
 * mended or not; what is accepted is gone on from.
 *
 *     input   u8 flags | u8 how much is cut | edits: u16 offset, u8 value
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bitnet/bitnet.h"
#include "engine/state.h"
#include "fuzz.h"
#include "tiny_model.h"

#define HEADER 48
enum { MEND = 1, RAW = 2 };

static tiny_loaded tiny;
static bitnet_engine *engine;
static uint8_t *valid;
static size_t valid_size;

static void ask(int32_t max_tokens) {
    static const bitnet_token ids[] = {65, 66, 67, 65, 67};
    const bitnet_request req = {.tokens = ids, .n_tokens = 5, .max_tokens = max_tokens};
    bitnet_engine_run(engine, &req, NULL, NULL, NULL);
}

static void prepare(void) {
    tiny_model kind = tiny_model_default();
    const bitnet_model_desc md = {.n_threads = 1};
    if (tiny_model_load(&tiny, &kind, &md, NULL) < 0) abort();
    const bitnet_engine_desc ed = {.model = tiny.model, .n_ctx = 16};
    if (bitnet_engine_create(&engine, &ed, NULL) < 0) abort();
    ask(4);
    if (bitnet_engine_save(engine, NULL, &valid_size, NULL) < 0) abort();
    valid = malloc(valid_size);
    if (!valid || bitnet_engine_save(engine, valid, &valid_size, NULL) < 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!engine) prepare();
    if (size < 2) return 0;
    const bool is_raw = data[0] & RAW;
    const size_t n = is_raw ? size - 2 : data[1] < valid_size ? valid_size - data[1] : 0;
    uint8_t *state = malloc(n ? n : 1);
    if (!state) return 0;
    memcpy(state, is_raw ? data + 2 : valid, n);
    for (size_t i = 2; !is_raw && i + 3 <= size; i += 3) {
        const size_t at = (size_t)data[i] | (size_t)data[i + 1] << 8;
        if (at < n) state[at] = data[i + 2];
    }
    if (data[0] & MEND && n >= HEADER) bitnet_state_seal(state, n);
    if (bitnet_engine_load(engine, state, n, NULL) >= 0) ask(2);
    free(state);
    return 0;
}
