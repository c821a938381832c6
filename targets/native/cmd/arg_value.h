/* arg_value.h: the value of one option: from text, to JSON, and what is said of one that is none. */
#ifndef BITNET_ARG_VALUE_H
#define BITNET_ARG_VALUE_H

#include "cmd/args.h"

/* Stores the value in o->dest, at the end of a list; false when it is not one. */
bool arg_store(const arg_opt *o, const char *value);
/* "bitnet: error: <what><name> is "<value>"; ... is allowed [<id>]" to stderr. */
void arg_complain(const char *id, const char *what, const char *name, const char *value,
                  const arg_opt *o);
/* What o->dest holds; of a URL no user name and password. A default that is none, as a seed still to be drawn,
 * is null. */
cJSON *arg_json(const arg_opt *o, bool is_given);

#endif
