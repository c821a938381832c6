"""A tiny model -> GGUF. Encoders of its own, so that a mistake in the reader does not hide behind the same one here."""
import struct

import numpy as np

U16, U32, I32, F32, BOOL, STR, ARR = 2, 4, 5, 6, 7, 8, 9
TYPE_IDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14, "BF16": 30, "TQ1_0": 34, "TQ2_0": 35,
            "I2_S": 36, "I2_S/B": 36}


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def kv(key, kind, value):
    forms = {U16: "<H", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}
    body = string(value) if kind == STR else struct.pack(forms[kind], value)
    return string(key) + struct.pack("<i", kind) + body


def kv_array(key, kind, values):
    form = {I32: "<i", F32: "<f"}
    body = b"".join(string(v) if kind == STR else struct.pack(form[kind], v) for v in values)
    return string(key) + struct.pack("<iiQ", ARR, kind, len(values)) + body


def i2_s(codes, scale, stride):
    quads = codes.reshape(-1, 4, stride)
    data = quads[:, 0] << 6 | quads[:, 1] << 4 | quads[:, 2] << 2 | quads[:, 3]
    return data.astype(np.uint8).tobytes() + struct.pack("<f", scale) + b"\xa5" * 28  # the tail means nothing


def tq2_0(codes, scale):
    quads = codes.reshape(-1, 2, 4, 32)
    data = quads[:, :, 0] | quads[:, :, 1] << 2 | quads[:, :, 2] << 4 | quads[:, :, 3] << 6
    return with_half(data.reshape(-1, 64), scale)


def tq1_0(codes, scale):
    def stored(digits):  # [n, 5, m], most significant first
        number = np.tensordot(digits, [81, 27, 9, 3, 1], axes=([1], [0]))
        return ((number * 256 + 242) // 243).astype(np.uint8)

    rows = codes.reshape(-1, 256).astype(np.int64)
    last = np.pad(rows[:, 240:].reshape(-1, 4, 4), ((0, 0), (0, 1), (0, 0)))
    parts = [stored(rows[:, :160].reshape(-1, 5, 32)), stored(rows[:, 160:240].reshape(-1, 5, 16)), stored(last)]
    return with_half(np.concatenate(parts, axis=1), scale)


def with_half(data, scale):
    """Blocks with an f16 behind each; `scale` is one number or one for each block."""
    d = np.broadcast_to(np.asarray(scale, np.float16).reshape(-1, 1), (len(data), 1)).copy()
    return np.concatenate([data.astype(np.uint8), d.view(np.uint8)], axis=1).tobytes()


def random_blocks(kind, n, rng):
    """n weights of a block type: every byte random but for scales that make the weights about 0.05 each."""
    block, size, halves = {
        "Q8_0": (32, 34, {0: 6e-4}), "Q4_0": (32, 18, {0: 1e-2}), "Q6_K": (256, 210, {208: 4e-5}),
        "Q4_K": (256, 144, {0: 2e-4, 2: 1.5e-3})}[kind]
    raw = rng.integers(0, 256, (n // block, size), dtype=np.uint8)
    for at, value in halves.items():
        d = (value * rng.uniform(0.5, 1.5, (len(raw), 1))).astype(np.float16)
        raw[:, at : at + 2] = d.view(np.uint8)
    return raw.tobytes()


def bf16(values):
    """Nearest, ties to even; no NaN comes here."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def encode(kind, weights, scale=None):
    """Bytes of a tensor: of t in {-1, 0, +1} and its scale, or of f32 values."""
    if kind in ("F32", "F16", "BF16"):
        values = weights.astype(np.float32) * np.float32(1 if scale is None else scale)
        return bf16(values) if kind == "BF16" else values.astype("<f4" if kind == "F32" else "<f2").tobytes()
    codes = (weights + 1).astype(np.uint8).reshape(-1)
    if kind.startswith("I2_S"):
        return i2_s(codes, scale, 16 if kind == "I2_S/B" else 32)
    return {"TQ1_0": tq1_0, "TQ2_0": tq2_0}[kind](codes, scale)


def permuted(rows, n_head):
    """q or k as convert_hf_to_gguf leaves it for llama: row s D/2 + i of each head moves to 2 i + s."""
    halves = rows.reshape(n_head, 2, -1, *rows.shape[1:])
    return np.swapaxes(halves, 1, 2).reshape(rows.shape)


def metadata(model):
    a, hp, vocab = model.arch, model.hp, model.vocab
    pairs = [
        kv("general.architecture", STR, a), kv("general.name", STR, "tiny"),
        kv(f"{a}.context_length", U32, 256), kv(f"{a}.embedding_length", U32, hp["n_embd"]),
        kv(f"{a}.block_count", U32, hp["n_layer"]), kv(f"{a}.feed_forward_length", U32, hp["n_ff"]),
        kv(f"{a}.attention.head_count", U32, hp["n_head"]), kv(f"{a}.attention.head_count_kv", U32, hp["n_head_kv"]),
        kv(f"{a}.attention.key_length", U32, hp["head_dim"]), kv(f"{a}.attention.value_length", U32, hp["head_dim"]),
        kv(f"{a}.rope.dimension_count", U32, hp.get("n_rot", hp["head_dim"])),
        kv(f"{a}.rope.freq_base", F32, hp["rope_base"]),
        kv(f"{a}.attention.layer_norm_rms_epsilon", F32, hp["eps"])]
    if "rope_factor" in hp:
        pairs += [kv(f"{a}.rope.scaling.type", STR, "linear"), kv(f"{a}.rope.scaling.factor", F32, hp["rope_factor"])]
    if "said_act" in hp:
        pairs.append(kv(f"{a}.hidden_activation", STR, hp["said_act"]))
    pairs += [
        kv("tokenizer.ggml.model", STR, vocab.kind), kv_array("tokenizer.ggml.tokens", STR, vocab.tokens),
        kv_array("tokenizer.ggml.token_type", I32, vocab.types),
        kv("tokenizer.ggml.bos_token_id", U32, vocab.bos), kv("tokenizer.ggml.eos_token_id", U32, vocab.eos)]
    if vocab.scores:
        pairs.append(kv_array("tokenizer.ggml.scores", F32, vocab.scores))
    else:
        pairs.append(kv("tokenizer.ggml.pre", STR, vocab.pre))
        pairs.append(kv_array("tokenizer.ggml.merges", STR, [" ".join(pair) for pair in vocab.merges]))
    return pairs


def write_file(path, pairs, tensors):
    """tensors: (name, ne, type id, bytes)."""
    infos, at = b"", 0
    for name, ne, kind, raw in tensors:
        infos += string(name) + struct.pack(f"<I{len(ne)}qiQ", len(ne), *ne, kind, at)
        at += -(-len(raw) // 32) * 32
    head = struct.pack("<4sIqq", b"GGUF", 3, len(tensors), len(pairs)) + b"".join(pairs) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        for _, _, _, raw in tensors:
            f.write(raw + bytes(-len(raw) % 32))


def write(path, model, kind, n_parts=1):
    """One file, or n_parts of them with the metadata in the first; returns the path to load."""
    tensors = [(name, ne, TYPE_IDS[as_kind], raw) for name, ne, as_kind, raw in model.gguf_tensors(kind)]
    if n_parts == 1:
        write_file(path, metadata(model), tensors)
        return path
    for i in range(n_parts):
        pairs = metadata(model) if i == 0 else []
        pairs += [kv("split.no", U16, i), kv("split.count", U16, n_parts), kv("split.tensors.count", I32, len(tensors))]
        name = f"{path.stem}-{i + 1:05d}-of-{n_parts:05d}.gguf"
        write_file(path.with_name(name), pairs, tensors[i::n_parts])
    return path.with_name(f"{path.stem}-00001-of-{n_parts:05d}.gguf")
