"""The golden matrix: greedy tokens are the same for every kernel variant and every thread count.

tests/golden/bitnet-tales.json holds, for three prompts, the prompt's ids and forty greedy tokens of an
independent float64 implementation. Each (prompt, variant, threads) must give exactly these. A variant
that this CPU lacks is skipped, saying so; whether it has it is read from /proc/cpuinfo, not asked of
the program under test, so a dispatcher that quietly falls back to C fails here.
"""
import json
import pathlib
import subprocess

NEEDS = {  # --cpu-mask: flags of /proc/cpuinfo
    "c": set(),
    "sse41": {"ssse3", "sse4_1"},
    "avx2": {"avx2", "f16c"},
    "avxvnni": {"avx_vnni"},
    "avx512vnni": {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"},
    "amx": {"amx_tile", "amx_int8"},
}
MASKS = {"c": "c", "sse41": "sse41", "avx2": "sse41,avx2", "avxvnni": "sse41,avx2,avxvnni",
         "avx512vnni": "sse41,avx2,avx512vnni", "amx": "sse41,avx2,avx512vnni,amx"}
KEYS = {"prompt_token_ids", "token_ids", "text", "finish_reason", "timings", "backend", "tier"}
TIMEOUT_S = 120


def cpu_flags():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return set(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())


def cells(root):
    prompts = json.loads((root / "tests/golden/bitnet-tales.json").read_text())["prompts"]
    return {f"{tier}, {threads} thread{'s' * (threads > 1)}: {p['text']}": (p, tier, threads)
            for tier in NEEDS for threads in (1, 2) for p in prompts}


def faults(prompt, tier, got):
    want = {"prompt_token_ids": prompt["ids"], "token_ids": prompt["greedy40"], "text": prompt["greedy40_text"],
            "finish_reason": "length", "backend": "cpu", "tier": tier}
    if lost := sorted(KEYS - got.keys()):
        yield f"keys missing: {', '.join(lost)}"
    for key, value in want.items():
        if got.get(key) != value:
            yield f"{key}: got      {got.get(key)}"
            yield f"{key}: expected {value}"
    timings = got.get("timings", {})
    for key in ("ttft_s", "e2e_s"):
        if not timings.get(key, 0) > 0:
            yield f"timings.{key} is {timings.get(key)}, a run takes more than nothing"


def run(cell, folder):
    prompt, tier, threads = cell
    if lacking := sorted(NEEDS[tier] - cpu_flags()):
        return "skip", [f"this CPU lacks {', '.join(lacking)}"]
    argv = [folder / "bin/bitnet", "run", "-p", prompt["text"], "-n", "40", "--temp", "0", "-t", str(threads), "--json"]
    done = subprocess.run(argv, env={"BITNET_CPU_MASK": MASKS[tier]}, capture_output=True, cwd=folder,
                          stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    try:
        got = json.loads(done.stdout)
    except ValueError as e:
        return "not ok", [f"stdout is not one JSON object ({e}), status {done.returncode}", f"stdout: {done.stdout!r}",
                          f"stderr: {done.stderr!r}"]
    found = list(faults(prompt, tier, got))
    if done.returncode:
        found.append(f"status {done.returncode}, stderr: {done.stderr!r}")
    return "not ok" if found else "ok", found
