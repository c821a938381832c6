/* routes.c: the table of resources; see routes.h. Whatever is not in it is a file of the web root.
 */
#include "http/routes.h"
#include "http/select.h"
#include "http/static_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

typedef void (*route_fn)(http_answer *a, const http_head *head, const http_site *site);

static void answer_live(http_answer *a, const http_head *head, const http_site *site) {
    (void)head;
    (void)site;
    http_answer_text(a, 200, "{\"status\":\"ok\"}");
    a->type = "application/json";
}

static void answer_model(http_answer *a, const http_head *head, const http_site *site) {
    *a = (http_answer){.type = http_mime_type(".gguf"), .ranges = true, .total = site->model_size};
    a->body = (http_body){.mem = site->model, .fd = -1};
    memcpy(a->etag, site->model_etag, sizeof a->etag);
    http_select(a, head);
}

static void answer_file(http_answer *a, const http_head *head, const http_site *site) {
    if (site->web_root)
        http_static_answer(a, head, site->web_root);
    else
        http_answer_text(a, 503,
                         "The web page is not built. Build it with ./start --build-only, or name "
                         "its folder with bitnet serve --web-root DIR.");
}

/* The chat page is "/" and the dashboard "/dashboard": both are folders of the web root. */
static const struct {
    const char *path;
    route_fn answer;
} routes[] = {
    {"/health/live", answer_live},
    {"/models/bitnet-tales.gguf", answer_model},
};

void http_route(http_answer *a, const http_head *head, const http_site *site) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (head->path.n != strlen(routes[i].path)) continue;
        if (memcmp(head->path.p, routes[i].path, head->path.n) != 0) continue;
        routes[i].answer(a, head, site);
        return;
    }
    answer_file(a, head, site);
}

void http_site_set_model(http_site *site, const void *bytes, size_t n) {
    site->model = bytes;
    site->model_size = n;
    snprintf(site->model_etag, sizeof site->model_etag, "\"%016" PRIx64 "\"", hash_fnv1a(bytes, n));
}
