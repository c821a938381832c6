/* token.h: the access token of a server: who may read what the hub tells. No I/O.
 *
 * A token is 22 to 128 characters of RFC 6750's b64token, letters, digits and "-._~+/=": 22 of base64 or
 * 32 of hexadecimal hold 128 random bits. It comes as `Authorization: Bearer TOKEN`, as the cookie
 * `bitnet`, which opening "/?token=TOKEN" sets, or in a websocket's hello. How long a comparison takes
 * tells nothing about where two tokens differ.
 */
#ifndef BITNET_HTTP_TOKEN_H
#define BITNET_HTTP_TOKEN_H

#include "http/reply.h"

enum { HTTP_TOKEN_MIN = 22, HTTP_TOKEN_MAX = 128 }; /* characters */

/* Are these n bytes a token as above? */
bool http_token_check(const char *token, size_t n);
bool http_token_is(http_span given, const char *token);
/* By its Authorization or its Cookie. */
bool http_is_authorised(const http_head *head, const char *token);
/* The Set-Cookie that signs a browser in, until it is closed. */
void http_token_cookie(char out[HTTP_COOKIE_MAX], const char *token);

/* The value of the first "name=value" of a query, as it is; p NULL: there is none. */
http_span http_query_value(http_span query, const char *name);

#endif
