"""ids -> logits of every position.

Everything is computed in float64 but what the specification puts into float32: an activation row becomes f32 before it
is quantised, its scale and its rounding are f32, and so is `acc / s * w_scale`. The integer product is exact: f32 holds
every integer below 2^24, and |acc| <= 127 K stays below it up to K = 132,104 in whatever order it is summed.

The same pass also runs in float32 throughout. Both runs are right; where they part, an activation fell to different
sides of a rounding, and a runtime in f32 can be no closer to the first than the second is. `spread` reports it.
"""
import dataclasses

import numpy as np

EXACT_K = (1 << 24) // 127
ROWS = 4096  # weights of an ordinary matrix are decoded this many rows at a time


@dataclasses.dataclass
class Result:
    logits: np.ndarray  # f64 [n, n_vocab]
    spread: np.ndarray  # f64 [n]: largest difference to the float32 run, relative to the largest logit
    margin: np.ndarray  # f64 [n]: how near x * s of any activation comes to a tie between two integers


class Stream:
    """One run of the pass in one precision: the residual stream and what became of it."""

    def __init__(self, model, ids, dtype):
        self.dtype = dtype
        self.x = model.need("token_embd.weight").take(ids).astype(dtype)
        self.margin = np.full(len(ids), 0.5)

    def norm(self, x, weight, eps):
        """RMSNorm, arXiv:1910.07467; the mean is a sum in float64 in either precision, as ggml's."""
        mean = np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True).astype(self.dtype)
        return x * (1 / np.sqrt(mean + self.dtype(eps))) * weight.astype(self.dtype)

    def quantise(self, x):
        """(q as f32 integers [n, K], s f32 [n, 1])."""
        x = x.astype(np.float32)
        amax = np.maximum(np.float32(1e-5), np.abs(x).max(axis=1, keepdims=True))
        s = np.float32(127) / amax
        exact = x * s
        away = np.abs(np.abs(exact - np.floor(exact)) - np.float32(0.5)).min(axis=1)
        self.margin = np.minimum(self.margin, away)
        return np.clip(np.rint(exact), -128, 127), s


class Linear:
    """A projection, decoded once for all streams; ternary when its tensor is."""

    def __init__(self, model, name):
        self.tensor = model.need(name + ".weight")
        self.bias, self.scale = model.vector(name + ".bias"), model.vector(name + ".scale")
        found = self.tensor.ternary()
        self.is_ternary = found is not None
        if self.is_ternary:
            if self.tensor.cols >= EXACT_K:
                raise ValueError(f"{name} is {self.tensor.cols} wide; sums are exact below {EXACT_K}")
            self.t, self.w_scale = found[0].astype(np.float32), found[1]

    def __call__(self, stream, x):
        """x [n, K] -> [n, N] in the stream's precision."""
        if self.is_ternary:
            q, s = stream.quantise(x)
            y = ((q @ self.t.T) / s * self.w_scale).astype(stream.dtype)
        else:
            y = product(self.tensor, x)
        if self.scale is not None:
            y = y * self.scale.astype(stream.dtype)
        return y if self.bias is None else y + self.bias.astype(stream.dtype)


def product(tensor, x):
    """An ordinary matrix, in x's precision."""
    out = np.empty((len(x), tensor.rows), x.dtype)
    for first in range(0, tensor.rows, ROWS):
        last = min(first + ROWS, tensor.rows)
        out[:, first:last] = x @ tensor.dense(first, last).astype(x.dtype).T
    return out


def rope_angles(hp, n, freqs):
    """[n, n_rot/2]: position times base^(-2i/n_rot), arXiv:2104.09864; by rope_freqs and linear scaling less."""
    theta = float(hp.rope_base) ** (-2 * np.arange(hp.n_rot // 2) / hp.n_rot) / hp.rope_factor
    if freqs is not None:
        theta = theta / freqs.astype(np.float64)
    return np.arange(n)[:, None] * theta


def rope(hp, heads, angles):
    """heads [n, H, D] -> the same, the first n_rot elements of each head rotated in pairs."""
    cos, sin = (f(angles).astype(heads.dtype)[:, None, :] for f in (np.cos, np.sin))
    half = hp.n_rot // 2
    first = slice(0, hp.n_rot, 2) if hp.rope_is_norm else slice(0, half)
    second = slice(1, hp.n_rot, 2) if hp.rope_is_norm else slice(half, hp.n_rot)
    a, b = heads[:, :, first], heads[:, :, second]
    out = heads.copy()
    out[:, :, first], out[:, :, second] = a * cos - b * sin, a * sin + b * cos
    return out


def attention(hp, q, k, v):
    """Causal grouped-query attention (arXiv:2305.13245): q [n, H, D], k and v [n, G, D] -> [n, H * D]."""
    n = len(q)
    k, v = (np.repeat(a, hp.n_head // hp.n_head_kv, axis=1) for a in (k, v))
    scores = np.einsum("phd,jhd->hpj", q, k) / q.dtype.type(hp.head_dim) ** q.dtype.type(0.5)
    scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    return np.einsum("hpj,jhd->phd", weights, v).reshape(n, -1)


def activate(name, u):
    if name == "relu2":
        return np.square(np.maximum(u, 0))
    with np.errstate(over="ignore"):  # exp may be infinite; u over it is the 0 that is meant
        return u / (1 + np.exp(-u))


class Layer:
    """blk.N: weights of one layer."""

    def __init__(self, model, i):
        self.hp, at = model.hparams, f"blk.{i}."
        self.q, self.k, self.v, self.out, self.gate, self.up, self.down = (
            Linear(model, at + name)
            for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"))
        has_sub_norms = self.hp.arch != "llama"
        names = ["attn_norm", "ffn_norm"] + (["attn_sub_norm", "ffn_sub_norm"] if has_sub_norms else [])
        self.norms = {name: model.need(f"{at}{name}.weight").dense().reshape(-1) for name in names}

    def normed(self, s, x, name):
        return s.norm(x, self.norms[name], self.hp.eps) if name in self.norms else x

    def run(self, s, angles):
        hp, n = self.hp, len(s.x)
        h = self.normed(s, s.x, "attn_norm")
        q, k, v = (p(s, h).reshape(n, -1, hp.head_dim) for p in (self.q, self.k, self.v))
        a = attention(hp, rope(hp, q, angles), rope(hp, k, angles), v)
        s.x = s.x + self.out(s, self.normed(s, a, "attn_sub_norm"))
        h = self.normed(s, s.x, "ffn_norm")
        f = activate(hp.act, self.gate(s, h)) * self.up(s, h)
        s.x = s.x + self.down(s, self.normed(s, f, "ffn_sub_norm"))


def forward(model, ids, progress=lambda done, total: None):
    """Logits after each of the ids. A layer's weights are decoded, used by both runs and dropped."""
    hp = model.hparams
    angles = rope_angles(hp, len(ids), model.vector("rope_freqs.weight"))
    streams = [Stream(model, ids, dtype) for dtype in (np.float64, np.float32)]
    for i in range(hp.n_layer):
        progress(i, hp.n_layer)
        layer = Layer(model, i)
        for s in streams:
            layer.run(s, angles)
    progress(hp.n_layer, hp.n_layer)
    last = model.vector("output_norm.weight")
    exact, single = (product(model.head, s.norm(s.x, last, hp.eps)) for s in streams)
    spread = np.abs(exact - single).max(axis=1) / np.abs(exact).max(axis=1)
    return Result(exact, spread, np.minimum.reduce([s.margin for s in streams]))
