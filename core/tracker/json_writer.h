/* json_writer.h: JSON text into the caller's buffer, counting what it takes.
 *
 * Nothing is allocated and nothing fails: what does not fit is counted in len, as snprintf does, and
 * the text is whole when len < cap. Valid JSON whatever the strings hold and whatever the locale is;
 * names, commas and brackets are the caller's.
 */
#ifndef BITNET_JSON_WRITER_H
#define BITNET_JSON_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "bitnet/status.h"

typedef struct bitnet_json_writer {
    char *buf; /* may be NULL when cap is 0 */
    size_t cap, len;
} bitnet_json_writer;

/* Text as it is; %g and its like follow the locale and do not belong here. */
void bitnet_json_put(bitnet_json_writer *w, const char *fmt, ...) BITNET_PRINTF(2, 3);
/* Quoted and escaped; U+FFFD for each byte that is not UTF-8, and a space for each control character, which no hub
 * takes (docs/protocol.md). NULL is "". */
void bitnet_json_put_string(bitnet_json_writer *w, const char *s);
/* The shortest of 15 or 17 digits that reads back as v, which is finite. */
void bitnet_json_put_number(bitnet_json_writer *w, double v);
/* Without a format, for what is written at every pump: text as it is, and a whole number. */
void bitnet_json_put_text(bitnet_json_writer *w, const char *s);
void bitnet_json_put_uint(bitnet_json_writer *w, uint64_t v);
/* ,"key":v with nine digits: finer than any clock, half as long, and a tenth of printf's work. v is finite. */
void bitnet_json_put_measure(bitnet_json_writer *w, const char *key, double v);
/* ,"key":v, and nothing at all where v is not finite: what was not measured is absent. */
void bitnet_json_put_member(bitnet_json_writer *w, const char *key, double v);

#endif
