"""Bytes of a tensor -> numbers, for every tensor type that runs.

A decoder takes whole blocks, u8 [n, block_size], and returns f32 [n, block]. `e` below is the element's index in its
block. A ternary decoder returns i8 values in {-1, 0, +1} and the scale apart, because a ternary product is an integer
product (forward.py). Every step is done in f32 where the format says so; f16 to f32 is exact.
"""
import numpy as np


def half(blocks, at):
    """The f16 at byte `at` of each block, as f32 [n, 1]."""
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def f32_values(blocks):
    return blocks.copy().view("<f4")


def f16_values(blocks):
    return blocks.copy().view("<f2").astype(np.float32)


def bf16_values(blocks):
    return (blocks.copy().view("<u2").astype(np.uint32) << 16).view(np.float32)


def q8_0(blocks):
    """d @0, i8 q[32] @2: q * d."""
    return blocks[:, 2:].copy().view(np.int8).astype(np.float32) * half(blocks, 0)


def q4_0(blocks):
    """d @0, u8 b[16] @2: e < 16 in the low nibbles, the others in the high ones; (code - 8) * d."""
    b = blocks[:, 2:]
    codes = np.concatenate([b & 15, b >> 4], axis=1).astype(np.float32)
    return (codes - 8) * half(blocks, 0)


def q4_k(blocks):
    """d @0, dmin @2, eight 6-bit scales and minima in 12 bytes @4, nibbles @16: group g = e / 32."""
    s, qs = blocks[:, 4:16], blocks[:, 16:]
    scale = np.concatenate([s[:, 0:4] & 63, (s[:, 8:12] & 15) | (s[:, 0:4] >> 6) << 4], axis=1)
    least = np.concatenate([s[:, 4:8] & 63, (s[:, 8:12] >> 4) | (s[:, 4:8] >> 6) << 4], axis=1)
    pairs = qs.reshape(-1, 4, 1, 32)  # groups 2i and 2i + 1 share 32 bytes
    codes = np.concatenate([pairs & 15, pairs >> 4], axis=2).reshape(-1, 8, 32).astype(np.float32)
    d = (half(blocks, 0) * scale.astype(np.float32))[:, :, None]
    m = (half(blocks, 2) * least.astype(np.float32))[:, :, None]
    return (d * codes - m).reshape(-1, 256)


def q6_k(blocks):
    """u8 ql[128] @0, u8 qh[64] @128, i8 sc[16] @192, d @208; H = e / 128, g = e % 128 / 32, l = e % 32."""
    n = len(blocks)
    ql = blocks[:, :128].reshape(n, 2, 2, 32)  # [H][g & 1][l]
    low = np.concatenate([ql & 15, ql >> 4], axis=2)  # [H][g][l]
    shift = (2 * np.arange(4, dtype=np.uint8))[None, None, :, None]
    high = (blocks[:, 128:192].reshape(n, 2, 1, 32) >> shift) & 3
    codes = (low | high << 4).astype(np.float32).reshape(n, 16, 16) - 32
    scale = half(blocks, 208) * blocks[:, 192:208].copy().view(np.int8).astype(np.float32)
    return (scale[:, :, None] * codes).reshape(n, 256)


def tq2_0_codes(blocks):
    """u8 qs[64] @0, d @64; code = (qs[32 (e/128) + e%32] >> 2 (e%128/32)) & 3, so LSB first."""
    shift = (2 * np.arange(4, dtype=np.uint8))[None, None, :, None]
    return ((blocks[:, :64].reshape(-1, 2, 1, 32) >> shift) & 3).reshape(-1, 256)


def trits(stored, n):
    """Trits 0 .. n-1 of each byte, most significant first: u8 [rows, n, bytes]."""
    pow3 = np.array([1, 3, 9, 27, 81], np.uint16)[:n, None]
    shifted = (stored[:, None, :].astype(np.uint16) * pow3) & 255
    return ((shifted * 3) >> 8).astype(np.uint8)


def tq1_0_codes(blocks):
    """u8 qs[48] @0, u8 qh[4] @48, d @52: 32 bytes of five trits, 16 of five, 4 of four."""
    n = len(blocks)
    parts = [trits(blocks[:, :32], 5), trits(blocks[:, 32:48], 5), trits(blocks[:, 48:52], 4)]
    return np.concatenate([p.reshape(n, -1) for p in parts], axis=1)


def tq2_0(blocks):
    return (tq2_0_codes(blocks).astype(np.float32) - 1) * half(blocks, 64)


def tq1_0(blocks):
    return (tq1_0_codes(blocks).astype(np.float32) - 1) * half(blocks, 52)


# GGUF type id -> name, elements and bytes of a block, decoder, where TQ's d lies
TYPES = {
    0: ("F32", 1, 4, f32_values),
    1: ("F16", 1, 2, f16_values),
    2: ("Q4_0", 32, 18, q4_0),
    8: ("Q8_0", 32, 34, q8_0),
    12: ("Q4_K", 256, 144, q4_k),
    14: ("Q6_K", 256, 210, q6_k),
    30: ("BF16", 1, 2, bf16_values),
    34: ("TQ1_0", 256, 54, tq1_0),
    35: ("TQ2_0", 256, 66, tq2_0),
}
I2_S = 36
TQ = {34: (tq1_0_codes, 52), 35: (tq2_0_codes, 64)}


def decode(type_id, raw):
    """Raw bytes of whole blocks -> f32, flat."""
    _, _, size, decoder = TYPES[type_id]
    return decoder(np.asarray(raw, np.uint8).reshape(-1, size)).reshape(-1)


def tq_ternary(type_id, raw):
    """(t i8, scale) when all blocks that are not zero share one d and no code is 3; otherwise None.

    A block whose d is 0 holds zeros, whatever its codes say: that is how a quantiser writes one.
    """
    codes_of, at = TQ[type_id]
    blocks = np.asarray(raw, np.uint8).reshape(-1, TYPES[type_id][2])
    d, codes = half(blocks, at), codes_of(blocks)
    used = d[d != 0]
    if not np.all(np.isfinite(d)) or (codes == 3).any() or (used != used[:1]).any():
        return None
    t = (codes.astype(np.int8) - 1) * (d != 0)
    return t.reshape(-1).astype(np.int8), used[0] if used.size else np.float32(1)


def i2_s_ternary(raw, n, layout):
    """n codes in 2 bits, then one f32 scale; layout "a": 128 weights in 32 bytes, "b": 64 in 16."""
    stride = {"a": 32, "b": 16}[layout]
    groups = np.asarray(raw[: n // 4], np.uint8).reshape(-1, 1, stride)
    shift = np.array([6, 4, 2, 0], np.uint8)[None, :, None]
    codes = ((groups >> shift) & 3).reshape(-1)
    if (codes == 3).any():
        raise ValueError(f"I2_S holds code 3 at weight {int(np.argmax(codes == 3))}")
    scale = np.frombuffer(bytes(raw[n // 4 : n // 4 + 4]), "<f4")[0]
    if not np.isfinite(scale):
        raise ValueError(f"the scale of an I2_S tensor is {scale}")
    return codes.astype(np.int8) - 1, scale


def hf_ternary(raw, rows, cols):
    """Packed safetensors, u8 [rows/4, cols]: the byte of row o % (rows/4) holds row o in its bits 2 (o / (rows/4))."""
    packed = np.asarray(raw, np.uint8).reshape(1, rows // 4, cols)
    shift = np.array([0, 2, 4, 6], np.uint8)[:, None, None]
    codes = (packed >> shift) & 3
    if (codes == 3).any():
        raise ValueError("a packed tensor holds code 3")
    return (codes.astype(np.int8) - 1).reshape(rows, cols)


def online_ternary(w):
    """Master weights -> (t, m): m = max(1e-5, mean |W|), t = clamp(rne(W * (1/m)), -1, 1); arXiv:2402.17764 section 2."""
    m = np.float32(max(1e-5, np.abs(w).mean(dtype=np.float64)))
    return np.clip(np.rint(w * (np.float32(1) / m)), -1, 1).astype(np.int8), m
