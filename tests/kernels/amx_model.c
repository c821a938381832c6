/* amx_model.c: the tile instructions of the AMX kernels on a machine without AMX. There each of
 * them raises SIGILL; the handler decodes it, does what the Intel SDM (vol. 2, operation sections)
 * says and steps over it. So it is the product's machine code that is checked, order of loads and
 * stores included.
 *
 * What the processor would refuse with #UD or #GP ends the program with a sentence. Tile memory is
 * read and written by C code here, which the address sanitizer watches.
 */
#define _GNU_SOURCE /* REG_RIP */
#include "check.h"

#include "bitnet/backend.h"

#if BITNET_ARCH_X86 && defined(__linux__)
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum { N_TILES = 8, MAX_ROWS = 16, ROW_BYTES = 64 }; /* palette 1 */

typedef struct tile {
    uint32_t rows, colsb; /* both 0: not configured */
    uint8_t data[MAX_ROWS][ROW_BYTES];
} tile;
static tile tiles[N_TILES];

static void must(bool ok, const char *rule) {
    if (ok) return;
    fprintf(stderr, "FAILED amx model: %s\n", rule); /* never raised inside stdio */
    abort();
}

static tile *at(uint32_t i) {
    must(i < N_TILES && tiles[i].rows, "a tile is used that is not configured");
    return &tiles[i];
}

/* ---- operations ------------------------------------------------------------------------------ */

static void ldtilecfg(const uint8_t *c) {
    uint32_t unused = c[1]; /* start_row is for interrupted loads */
    must(c[0] == 1, "ldtilecfg: the palette is not 1");
    for (int i = 2; i < 16; i++)
        unused |= c[i];
    for (int i = 16 + 2 * N_TILES; i < 48; i++)
        unused |= c[i];
    for (int i = 48 + N_TILES; i < 64; i++)
        unused |= c[i];
    must(!unused, "ldtilecfg: a reserved byte is not 0");
    memset(tiles, 0, sizeof tiles);
    for (int i = 0; i < N_TILES; i++) {
        tiles[i].colsb = c[16 + 2 * i] | (uint32_t)c[17 + 2 * i] << 8;
        tiles[i].rows = c[48 + i];
        must(tiles[i].rows <= MAX_ROWS && tiles[i].colsb <= ROW_BYTES,
             "ldtilecfg: a tile is too large");
        must(!tiles[i].rows == !tiles[i].colsb, "ldtilecfg: a tile has rows or columns only");
    }
}

static void tileload(tile *t, const uint8_t *base, ptrdiff_t stride) {
    memset(t->data, 0, sizeof t->data);
    for (uint32_t r = 0; r < t->rows; r++)
        memcpy(t->data[r], base + (ptrdiff_t)r * stride, t->colsb);
}

static void tilestore(const tile *t, uint8_t *base, ptrdiff_t stride) {
    for (uint32_t r = 0; r < t->rows; r++)
        memcpy(base + (ptrdiff_t)r * stride, t->data[r], t->colsb);
}

/* c[m][n] += sum of a[m][4 k + i] * b[k][4 n + i]: a signed, b unsigned */
static void tdpbsud(tile *c, const tile *a, const tile *b) {
    must(c != a && c != b && a != b, "tdpbsud: a tile is used twice");
    must(a->colsb % 4 == 0 && b->colsb % 4 == 0, "tdpbsud: columns are not whole");
    must(c->rows == a->rows && c->colsb == b->colsb && a->colsb / 4 == b->rows,
         "tdpbsud: shapes do not match");
    for (uint32_t m = 0; m < c->rows; m++)
        for (uint32_t n = 0; n < c->colsb / 4; n++) {
            uint32_t sum;
            memcpy(&sum, &c->data[m][4 * n], 4);
            for (uint32_t k = 0; k < b->rows; k++)
                for (uint32_t i = 0; i < 4; i++)
                    sum += (uint32_t)((int8_t)a->data[m][4 * k + i] * b->data[k][4 * n + i]);
            memcpy(&c->data[m][4 * n], &sum, 4);
        }
}

/* ---- decoding (SDM vol. 2, 2.1.3 and 2.3.5) -------------------------------------------------- */

typedef struct insn {
    const uint8_t *next; /* behind what was read so far */
    greg_t *regs;
    uint32_t rex; /* R, X, B as 4, 2, 1 */
    uint32_t mod, reg, rm, vvvv;
    intptr_t base, stride; /* of the memory operand: base + displacement, index * scale */
} insn;

static intptr_t reg_value(const insn *in, uint32_t i) {
    static const int names[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};
    return (intptr_t)in->regs[names[i]];
}

static int32_t displacement(insn *in, size_t size) {
    int32_t d = 0;
    if (size == 1) d = (int8_t)*in->next;
    if (size == 4) memcpy(&d, in->next, 4);
    in->next += size;
    return d;
}

static void decode_memory(insn *in) {
    const size_t size = in->mod == 0 ? 0 : in->mod == 1 ? 1 : 4;
    in->stride = 0;
    if (in->rm == 4) {
        const uint32_t sib = *in->next++, base = sib & 7,
                       index = (sib >> 3 & 7) | (in->rex & 2) << 2;
        const bool has_base = base != 5 || in->mod;
        in->base = has_base ? reg_value(in, base | (in->rex & 1) << 3) : 0;
        if (index != 4) in->stride = reg_value(in, index) * (1 << (sib >> 6));
        in->base += displacement(in, has_base ? size : 4);
    } else if (in->rm == 5 && !in->mod) {
        in->base = displacement(in, 4); /* not in one sum: next moves */
        in->base += (intptr_t)in->next;
    } else {
        in->base = reg_value(in, in->rm | (in->rex & 1) << 3);
        in->base += displacement(in, size);
    }
}

/* False: not one of ours. */
static bool run_insn(insn *in, const uint8_t *p) {
    enum { NONE, X66, XF3, XF2 };
    if (p[0] != 0xc4 || (p[1] & 0x1f) != 2 || (p[2] & 0x84)) return false;
    const uint32_t op = (uint32_t)p[3] << 4 | (p[2] & 3), modrm = p[4];
    in->rex = (uint32_t)~p[1] >> 5 & 7;
    in->vvvv = (uint32_t)~p[2] >> 3 & 15;
    in->mod = modrm >> 6, in->reg = modrm >> 3 & 7, in->rm = modrm & 7;
    in->next = p + 5;
    if (in->mod != 3) decode_memory(in);
    const bool has_sib = in->mod != 3 && in->rm == 4;

    if (op == (0x490 | NONE) && in->mod != 3 && !in->reg) {
        ldtilecfg((const uint8_t *)(in->base + in->stride));
    } else if (op == (0x490 | NONE) && modrm == 0xc0) {
        memset(tiles, 0, sizeof tiles); /* tilerelease */
    } else if (op == (0x490 | XF2) && in->mod == 3 && !in->rm) {
        memset(at(in->reg)->data, 0, sizeof tiles[0].data); /* tilezero */
    } else if ((op == (0x4b0 | XF2) || op == (0x4b0 | X66)) && has_sib) {
        tileload(at(in->reg), (const uint8_t *)in->base, in->stride); /* tileloadd, tileloaddt1 */
    } else if (op == (0x4b0 | XF3) && has_sib) {
        tilestore(at(in->reg), (uint8_t *)in->base, in->stride);
    } else if (op == (0x5e0 | XF3) && in->mod == 3) {
        tdpbsud(at(in->reg), at(in->rm), at(in->vvvv));
    } else {
        return false;
    }
    return true;
}

static void on_sigill(int sig, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    insn in = {.regs = u->uc_mcontext.gregs};
    (void)info;
    if (run_insn(&in, (const uint8_t *)u->uc_mcontext.gregs[REG_RIP]))
        u->uc_mcontext.gregs[REG_RIP] = (greg_t)(intptr_t)in.next;
    else
        signal(sig, SIG_DFL); /* it happens again, and ends the program */
}

/* Where a CPU has tiles that the system withholds, only some of the instructions would trap. */
bool check_amx_model_start(uint32_t flags) {
    uint32_t a, b, c, d;
    if (!(flags & BITNET_CPU_AVX512VNNI) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (d & 1u << 24) return false; /* AMX-TILE */
    struct sigaction act = {.sa_sigaction = on_sigill, .sa_flags = SA_SIGINFO};
    return sigaction(SIGILL, &act, NULL) == 0;
}

bool check_amx_model_stop(void) {
    signal(SIGILL, SIG_DFL);
    for (int i = 0; i < N_TILES; i++)
        if (tiles[i].rows) return false;
    return true;
}

#else

bool check_amx_model_start(uint32_t flags) {
    (void)flags;
    return false;
}

bool check_amx_model_stop(void) {
    return true;
}

#endif
