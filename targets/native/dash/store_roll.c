/* store_roll.c: raw samples into minutes and hours, and what is too old away; see store.h.
 *
 * Rolling up goes by sequence number, not by the clock: run.rolled_seq says up to where the samples
 * of a run are in its minutes and hours, and moves in the transaction that adds them. So nothing is
 * added twice or left out, whatever a producer's clock does and however late its samples come; a
 * minute that is met again is added to. Windows of the minute that is still going on wait.
 *
 * Nothing that was not rolled up is dropped. Where windows were dropped a gap of reason "retention"
 * takes their numbers, so that every number of a run stays accounted for. Ages are by the hub's
 * clock: that of the producer, corrected by how far it was off at its hello. */
#include "dash/store.h"
#include "dash/store_cell.h"
#include "dash/store_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/os.h"

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    IDLE_MS = 2 * MINUTE_MS, /* a run that was silent for so long has no minute going on */
    WINDOWS_MIN = 60,        /* rolled up in one transaction: a row is read and written for each */
    WINDOWS_MAX = 600,       /* series in it, however few its windows are */
    SLICE_MS = 20,           /* what it should take */
    TRIM_WINDOWS = 200,      /* dropped in one transaction */
    TRIM_SERIES = 64,
    TRIM_EVERY_MS = MINUTE_MS,
};

typedef struct span { /* windows [first, last], all of them */
    int64_t first, last;
} span;

static uint64_t now_ms(void) {
    return bitnet_os_now_ns() / 1000000;
}

static int64_t floor_to(int64_t t, int64_t step) {
    return t - (t % step + step) % step;
}

/* --- rolling up --- */

typedef struct level {
    db_sql get, set;
    int64_t step_ms;
} level;
static const level levels[] = {{SQL_GET_MINUTE, SQL_SET_MINUTE, MINUTE_MS},
                               {SQL_GET_HOUR, SQL_SET_HOUR, HOUR_MS}};

typedef struct place { /* a row of a level */
    int64_t run, series, t_ms;
} place;

/* Puts `newer` behind what its minute or hour holds. */
static bitnet_status add_to_level(store *s, const level *l, place at, const store_cell *newer,
                                  bitnet_error *err) {
    const db_driver *d = s->driver;
    const db_value key[] = {db_i(at.run), db_i(at.series), db_i(floor_to(at.t_ms, l->step_ms))};
    store_cell sum = {0};
    db_rows *rows;
    bitnet_status st = d->select(s->db, &rows, l->get, key, 3, err);
    if (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        st = store_cell_add(&sum, d, rows, 0, err);
        d->end(rows);
    }
    if (st >= 0) st = store_cell_merge(&sum, newer, err);
    if (st >= 0)
        st = d->push(s->db, l->set,
                     DB_VALUES(key[0], key[1], key[2], db_i(sum.n), db_r(sum.sum), db_r(sum.min),
                               db_r(sum.max), db_r(sum.last), db_b(sum.blob, sum.blob_size)),
                     err);
    store_cell_clear(&sum);
    return st;
}

typedef struct roll_part { /* windows of one run that end in one minute, in order */
    span w;
    int64_t t_ms;
    int n;
    bool is_end; /* there are no windows behind them */
} roll_part;

static bitnet_status roll_windows(store *s, int64_t run, const roll_part *p, bitnet_error *err) {
    store_cells c = {0};
    bitnet_status st = store_cells_add_raw(&c, s, run, p->w.first, p->w.last, err);
    for (int64_t i = 0; i < c.n && st >= 0; i++)
        for (int l = 0; c.at[i].n && l < 2 && st >= 0; l++)
            st = add_to_level(s, &levels[l], (place){run, i, p->t_ms}, &c.at[i], err);
    store_cells_free(&c);
    return st;
}

typedef struct roll_run {
    int64_t number, rolled_seq, last_seq, last_t_ms;
    bool is_idle;
} roll_run;

static bool is_complete(const roll_run *r, int64_t t_ms) {
    return r->is_idle || floor_to(t_ms, MINUTE_MS) != floor_to(r->last_t_ms, MINUTE_MS);
}

/* The next windows of a run that can be rolled up. */
static bitnet_status next_part(store *s, const roll_run *r, roll_part *p, bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    *p = (roll_part){0};
    bitnet_status st = STORE_SELECT(s, &rows, err, WINDOWS_AFTER, db_i(r->number),
                                    db_i(r->rolled_seq), db_i(s->roll_windows));
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        int64_t seq = d->get_int(rows, 0), t_ms = d->get_int(rows, 1);
        bool is_same = p->n == 0 || floor_to(t_ms, MINUTE_MS) == floor_to(p->t_ms, MINUTE_MS);
        if (!is_same || !is_complete(r, t_ms)) {
            d->end(rows);
            break;
        }
        if (p->n++ == 0) p->w.first = seq;
        p->w.last = seq;
        p->t_ms = t_ms;
    }
    p->is_end = st == BITNET_DONE && p->n < s->roll_windows;
    return st < 0 ? st : BITNET_OK;
}

/* One minute of one run, or a part of it. *did: something was rolled up. */
static bitnet_status roll_run_once(store *s, const roll_run *r, bool *did, bitnet_error *err) {
    roll_part p;
    uint64_t start = now_ms();
    bitnet_status st = next_part(s, r, &p, err);
    if (st >= 0 && p.n) st = roll_windows(s, r->number, &p, err);
    if (st < 0 || (!p.n && !p.is_end)) return st;
    st = STORE_PUSH(s, err, SET_ROLLED, db_i(p.is_end ? r->last_seq : p.w.last), db_i(r->number));
    *did = true;
    uint64_t took = now_ms() - start;
    if (took > SLICE_MS && s->roll_windows > WINDOWS_MIN) s->roll_windows /= 2;
    if (took < SLICE_MS / 4 && s->roll_windows < WINDOWS_MAX) s->roll_windows *= 2;
    return st;
}

static bitnet_status list_to_roll(store *s, int64_t wall_ms, roll_run **out, int *n,
                                  bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    int cap = 0;
    *out = NULL;
    *n = 0;
    bitnet_status st = d->select(s->db, &rows, SQL_RUNS_TO_ROLL, NULL, 0, err);
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        if (*n == cap) {
            cap = cap ? 2 * cap : 64;
            roll_run *more = realloc(*out, (size_t)cap * sizeof *more);
            if (!more) {
                d->end(rows);
                return store_no_memory(err);
            }
            *out = more;
        }
        (*out)[(*n)++] = (roll_run){.number = d->get_int(rows, 0),
                                    .rolled_seq = d->get_int(rows, 1),
                                    .last_seq = d->get_int(rows, 2),
                                    .last_t_ms = d->get_int(rows, 3),
                                    .is_idle = wall_ms - d->get_int(rows, 4) > IDLE_MS};
    }
    return st < 0 ? st : BITNET_OK;
}

static bitnet_status roll_slice(store *s, int64_t wall_ms, bool *did, bitnet_error *err) {
    roll_run *runs;
    int n;
    bitnet_status st = list_to_roll(s, wall_ms, &runs, &n, err);
    for (int i = 0; i < n && st >= 0 && !*did; i++)
        st = roll_run_once(s, &runs[i], did, err);
    free(runs);
    return st;
}

/* --- retention --- */

static int by_seq(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Puts a gap where w was, one with those on either side. */
static bitnet_status leave_gap(store *s, int64_t run, span w, int64_t n, int64_t wall_ms,
                               bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bitnet_status st = STORE_SELECT(s, &rows, err, GAP_BEFORE, db_i(run), db_i(w.first));
    if (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        if (d->get_int(rows, 1) == w.first - 1 && !strcmp(d->get_text(rows, 3), "retention")) {
            w.first = d->get_int(rows, 0);
            n += d->get_int(rows, 2);
        }
        d->end(rows);
    }
    int64_t after = w.last + 1;
    bool is_joined = false;
    if (st >= 0) st = STORE_SELECT(s, &rows, err, GAP_AT, db_i(run), db_i(after));
    if (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        is_joined = !strcmp(d->get_text(rows, 2), "retention");
        if (is_joined) {
            w.last = d->get_int(rows, 0);
            n += d->get_int(rows, 1);
        }
        d->end(rows);
    }
    if (st >= 0 && is_joined) st = STORE_PUSH(s, err, DROP_GAP, db_i(run), db_i(after));
    if (st < 0) return st;
    return STORE_PUSH(s, err, SET_GAP, db_i(run), db_i(w.first), db_i(w.last), db_i(n),
                      db_t("retention"), db_i(wall_ms));
}

static bitnet_status drop_windows(store *s, int64_t run, span w, int64_t wall_ms,
                                  bitnet_error *err) {
    db_rows *rows;
    int64_t n = 0;
    bitnet_status st =
        STORE_SELECT(s, &rows, err, COUNT_RAW, db_i(run), db_i(w.first), db_i(w.last));
    if (st >= 0) st = s->driver->next(rows, err);
    if (st < 0) return st;
    n = s->driver->get_int(rows, 0);
    s->driver->end(rows);
    st = STORE_PUSH(s, err, DROP_RAW, db_i(run), db_i(w.first), db_i(w.last));
    if (st >= 0) st = STORE_PUSH(s, err, DROP_WINDOWS, db_i(run), db_i(w.first), db_i(w.last));
    return st < 0 ? st : leave_gap(s, run, w, n, wall_ms, err);
}

typedef struct trim_run {
    int64_t number, rolled_seq, skew_ms, heard_ms, minute_gone_ms;
} trim_run;

/* The oldest windows of a run that end before `before` (of its clock), *n of them. */
static bitnet_status trim_windows(store *s, const trim_run *r, int64_t before, int64_t wall_ms,
                                  int *n, bitnet_error *err) {
    const db_driver *d = s->driver;
    int64_t seq[TRIM_WINDOWS], newest = 0;
    db_rows *rows;
    *n = 0;
    bitnet_status st = STORE_SELECT(s, &rows, err, OLD_WINDOWS, db_i(r->number), db_i(before),
                                    db_i(r->rolled_seq), db_i(TRIM_WINDOWS));
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        seq[(*n)++] = d->get_int(rows, 0);
        newest = d->get_int(rows, 1);
    }
    if (st < 0 || *n == 0) return st < 0 ? st : BITNET_OK;
    qsort(seq, (size_t)*n, sizeof *seq, by_seq);
    for (int i = 0, end; i < *n && st >= 0; i = end) {
        for (end = i + 1; end < *n && seq[end] == seq[end - 1] + 1;)
            end++;
        st = drop_windows(s, r->number, (span){seq[i], seq[end - 1]}, wall_ms, err);
    }
    return st < 0 ? st : STORE_PUSH(s, err, SET_RAW_GONE, db_i(newest + 1), db_i(r->number));
}

/* Minutes and hours of some series; *n of them. */
static bitnet_status trim_series(store *s, const trim_run *r, int64_t wall_ms, int *n,
                                 bitnet_error *err) {
    const db_driver *d = s->driver;
    int64_t id[TRIM_SERIES], now = wall_ms - r->skew_ms;
    db_rows *rows;
    *n = 0;
    bitnet_status st = STORE_SELECT(s, &rows, err, SERIES_AFTER, db_i(r->number),
                                    db_i(s->trim_series), db_i(TRIM_SERIES));
    while (st >= 0 && (st = d->next(rows, err)) == BITNET_OK)
        id[(*n)++] = d->get_int(rows, 0);
    for (int i = 0; i < *n && st >= 0; i++) {
        s->trim_series = id[i];
        st = STORE_PUSH(s, err, DROP_MINUTES, db_i(r->number), db_i(id[i]),
                        db_i(now - s->keep.minute_ms));
        if (st >= 0)
            st = STORE_PUSH(s, err, DROP_HOURS, db_i(r->number), db_i(id[i]),
                            db_i(now - s->keep.hour_ms));
    }
    return st < 0 ? st : BITNET_OK;
}

static bitnet_status drop_run(store *s, int64_t run, bitnet_error *err) {
    static const db_sql tables[] = {SQL_DROP_RUN_RAW,    SQL_DROP_RUN_WINDOWS, SQL_DROP_RUN_MINUTES,
                                    SQL_DROP_RUN_HOURS,  SQL_DROP_RUN_OPS,     SQL_DROP_RUN_GAPS,
                                    SQL_DROP_RUN_EVENTS, SQL_DROP_RUN_SERIES,  SQL_DROP_RUN_METRICS,
                                    SQL_DROP_RUN};
    bitnet_status st = BITNET_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && st >= 0; i++)
        st = s->driver->push(s->db, tables[i], DB_VALUES(db_i(run)), err);
    store_forget_runs(s);
    return st;
}

/* What is next in the way of one run: windows, then minutes and hours, then all of it. *did stays
 * false when nothing was due. */
static bitnet_status trim_run_once(store *s, const trim_run *r, int64_t wall_ms, bool *did,
                                   bitnet_error *err) {
    int n;
    int64_t now = wall_ms - r->skew_ms, minutes_until = now - s->keep.minute_ms;
    bitnet_status st = trim_windows(s, r, now - s->keep.raw_ms, wall_ms, &n, err);
    *did = n > 0;
    if (st < 0 || *did) return st;
    if (minutes_until >= r->minute_gone_ms + HOUR_MS) { /* not for every minute that gets old */
        st = trim_series(s, r, wall_ms, &n, err);
        *did = true;
        if (st >= 0 && n < TRIM_SERIES)
            st = STORE_PUSH(s, err, SET_MINUTE_GONE, db_i(minutes_until), db_i(r->number));
        return st;
    }
    *did = r->heard_ms < wall_ms - s->keep.hour_ms;
    return *did ? drop_run(s, r->number, err) : BITNET_OK;
}

/* Goes through all runs, a step at a time, about once a minute. */
static bitnet_status trim_slice(store *s, int64_t wall_ms, bool *did, bitnet_error *err) {
    const db_driver *d = s->driver;
    db_rows *rows;
    bitnet_status st = BITNET_OK;
    if (wall_ms < s->next_trim_ms && wall_ms > s->next_trim_ms - 2 * TRIM_EVERY_MS)
        return BITNET_OK;
    while (st >= 0 && !*did) {
        st = STORE_SELECT(s, &rows, err, RUNS_TO_TRIM, db_i(s->trim_run));
        if (st >= 0) st = d->next(rows, err);
        if (st != BITNET_OK) break;
        const trim_run r = {d->get_int(rows, 0), d->get_int(rows, 1), d->get_int(rows, 2),
                            d->get_int(rows, 3), d->get_int(rows, 4)};
        d->end(rows);
        st = trim_run_once(s, &r, wall_ms, did, err);
        if (*did) break;
        s->trim_run = r.number;
        s->trim_series = 0;
    }
    if (st == BITNET_DONE) {
        st = STORE_PUSH(s, err, DROP_EVENTS, db_i(wall_ms - s->keep.hour_ms));
        s->trim_run = s->trim_series = 0;
        s->next_trim_ms = wall_ms + TRIM_EVERY_MS;
    }
    return st < 0 ? st : BITNET_OK;
}

/* Above the limit the oldest windows go, whatever their age; without any, the run that ended first. */
static bitnet_status fit_slice(store *s, int64_t wall_ms, bool *did, bitnet_error *err) {
    const db_driver *d = s->driver;
    uint64_t size = 0;
    db_rows *rows;
    int n = 0;
    bitnet_status st = s->keep.size ? d->size(s->db, &size, err) : BITNET_OK;
    if (st < 0 || size <= s->keep.size) return st;
    st = d->select(s->db, &rows, SQL_RUN_OF_OLDEST_WINDOW, NULL, 0, err);
    if (st >= 0 && (st = d->next(rows, err)) == BITNET_OK) {
        const trim_run r = {.number = d->get_int(rows, 0), .rolled_seq = d->get_int(rows, 1)};
        d->end(rows);
        st = trim_windows(s, &r, INT64_MAX, wall_ms, &n, err);
        *did = n > 0;
        return st;
    }
    if (st >= 0) st = d->select(s->db, &rows, SQL_RUN_HEARD_FIRST, NULL, 0, err);
    if (st < 0 || (st = d->next(rows, err)) != BITNET_OK) return st < 0 ? st : BITNET_OK;
    int64_t run = d->get_int(rows, 0);
    d->end(rows);
    *did = true;
    return drop_run(s, run, err);
}

/* --- both, a transaction at a time --- */

static bitnet_status in_transaction(store *s, int64_t wall_ms, bool *did,
                                    bitnet_status (*slice)(store *, int64_t, bool *,
                                                           bitnet_error *),
                                    bitnet_error *err) {
    bitnet_status st = store_exec(s, "BEGIN", err);
    if (st < 0) return st;
    s->is_in_transaction = true;
    st = slice(s, wall_ms, did, err);
    if (st >= 0) st = store_exec(s, "COMMIT", err);
    if (st >= 0)
        s->is_in_transaction = false;
    else
        store_rollback(s);
    return st;
}

bitnet_status store_maintain(store *s, int64_t wall_ms, uint32_t budget_ms, bitnet_error *err) {
    bitnet_status (*const slices[])(store *, int64_t, bool *,
                                    bitnet_error *) = {roll_slice, trim_slice, fit_slice};
    uint64_t until = now_ms() + budget_ms;
    if (!s->roll_windows) s->roll_windows = 2 * WINDOWS_MIN;
    for (bool did = true; did;) {
        did = false;
        for (size_t i = 0; i < sizeof slices / sizeof *slices && !did; i++) {
            bitnet_status st = in_transaction(s, wall_ms, &did, slices[i], err);
            if (st < 0) return st;
        }
        if (did && now_ms() >= until) return BITNET_OK;
    }
    bitnet_status st = s->driver->shrink(s->db, budget_ms, err);
    return st < 0 ? st : BITNET_DONE;
}
