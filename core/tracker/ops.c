/* ops.c: operations that are open, and what becomes of one that ends.
 *
 * One lock for everything: an operation is begun and ended a few times a second, or a few thousand
 * times, never for each token. Clock and resident memory are read outside of it. An operation's slot
 * is made when it is first needed and kept for the next one.
 */
#include "bitnet/ops.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"
#include "base/utf8.h"
#include "tracker/op_json.h"

#define MISSING ((double)NAN)

struct bitnet_op {
    bitnet_ops *ops;
    bitnet_op *next_free;
    bool is_open;
    bitnet_op_record record; /* points into what follows */
    char type[BITNET_OP_NAME_CAP], strategy[BITNET_OP_NAME_CAP], unit[BITNET_OP_NAME_CAP];
    char error[BITNET_OP_TEXT_CAP];
    bitnet_op_meta meta[BITNET_OP_META_MAX];
    char key[BITNET_OP_META_MAX][BITNET_OP_KEY_CAP];
    char text[BITNET_OP_META_MAX][BITNET_OP_TEXT_CAP];
};

struct bitnet_ops {
    bitnet_allocator allocator;
    bitnet_os_mutex mutex; /* guards all that follows, and every bitnet_op */
    bool with_memory;
    int32_t max_active, n_slots;
    bitnet_op **slot; /* [max_active], n_slots of them made */
    bitnet_op *free;
    uint64_t last_id;
    bitnet_ops_counts counts;
    void (*listener)(void *ctx, const bitnet_op_record *record);
    void *listener_ctx;
    bitnet_op_stats *stats;
};

/* ---- create, free --------------------------------------------------------------------------------
 */

static void free_parts(bitnet_ops *ops) {
    bitnet_allocator a = ops->allocator;
    bitnet_op_stats_free(ops->stats);
    for (int32_t i = 0; i < ops->n_slots; i++)
        bitnet_free(&a, ops->slot[i], sizeof(bitnet_op));
    if (ops->slot) bitnet_free(&a, ops->slot, (size_t)ops->max_active * sizeof(bitnet_op *));
    bitnet_free(&a, ops, sizeof *ops);
}

bitnet_status bitnet_ops_create(bitnet_ops **out, const bitnet_ops_desc *desc) {
    *out = NULL;
    if (desc->max_active < 0 || desc->max_active > BITNET_OP_LIMIT) return BITNET_E_INVAL;
    bitnet_ops *ops = bitnet_alloc(&desc->allocator, sizeof *ops);
    if (!ops) return BITNET_E_NOMEM;
    ops->allocator = desc->allocator;
    ops->with_memory = !desc->without_memory;
    ops->max_active = desc->max_active ? desc->max_active : 64;
    ops->listener = desc->listener;
    ops->listener_ctx = desc->listener_ctx;
    bitnet_op_stats_desc stats = {.max_groups = desc->max_groups,
                                  .max_history = desc->max_history,
                                  .allocator = desc->allocator};
    bitnet_status st = bitnet_op_stats_create(&ops->stats, &stats);
    ops->slot = bitnet_alloc(&ops->allocator, (size_t)ops->max_active * sizeof(bitnet_op *));
    if (st == BITNET_OK && !ops->slot) st = BITNET_E_NOMEM;
    if (st == BITNET_OK) st = bitnet_os_mutex_init(&ops->mutex);
    if (st != BITNET_OK)
        free_parts(ops);
    else
        *out = ops;
    return st;
}

void bitnet_ops_free(bitnet_ops *ops) {
    if (!ops) return;
    for (int32_t i = 0; i < ops->n_slots; i++)
        if (ops->slot[i]->is_open) {
            bitnet_op_fail(ops->slot[i], "never ended");
            bitnet_op_end(ops->slot[i]);
        }
    bitnet_os_mutex_destroy(&ops->mutex);
    free_parts(ops);
}

/* ---- begin and end -------------------------------------------------------------------------------
 */

/* Resident bytes; NaN: unknown, or not wanted */
static double look_up_memory(const bitnet_ops *ops) {
    uint64_t n = ops->with_memory ? bitnet_os_rss() : 0;
    return n ? (double)n : MISSING;
}

static void raise_peak(bitnet_op *op, bitnet_op_peak_kind kind, double value) {
    double *peak = &op->record.peak[kind];
    if (!isnan(value) && !(*peak >= value)) *peak = value;
}

static bitnet_op *take_slot(bitnet_ops *ops) {
    bitnet_op *op = ops->free;
    if (op) {
        ops->free = op->next_free;
    } else if (ops->n_slots < ops->max_active) {
        op = bitnet_alloc_raw(&ops->allocator, sizeof *op);
        if (op) ops->slot[ops->n_slots++] = op;
    }
    return op;
}

static void open_slot(bitnet_op *op, bitnet_ops *ops, const char *type, const char *strategy) {
    op->ops = ops;
    op->is_open = true;
    op->unit[0] = op->error[0] = 0;
    bitnet_utf8_copy(op->type, sizeof op->type, type);
    bitnet_utf8_copy(op->strategy, sizeof op->strategy, strategy);
    bitnet_op_record_init(&op->record);
    op->record.id = ++ops->last_id;
    op->record.type = op->type;
    op->record.strategy = op->strategy;
    op->record.unit = op->unit;
    op->record.error = op->error;
    op->record.meta = op->meta;
    op->record.ok = true;
}

bitnet_op *bitnet_op_begin(bitnet_ops *ops, const char *type, const char *strategy) {
    return bitnet_op_begin_in(ops, NULL, type, strategy);
}

bitnet_op *bitnet_op_begin_in(bitnet_ops *ops, const bitnet_op *parent, const char *type,
                              const char *strategy) {
    if (!ops) return NULL;
    double memory = look_up_memory(ops);
    bitnet_os_mutex_lock(&ops->mutex);
    bitnet_op *op = take_slot(ops);
    if (op) {
        open_slot(op, ops, type, strategy);
        if (parent && parent->ops == ops) op->record.parent = parent->record.id;
        raise_peak(op, BITNET_OP_PEAK_MEMORY, memory);
        ops->counts.n_begun++;
        ops->counts.n_active++;
        op->record.start_ns = bitnet_os_now_ns();
    } else {
        ops->counts.n_unrecorded++;
    }
    bitnet_os_mutex_unlock(&ops->mutex);
    return op;
}

static void set_end(bitnet_op_record *r, uint64_t end_ns) {
    r->end_ns = end_ns;
    r->t_ms = bitnet_os_wall_ms();
    r->duration_s = (double)(end_ns - r->start_ns) / 1e9;
}

void bitnet_op_end(bitnet_op *op) {
    if (!op) return;
    bitnet_ops *ops = op->ops;
    uint64_t end_ns = bitnet_os_now_ns();
    double memory = look_up_memory(ops);
    bitnet_os_mutex_lock(&ops->mutex);
    set_end(&op->record, end_ns);
    raise_peak(op, BITNET_OP_PEAK_MEMORY, memory);
    ops->counts.n_ended++;
    ops->counts.n_active--;
    ops->counts.n_failed += !op->record.ok;
    bitnet_op_stats_add(ops->stats, &op->record);
    if (ops->listener) ops->listener(ops->listener_ctx, &op->record);
    op->is_open = false;
    op->next_free = ops->free;
    ops->free = op;
    bitnet_os_mutex_unlock(&ops->mutex);
}

/* ---- what came of it -----------------------------------------------------------------------------
 */

void bitnet_op_update(bitnet_op *op) {
    if (!op) return;
    double memory = look_up_memory(op->ops);
    bitnet_os_mutex_lock(&op->ops->mutex);
    raise_peak(op, BITNET_OP_PEAK_MEMORY, memory);
    bitnet_os_mutex_unlock(&op->ops->mutex);
}

/* Whether a value may be taken, which is counted when not. The lock is held until leave. */
static bool enter(bitnet_op *op, bool is_allowed) {
    bitnet_os_mutex_lock(&op->ops->mutex);
    op->ops->counts.n_refused += !is_allowed;
    return is_allowed;
}
static void leave(bitnet_op *op) {
    bitnet_os_mutex_unlock(&op->ops->mutex);
}

static bool is_key(const char *key) {
    static const char allowed[] = "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (!key || !key[0] || strspn(key, "0123456789") > 0) return false;
    size_t n = strlen(key);
    return n < BITNET_OP_KEY_CAP && strspn(key, allowed) == n;
}

/* The entry of a key, made if need be; NULL when there is no room. */
static bitnet_op_meta *entry_of(bitnet_op *op, const char *key) {
    int32_t i = 0;
    while (i < op->record.n_meta && strcmp(op->key[i], key) != 0)
        i++;
    if (i == BITNET_OP_META_MAX) {
        op->ops->counts.n_refused++;
        return NULL;
    }
    if (i == op->record.n_meta) {
        op->record.n_meta++;
        bitnet_utf8_copy(op->key[i], sizeof op->key[i], key);
        op->meta[i].key = op->key[i];
    }
    return &op->meta[i];
}

static void set_number(bitnet_op *op, const char *key, double value) {
    bitnet_op_meta *m = entry_of(op, key);
    if (m) m->text = NULL, m->number = value;
}

void bitnet_op_set_number(bitnet_op *op, const char *key, double value) {
    if (!op) return;
    if (enter(op, is_key(key) && isfinite(value))) set_number(op, key, value);
    leave(op);
}

void bitnet_op_set_text(bitnet_op *op, const char *key, const char *text) {
    if (!op) return;
    if (enter(op, is_key(key))) {
        bitnet_op_meta *m = entry_of(op, key);
        if (m) {
            char *at = op->text[m - op->meta];
            bitnet_utf8_copy(at, BITNET_OP_TEXT_CAP, text);
            m->text = at;
            m->number = 0;
        }
    }
    leave(op);
}

void bitnet_op_set_sizes(bitnet_op *op, double input, double output) {
    if (!op) return;
    if (enter(op, isfinite(input) && isfinite(output))) {
        set_number(op, "input_size", input);
        set_number(op, "output_size", output);
        set_number(op, "factor", isfinite(output / input) ? output / input : MISSING);
    }
    leave(op);
}

void bitnet_op_units(bitnet_op *op, double n, const char *unit) {
    if (!op) return;
    char name[BITNET_OP_NAME_CAP];
    bitnet_utf8_copy(name, sizeof name, unit);
    bitnet_os_mutex_lock(&op->ops->mutex);
    bool is_first = isnan(op->record.units);
    double sum = is_first ? n : op->record.units + n;
    if (n >= 0 && isfinite(sum) && (is_first || !strcmp(op->unit, name))) {
        op->record.units = sum;
        memcpy(op->unit, name, sizeof name);
    } else {
        op->ops->counts.n_refused++;
    }
    bitnet_os_mutex_unlock(&op->ops->mutex);
}

void bitnet_op_quality(bitnet_op *op, double quality) {
    if (!op) return;
    if (enter(op, quality >= 0 && quality <= 1)) op->record.quality = quality;
    leave(op);
}

void bitnet_op_peak(bitnet_op *op, bitnet_op_peak_kind kind, double value) {
    if (!op) return;
    bool is_kind = (unsigned)kind < BITNET_OP_PEAK_COUNT;
    if (enter(op, is_kind && value >= 0 && isfinite(value))) raise_peak(op, kind, value);
    leave(op);
}

void bitnet_op_fail(bitnet_op *op, const char *fmt, ...) {
    if (!op) return;
    char text[2 * BITNET_OP_TEXT_CAP]; /* what does not fit is cut below, at a character's end */
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0) text[0] = 0;
    va_end(ap);
    bitnet_os_mutex_lock(&op->ops->mutex);
    if (op->record.ok) bitnet_utf8_copy(op->error, sizeof op->error, text);
    op->record.ok = false;
    bitnet_os_mutex_unlock(&op->ops->mutex);
}

/* ---- what has been recorded ----------------------------------------------------------------------
 */

void bitnet_ops_get_counts(bitnet_ops *ops, bitnet_ops_counts *out) {
    bitnet_os_mutex_lock(&ops->mutex);
    *out = ops->counts;
    bitnet_os_mutex_unlock(&ops->mutex);
}

const bitnet_op_stats *bitnet_ops_lock(bitnet_ops *ops) {
    bitnet_os_mutex_lock(&ops->mutex);
    return ops->stats;
}
void bitnet_ops_unlock(bitnet_ops *ops) {
    bitnet_os_mutex_unlock(&ops->mutex);
}

bool bitnet_ops_get_active(const bitnet_ops *ops, int32_t i, bitnet_op_record *out) {
    for (int32_t k = 0; k < ops->n_slots; k++) {
        if (!ops->slot[k]->is_open || i-- > 0) continue;
        *out = ops->slot[k]->record;
        set_end(out, bitnet_os_now_ns());
        return true;
    }
    return false;
}

size_t bitnet_ops_write_json(bitnet_ops *ops, char *buf, size_t cap) {
    bitnet_json_writer w = {.buf = buf, .cap = cap};
    bitnet_os_mutex_lock(&ops->mutex);
    bitnet_op_stats_put(&w, ops->stats, &ops->counts);
    bitnet_os_mutex_unlock(&ops->mutex);
    return w.len;
}
