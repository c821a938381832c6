/* bitnet.h: all of the public interface. A complete program:
 *
 *     #include <bitnet/bitnet.h>
 *     #include <stdio.h>
 *
 *     static int on_event(void *user, const bitnet_event *ev) {
 *         (void)user;
 *         if (ev->kind == BITNET_EVENT_TOKEN) fwrite(ev->text, 1, ev->text_len, stdout);
 *         return 0;
 *     }
 *
 *     // `source` is a bitnet_source over the model's bytes: a mapped file, a buffer
 *     int run(const bitnet_source *source) {
 *         bitnet_error err = {0};
 *         bitnet_model *model = NULL;
 *         bitnet_engine *engine = NULL;
 *         bitnet_model_desc md = {.source = source};
 *         if (bitnet_model_load(&model, &md, &err) >= 0) {
 *             bitnet_engine_desc ed = {.model = model};
 *             if (bitnet_engine_create(&engine, &ed, &err) >= 0) {
 *                 bitnet_request req = {.prompt = "Once upon a time",
 *                                       .prompt_len = 16,
 *                                       .max_tokens = 40};
 *                 bitnet_engine_run(engine, &req, on_event, NULL, &err);
 *             }
 *         }
 *         if (err.status < 0) fprintf(stderr, "%s [%s]\n", err.text, err.id);
 *         bitnet_engine_free(engine);
 *         bitnet_model_free(model);
 *         return err.status < 0;
 *     }
 */
#ifndef BITNET_BITNET_H
#define BITNET_BITNET_H

#include "bitnet/status.h"
#include "bitnet/hooks.h"
#include "bitnet/model.h"
#include "bitnet/tokenizer.h"
#include "bitnet/chat.h"
#include "bitnet/context.h"
#include "bitnet/perplexity.h"
#include "bitnet/convert.h"
#include "bitnet/sampler.h"
#include "bitnet/tracker.h"
#include "bitnet/histogram.h"
#include "bitnet/ops.h"
#include "bitnet/op_stats.h"
#include "bitnet/leak.h"
#include "bitnet/overhead.h"
#include "bitnet/tier.h"
#include "bitnet/metrics.h"
#include "bitnet/engine.h"
#include "bitnet/backend.h"
#include "bitnet/profile.h"

#define BITNET_VERSION "0.1.0"

#endif
