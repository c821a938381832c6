/* routes.c: the table of resources; see routes.h. Whatever is not in it is a file of the web root.
 */
#include "http/routes.h"
#include "http/select.h"
#include "http/static_files.h"
#include "http/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

typedef void route_fn(http_answer *a, const http_head *head, const http_site *site);

static bool is_path(const http_head *head, const char *path) {
    return head->path.n == strlen(path) && memcmp(head->path.p, path, head->path.n) == 0;
}

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

/* "/?token=..." and "/dashboard/?token=...": what a person opens. The token goes into a cookie and out of
 * the address, where it would be seen. */
static bool answer_sign_in(http_answer *a, const http_head *head, const http_site *site) {
    http_span given = http_query_value(head->query, "token");
    bool is_page = is_path(head, "/") || is_path(head, "/dashboard/");
    if (!site->token || !is_page || !given.p) return false;
    if (http_token_is(given, site->token)) {
        http_answer_text(a, 303, "You are signed in.");
        snprintf(a->location, sizeof a->location, "%.*s", (int)head->path.n, head->path.p);
        http_token_cookie(a->cookie, site->token);
    } else {
        http_answer_text(a, 401, "This is not the token of this server.");
    }
    a->no_store = true;
    return true;
}

static void answer_file(http_answer *a, const http_head *head, const http_site *site) {
    if (answer_sign_in(a, head, site)) return;
    if (site->web_root)
        http_static_answer(a, head, site->web_root);
    else
        http_answer_text(a, 503,
                         "The web page is not built. Build it with ./start --build-only, or name "
                         "its folder with bitnet serve --web-root DIR.");
}

static void answer_data(http_answer *a, const http_head *head, http_data_fn *make, void *ctx) {
    if (make)
        make(ctx, a, head);
    else
        http_answer_text(a, 404, "This server keeps no history.");
}

static void answer_stats(http_answer *a, const http_head *head, const http_site *site) {
    answer_data(a, head, site->data.stats, site->data.ctx);
}
static void answer_history(http_answer *a, const http_head *head, const http_site *site) {
    answer_data(a, head, site->data.history, site->data.history_ctx);
}
static void answer_export(http_answer *a, const http_head *head, const http_site *site) {
    answer_data(a, head, site->data.export_run, site->data.history_ctx);
}
static void answer_metrics(http_answer *a, const http_head *head, const http_site *site) {
    answer_data(a, head, site->data.metrics, site->data.ctx);
}
static void answer_health(http_answer *a, const http_head *head, const http_site *site) {
    answer_data(a, head, site->data.health, site->data.ctx);
}

/* The chat page is "/" and the dashboard "/dashboard": both are folders of the web root. */
static const struct route {
    const char *path;
    route_fn *answer;
    bool needs_token; /* where there is one */
} routes[] = {
    {"/health/live", answer_live, false},       {"/models/bitnet-tales.gguf", answer_model, false},
    {"/health", answer_health, true},           {"/metrics", answer_metrics, true},
    {"/performance/stats", answer_stats, true}, {"/performance/history", answer_history, true},
    {HTTP_POST_PATH, answer_export, true},
};

static void answer_route(http_answer *a, const http_head *head, const http_site *site,
                         const struct route *r) {
    if (r->needs_token && site->token && !http_is_authorised(head, site->token)) {
        http_answer_text(a, 401,
                         "This server asks for its token: open the address that it printed when it "
                         "started, or send Authorization: Bearer TOKEN.");
        a->no_store = true;
    } else if (is_path(head, HTTP_POST_PATH) && !head->is_post) {
        http_answer_text(a, 405, "This is asked for with POST.");
        a->allow = "POST";
    } else {
        r->answer(a, head, site);
    }
}

void http_route(http_answer *a, const http_head *head, const http_site *site) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!is_path(head, routes[i].path)) continue;
        answer_route(a, head, site, &routes[i]);
        return;
    }
    answer_file(a, head, site);
}

void http_site_set_model(http_site *site, const void *bytes, size_t n) {
    site->model = bytes;
    site->model_size = n;
    snprintf(site->model_etag, sizeof site->model_etag, "\"%016" PRIx64 "\"", hash_fnv1a(bytes, n));
}
