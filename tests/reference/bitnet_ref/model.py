"""The neutral model: hyper-parameters and tensors under GGUF's names, whatever container they came from.

Nothing is decoded before it is asked for, and nothing decoded is kept: a caller works through one tensor at a time, so
that a model of billions of weights fits into a few gigabytes.
"""
import dataclasses

import numpy as np

from . import blocks


@dataclasses.dataclass
class HParams:
    arch: str
    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    head_dim: int
    n_rot: int
    n_ff: int
    eps: float
    rope_base: float = 10000.0
    rope_factor: float = 1.0  # linear scaling: angles are divided by it
    act: str = "silu"  # "relu2" or "silu"
    rope_is_norm: bool = False  # pairs are (2i, 2i + 1); otherwise (i, i + n_rot/2)


@dataclasses.dataclass
class Tensor:
    """rows x cols weights. `kind` is a GGUF type id, or one of the words below for what GGUF has no id for."""

    name: str
    kind: object  # int, "packed" (safetensors, four rows in a byte), "latent" (to be made ternary at load)
    rows: int
    cols: int
    raw: np.ndarray  # u8, mapped
    scale: float = 1.0  # of "packed"
    base: int = 0  # type id of the masters of "latent"
    layout: str = "a"  # of I2_S

    def dense(self, first=0, last=None):
        """Rows first .. last-1 as f32 [n, cols]."""
        last = self.rows if last is None else last
        kind = self.base if self.kind == "latent" else self.kind
        if kind not in blocks.TYPES:
            t, scale = self.ternary()
            return t[first:last].astype(np.float32) * scale
        _, per_block, size, _ = blocks.TYPES[kind]
        row = self.cols // per_block * size
        return blocks.decode(kind, self.raw[first * row : last * row]).reshape(last - first, self.cols)

    def take(self, ids):
        """The rows of these ids, f32 [len(ids), cols]."""
        return np.concatenate([self.dense(i, i + 1) for i in ids])

    def ternary(self):
        """(t i8 [rows, cols], scale f32), or None when this is an ordinary matrix."""
        if self.kind == "packed":
            return blocks.hf_ternary(self.raw, self.rows, self.cols), np.float32(self.scale)
        if self.kind == "latent":
            return blocks.online_ternary(self.dense())
        if self.kind == blocks.I2_S:
            found = blocks.i2_s_ternary(self.raw, self.rows * self.cols, self.layout)
        elif self.kind in blocks.TQ:
            found = blocks.tq_ternary(self.kind, self.raw)
        else:
            return None
        return found and (found[0].reshape(self.rows, self.cols), np.float32(found[1]))


class Model:
    """Hyper-parameters and a dictionary of tensors."""

    def __init__(self, container, hparams, tensors):
        self.container, self.hparams, self.tensors = container, hparams, tensors
        embedding = self.need("token_embd.weight")
        self.n_vocab = embedding.rows
        has_own_head = hparams.arch == "llama" and "output.weight" in tensors
        self.head = tensors["output.weight"] if has_own_head else embedding

    def need(self, name):
        if name not in self.tensors:
            raise ValueError(f"the model has no tensor {name}")
        return self.tensors[name]

    def vector(self, name):
        """A norm, a bias, a scale: f32 [n], or None when the model has none."""
        return self.tensors[name].dense().reshape(-1) if name in self.tensors else None
