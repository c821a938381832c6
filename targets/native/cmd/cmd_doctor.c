/* cmd_doctor.c: `bitnet doctor`: is what this machine computes right? And what can be measured on it?
 *
 * Without --reference: every kernel variant of this CPU must give the same logits to the last bit.
 * With it: the logits of a text against those of the reference implementation, which shares no code
 * with the library. Both criteria are those of docs/reference.md.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "base/hash.h"
#include "base/os.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/reference.h"
#include "monitor.h"
#include "os_cores.h"

#define MAX_IDS       512
#define MAX_TEXT_IDS  32 /* a text is cut to this; --ids is not */
#define MAX_REL_ERROR 1e-3
#define MIN_GAP       1e-3 /* best two logits nearer than this are a tie */
#define SPREAD_FACTOR 3.0  /* docs/reference.md, "When roundings differ" */
#define DEFAULT_TEXT                                                                               \
    "Once upon a time there was a little girl who lived in a small house at the edge of a forest " \
    "with her grandmother"

typedef struct doctor {
    load_opts load;
    const char *text, *id_list, *reference_dir, *python;
    bool is_reference, is_json;
    int32_t n_layer;          /* 0 = all */
    char weights[160];        /* their form, and why */
    char layer_override[160]; /* n_layer as an override, once the architecture is known */
    bitnet_token ids[MAX_IDS];
    int32_t n;
} doctor;

/* ---- ids ------------------------------------------------------------------------------------- */

static bitnet_status parse_ids(doctor *d, int32_t n_vocab, bitnet_error *err) {
    const char *at = d->id_list;
    while (*at) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        bool is_one = end != at && errno == 0 && (*end == ',' || *end == '\0');
        if (!is_one || id < 0 || id >= n_vocab || d->n == MAX_IDS)
            return bitnet_fail(err, BITNET_E_INVAL, "doctor.ids",
                               "--ids is at most %d numbers from 0 to %d with commas between them, "
                               "\"1,2,3\"; number %d is not that",
                               MAX_IDS, n_vocab - 1, d->n + 1);
        d->ids[d->n++] = (bitnet_token)id;
        at = *end ? end + 1 : end;
    }
    return BITNET_OK;
}

static bitnet_status find_ids(doctor *d, const bitnet_model *m, bitnet_error *err) {
    if (d->id_list) {
        bitnet_status st = parse_ids(d, bitnet_model_get_info(m).n_vocab, err);
        if (st < 0) return st;
    } else {
        const char *text = d->text ? d->text : DEFAULT_TEXT;
        int32_t n =
            bitnet_tokenize(m, text, strlen(text), BITNET_TOKENIZE_BOS, d->ids, MAX_TEXT_IDS);
        if (n < 0)
            return bitnet_fail(err, (bitnet_status)n, "doctor.tokenizer",
                               "the text cannot be tokenized (%s); give --ids",
                               bitnet_status_text((bitnet_status)n));
        d->n = n < MAX_TEXT_IDS ? n : MAX_TEXT_IDS;
    }
    if (d->n > 0) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_INVAL, "doctor.ids", "there is no token; give a longer text");
}

/* ---- this library's logits ------------------------------------------------------------------- */

/* Logits after each of the ids: [n][n_vocab], malloc'd. */
static bitnet_status run_model(float **out, const doctor *d, const bitnet_model *m,
                               bitnet_error *err) {
    size_t n_vocab = (size_t)bitnet_model_get_info(m).n_vocab;
    bitnet_ctx_desc desc = {
        .model = m, .n_ctx = d->n, .n_batch = MAX_TEXT_IDS, .n_logits = MAX_TEXT_IDS};
    bitnet_ctx *ctx;
    bitnet_status st = bitnet_ctx_create(&ctx, &desc, err);
    if (st < 0) return st;
    *out = malloc((size_t)d->n * n_vocab * sizeof **out);
    if (!*out)
        st = bitnet_fail(err, BITNET_E_NOMEM, "doctor.memory", "no memory for the logits of %d ids",
                         d->n);
    for (int32_t first = 0, n; st >= 0 && first < d->n; first += n) {
        n = d->n - first < MAX_TEXT_IDS ? d->n - first : MAX_TEXT_IDS;
        st = bitnet_ctx_sync(ctx, d->ids, first + n);
        if (st < 0)
            bitnet_fail(err, st, "doctor.run", "computing %d tokens: %s", first + n,
                        bitnet_status_text(st));
        for (int32_t i = 0; st >= 0 && i < n; i++)
            memcpy(*out + (size_t)(first + i) * n_vocab, bitnet_ctx_logits_at(ctx, i),
                   n_vocab * sizeof **out);
    }
    bitnet_ctx_free(ctx);
    if (st < 0) {
        free(*out);
        *out = NULL;
    }
    return st;
}

/* A name for exactly these logits. */
static uint64_t hash_logits(const float *logits, size_t n) {
    return hash_fnv1a(logits, n * sizeof *logits);
}

/* ---- against the reference ------------------------------------------------------------------- */

typedef struct comparison {
    double max_error;                    /* of a logit, relative to the position's largest */
    double allowed;                      /* MAX_REL_ERROR, or what the reference itself spreads */
    double perplexity, perplexity_error; /* the error is relative */
    int32_t n_compared, n_equal;         /* argmax; ties are left out */
    bool holds;
} comparison;

static int32_t argmax(const float *z, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

/* The largest difference of two logits; infinite when one of them is not finite. */
static double largest_difference(const float *a, const float *b, int32_t n) {
    double most = 0;
    for (int32_t i = 0; i < n; i++) {
        double diff = fabs((double)a[i] - (double)b[i]);
        if (!isfinite(diff)) return (double)INFINITY;
        if (diff > most) most = diff;
    }
    return most;
}

/* One position: a is ours, b the reference's. */
static void compare_position(comparison *c, const float *a, const float *b, int32_t n) {
    double scale = 0, second = -(double)INFINITY;
    int32_t best = argmax(b, n);
    for (int32_t i = 0; i < n; i++) {
        if (fabs((double)b[i]) > scale) scale = fabs((double)b[i]);
        if (i != best && (double)b[i] > second) second = (double)b[i];
    }
    double error = largest_difference(a, b, n) / scale;
    if (!(error <= c->max_error)) c->max_error = error;
    /* what is allowed is more than three times the largest change seen in any of the logits; two of
     * them change against each other by half of it hardly ever */
    double tie = c->allowed > MAX_REL_ERROR ? c->allowed / 2 * scale : MIN_GAP;
    if ((double)b[best] - second <= tie) return;
    c->n_compared++;
    c->n_equal += argmax(a, n) == best;
}

static comparison compare(const doctor *d, const float *ours, const reference_result *ref,
                          int32_t n_vocab) {
    double spread = SPREAD_FACTOR * ref->spread, sum = 0;
    comparison c = {.allowed = spread > MAX_REL_ERROR ? spread : MAX_REL_ERROR};
    for (int32_t i = 0; i < d->n; i++) {
        const float *a = ours + (size_t)i * (size_t)n_vocab;
        compare_position(&c, a, ref->logits + (size_t)i * (size_t)n_vocab, n_vocab);
        bitnet_logprob next = {.logprob = 0};
        if (i + 1 < d->n) bitnet_sampler_logprobs(a, n_vocab, d->ids[i + 1], 0, &next, NULL);
        sum -= (double)next.logprob;
    }
    c.perplexity = exp(sum / (d->n - 1)); /* NaN for one id, as the reference's */
    c.perplexity_error = d->n > 1 ? fabs(c.perplexity / ref->perplexity - 1) : 0;
    c.holds =
        c.max_error <= c.allowed && c.n_equal == c.n_compared && c.perplexity_error <= c.allowed;
    return c;
}

static void print_comparison(const doctor *d, const bitnet_model_info *info, const comparison *c,
                             const reference_result *ref) {
    printf("model             %s: %s, %s\n", *info->name ? info->name : "(no name)", info->arch,
           info->container);
    printf("kernels           %s, %d threads\n", info->tier, info->n_threads);
    printf("weights           %s\n", info->weights);
    printf("compared          %d positions, %d layers\n\n", d->n, info->n_layer);
    printf("logits            relative error %.1e, allowed %.1e\n", c->max_error, c->allowed);
    printf("                  the reference in f32 against itself in f64: %.1e\n", ref->spread);
    printf("argmax            %d of %d equal", c->n_equal, c->n_compared);
    if (c->n_compared < d->n) printf("; %d ties left out", d->n - c->n_compared);
    if (d->n > 1)
        printf("\nperplexity        %.6f, the reference's %.6f", c->perplexity, ref->perplexity);
    if (!c->holds)
        printf("\n");
    else
        printf("\n\n%s\n", c->allowed > MAX_REL_ERROR
                               ? "No difference beyond what roundings of activations spread; fewer "
                                 "--layers and --ids compare more strictly."
                               : "The model answers as the reference does.");
}

/* The exit code: 0, or 1 and a sentence. */
static int verdict(bool holds, const char *sentence) {
    if (!holds) fprintf(stderr, "bitnet: error: %s\n", sentence);
    return !holds;
}

static int print_comparison_json(const doctor *d, const bitnet_model_info *info,
                                 const comparison *c, const reference_result *ref, uint64_t hash) {
    cJSON *o = cJSON_CreateObject();
    char hex[20];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash);
    cJSON_AddStringToObject(o, "container", info->container);
    cJSON_AddStringToObject(o, "arch", info->arch);
    cJSON_AddStringToObject(o, "tier", info->tier);
    cJSON_AddNumberToObject(o, "n_layer", info->n_layer);
    cJSON_AddItemToObject(o, "ids", cJSON_CreateIntArray(d->ids, d->n));
    cJSON_AddNumberToObject(o, "max_rel_error", c->max_error);
    cJSON_AddNumberToObject(o, "allowed", c->allowed);
    cJSON_AddNumberToObject(o, "reference_spread", ref->spread);
    cJSON_AddNumberToObject(o, "argmax_compared", c->n_compared);
    cJSON_AddNumberToObject(o, "argmax_equal", c->n_equal);
    cJSON_AddNumberToObject(o, "perplexity", c->perplexity);
    cJSON_AddNumberToObject(o, "reference_perplexity", ref->perplexity);
    cJSON_AddStringToObject(o, "logits_fnv1a64", hex);
    cJSON_AddBoolToObject(o, "holds", c->holds);
    return args_print_json(o);
}

static int report(const doctor *d, const bitnet_model *m, const float *ours,
                  const reference_result *ref) {
    bitnet_model_info info = bitnet_model_get_info(m);
    comparison c = compare(d, ours, ref, info.n_vocab);
    int code = 0;
    if (d->is_json)
        code = print_comparison_json(d, &info, &c, ref,
                                     hash_logits(ours, (size_t)d->n * (size_t)info.n_vocab));
    else
        print_comparison(d, &info, &c, ref);
    if (code == 0) code = args_flush();
    return code ? code
                : verdict(c.holds, "the model differs from the reference [doctor.reference]");
}

/* The model with its first n_layer layers only: the key that counts them is named after the
 * architecture, which the header tells. */
static bitnet_status load_layers(loaded *l, doctor *d, bitnet_error *err) {
    load_opts load = d->load;
    load.level = BITNET_LOAD_HEADER;
    bitnet_status st = load_model(l, &load, err);
    if (st < 0) return st;
    snprintf(d->layer_override, sizeof d->layer_override, "%s.block_count=int:%d",
             bitnet_model_get_info(l->model).arch, d->n_layer);
    load_close(l);
    load.level = BITNET_LOAD_WEIGHTS;
    if (load.overrides.n < ARG_LIST_CAP) load.overrides.v[load.overrides.n++] = d->layer_override;
    return load_model(l, &load, err);
}

static int check_reference(doctor *d) {
    bitnet_error err = {0};
    loaded l;
    float *ours = NULL;
    reference_result ref = {0};
    bitnet_status st = d->n_layer ? load_layers(&l, d, &err) : load_model(&l, &d->load, &err);
    if (st < 0) return args_fail(&err);
    st = find_ids(d, l.model, &err);
    if (st >= 0) st = run_model(&ours, d, l.model, &err);
    if (st >= 0) {
        reference_desc desc = {.dir = d->reference_dir,
                               .python = d->python,
                               .load = &d->load,
                               .n_layer = bitnet_model_get_info(l.model).n_layer,
                               .ids = d->ids,
                               .n_ids = d->n,
                               .n_vocab = bitnet_model_get_info(l.model).n_vocab};
        st = reference_run(&ref, &desc, &err);
    }
    int code = st < 0 ? args_fail(&err) : report(d, l.model, ours, &ref);
    free(ours);
    free(ref.logits);
    load_close(&l);
    return code;
}

/* ---- against itself -------------------------------------------------------------------------- */

/* The logits of one kernel variant; prints its row. */
static bitnet_status check_variant(doctor *d, uint32_t mask, uint64_t *hash, bitnet_error *err) {
    loaded l;
    float *logits = NULL;
    load_opts load = d->load;
    load.cpu_mask = mask;
    d->n = 0;
    bitnet_status st = load_model(&l, &load, err);
    if (st < 0) return st;
    st = find_ids(d, l.model, err);
    uint64_t start = bitnet_os_now_ns();
    if (st >= 0) st = run_model(&logits, d, l.model, err);
    if (st >= 0) {
        bitnet_model_info info = bitnet_model_get_info(l.model);
        *hash = hash_logits(logits, (size_t)d->n * (size_t)info.n_vocab);
        printf("  %-12s %d tokens, %.0f ms, logits %016llx\n", info.tier, d->n,
               (double)(bitnet_os_now_ns() - start) * 1e-6, (unsigned long long)*hash);
        snprintf(d->weights, sizeof d->weights, "%s", info.weights);
    }
    free(logits);
    load_close(&l);
    return st;
}

static void print_cores(const bitnet_os_cores *c) {
    char quota[32] = "none";
    if (c->quota > 0) snprintf(quota, sizeof quota, "%d", c->quota);
    printf("bitnet %s\n\n", BITNET_VERSION);
    printf("cores  %d hardware threads usable on %d cores, %d performance cores, quota %s: "
           "%d threads, %s\n",
           c->n_usable, c->n_physical, c->n_fast, quota, c->n_threads, bitnet_os_cores_why(c));
}

/* What `--track` samples here. The first sample opens what the kernel opens late; the second is timed. */
static void print_monitor(void) {
    monitor *m;
    if (monitor_open(&m, &(monitor_desc){0}) < 0) return;
    monitor_sample(m, NULL, bitnet_os_now_ns());
    uint64_t start = bitnet_os_now_ns();
    monitor_sample(m, NULL, start);
    printf("\nmonitor, %.0f us a sample\n", (double)(bitnet_os_now_ns() - start) * 1e-3);
    for (int32_t i = 0; monitor_name(m, i); i++) {
        const char *why = monitor_why(m, i);
        printf("  %-26s  %s%s\n", monitor_name(m, i), why ? "absent: " : "",
               why ? why : monitor_place(m, i));
    }
    monitor_close(m);
}

static int check_variants(doctor *d) {
    uint32_t flags = bitnet_cpu_flags();
    const bitnet_cpu_tier *t;
    uint64_t first = 0;
    bool is_equal = true;
    const bitnet_os_cores cores = bitnet_os_cores_here();
    print_cores(&cores);
    print_monitor();
    printf("\nkernels\n");
    for (int32_t i = 0; (t = bitnet_cpu_tier_at(i)); i++) {
        if (t->flag & ~flags) continue;
        bitnet_error err = {0};
        uint64_t hash = 0;
        if (check_variant(d, t->mask, &hash, &err) < 0) return args_fail(&err);
        if (i == 0) first = hash;
        is_equal = is_equal && hash == first;
    }
    printf("\nternary weights in %s\n", d->weights); /* of the last row */
    if (is_equal) printf("\nAll kernels of this machine give the same bits.\n");
    int code = args_flush();
    return code ? code : verdict(is_equal, "kernels of this machine differ [doctor.kernels]");
}

/* ---- the verb -------------------------------------------------------------------------------- */

int cmd_doctor(int argc, char **argv) {
    doctor d = {0};
    const arg_opt opts[] = {
        {0, "reference", ARG_FLAG, &d.is_reference, NULL, NULL,
         "compare with the reference implementation (Python and NumPy)", 0, 0},
        {'p', "prompt", ARG_STR, &d.text, "TEXT", NULL, "the text, cut to 32 tokens", 0, 0},
        {0, "ids", ARG_STR, &d.id_list, "LIST", NULL, "token ids in place of a text: 1,2,3", 0, 0},
        {0, "layers", ARG_INT, &d.n_layer, "N", NULL,
         "compare the first N layers only, before roundings spread; 0 = all", 0, 1 << 16},
        {0, "reference-dir", ARG_STR, &d.reference_dir, "DIR", NULL,
         "holds bitnet_ref; the one of this installation when absent", 0, 0},
        {0, "python", ARG_STR, &d.python, "PYTHON", NULL,
         "interpreter; python3 or /usr/bin/python3 when absent", 0, 0},
        {0, "json", ARG_FLAG, &d.is_json, NULL, NULL, "print one JSON object; with --reference", 0,
         0},
        LOAD_OPTS(d.load),
        {0}};
    const arg_cmd cmd = {"doctor",
                         "Checks what this machine computes: its kernels against each other, a "
                         "model against the reference.",
                         "[--reference] [options]",
                         opts,
                         NULL,
                         0};
    int code = args_parse(&cmd, argc, argv);
    if (code >= 0) return code;
    return d.is_reference ? check_reference(&d) : check_variants(&d);
}
