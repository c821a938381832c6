#!/usr/bin/env python3
"""make_models.py FOLDER: writes small random models, every architecture in every container.

The same architecture has the same weights in every container: a ternary scale of 0.5 is exact in each of them, and the
master weights of a dense folder become exactly those ternary ones. Cases of one group must give the same logits to the
last bit. Widths are small, shapes are not tidy: grouped queries, heads wider than the model, biases, an untied head.
"""
import dataclasses
import pathlib
import sys

import numpy as np

import write_gguf
import write_hf
from vocabularies import Bpe, Spm

SCALE = 0.5
BASE = {"n_layer": 2, "n_embd": 256, "n_head": 4, "n_head_kv": 2, "head_dim": 64, "n_ff": 512, "eps": 1e-5,
        "rope_base": 10000.0}
WIDE_HEADS = {"n_head": 8, "n_head_kv": 2, "head_dim": 64, "rope_base": 500000.0, "eps": 1e-6}


class Tiny:
    """Weights of one random model, under GGUF's names, with q and k half split as they were trained."""

    def __init__(self, arch, vocab, seed, ordinary=None, has_bias=False, has_head=False, has_freqs=False, **hp):
        self.arch, self.vocab, self.hp = arch, vocab, {**BASE, **hp}
        self.ordinary, self.has_bias, self.has_head, self.has_freqs = ordinary, has_bias, has_head, has_freqs
        self.seed = seed

    def shapes(self):
        hp = self.hp
        q, kv = hp["n_head"] * hp["head_dim"], hp["n_head_kv"] * hp["head_dim"]
        e, f = hp["n_embd"], hp["n_ff"]
        return {"attn_q": (q, e), "attn_k": (kv, e), "attn_v": (kv, e), "attn_output": (e, q), "ffn_gate": (f, e),
                "ffn_up": (f, e), "ffn_down": (e, f)}

    def norm(self, n, size):
        """Gains about `size`: such that scores and logits neither saturate nor vanish."""
        return (size * (1 + 0.1 * self.rng.standard_normal(n))).astype(np.float32)

    def ternary(self, rows, cols):
        """Exactly half of it zeros, as write_hf.masters needs it."""
        n = rows * cols
        t = np.zeros(n, np.int8)
        t[: n // 2] = self.rng.choice([-1, 1], n // 2)
        return self.rng.permutation(t).reshape(rows, cols)

    def tensors(self):
        """(name, weights, scale): scale is None but for ternary ones, t in i8. The same at every call."""
        self.rng = np.random.default_rng(self.seed)
        e, f = self.hp["n_embd"], self.hp["n_ff"]
        gains = {"attn_norm": (e, 1 if self.ordinary else 0.1), "ffn_norm": (e, 1 if self.ordinary else 0.2)}
        if self.arch != "llama":
            gains.update(attn_sub_norm=(self.shapes()["attn_output"][1], 0.3), ffn_sub_norm=(f, 0.3))
        matrix = (len(self.vocab.tokens), e)
        yield "token_embd.weight", self.rng.standard_normal(matrix).astype(np.float16).astype(np.float32), None
        yield "output_norm.weight", self.norm(e, 2 if self.ordinary else 0.2), None
        if self.has_head:
            yield "output.weight", self.rng.standard_normal(matrix).astype(np.float16).astype(np.float32), None
        if self.has_freqs:
            yield "rope_freqs.weight", self.rng.uniform(1, 8, self.hp["head_dim"] // 2).astype(np.float32), None
        for i in range(self.hp["n_layer"]):
            for name, (n, size) in gains.items():
                yield f"blk.{i}.{name}.weight", self.norm(n, size), None
            for name, shape in self.shapes().items():
                yield f"blk.{i}.{name}.weight", self.ternary(*shape), SCALE
                if self.has_bias and name in ("attn_q", "attn_k", "attn_v"):
                    yield f"blk.{i}.{name}.bias", self.norm(shape[0], 0.3), None

    def gguf_tensors(self, kind):
        """(name, ne, type name, bytes), ternary ones as `kind`; of an ordinary model all matrices as that."""
        rng = np.random.default_rng(self.seed + 1)
        for name, w, scale in self.tensors():
            stem = name.split(".")[-2]
            if self.arch == "llama" and stem in ("attn_q", "attn_k"):
                w = write_gguf.permuted(w, self.hp["n_head" if stem == "attn_q" else "n_head_kv"])
            ne = w.shape[::-1]
            if self.ordinary and w.ndim == 2:
                yield name, ne, self.ordinary, ordinary(self.ordinary, w, rng)
            elif scale is None:
                yield name, ne, "F32" if w.ndim == 1 else "F16", write_gguf.encode("F32" if w.ndim == 1 else "F16", w)
            elif kind == "TQ1_0+scale":
                yield name, ne, "TQ1_0", write_gguf.encode("TQ1_0", w, 1.0)
                yield name.replace("weight", "scale"), (1,), "F32", write_gguf.encode("F32", np.array([scale]))
            elif kind == "TQ2_0/blocks":
                each = rng.choice([0.25, 0.375, 0.5], w.size // 256)
                yield name, ne, "TQ2_0", write_gguf.encode("TQ2_0", w, each)
            else:
                yield name, ne, kind, write_gguf.encode(kind, w, scale)


def ordinary(kind, w, rng):
    if kind in ("F32", "F16", "BF16"):
        return write_gguf.encode(kind, 0.05 * rng.standard_normal(w.shape))
    return write_gguf.random_blocks(kind, w.size, rng)


@dataclasses.dataclass
class Case:
    name: str
    path: pathlib.Path
    group: str = ""  # cases of one group give identical logits
    layout: str = "a"


class Maker:
    def __init__(self, folder):
        self.folder, self.cases = folder, []

    def gguf(self, model, kind, group="", n_parts=1, name=""):
        name = f"{name or group or model.arch} {kind}" + (f", {n_parts} files" if n_parts > 1 else "")
        path = self.folder / (name.replace(" ", "-").replace("/", "-").replace(",", "") + ".gguf")
        layout = "b" if kind == "I2_S/B" else "a"
        self.cases.append(Case(name, write_gguf.write(path, model, kind, n_parts), group, layout))

    def hf(self, model, form, group="", n_shards=1, name=""):
        words = {"multiply": "packed, multiply", "divide": "packed, divide"}.get(form, f"dense {form}")
        name = f"{name or group or model.arch} safetensors {words}" + (f", {n_shards} shards" if n_shards > 1 else "")
        path = self.folder / name.replace(" ", "-").replace(",", "")
        self.cases.append(Case(name, write_hf.write(path, model, form, n_shards), group))


def make(folder):
    """All cases."""
    m = Maker(folder)
    two_b = Tiny("bitnet-b1.58", Bpe(), 1)
    for kind in ("I2_S", "I2_S/B", "TQ1_0", "TQ2_0", "TQ1_0+scale"):
        m.gguf(two_b, kind, "bitnet-b1.58")
    m.gguf(two_b, "I2_S", "bitnet-b1.58", n_parts=3)
    for form in ("multiply", "divide", "BF16", "F32"):
        m.hf(two_b, form, "bitnet-b1.58")
    m.hf(two_b, "multiply", "bitnet-b1.58", n_shards=2)
    m.gguf(Tiny("bitnet-25", Bpe(), 1), "I2_S", "bitnet-b1.58", name="bitnet-25")  # the first upload's name for the same thing
    m.gguf(two_b, "F16")
    m.gguf(Tiny("bitnet-b1.58", Bpe(), 2, n_rot=32, rope_factor=4.0, said_act="silu"), "I2_S", name="half of a head rotated")

    one_bit = Tiny("bitnet", Spm(), 3, n_head_kv=4)
    for kind in ("I2_S", "TQ1_0", "TQ2_0"):
        m.gguf(one_bit, kind, "bitnet")
    m.hf(one_bit, "F32", "bitnet")
    m.hf(Tiny("bitnet", Spm(), 4, n_ff=320), "F32", name="odd width")  # 320 is no multiple of 128, as 8640 is none

    falcon = Tiny("llama", Bpe(), 5, has_head=True, **WIDE_HEADS)
    for kind in ("I2_S", "TQ1_0", "TQ2_0"):
        m.gguf(falcon, kind, "llama")
    for form in ("divide", "multiply", "BF16"):
        m.hf(falcon, form, "llama")
    biased = Tiny("llama", Spm(), 6, has_bias=True, has_head=True)
    m.gguf(biased, "I2_S", "llama-bias")
    m.hf(biased, "divide", "llama-bias")
    m.gguf(Tiny("llama", Bpe(), 7, has_bias=True, has_freqs=True), "TQ2_0", name="llama with rope_freqs")
    m.gguf(falcon, "TQ2_0/blocks")  # blocks that disagree: an ordinary matrix
    for kind in ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "BF16", "F16", "F32"):
        m.gguf(Tiny("llama", Bpe(), 8, ordinary=kind, **WIDE_HEADS), kind, name="llama, all")
    return m.cases


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for case in make(folder):
        print(case.path)


if __name__ == "__main__":
    main()
