/* monitor_rapl.c: joules that processor packages and their memory used, from the counters that the kernel shows as
 * powercap zones (Documentation/power/powercap): intel-rapl:P is a package, intel-rapl:P:S a part of one. The
 * kernel names them so on AMD's processors, too. Since the counters tell what others compute (CVE-2020-8694),
 * only the superuser may read them on most systems.
 *
 * The zone "psys" (the whole board) and intel-rapl-mmio (the same counters by another way) are passed over, or
 * energy would be counted twice. A counter that runs over starts again at 0.
 */
#include <stdio.h>
#include <string.h>

#include "monitor_source.h"

#define MAX_ZONES 8
#define MAX_PARTS 8
#define MAX_WATTS                                                                                  \
    10000.0 /* of one zone; more is a counter that was set back, by suspending for instance */

typedef struct zone {
    monitor_file energy;    /* in uJ */
    uint64_t range, before; /* the largest value of the counter; the last one */
} zone;

typedef struct rapl {
    zone zone[MAX_ZONES];
    int32_t n;
} rapl;

/* The zone's name, at most 31 bytes; false: there is no such zone. */
static bool read_name(char out[32], const char *root, const char *dir) {
    monitor_file f = {0};
    bool is_there = monitor_file_open(&f, root, NULL, "%s/name", dir) == BITNET_OK &&
                    monitor_file_read(&f, out, 32, NULL) == BITNET_OK;
    monitor_file_close(&f);
    return is_there;
}

static bitnet_status open_zone(rapl *r, const char *root, const char *dir, bitnet_error *err) {
    zone *z = &r->zone[r->n];
    monitor_file range = {0};
    bitnet_status st = monitor_file_open(&range, root, err, "%s/max_energy_range_uj", dir);
    if (st >= 0) st = monitor_file_number(&range, &z->range, err);
    monitor_file_close(&range);
    if (st >= 0) st = monitor_file_open(&z->energy, root, err, "%s/energy_uj", dir);
    if (st >= 0) r->n++;
    return st;
}

/* All zones whose name begins so. */
static bitnet_status open_zones(rapl *r, const char *root, const char *prefix, bitnet_error *err) {
    char package[64], part[96], name[32];
    for (int p = 0; p < MAX_ZONES; p++) {
        snprintf(package, sizeof package, "/sys/class/powercap/intel-rapl:%d", p);
        if (!read_name(name, root, package)) break;
        snprintf(part, sizeof part, "%s", package);
        for (int s = 0;; s++) {
            bitnet_status st = BITNET_OK;
            if (r->n < MAX_ZONES && !strncmp(name, prefix, strlen(prefix)))
                st = open_zone(r, root, part, err);
            if (st < 0) return st;
            snprintf(part, sizeof part, "%s:%d", package, s);
            if (s == MAX_PARTS || !read_name(name, root, part)) break;
        }
    }
    if (r->n > 0) return BITNET_OK;
    return bitnet_fail(err, BITNET_E_NOENT, "monitor.rapl",
                       "/sys/class/powercap has no zone intel-rapl whose name begins with \"%s\"",
                       prefix);
}

static bitnet_status open_packages(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_zones(state, desc->root, "package", err);
}

static bitnet_status open_dram(void *state, const monitor_desc *desc, bitnet_error *err) {
    return open_zones(state, desc->root, "dram", err);
}

static bitnet_status read_zones(rapl *r, const monitor_tick *tick, bitnet_metric metric,
                                bitnet_error *err) {
    double joules = 0;
    bool is_known = tick->seconds > 0;
    for (int32_t i = 0; i < r->n; i++) {
        zone *z = &r->zone[i];
        uint64_t now;
        bitnet_status st = monitor_file_number(&z->energy, &now, err);
        if (st < 0) return st;
        if (now > z->range)
            return monitor_file_garbled(&z->energy, "a value within max_energy_range_uj", err);
        uint64_t used = now >= z->before ? now - z->before : z->range - z->before + now;
        z->before = now;
        is_known = is_known && (double)used * 1e-6 <= MAX_WATTS * tick->seconds;
        joules += (double)used * 1e-6;
    }
    if (is_known) monitor_push(tick, metric, joules);
    return BITNET_OK;
}

static bitnet_status read_packages(void *state, const monitor_tick *tick, bitnet_error *err) {
    return read_zones(state, tick, BITNET_METRIC_ENERGY_CPU, err);
}

static bitnet_status read_dram(void *state, const monitor_tick *tick, bitnet_error *err) {
    return read_zones(state, tick, BITNET_METRIC_ENERGY_DRAM, err);
}

static void close_zones(void *state) {
    rapl *r = state;
    for (int32_t i = 0; i < r->n; i++)
        monitor_file_close(&r->zone[i].energy);
}

#define PLACE "/sys/class/powercap/intel-rapl:*"
const monitor_source monitor_packages = {
    "energy of the processors", PLACE, sizeof(rapl), open_packages, read_packages, close_zones};
const monitor_source monitor_dram = {
    "energy of the memory", PLACE, sizeof(rapl), open_dram, read_dram, close_zones};
