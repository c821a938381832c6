"""GGUF files -> Model. Versions 2 and 3, little-endian; the parts of a split model are joined.

    "GGUF" | u32 version | i64 n_tensors | i64 n_kv
    n_kv times       string key | i32 type | value            string: u64 length | bytes
    n_tensors times  string name | u32 n_dims | i64 ne[n_dims] | i32 type | u64 offset
    padding up to a multiple of general.alignment (32) | tensor data

This reader trusts its input more than a loader may: it is meant for files that the runtime has accepted.
"""
import mmap
import pathlib
import re
import struct

import numpy as np

from . import blocks
from .model import HParams, Model, Tensor

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


class File:
    """One file: its metadata as a dictionary, its tensors' entries, its bytes."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self.at = 0
        magic, self.version = self.unpack("<4sI")
        if magic != b"GGUF" or self.version not in (2, 3):
            raise ValueError(f"{path}: magic {magic!r} and version {self.version}, not a GGUF file of version 2 or 3")
        n_tensors, n_kv = self.unpack("<qq")
        self.meta = {}
        for _ in range(n_kv):
            key = self.string()
            self.meta[key] = self.value(self.unpack("<i")[0])
        entries = [self.entry() for _ in range(n_tensors)]
        align = self.meta.get("general.alignment", 32)
        start = -(-self.at // align) * align
        self.entries = [(name, ne, kind, start + offset) for name, ne, kind, offset in entries]

    def unpack(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def string(self):
        (n,) = self.unpack("<Q")
        self.at += n
        return self.data[self.at - n : self.at].decode(errors="replace")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            return self.unpack(SCALARS[kind])[0]
        elem, n = self.unpack("<iQ")
        if elem == STRING:
            return [self.string() for _ in range(n)]
        values = np.frombuffer(self.data, np.dtype(SCALARS[elem]), n, self.at)
        self.at += values.nbytes
        return values

    def entry(self):
        name, (n_dims,) = self.string(), self.unpack("<I")
        ne = self.unpack(f"<{n_dims}q")
        return (name, ne, *self.unpack("<iQ"))

    def tensors(self, layout):
        for name, ne, kind, at in self.entries:
            cols, rows = (*ne, 1)[:2]
            if len(ne) > 2:
                raise ValueError(f"{name} has {len(ne)} dimensions; weights have one or two")
            if kind == blocks.I2_S:
                size = rows * cols // 4 + 32
            elif kind in blocks.TYPES:
                size = rows * cols // blocks.TYPES[kind][1] * blocks.TYPES[kind][2]
            else:
                raise ValueError(f"{name} has the type id {kind}, which does not run")
            raw = np.frombuffer(self.data, np.uint8, size, at)
            yield name, Tensor(name, kind, rows, cols, raw, layout=layout)


def parts(path):
    """All files of the model that `path` is a part of, in order."""
    split = PART.search(path.name)
    if not split:
        return [path]
    stem, n = path.name[: split.start()], int(split[2])
    return [path.with_name(f"{stem}-{i + 1:05d}-of-{n:05d}.gguf") for i in range(n)]


def activation(meta, arch):
    """hidden_activation when the file has it; else by family: 2B4T squares a ReLU, all others take SiLU.

    A converter of 2026 writes 2B4T's architecture into 1bitLLM files, whose vocabulary gives them away.
    """
    said = meta.get(f"{arch}.hidden_activation")
    if said is None:
        is_1bitllm = meta.get("tokenizer.ggml.model") == "llama" and len(meta.get("tokenizer.ggml.tokens", ())) == 32002
        return "relu2" if arch in ("bitnet-b1.58", "bitnet-25") and not is_1bitllm else "silu"
    words = {"relu2": "relu2", "relu_squared": "relu2", "silu": "silu"}
    if said not in words:
        raise ValueError(f"{arch}.hidden_activation is {said!r}; known are {', '.join(words)}")
    return words[said]


def hparams(meta):
    arch = meta["general.architecture"]
    if arch not in ("bitnet-b1.58", "bitnet-25", "bitnet", "llama"):
        raise ValueError(f"general.architecture is {arch!r}, which the reference does not know")

    def get(key, default=None):
        value = meta.get(f"{arch}.{key}", default)
        if value is None:
            raise ValueError(f"the file lacks {arch}.{key}")
        return value

    n_head, n_embd = get("attention.head_count"), get("embedding_length")
    head_dim = get("attention.key_length", n_embd // n_head)
    scaling = get("rope.scaling.type", "none")
    if scaling not in ("none", "linear"):
        raise ValueError(f"{arch}.rope.scaling.type is {scaling!r}; none and linear are known")
    return HParams(
        arch=arch, n_layer=get("block_count"), n_embd=n_embd, n_head=n_head,
        n_head_kv=get("attention.head_count_kv", n_head), head_dim=head_dim,
        n_rot=get("rope.dimension_count", head_dim), n_ff=get("feed_forward_length"),
        eps=get("attention.layer_norm_rms_epsilon"), rope_base=get("rope.freq_base", 10000.0),
        rope_factor=get("rope.scaling.factor", 1.0) if scaling == "linear" else 1.0,
        act=activation(meta, arch), rope_is_norm=arch == "llama")


def read(path, layout="a", overrides=()):
    """`overrides` are (key, value) that stand for the first file's metadata."""
    files = [File(p) for p in parts(pathlib.Path(path))]
    meta = {**files[0].meta, **dict(overrides)}
    tensors = {}
    for f in files:
        tensors.update(f.tensors(layout))
    total = files[0].meta.get("split.tensors.count", len(tensors))
    if total != len(tensors):
        raise ValueError(f"the parts hold {len(tensors)} tensors, the first one says {total}")
    name = f"GGUF v{files[0].version}" + (f", {len(files)} files" if len(files) > 1 else "")
    return Model(name, hparams(meta), tensors)
