/* export.c: see export.h. */
#define _POSIX_C_SOURCE 200809L /* ftello */
#include "dash/export.h"

#include <inttypes.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"

static const cJSON *get(const cJSON *o, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static const char *text(const cJSON *o, const char *name) {
    const char *s = cJSON_GetStringValue(get(o, name));
    return s ? s : "";
}

static bool print_line(export_writing *w, const cJSON *message, const char *end) {
    char *line = cJSON_PrintUnformatted(message);
    if (!line) return w->has_memory = false;
    fprintf(w->out, "%s%s", line, end);
    cJSON_free(line);
    return !ferror(w->out);
}

/* --- csv --- */

/* RFC 4180; OWASP's rule against formulas. */
static void print_cell(FILE *out, const char *s) {
    bool is_formula = *s && strchr("=+-@\t\r", *s);
    if (!is_formula && !strpbrk(s, ",\"\r\n")) {
        fputs(s, out);
        return;
    }
    fputs(is_formula ? "\"'" : "\"", out);
    for (; *s; s++) {
        if (*s == '"') putc('"', out);
        putc(*s, out);
    }
    putc('"', out);
}

static void print_number(FILE *out, const cJSON *o, const char *name) {
    char *s = cJSON_PrintUnformatted(get(o, name));
    fprintf(out, ",%s", s ? s : "");
    cJSON_free(s);
}

static void print_sample(export_writing *w, const cJSON *window, const char *metric,
                         const cJSON *v) {
    static const char *const numbers[] = {"n", "sum", "min", "max", "last"};
    const cJSON *row, *unit = NULL;
    cJSON_ArrayForEach(row, get(w->hello, "metrics")) {
        if (!strcmp(text(row, "name"), metric)) unit = row;
    }
    char *labels = get(v, "labels") ? cJSON_PrintUnformatted(get(v, "labels")) : NULL;
    const char *cells[] = {w->id, text(w->hello, "name"), metric, text(unit, "unit"),
                           labels ? labels : ""};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        if (i) putc(',', w->out);
        print_cell(w->out, cells[i]);
    }
    cJSON_free(labels);
    print_number(w->out, window, "seq");
    print_number(w->out, window, "t_ms");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        print_number(w->out, v, numbers[i]);
    fputs("\r\n", w->out);
}

static bool export_rows(export_writing *w, const cJSON *message) {
    const cJSON *v;
    if (!strcmp(text(message, "type"), "hello")) {
        w->hello = cJSON_Duplicate(message, true);
        return w->has_memory = w->hello != NULL;
    }
    cJSON_ArrayForEach(v, get(message, "m")) print_sample(w, message, v->string, v);
    cJSON_ArrayForEach(v, get(message, "s")) print_sample(w, message, text(v, "name"), v);
    return !ferror(w->out);
}

/* --- all formats --- */

static bool export_message(void *user, const cJSON *message) {
    export_writing *w = user;
    w->is_full = w->bytes_max && ftello(w->out) > w->bytes_max;
    if (w->is_full) return false;
    if (w->is_unwanted && w->is_unwanted(w->user)) return false;
    if (w->format == EXPORT_CSV) return export_rows(w, message);
    if (w->format == EXPORT_JSONL) return print_line(w, message, "\n");
    if (!w->is_first) putc(',', w->out);
    w->is_first = false;
    return print_line(w, message, "");
}

void export_begin(export_writing *w, FILE *out, export_format format, int64_t bytes_max) {
    *w = (export_writing){.out = out, .format = format, .bytes_max = bytes_max, .has_memory = true};
    if (format == EXPORT_CSV)
        fputs("run,name,metric,unit,labels,seq,t_ms,n,sum,min,max,last\r\n", out);
    if (format == EXPORT_JSON) putc('[', out);
}

bitnet_status export_run(export_writing *w, store *s, const char *id, bitnet_error *err) {
    cJSON *header = NULL;
    bitnet_status st = store_run(s, id, &header, err);
    if (st < 0) return st;
    w->id = id;
    w->is_first = true;
    if (w->format == EXPORT_JSON) {
        fputs(w->n_runs++ == 0 ? "{\"run\":" : ",{\"run\":", w->out);
        print_line(w, header, ",\"messages\":[");
    }
    cJSON_Delete(header);
    int kinds = w->format == EXPORT_CSV ? STORE_HELLO | STORE_WINDOW : STORE_ALL;
    st = store_replay(s, id, kinds, export_message, w, err);
    if (w->format == EXPORT_JSON) fputs("]}", w->out);
    cJSON_Delete(w->hello);
    w->hello = NULL;
    if (st >= 0 && !w->has_memory)
        st = bitnet_fail(err, BITNET_E_NOMEM, "history.memory", "no memory for a message");
    if (st >= 0 && w->is_full)
        st = bitnet_fail(err, BITNET_E_INVAL, "export.size",
                         "this is more than the %" PRId64 " bytes allowed", w->bytes_max);
    return st;
}

void export_end(export_writing *w) {
    if (w->format == EXPORT_JSON) fputs("]\n", w->out);
}
