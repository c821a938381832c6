/* conversation.c: see conversation.h. */
#include "cmd/conversation.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cmd/load.h"

#define FILE_CAP (4u << 20)

static const char *const roles[] = {"system", "user", "assistant"};

/* The literal of a role's name, NULL for any other text. */
static const char *find_role(const char *name) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i], name)) return roles[i];
    return NULL;
}

static void free_content(bitnet_message *m) {
    free((void *)(uintptr_t)m->content); /* ours; const is for the readers of bitnet_message */
    m->content = NULL;
}

static bitnet_status no_memory(bitnet_error *err) {
    return bitnet_fail(err, BITNET_E_NOMEM, "chat.memory", "no memory for the conversation");
}

/* ---- grow and forget ---------------------------------------------------------------------------
 */

void conversation_free(conversation *c) {
    for (int32_t i = 0; i < c->n; i++)
        free_content(&c->msg[i]);
    free(c->msg);
    *c = (conversation){0};
}

/* Takes messages [from, to) out. */
static void erase(conversation *c, int32_t from, int32_t to) {
    for (int32_t i = from; i < to; i++)
        free_content(&c->msg[i]);
    memmove(c->msg + from, c->msg + to, (size_t)(c->n - to) * sizeof *c->msg);
    c->n -= to - from;
}

static bitnet_status insert(conversation *c, int32_t at, const char *role, const char *text,
                            size_t len, bitnet_error *err) {
    if (c->n == c->cap) {
        int32_t cap = c->cap ? 2 * c->cap : 16;
        bitnet_message *bigger = realloc(c->msg, (size_t)cap * sizeof *bigger);
        if (!bigger) return no_memory(err);
        c->msg = bigger, c->cap = cap;
    }
    char *content = malloc(len + 1);
    if (!content) return no_memory(err);
    memcpy(content, text, len);
    content[len] = 0;
    memmove(c->msg + at + 1, c->msg + at, (size_t)(c->n - at) * sizeof *c->msg);
    c->msg[at] = (bitnet_message){find_role(role), content, len};
    c->n++;
    return BITNET_OK;
}

bitnet_status conversation_add(conversation *c, const char *role, const char *text, size_t len,
                               bitnet_error *err) {
    return insert(c, c->n, role, text, len, err);
}

void conversation_drop_last(conversation *c) {
    if (c->n > 0) erase(c, c->n - 1, c->n);
}

bool conversation_has_system(const conversation *c) {
    return c->n > 0 && !strcmp(c->msg[0].role, "system");
}

bitnet_status conversation_set_system(conversation *c, const char *text, bitnet_error *err) {
    bool had_one = conversation_has_system(c);
    if (*text) {
        bitnet_status st = insert(c, 0, "system", text, strlen(text), err);
        if (st < 0) return st;
    }
    if (had_one) erase(c, *text ? 1 : 0, *text ? 2 : 1);
    return BITNET_OK;
}

void conversation_clear(conversation *c) {
    erase(c, conversation_has_system(c), c->n);
}

/* ---- fit ---------------------------------------------------------------------------------------
 */

/* Tokens of the conversation without messages [first, cut); view has room for n messages. */
static int32_t count_tokens(const conversation *c, int32_t first, int32_t cut, bitnet_message *view,
                            const bitnet_model *model, const char *template_name,
                            bitnet_error *err) {
    memcpy(view, c->msg, (size_t)first * sizeof *view);
    memcpy(view + first, c->msg + cut, (size_t)(c->n - cut) * sizeof *view);
    return bitnet_chat_tokenize(model, template_name, view, c->n - (cut - first),
                                BITNET_CHAT_ANSWER, NULL, 0, err);
}

bitnet_status conversation_fit(conversation *c, const bitnet_model *model,
                               const char *template_name, int32_t limit, int32_t *n_forgotten,
                               bitnet_error *err) {
    *n_forgotten = 0;
    int32_t first = conversation_has_system(c), n_cuts = 0, lo = 0;
    bitnet_message *view = malloc((size_t)c->n * (sizeof *view + sizeof(int32_t)));
    if (!view) return no_memory(err);
    int32_t *cuts = (int32_t *)(view + c->n); /* where the rest may begin: at a question */
    for (int32_t i = first; i < c->n; i++)
        if (i == first || !strcmp(c->msg[i].role, "user")) cuts[n_cuts++] = i;
    bitnet_status st = BITNET_OK;
    /* the first cut that fits: the later the cut, the fewer tokens */
    for (int32_t hi = n_cuts - 1; lo < hi && st >= 0;) {
        int32_t middle = lo + (hi - lo) / 2;
        int32_t n = count_tokens(c, first, cuts[middle], view, model, template_name, err);
        if (n < 0)
            st = (bitnet_status)n;
        else if (n <= limit)
            hi = middle;
        else
            lo = middle + 1;
    }
    if (st >= 0 && n_cuts > 0) {
        *n_forgotten = cuts[lo] - first;
        erase(c, first, cuts[lo]);
    }
    free(view);
    return st;
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static char *to_json(const conversation *c, const char *model_name) {
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "messages");
    for (int32_t i = 0; i < c->n; i++) {
        cJSON *m = cJSON_CreateObject();
        cJSON_AddStringToObject(m, "role", c->msg[i].role);
        cJSON_AddStringToObject(m, "content", c->msg[i].content);
        cJSON_AddItemToArray(list, m);
    }
    cJSON_AddStringToObject(o, "model", model_name);
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    return text;
}

bitnet_status conversation_save(const conversation *c, const char *path, const char *model_name,
                                bitnet_error *err) {
    char part[4096];
    int n = snprintf(part, sizeof part, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof part)
        return bitnet_fail(err, BITNET_E_INVAL, "chat.save",
                           "the name of the file has %zu bytes; at most %zu are allowed",
                           strlen(path), sizeof part - sizeof ".part");
    char *text = to_json(c, model_name);
    if (!text) return no_memory(err);
    FILE *f = fopen(part, "w");
    bool is_ok = f && fprintf(f, "%s\n", text) > 0;
    if (f) is_ok = (fclose(f) == 0) && is_ok;
    int reason = errno;
    cJSON_free(text);
    if (is_ok && rename(part, path) == 0) return BITNET_OK;
    if (is_ok) reason = errno;
    if (f) remove(part);
    bitnet_escaped e;
    return bitnet_fail(err, BITNET_E_IO, "chat.save", "%s cannot be written: %s",
                       bitnet_escape(&e, path, strlen(path)), strerror(reason));
}

/* A zero byte, raw or as \u0000, would end a string early and hide what follows it. */
static bool holds_zero_byte(const char *text, size_t len) {
    if (memchr(text, 0, len)) return true;
    for (const char *s = text; (s = strchr(s, '\\')) && s[1]; s += 2)
        if (!strncmp(s, "\\u0000", 6)) return true;
    return false;
}

static bitnet_status add_item(conversation *c, const cJSON *item, bitnet_error *err) {
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(item, "role");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
    if (!cJSON_IsString(role) || !cJSON_IsString(content))
        return bitnet_fail(err, BITNET_E_FORMAT, "chat.load",
                           "message %d has no role and content that are strings", c->n);
    bitnet_escaped e;
    const char *name = find_role(role->valuestring);
    if (!name || (!strcmp(name, "system") && c->n > 0))
        return bitnet_fail(err, BITNET_E_FORMAT, "chat.load",
                           "message %d has the role \"%s\"; user and assistant are allowed, and "
                           "system for message 0",
                           c->n, bitnet_escape(&e, role->valuestring, strlen(role->valuestring)));
    return conversation_add(c, name, content->valuestring, strlen(content->valuestring), err);
}

static bitnet_status add_items(conversation *c, const cJSON *list, bitnet_error *err) {
    const cJSON *item;
    cJSON_ArrayForEach(item, list) {
        bitnet_status st = add_item(c, item, err);
        if (st < 0) return st;
    }
    return BITNET_OK;
}

static bitnet_status from_json(conversation *out, const char *text, size_t len, bitnet_error *err) {
    if (holds_zero_byte(text, len))
        return bitnet_fail(err, BITNET_E_FORMAT, "chat.load", "the file holds a zero byte");
    const char *end = NULL; /* cJSON refuses more than 1000 levels */
    cJSON *o = cJSON_ParseWithOpts(text, &end, true);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "messages");
    bitnet_status st;
    if (!o)
        st = bitnet_fail(err, BITNET_E_FORMAT, "chat.load", "the file is no JSON: see byte %td",
                         end ? end - text : (ptrdiff_t)0);
    else if (!cJSON_IsArray(list))
        st = bitnet_fail(err, BITNET_E_FORMAT, "chat.load",
                         "the file is not an object with an array \"messages\"");
    else
        st = add_items(out, list, err);
    cJSON_Delete(o);
    return st;
}

bitnet_status conversation_load(conversation *out, const char *path, bitnet_error *err) {
    char *text = NULL;
    size_t len = 0;
    bitnet_status st = load_text(&text, &len, path, FILE_CAP, err);
    if (st >= 0) st = from_json(out, text, len, err);
    free(text);
    if (st < 0) conversation_free(out);
    return st;
}
