/* select.h: which bytes of a resource a request gets: all, a range, or none. No I/O.
 * Conditional requests and ranges as in RFC 9110 §13 and §14. */
#ifndef BITNET_HTTP_SELECT_H
#define BITNET_HTTP_SELECT_H

#include "http/reply.h"

/* Given a->total, a->etag and a->ranges, sets a->status and a->body.at/end:
 *   304 when If-None-Match names the ETag; 206 for one satisfiable range; 416 for one that begins
 * past the end; otherwise 200 and everything, also for several ranges, units other than bytes, a
 * range that does not parse, HEAD, and an If-Range that is not this ETag. */
void http_select(http_answer *a, const http_head *head);

#endif
