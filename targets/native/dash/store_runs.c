/* store_runs.c: which runs there are, and what one row of them says; see store.h. */
#include "dash/store.h"
#include "dash/store_parts.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"

enum { RUNS_LIMIT = 1000 };

static const struct {
    const char *name;
    enum { FIELD_TEXT, FIELD_INT, FIELD_JSON } type;
} run_fields[RUN_N_SHOWN] = {
    [RUN_ID] = {"id", FIELD_TEXT},
    [RUN_INSTANCE] = {"instance", FIELD_TEXT},
    [RUN_NAME] = {"name", FIELD_TEXT},
    [RUN_BACKEND] = {"backend", FIELD_TEXT},
    [RUN_TIER] = {"tier", FIELD_TEXT},
    [RUN_THREADS] = {"threads", FIELD_INT},
    [RUN_MODEL] = {"model", FIELD_TEXT},
    [RUN_HOST] = {"host", FIELD_TEXT},
    [RUN_BUILD] = {"build", FIELD_TEXT},
    [RUN_EPOCH] = {"epoch", FIELD_INT},
    [RUN_T_MS] = {"t_ms", FIELD_INT},
    [RUN_STARTED_MS] = {"started_ms", FIELD_INT},
    [RUN_LAST_T_MS] = {"last_t_ms", FIELD_INT},
    [RUN_HEARD_MS] = {"heard_ms", FIELD_INT},
    [RUN_ENDED_MS] = {"ended_ms", FIELD_INT},
    [RUN_REASON] = {"reason", FIELD_TEXT},
    [RUN_LAST_SEQ] = {"last_seq", FIELD_INT},
    [RUN_EXPECTED] = {"expected", FIELD_JSON},
};

/* NULL when out of memory. */
static cJSON *run_object(const db_driver *d, db_rows *rows) {
    cJSON *o = cJSON_CreateObject();
    bool ok = o != NULL;
    for (int i = 0; i < RUN_N_SHOWN && ok; i++) {
        const char *name = run_fields[i].name;
        cJSON *value = NULL;
        if (d->is_null(rows, i)) continue;
        if (run_fields[i].type == FIELD_TEXT)
            value = cJSON_CreateString(d->get_text(rows, i));
        else if (run_fields[i].type == FIELD_INT)
            value = cJSON_CreateNumber((double)d->get_int(rows, i));
        else
            value = cJSON_Parse(d->get_text(rows, i));
        ok = value && cJSON_AddItemToObjectCS(o, name, value);
        if (!ok) cJSON_Delete(value);
    }
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}

bitnet_status store_runs(store *s, const store_filter *f, cJSON **out, bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    *out = cJSON_CreateArray();
    if (!*out) return store_no_memory(err);
    bitnet_status st =
        STORE_SELECT(s, &rows, err, RUNS, db_i(f->since_ms), db_t(f->name ? f->name : ""),
                     db_t(f->model ? f->model : ""), db_i(f->limit > 0 ? f->limit : RUNS_LIMIT));
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        cJSON *o = run_object(d, rows);
        if (o && cJSON_AddItemToArray(*out, o)) continue;
        d->end(rows);
        st = store_no_memory(err);
    }
    if (st >= 0) return BITNET_OK;
    cJSON_Delete(*out);
    *out = NULL;
    return st;
}

static bitnet_status no_run(const char *word, bitnet_error *err) {
    bitnet_escaped e;
    return bitnet_fail(err, BITNET_E_NOENT, "store.run.none",
                       "the history has no run \"%s\"; bitnet history list shows all",
                       bitnet_escape(&e, word, strlen(word)));
}

bitnet_status store_read_run(store *s, const char *id, cJSON **header, run_place *place,
                             bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bitnet_status st = STORE_SELECT(s, &rows, err, RUN, db_t(id));
    if (st >= 0) st = d->next(rows, err);
    if (st == BITNET_DONE) return no_run(id, err);
    if (st < 0) return st;
    if (place)
        *place = (run_place){.number = d->get_int(rows, RUN_NUMBER),
                             .t_ms = d->get_int(rows, RUN_T_MS),
                             .last_t_ms = d->get_int(rows, RUN_LAST_T_MS),
                             .last_seq = d->get_int(rows, RUN_LAST_SEQ),
                             .rolled_seq = d->get_int(rows, RUN_ROLLED_SEQ),
                             .raw_gone_ms = d->get_int(rows, RUN_RAW_GONE_MS),
                             .minute_gone_ms = d->get_int(rows, RUN_MINUTE_GONE_MS)};
    if (header) *header = run_object(d, rows);
    d->end(rows);
    return header && !*header ? store_no_memory(err) : BITNET_OK;
}

bitnet_status store_run(store *s, const char *id, cJSON **out, bitnet_error *err) {
    *out = NULL;
    return store_read_run(s, id, out, NULL, err);
}

bitnet_status store_run_totals(store *s, const char *id, store_totals *out, bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bitnet_status st = STORE_SELECT(s, &rows, err, RUN_TOTALS, db_t(id));
    if (st >= 0) st = d->next(rows, err);
    if (st == BITNET_DONE) return no_run(id, err);
    if (st < 0) return st;
    *out = (store_totals){.samples = d->get_int(rows, 0), .lost_samples = d->get_int(rows, 1)};
    d->end(rows);
    return BITNET_OK;
}

bitnet_status store_find_run(store *s, const char *word, char id[STORE_RUN_MAX],
                             bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bool is_latest = strcmp(word, "latest") == 0;
    char upper[STORE_RUN_MAX];
    size_t n = strlen(word);
    if (n == 0 || n >= sizeof upper) return no_run(word, err);
    for (size_t i = 0; i <= n; i++)
        upper[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 'a' + 'A' : word[i]);
    bitnet_status st = is_latest ? d->select(s->db, &rows, SQL_RUN_LATEST, NULL, 0, err)
                                 : STORE_SELECT(s, &rows, err, RUN_BY_PREFIX, db_t(upper));
    if (st >= 0) st = d->next(rows, err);
    if (st != BITNET_OK) return st < 0 ? st : no_run(word, err);
    strncpy(id, d->get_text(rows, 0), STORE_RUN_MAX - 1);
    id[STORE_RUN_MAX - 1] = '\0';
    st = d->next(rows, err);
    if (st != BITNET_OK) return st < 0 ? st : BITNET_OK;
    bitnet_fail(err, BITNET_E_INVAL, "store.run.ambiguous",
                "\"%s\" is the beginning of several runs, among them %s and %s", upper, id,
                d->get_text(rows, 0));
    d->end(rows);
    return BITNET_E_INVAL;
}
