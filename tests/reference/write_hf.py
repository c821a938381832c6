"""A tiny model -> a Hugging Face folder: packed or dense safetensors, one file or shards, config.json, tokenizer.json."""
import json
import struct

import numpy as np

from write_gguf import encode

PROJECTIONS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
SUB_NORMS = {  # 2B4T's names and 1bitLLM's
    "bitnet-b1.58": {"attn_sub_norm": "self_attn.attn_sub_norm", "ffn_sub_norm": "mlp.ffn_sub_norm"},
    "bitnet": {"attn_sub_norm": "self_attn.inner_attn_ln", "ffn_sub_norm": "mlp.ffn_layernorm"},
    "llama": {}}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
       "output.weight": "lm_head.weight"}
CLASSES = {"bitnet-b1.58": ("BitNetForCausalLM", "bitnet"), "bitnet": ("BitnetForCausalLM", "llama"),
           "llama": ("LlamaForCausalLM", "llama")}


def hf_name(arch, name):
    if name in TOP:
        return TOP[name]
    _, layer, stem, what = name.split(".")
    return f"model.layers.{layer}.{({**PROJECTIONS, **NORMS, **SUB_NORMS[arch]})[stem]}.{what}"


def packed(t):
    """Row o of [out, in] in the bits 2 (o / (out/4)) of row o % (out/4)."""
    quarters = (t + 1).astype(np.uint8).reshape(4, -1, t.shape[1])
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def masters(t, scale, rng):
    """Weights that become exactly (t, scale) at load: t is half zeros, so 1/4 and 7/4 of the scale average to it."""
    sign = np.where(t == 0, rng.choice([-1, 1], t.shape), t)
    return (sign * np.where(t == 0, 0.25, 1.75) * scale).astype(np.float32)


def tensors(model, form, rng):
    """(name, dtype, shape, bytes); form is "multiply", "divide", or the dtype of masters."""
    for name, weights, scale in model.tensors():
        ours = hf_name(model.arch, name)
        if scale is None:
            kind = "F32" if weights.ndim == 1 else "F16"
            yield ours, kind, weights.shape, encode(kind, weights)
        elif form in ("multiply", "divide"):
            body = packed(weights)
            yield ours, "U8", body.shape, body.tobytes()
            said = scale if form == "multiply" else 1 / scale
            yield ours + "_scale", "BF16", (1,), encode("BF16", np.array([said]))
        else:
            yield ours, form, weights.shape, encode(form, masters(weights, scale, rng))


def write_file(path, entries):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape, raw in entries:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(raw for _, _, _, raw in entries))


def config(model, form):
    hp = model.hp
    name, kind = CLASSES[model.arch]
    out = {
        "architectures": [name], "model_type": kind, "hidden_size": hp["n_embd"], "intermediate_size": hp["n_ff"],
        "num_hidden_layers": hp["n_layer"], "num_attention_heads": hp["n_head"], "head_dim": hp["head_dim"],
        "num_key_value_heads": hp["n_head_kv"], "hidden_act": "relu2" if model.arch == "bitnet-b1.58" else "silu",
        "max_position_embeddings": 256, "rms_norm_eps": hp["eps"], "rope_theta": hp["rope_base"], "rope_scaling": None,
        "tie_word_embeddings": model.arch != "llama", "vocab_size": len(model.vocab.tokens),
        "bos_token_id": model.vocab.bos, "eos_token_id": model.vocab.eos, "torch_dtype": "bfloat16"}
    quant = {"quant_method": "bitnet", "quantization_mode": "offline", "modules_to_not_convert": None}
    if form == "multiply":
        quant["linear_class"] = "autobitlinear"
    elif form != "divide":
        quant.update(linear_class="autobitlinear", quantization_mode="online")
    if model.arch != "bitnet":  # 1bitLLM's checkpoints have none
        out["quantization_config"] = quant
    return out


def write(folder, model, form, n_shards=1):
    folder.mkdir()
    found = list(tensors(model, form, np.random.default_rng(7)))
    if n_shards == 1:
        write_file(folder / "model.safetensors", found)
    else:
        names = [f"model-{i + 1:05d}-of-{n_shards:05d}.safetensors" for i in range(n_shards)]
        for i, name in enumerate(names):
            write_file(folder / name, found[i::n_shards])
        where = {entry[0]: names[i % n_shards] for i, entry in enumerate(found)}
        index = {"metadata": {"total_size": sum(len(e[3]) for e in found)}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config(model, form), indent=2))
    (folder / "tokenizer.json").write_text(json.dumps(model.vocab.tokenizer_json(), ensure_ascii=False))
    return folder
