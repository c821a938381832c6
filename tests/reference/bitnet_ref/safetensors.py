"""A Hugging Face folder -> Model: config.json and model.safetensors or its shards.

    u64 N | N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}} | data

A linear is [out, in]. Ternary ones come packed, uint8 [out/4, in] beside a weight_scale, or as master weights that are
made ternary at load. Rows of q and k are never permuted: RoPE pairs are half split for every architecture.
"""
import json
import mmap
import pathlib
import struct

import numpy as np

from .model import HParams, Model, Tensor

DTYPES = {"F32": 0, "F16": 1, "BF16": 30}  # -> GGUF's type ids
TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
PROJECTIONS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
NORMS = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.attn_sub_norm": "attn_sub_norm", "self_attn.inner_attn_ln": "attn_sub_norm",
    "mlp.ffn_sub_norm": "ffn_sub_norm", "mlp.ffn_layernorm": "ffn_sub_norm",
}


def entries(path):
    """name -> (dtype, shape, bytes) of one file."""
    with open(path, "rb") as f:
        data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    (n,) = struct.unpack_from("<Q", data)
    for name, e in json.loads(data[8 : 8 + n]).items():
        if name != "__metadata__":
            begin, end = e["data_offsets"]
            yield name, (e["dtype"], e["shape"], np.frombuffer(data, np.uint8, end - begin, 8 + n + begin))


def gguf_name(name):
    """(GGUF name, stem of the projection or None); (None, None) for what no forward pass uses."""
    if name in TOP:
        return TOP[name], None
    if not name.startswith("model.layers."):
        return None, None
    layer, _, rest = name[len("model.layers.") :].partition(".")
    stem, _, what = rest.rpartition(".")
    if stem in NORMS and what == "weight":
        return f"blk.{layer}.{NORMS[stem]}.weight", None
    if stem in PROJECTIONS and what in ("weight", "bias"):
        return f"blk.{layer}.{PROJECTIONS[stem]}.{what}", f"model.layers.{layer}.{stem}" if what == "weight" else None
    return None, None


def single(number):
    """A decimal of the config as the f32 that every implementation and GGUF hold."""
    return float(np.float32(number))


def scalar(entry):
    dtype, _, raw = entry
    return np.float32(Tensor("", DTYPES[dtype], 1, 1, raw).dense()[0, 0])


class Reader:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        index = folder / "model.safetensors.index.json"
        shards = ["model.safetensors"]
        if index.exists():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        self.n_files = len(shards)
        self.found = {}
        for shard in shards:
            self.found.update(entries(folder / shard))
        self.quant = self.config.get("quantization_config") or {}
        names = " ".join(self.config.get("architectures") or []).lower()
        self.is_bitnet = self.config.get("model_type") == "bitnet" or "bitnetforcausallm" in names
        self.is_ternary = self.is_bitnet or self.quant.get("quant_method") == "bitnet"
        if self.quant.get("use_rms_norm"):
            raise ValueError("use_rms_norm: a norm inside each linear is not understood")

    def weight_scale(self, stem):
        """What the weights are multiplied by: autobitlinear multiplies by weight_scale, anything else divides."""
        said = scalar(self.found[stem + ".weight_scale"])
        return said if self.quant.get("linear_class") == "autobitlinear" else np.float32(1) / said

    def tensor(self, name, stem, entry):
        dtype, shape, raw = entry
        rows, cols = shape if len(shape) == 2 else (1, int(np.prod(shape)))
        if dtype == "U8" and stem:
            return Tensor(name, "packed", rows * 4, cols, raw, scale=self.weight_scale(stem))
        if dtype not in DTYPES:
            raise ValueError(f"{name} has the dtype {dtype}, which does not run")
        skipped = self.quant.get("modules_to_not_convert") or []
        if stem and self.is_ternary and not any(word in stem for word in skipped):
            return Tensor(name, "latent", rows, cols, raw, base=DTYPES[dtype])
        return Tensor(name, DTYPES[dtype], rows, cols, raw)

    def tensors(self):
        out = {}
        for name, entry in self.found.items():
            ours, stem = gguf_name(name)
            if ours:
                out[ours] = self.tensor(ours, stem, entry)
        if self.config.get("tie_word_embeddings", False):
            out.pop("output.weight", None)
        return out

    def hparams(self):
        c = self.config
        act = c.get("hidden_act", "relu2" if self.is_bitnet else "silu")
        if act not in ("relu2", "silu"):
            raise ValueError(f"hidden_act is {act!r}; relu2 and silu are known")
        n_head = c["num_attention_heads"]
        head_dim = c.get("head_dim") or c["hidden_size"] // n_head
        arch = ("bitnet-b1.58" if act == "relu2" else "bitnet") if self.is_bitnet else "llama"
        scaling = c.get("rope_scaling") or {"type": "none"}
        kind = scaling.get("rope_type") or scaling.get("type")
        if kind not in ("none", "default", "linear"):
            raise ValueError(f"rope_scaling is {kind!r}; linear is known")
        return HParams(
            arch=arch, n_layer=c["num_hidden_layers"], n_embd=c["hidden_size"], n_head=n_head,
            n_head_kv=c.get("num_key_value_heads") or n_head, head_dim=head_dim, n_rot=head_dim,
            n_ff=c["intermediate_size"], eps=single(c.get("rms_norm_eps", 1e-5 if self.is_bitnet else 1e-6)),
            rope_base=single(c.get("rope_theta", 10000.0)), act=act,
            rope_factor=scaling["factor"] if kind == "linear" else 1.0)


def read(folder):
    r = Reader(pathlib.Path(folder))
    name = "safetensors" + (f", {r.n_files} files" if r.n_files > 1 else "")
    return Model(name, r.hparams(), r.tensors())
