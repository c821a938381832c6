"""A path -> Model: which reader, and what stands for a file's own metadata."""
from . import gguf, safetensors

OVERRIDES = {"int": int, "float": float, "bool": lambda word: {"true": True, "false": False}[word], "str": str}


def override(text):
    """KEY=TYPE:VALUE -> (key, value)."""
    key, _, typed = text.partition("=")
    kind, _, value = typed.partition(":")
    return key, OVERRIDES[kind](value)


def read(path, layout="a", overrides=()):
    """A GGUF file, any part of a split one, a Hugging Face folder or a file in it."""
    if path.suffix == ".safetensors" or path.name == "config.json":
        path = path.parent
    if not path.is_dir():
        return gguf.read(path, layout, overrides)
    if overrides:
        raise ValueError("--override-kv stands for keys of a GGUF file; a folder has none")
    return safetensors.read(path)
