/* json.h: a pull reader for JSON texts that come with a model: config.json, tokenizer.json, the header
 * of a safetensors file. RFC 8259 and nothing more: no comments, no trailing commas, no NaN, no bytes
 * that are not UTF-8. A name may occur twice in an object; callers that mind look for it.
 *
 *     bitnet_json j = bitnet_json_open(text, len);
 *     if (bitnet_json_object(&j))
 *         while (bitnet_json_next(&j, &key))       // also skips a value that was not read
 *             if (bitnet_json_is(&key, "hidden_size")) bitnet_json_int(&j, &n);
 *     if (j.error) ... at byte j.pos
 *
 * Why not cJSON: a tokenizer.json holds 400,000 values, which as a tree take ten times the file; this
 * allocates nothing, sees the length of every string (a zero byte ends none), keeps integers exact,
 * and the same code runs in a page. The depth is limited to 64. After the first error every call
 * returns false.
 */
#ifndef BITNET_JSON_H
#define BITNET_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITNET_JSON_DEPTH 64

typedef enum bitnet_json_kind {
    BITNET_JSON_NONE, /* no value here: the end, or an error */
    BITNET_JSON_NULL,
    BITNET_JSON_BOOL,
    BITNET_JSON_NUMBER,
    BITNET_JSON_STRING,
    BITNET_JSON_ARRAY,
    BITNET_JSON_OBJECT,
} bitnet_json_kind;

typedef struct bitnet_json {
    const char *s;
    size_t n, pos;
    const char *error;  /* NULL, or what is wrong at pos: "a string without an end" */
    uint64_t is_object; /* bit d: the container at depth d is an object */
    int32_t depth;
    bool has_value; /* a value stands at pos that nobody has read yet */
    bool is_first;
} bitnet_json;

/* A string as it is written, between its quotes and with its escapes. */
typedef struct bitnet_json_str {
    const char *s;
    size_t n;
    bool has_escapes;
} bitnet_json_str;

bitnet_json bitnet_json_open(const char *s, size_t n);
/* True when the one value of the text has been read and only white space follows. */
bool bitnet_json_end(bitnet_json *j);

bitnet_json_kind bitnet_json_peek(bitnet_json *j);
/* Each reads the value at hand; false, leaving it there, when it is of another kind. A container that
 * was entered must be stepped through to its end before the one around it goes on. */
bool bitnet_json_object(bitnet_json *j);
bool bitnet_json_array(bitnet_json *j);
bool bitnet_json_string(bitnet_json *j, bitnet_json_str *out);
bool bitnet_json_number(bitnet_json *j,
                        double *out); /* rounded correctly; an error beyond a double */
bool bitnet_json_int(bitnet_json *j, int64_t *out); /* false too for fractions and beyond 64 bits */
bool bitnet_json_bool(bitnet_json *j, bool *out);
bool bitnet_json_null(bitnet_json *j);
/* Steps to the next member or element, skipping a value that was not read; false behind the last one:
 * then the container itself has been read. key may be NULL in arrays. */
bool bitnet_json_next(bitnet_json *j, bitnet_json_str *key);
void bitnet_json_skip(bitnet_json *j);
/* *value is a reader at the first member of this name of the object at hand, where `object` stays; false,
 * and nothing at hand, when there is none or it is no object. */
bool bitnet_json_find(const bitnet_json *object, const char *name, bitnet_json *value);

/* Compares without copying. */
bool bitnet_json_is(const bitnet_json_str *s, const char *literal);
/* UTF-8 with the escapes resolved, not terminated; returns the bytes needed and writes when cap is
 * enough (s->n always is). Lone surrogates become U+FFFD. */
size_t bitnet_json_text(const bitnet_json_str *s, char *out, size_t cap);

#endif
