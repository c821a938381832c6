"""The judge, judged: the reference against published vectors and against formulas written out element by element.

Block vectors: bytes (37 i + 11) mod 256 with d = 1 (and dmin = 0.5), and the CRC-32 of what ggml's own dequantisers
make of them. Golden logits: tests/golden, made by another implementation in float64.
"""
import json
import pathlib
import zlib

import numpy as np

from bitnet_ref import blocks, load
from bitnet_ref.forward import Stream, forward
from write_gguf import permuted

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN_TOLERANCE = 1e-4  # absolute; the file rounds to five digits, both are float64
ONE, HALF = [0x00, 0x3C], [0x00, 0x38]  # f16


def differ(what, found, wanted):
    if found != wanted:
        yield f"{what}: {found}, expected {wanted}"


def crc(values, kind):
    return f"{zlib.crc32(np.ascontiguousarray(values, kind).tobytes()):08x}"


def check_blocks():
    cases = {8: ("7e733bfa", 0), 2: ("4a5055fd", 0), 12: ("5c4c0a49", 0), 14: ("a84ce1f7", 208), 34: ("8ed5cce3", 52),
             35: ("e61a6eea", 64)}
    for kind, (wanted, at) in cases.items():
        name, _, size, _ = blocks.TYPES[kind]
        raw = np.array([(37 * i + 11) % 256 for i in range(size)], np.uint8)
        raw[at : at + 2] = ONE
        if name == "Q4_K":
            raw[2:4] = HALF
        yield from differ(name, crc(blocks.decode(kind, raw), "<f4"), wanted)


def pattern():
    return np.array([((j * j + j // 3) % 3) - 1 for j in range(256)], np.int8)


def raw_of(text):
    return np.frombuffer(bytes.fromhex(text), np.uint8)


def check_ternary():
    tail = "0000803f" + "a5" * 28  # scale 1; then bytes that mean nothing
    a = "2664444889999112222664444889999112222664444889999112222664444889" \
        "4448899991122226644448899991122226644448899991122226644448899991"
    b = "094a42529094a42529094a42529094a44a42529094a42529094a42529094a425" \
        "42529094a42529094a42529094a42529529094a42529094a42529094a4252909"
    tq2 = "9819112162664684889819112162664684889819112162664684889819112162" \
          "1121626646848898191121626646848898191121626646848898191121626646003c"
    tq1 = "4a99616bc3decb23414a99616bc3decb23414a99616bc3decb23414a99616bc3" \
          "465018705d7bcad3ee465018705d7bcadb33203d003c"
    found = {
        "I2_S, layout A": blocks.i2_s_ternary(raw_of(a + tail), 256, "a"),
        "I2_S, layout B": blocks.i2_s_ternary(raw_of(b + tail), 256, "b"),
        "TQ2_0": blocks.tq_ternary(35, raw_of(tq2)), "TQ1_0": blocks.tq_ternary(34, raw_of(tq1))}
    for name, (t, scale) in found.items():
        yield from differ(f"{name}, weights", t.tolist(), pattern().tolist())
        yield from differ(f"{name}, scale", float(scale), 1.0)


def check_tq_of_two_scales():
    raw = np.concatenate([raw_of("98" * 64 + "003c"), raw_of("98" * 64 + "0038")])
    yield from differ("two scales", blocks.tq_ternary(35, raw), None)
    zero = np.concatenate([raw_of("98" * 64 + "003c"), raw_of("98" * 64 + "0000")])
    t, scale = blocks.tq_ternary(35, zero)
    yield from differ("a block of zeros", (t[256:].any(), float(scale)), (False, 1.0))


def check_packed():
    rng = np.random.default_rng(3)
    rows, cols = 12, 5
    raw = rng.integers(0, 3, (4, rows // 4, cols), dtype=np.uint8)
    packed = raw[0] | raw[1] << 2 | raw[2] << 4 | raw[3] << 6
    found = blocks.hf_ternary(packed.reshape(-1), rows, cols)
    for o in range(rows):
        for c in range(cols):
            code = (int(packed[o % (rows // 4), c]) >> (2 * (o // (rows // 4)))) & 3
            yield from differ(f"row {o}, column {c}", int(found[o, c]), code - 1)


def check_online():
    t, m = blocks.online_ternary(np.array([[0.125, -0.875, 0.875, -0.125]], np.float32))
    yield from differ("weights", t.tolist(), [[0, -1, 1, 0]])
    yield from differ("scale", float(m), 0.5)
    t, m = blocks.online_ternary(np.zeros((2, 2), np.float32))
    yield from differ("zeros", (t.any(), float(m)), (False, float(np.float32(1e-5))))


class Quantiser(Stream):
    """A stream without a model."""

    def __init__(self, n):
        self.dtype, self.margin = np.float64, np.full(n, 0.5)


def check_activations():
    x = ((29 * np.arange(256)) % 101 - 50) / 16
    q, s = Quantiser(1).quantise(x[None, :])
    q8 = q[0].astype(np.int8)
    yield from differ("s", f"{float(s[0, 0]):.7f}", "40.6399994")
    yield from differ("q", q8[:12].tolist(), [-127, -53, 20, 94, -89, -15, 58, -124, -51, 23, 97, -86])
    yield from differ("CRC-32 of q", crc(q8, np.int8), "565be571")
    acc = int((q[0] @ pattern().astype(np.float32)).item())
    yield from differ("sum of t q", acc, 548)
    y = np.float32(acc) / s[0, 0] * np.float32(0.5)
    yield from differ("y", f"{float(y):.8f}", "6.74212599")
    ties, _ = Quantiser(1).quantise(np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 127]]))
    yield from differ("half even", [int(v) for v in ties[0, :5]], [0, 2, 2, 0, -2])
    floor, _ = Quantiser(1).quantise(np.zeros((1, 4)))
    yield from differ("a row of zeros", floor.tolist(), [[0.0] * 4])


def check_permutation():
    rows = np.arange(3 * 8)[:, None]
    found = permuted(rows, 3)[:, 0].tolist()
    for head in range(3):
        for s in range(2):
            for i in range(4):
                yield from differ(f"head {head}, pair {i}.{s}", found[head * 8 + 2 * i + s], head * 8 + s * 4 + i)


def check_golden():
    golden = json.loads((ROOT / "tests/golden/bitnet-tales.json").read_text())
    model = load.read(ROOT / "models/bitnet-tales/bitnet-tales.i2_s.gguf")
    for prompt in golden["prompts"]:
        last = forward(model, prompt["ids"]).logits[-1]
        for entry in prompt["top10"]:
            found = last[entry["id"]]
            if abs(found - entry["logit"]) > GOLDEN_TOLERANCE:
                yield f"{prompt['text']!r}, id {entry['id']}: {found:.5f}, expected {entry['logit']}"


CASES = {
    "blocks decode to ggml's CRC-32": check_blocks,
    "ternary tensors decode to the published pattern": check_ternary,
    "TQ blocks of different scales are no ternary tensor": check_tq_of_two_scales,
    "packed rows lie a quarter of the tensor apart": check_packed,
    "master weights become ternary by their mean": check_online,
    "activations round half to even": check_activations,
    "q and k are permuted by the converter's formula": check_permutation,
    "golden logits of bitnet-tales": check_golden,
}
