/* os_cores.c: see os_cores.h. Linux tells the rest in text files; other systems have none of them.
 *
 *   core types   /sys/devices/cpu_core/cpus beside cpu_atom/cpus (Intel hybrid: the perf events of each
 *                type), or cpuN/cpu_capacity (ARM; 1024 is the largest core)
 *   siblings     cpuN/topology/thread_siblings_list
 *   quota        /proc/self/cgroup, then cpu.max (v2) or cpu.cfs_quota_us (v1) of each group up to the
 *                root: the kernel holds a process to all of them
 */
#define _GNU_SOURCE /* sched_getaffinity, CPU_ALLOC */
#include "os_cores.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#define PATH_CAP 4096
#define CPU_DIR  "/sys/devices/system/cpu/cpu"

/* A core with less than half of the largest one's capacity is a small one: of three kinds (1024, 800,
 * 250) the upper two work together, of two kinds (1024, 400) one. */
#define SMALL_CORE 2

void bitnet_os_cpu_set_add(bitnet_os_cpu_set *s, int32_t cpu) {
    if (cpu >= 0 && cpu < OS_CPUS_MAX) s->word[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

bool bitnet_os_cpu_set_has(const bitnet_os_cpu_set *s, int32_t cpu) {
    return cpu >= 0 && cpu < OS_CPUS_MAX && (s->word[cpu / 64] >> cpu % 64 & 1);
}

static int32_t count(const bitnet_os_cpu_set *s) {
    int32_t n = 0;
    for (int32_t i = 0; i < OS_CPUS_MAX; i++)
        n += bitnet_os_cpu_set_has(s, i);
    return n;
}

/* ---- small text files ----------------------------------------------------------------------------- */

typedef struct text {
    char s[PATH_CAP];
} text;

static bool read_text(text *out, const char *fmt, ...) BITNET_PRINTF(2, 3);
static bool read_text(text *out, const char *fmt, ...) {
    char path[PATH_CAP];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(path, sizeof path, fmt, args);
    va_end(args);
    FILE *f = len > 0 && len < PATH_CAP ? fopen(path, "re") : NULL;
    if (!f) return false;
    size_t n = fread(out->s, 1, sizeof out->s - 1, f);
    out->s[n] = 0;
    fclose(f);
    return n > 0;
}

/* "0-5,8,10-13\n"; what is no number ends it. */
static bitnet_os_cpu_set parse_list(const char *at) {
    bitnet_os_cpu_set s = {{0}};
    for (char *end; *at; at = *end == ',' ? end + 1 : "") {
        long first = strtol(at, &end, 10), last = first;
        if (end == at) break;
        if (*end == '-') last = strtol(end + 1, &end, 10);
        if (last >= OS_CPUS_MAX) last = OS_CPUS_MAX - 1;
        for (long i = first < 0 ? 0 : first; i <= last; i++)
            bitnet_os_cpu_set_add(&s, (int32_t)i);
    }
    return s;
}

/* ---- kinds of cores ------------------------------------------------------------------------------- */

static int32_t capacity_of(const char *root, int32_t cpu) {
    text t;
    return read_text(&t, "%s" CPU_DIR "%" PRId32 "/cpu_capacity", root, cpu) ? atoi(t.s) : 0;
}

/* Those of the set that are performance cores. A process that was given small ones only uses these. */
static bitnet_os_cpu_set fast_of(const char *root, const bitnet_os_cpu_set *usable) {
    bitnet_os_cpu_set fast = {{0}};
    text core, atom;
    if (read_text(&core, "%s/sys/devices/cpu_core/cpus", root) &&
        read_text(&atom, "%s/sys/devices/cpu_atom/cpus", root)) {
        fast = parse_list(core.s);
        for (int32_t i = 0; i < OS_CPUS_MAX / 64; i++)
            fast.word[i] &= usable->word[i];
    } else {
        int32_t most = 0;
        for (int pass = 0; pass < 2; pass++) /* the largest, then those that are near it */
            for (int32_t i = 0; i < OS_CPUS_MAX; i++) {
                if (!bitnet_os_cpu_set_has(usable, i)) continue;
                int32_t capacity = capacity_of(root, i);
                if (pass == 0 && capacity > most) most = capacity;
                if (pass == 1 && capacity >= most / SMALL_CORE) bitnet_os_cpu_set_add(&fast, i);
            }
    }
    return count(&fast) > 0 ? fast : *usable;
}

/* One CPU of each core: siblings share its ports and its way to memory. */
static int32_t count_cores(const char *root, const bitnet_os_cpu_set *s) {
    bitnet_os_cpu_set seen = {{0}};
    int32_t n = 0;
    for (int32_t i = 0; i < OS_CPUS_MAX; i++) {
        text t;
        if (!bitnet_os_cpu_set_has(s, i) || bitnet_os_cpu_set_has(&seen, i)) continue;
        n++;
        if (!read_text(&t, "%s" CPU_DIR "%" PRId32 "/topology/thread_siblings_list", root, i))
            continue;
        bitnet_os_cpu_set siblings = parse_list(t.s);
        for (int32_t w = 0; w < OS_CPUS_MAX / 64; w++)
            seen.word[w] |= siblings.word[w];
    }
    return n;
}

/* ---- cgroups -------------------------------------------------------------------------------------- */

/* CPUs, rounded up: a thread more than the quota takes its turn, one less leaves some of it. */
static void lower(int32_t *least, long long quota, long long period) {
    if (quota <= 0 || period <= 0) return; /* none: -1, or "max" */
    long long n = quota / period + (quota % period > 0);
    if (n > OS_CPUS_MAX) return;
    if (*least == 0 || n < *least) *least = (int32_t)n;
}

static void look_at_group(int32_t *least, const char *dir, bool is_v2) {
    text quota, period;
    long long q = 0, p = 0;
    if (is_v2) {
        if (read_text(&quota, "%s/cpu.max", dir) && sscanf(quota.s, "%lld %lld", &q, &p) == 2)
            lower(least, q, p);
    } else if (read_text(&quota, "%s/cpu.cfs_quota_us", dir) &&
               read_text(&period, "%s/cpu.cfs_period_us", dir)) {
        lower(least, atoll(quota.s), atoll(period.s));
    }
}

/* The group and all above it. A group that this mount does not show (a container has its own root and
 * may be told the path of the host's) is passed over. */
static void walk_up(int32_t *least, const char *root, const char *mount, const char *group,
                    bool is_v2) {
    char dir[PATH_CAP];
    int len = snprintf(dir, sizeof dir, "%s%s", root, mount);
    if (len < 0 || len >= PATH_CAP) return;
    size_t n_mount = (size_t)len;
    if (!strstr(group, "/..") && strlen(group) < sizeof dir - n_mount) strcpy(dir + n_mount, group);
    for (;;) {
        look_at_group(least, dir, is_v2);
        char *slash = strrchr(dir + n_mount, '/');
        if (!slash) return;
        *slash = 0;
    }
}

static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, word, n) && (at[n] == 0 || at[n] == ',')) return true;
    return false;
}

/* Lines "0::/a/b" (v2) and "4:cpu,cpuacct:/a/b" (v1). */
static int32_t quota_of(const char *root) {
    text t;
    int32_t least = 0;
    if (!read_text(&t, "%s/proc/self/cgroup", root)) t.s[0] = 0;
    walk_up(&least, root, "/sys/fs/cgroup", "", true);
    walk_up(&least, root, "/sys/fs/cgroup/cpu", "", false);
    char *rest;
    for (char *line = strtok_r(t.s, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        if (*++list == 0)
            walk_up(&least, root, "/sys/fs/cgroup", group, true);
        else if (has_word(list, "cpu"))
            walk_up(&least, root, "/sys/fs/cgroup/cpu", group, false);
    }
    return least;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

bitnet_os_cores bitnet_os_cores_read(const char *root, const bitnet_os_cpu_set *usable) {
    bitnet_os_cpu_set fast = fast_of(root, usable);
    bitnet_os_cores c = {.n_usable = count(usable),
                         .n_physical = count_cores(root, usable),
                         .n_fast = count_cores(root, &fast),
                         .quota = quota_of(root)};
    c.n_threads = c.quota > 0 && c.quota < c.n_fast ? c.quota : c.n_fast;
    if (c.n_threads < 1) c.n_threads = 1;
    return c;
}

bitnet_os_cores bitnet_os_cores_here(void) {
    bitnet_os_cpu_set usable = {{0}};
#ifdef __linux__
    size_t size = CPU_ALLOC_SIZE(OS_CPUS_MAX);
    cpu_set_t *set = CPU_ALLOC(OS_CPUS_MAX);
    if (set && sched_getaffinity(0, size, set) == 0)
        for (int32_t i = 0; i < OS_CPUS_MAX; i++)
            if (CPU_ISSET_S((size_t)i, size, set)) bitnet_os_cpu_set_add(&usable, i);
    CPU_FREE(set);
#endif
    for (long i = count(&usable) ? 0 : sysconf(_SC_NPROCESSORS_ONLN); i > 0; i--)
        bitnet_os_cpu_set_add(&usable, (int32_t)(i - 1));
    return bitnet_os_cores_read("", &usable);
}

const char *bitnet_os_cores_why(const bitnet_os_cores *c) {
    if (c->quota > 0 && c->n_threads == c->quota && c->quota < c->n_fast)
        return "what the cgroup's quota allows";
    if (c->n_fast < c->n_physical) return "one per performance core";
    if (c->n_physical < c->n_usable) return "one per core, not per hardware thread";
    return "one per core";
}

const char *bitnet_os_cpu_name(char out[OS_CPU_NAME_MAX]) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, OS_CPU_NAME_MAX, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *name = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !name) continue;
        name += 1 + strspn(name + 1, " \t");
        size_t n = strcspn(name, "\n");
        if (n > 0) snprintf(out, OS_CPU_NAME_MAX, "%.*s", (int)n, name);
        break;
    }
    if (f) fclose(f);
    return out;
}
