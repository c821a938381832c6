"""--deterministic: two runs give the same JSON, but for what a clock tells.

Which numbers those are is said by the table of metrics, by their kind; of `timings`, which has times that the table
does not know, the counts must be the same. Another number of threads changes no token and no count, only memory.
"""
import importlib.util
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 120
FLAG, VARIABLE = {}, {"BITNET_DETERMINISTIC": "1"}
CLOCKED = {"TIME", "RATE"}


def metrics_of(kinds):
    """Names of the metrics of these kinds."""
    spec = importlib.util.spec_from_file_location("gen_metrics", ROOT / "scripts/gen_metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name for name, _, _, kind, _, _ in module.request_metrics() if kind in kinds}


def cells():
    return {"two runs by the flag": ([(["--deterministic"], FLAG)] * 2, CLOCKED),
            "two runs by the variable": ([([], VARIABLE)] * 2, CLOCKED),
            "another seed than 0": ([(["--deterministic", "--seed", "5"], FLAG)] * 2, CLOCKED),
            "one thread and two": ([(["--deterministic", "-t", n], FLAG) for n in ("1", "2")], CLOCKED | {"SIZE"})}


def answer(folder, options, env):
    argv = [folder / "bin/bitnet", "run", "-p", "The fox and the grapes", "-n", "48", "--json", *options]
    done = subprocess.run(argv, env={"LC_ALL": "C.UTF-8", **env}, capture_output=True, cwd=folder,
                          stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)
    return json.loads(done.stdout)


def comparable(found, varying):
    metrics = {k: v for k, v in found["metrics"].items() if k not in varying}
    timings = {k: v for k, v in found["timings"].items() if k.startswith("n_")}
    return {**found, "metrics": metrics, "timings": timings, "threads": None}


def faults(first, second, varying):
    if lost := sorted(varying - first["metrics"].keys()):
        yield f"metrics lack {', '.join(lost)}"
    if first["metrics"]["n_generated"] != 48:
        yield f"{first['metrics']['n_generated']} tokens, expected 48"
    one, two = comparable(first, varying), comparable(second, varying)
    for key in one.keys() | two.keys():
        if one.get(key) != two.get(key):
            yield f"{key}: first  {one.get(key)}"
            yield f"{key}: second {two.get(key)}"


def run(cell, folder):
    runs, kinds = cell
    first, second = (answer(folder, options, env) for options, env in runs)
    found = list(faults(first, second, metrics_of(kinds)))
    return "not ok" if found else "ok", found
