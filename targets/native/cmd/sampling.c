/* sampling.c: see sampling.h. */
#define _GNU_SOURCE /* getrandom */
#include "cmd/sampling.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/base.h"

#define NO_SEED UINT64_MAX

sampling_opts sampling_default(void) {
    sampling_opts s = {.desc = bitnet_sampler_default(), .draft_max = BITNET_DRAFT_DEFAULT};
    s.desc.seed = NO_SEED;
    return s;
}

/* "15043+1.5", "15043-inf". strtof alone would take spaces, hexadecimal and "nan". */
static bool parse_bias(const char *text, bitnet_logit_bias *out) {
    char *end;
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    long id = strtol(text, &end, 10);
    if (errno || id > INT32_MAX || (*end != '+' && *end != '-')) return false;
    out->token = (bitnet_token)id;
    if (!strcmp(end, "-inf")) {
        out->bias = -INFINITY;
        return true;
    }
    const char *number = end + 1;
    if (!*number || strspn(number, "0123456789.eE+-") != strlen(number)) return false;
    if (!isdigit((unsigned char)*number) && *number != '.') return false;
    out->bias = strtof(end, &end);
    return !*end;
}

bool sampling_check(sampling_opts *s) {
    bool is_ok = true;
    for (int32_t i = 0; i < s->bias_text.n; i++) {
        const char *text = s->bias_text.v[i];
        bitnet_escaped e;
        if (parse_bias(text, &s->bias[i])) continue;
        fprintf(stderr,
                "bitnet: error: --logit-bias is \"%s\"; a token id, + or -, and a number or inf "
                "behind the - are allowed [usage.bias]\n",
                bitnet_escape(&e, text, strlen(text)));
        is_ok = false;
    }
    s->desc.bias = s->bias;
    s->desc.n_bias = s->bias_text.n;
    return is_ok;
}

void sampling_draw_seed(sampling_opts *s) {
    if (s->desc.seed == NO_SEED && getrandom(&s->desc.seed, sizeof s->desc.seed, 0) < 0)
        s->desc.seed = 0;
}

const arg_preset sampling_deterministic[] = {
    {"seed", "0"}, {"draft-max", "0"}, {"weights", "2bit"}, {0}};
