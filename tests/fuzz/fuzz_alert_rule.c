/* fuzz_alert_rule.c: libFuzzer over the language of alerts. A rule that is taken has sane parts, and its own
 * text is the same rule again.
 */
#include "dash/alert_rule.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    alert_rule r, again;
    bitnet_error err = {0};
    char *text =
        malloc(size + 1); /* exactly sized, so that the sanitizer sees any step past the end */
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    bitnet_status st = alert_rule_parse(&r, text, &err);
    if (st < 0 && (strncmp(err.id, "alert.", 6) != 0 || !err.text[0])) abort();
    if (st >= 0) {
        if (!r.metric[0] || r.stat >= ALERT_STAT_COUNT || !isfinite(r.factor)) abort();
        if (!isfinite(r.number * 1.0) || r.for_ms > 1000u * ALERT_FOR_MAX_S) abort();
        if (strlen(r.text) >= ALERT_TEXT_MAX || strlen(r.name) >= ALERT_NAME_MAX) abort();
        if (alert_rule_parse(&again, r.text, &err) < 0) abort();
        if (strcmp(r.metric, again.metric) || r.stat != again.stat || r.op != again.op ||
            r.factor != again.factor || r.number != again.number || r.for_ms != again.for_ms ||
            r.is_expected != again.is_expected || strcmp(r.name, again.name))
            abort();
        for (int i = -1; i <= 1;
             i++) /* exactly one of the two directions holds away from the limit */
            if (i && alert_rule_is_met(&r, r.number + i * (1 + fabs(r.number)), r.number) !=
                         ((r.op == ALERT_ABOVE || r.op == ALERT_AT_LEAST) == (i > 0)))
                abort();
    }
    free(text);
    return 0;
}
