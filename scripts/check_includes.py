#!/usr/bin/env python3
"""Holds the include diagram of docs/architecture.md as data and fails on anything else.

A room is a folder; the longest matching prefix decides. A file may include the C standard library, its
own room, and what its row names: a prefix ("base/"), a header ("bitnet/backend.h") or a system header
("<immintrin.h>"). In targets/native the files at the top (track.h,
source_file.h, model_files.h) are everyone's. Tests may include anything. The words of BANNED never appear in core/: the platform belongs to
targets/*/os_*.c, and library code never prints, exits or reads the environment; memory comes from base.c alone.
"""
import pathlib
import re
import sys

C_STD = {f"<{h}.h>" for h in ("assert ctype errno float inttypes limits math stdalign stdarg stdatomic "
                             "stdbool stddef stdint stdio stdlib string").split()}
THIRD_PARTY = ("<libwebsockets.h>", "<cjson/", "<sqlite3.h>", "<libpq-fe.h>", "<emscripten", "<immintrin.h>", "<cpuid.h>", "<wasm_simd128.h>", "<arm_neon.h>")
SYSTEM = "<system>"  # in a row: any system header that is not third party
RULES = {
    "core/include/bitnet": ["bitnet/"],
    "core/base": ["bitnet/status.h", "bitnet/hooks.h"],
    "core/format": ["bitnet/", "base/"],
    "core/text": ["bitnet/", "base/", "format/"],
    "core/kernels": ["bitnet/backend.h", "base/half.h", "base/os.h", "format/blocks.h", "<cpuid.h>",
                     "<immintrin.h>", "<wasm_simd128.h>", "<arm_neon.h>"],
    "core/backend": ["bitnet/", "base/", "kernels/", "format/blocks.h", "format/tensors.h", "format/ternary.h"],
    "core/model": ["bitnet/", "base/", "format/", "text/"],
    "core/sample": ["bitnet/", "base/"],
    "core/tracker": ["bitnet/", "base/"],
    "core/cache": ["bitnet/", "base/"],
    "core/engine": ["bitnet/", "base/", "model/", "text/", "sample/", "cache/", "tracker/"],
    "targets": ["base/", "kernels/", "<emscripten", SYSTEM],
    "targets/native": ["bitnet/", "base/", "cmd/", "http/", "dash/", "probe/", SYSTEM],
    "targets/native/cmd": ["bitnet/", "base/", "http/", "dash/", "probe/", "<cjson/", SYSTEM],
    "targets/native/probe": ["bitnet/", "base/", "kernels/", "rates.h", "<immintrin.h>", SYSTEM],
    "targets/native/http": ["bitnet/", "base/", "dash/", "<libwebsockets.h>", "<cjson/", SYSTEM],
    "targets/native/dash": ["bitnet/", "base/", "http/", "<libwebsockets.h>", "<cjson/", "<sqlite3.h>", "<libpq-fe.h>", SYSTEM],
    "bench/kernels": ["bitnet/backend.h", "base/", "kernels/", "cmd/bench_output.h", "probe/", "<immintrin.h>", SYSTEM],
    "bench/hub": ["bitnet/histogram.h", SYSTEM],
    "targets/wasm": ["bitnet/", "base/", "<emscripten", SYSTEM],
    "targets/wasm/probe": ["base/", "kernels/", "<emscripten"],
}
BANNED = re.compile(r"\b(__EMSCRIPTEN__|_WIN32|__linux__|__APPLE__|(?:printf|fprintf|puts|exit|abort|getenv)(?=\())")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(\\.|[^\"\\\n])*\"", re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*(<[^>]+>|"[^"]+")', re.M)


def room_of(path):
    return max((r for r in RULES if path.startswith(r + "/")), key=len, default=None)


def faults(root, path):
    name, text = path.relative_to(root).as_posix(), path.read_text()
    room = room_of(name)
    if room is None:
        return [f"{name}: no room of scripts/check_includes.py holds it"]
    own = room.rsplit("/", 1)[-1] + "/"
    found = []
    for match in INCLUDE.finditer(text):
        header = match[1].strip('"')
        beside = "/" not in header and any((d / header).exists() for d in (path.parent, root / "targets/native"))
        system = header[0] == "<" and SYSTEM in RULES[room] and not header.startswith(THIRD_PARTY)
        if not (header in C_STD or beside or system or header.startswith((own, *RULES[room]))):
            found.append(f"{name}: {room} may not include {match[1]}")
    if room.startswith("core/"):
        code = COMMENT.sub(" ", text)
        found += [f"{name}: {word} does not belong in core" for word in sorted(set(BANNED.findall(code)))]
        if name != "core/base/base.c" and re.search(r"(?<!->)\b(malloc|calloc|realloc|free)\(", code):
            found.append(f"{name}: memory comes from bitnet_alloc (core/base/base.c)")
    return found


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    files = [p for top in ("core", "targets", "bench") for p in sorted((root / top).rglob("*"))
             if p.suffix in (".c", ".h", ".def", ".cu")]
    found = [fault for path in files for fault in faults(root, path)]
    print(*found, f"{len(files)} files, {len(found)} faults", sep="\n")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
