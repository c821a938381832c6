#!/usr/bin/env python3
"""The library against the reference: every architecture in every container, and the reference against its own vectors.

Small random models are written into a temporary folder, `bitnet doctor --reference` runs on each, and its numbers are
judged here. BITNET_BIN names the executable, otherwise build/native/bitnet is used; arguments choose cases by name.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("BITNET_BIN") or ROOT / "build/native/bitnet").resolve()
TIMEOUT_S = 120  # one model under a sanitizer on a busy machine; half a second otherwise

LOGIT_TOLERANCE = 1e-3  # relative; f32 sums differ by about 1e-6, a wrong rounding or factor by far more
PERPLEXITY_TOLERANCE = 1e-3  # relative
SAME_MODEL = 1e-12  # of the reference in f64 between containers: rows of q and k are summed in another order
N_IDS = 12
# No activation may lie nearer than this to a tie of round half even. In f32 x * s, at most 127, is off by a few
# times 1e-7 of itself, so two right implementations may fall to different sides of a nearer one.
MARGIN = 3e-5
TEXT = "The cat and the hat: it's 1234 \u00e9t\u00e9s  in Spain."
SEEDS = 400  # of id sequences tried for one that keeps the margin; about one in six does

count = {"ok": 0, "not ok": 0, "skip": 0}


def say(verdict, name, notes=()):
    count[verdict] += 1
    print(f"{verdict} {name}", *notes, sep="\n    ", flush=True)


def doctor(case, *options):
    """What doctor says about a model: (its JSON or None, what is wrong in sentences)."""
    path, layout = case
    words = [BIN, "doctor", "--reference", "--json", "--reference-dir", HERE, "--python", sys.executable, "-m", path,
             "--i2s-layout", layout, *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        return None, [f"status {done.returncode}: {done.stderr.strip()[-400:]}"]
    found = json.loads(done.stdout)
    return found, [] if found["holds"] == (done.returncode == 0) else ["the status contradicts the verdict"]


def faults(found, is_strict=True):
    """Where the numbers leave the tolerances. Strict: no margin for roundings that fell to different sides."""
    if is_strict and found["allowed"] > LOGIT_TOLERANCE:
        yield f"the reference alone spreads by {found['reference_spread']:.1e}: other ids were to be chosen"
    allowed = LOGIT_TOLERANCE if is_strict else found["allowed"]
    if not found["max_rel_error"] < allowed:
        yield f"relative error of the logits {found['max_rel_error']:.2e}, allowed {allowed:.0e}"
    if found["argmax_equal"] != found["argmax_compared"]:
        yield f"argmax equal at {found['argmax_equal']} of {found['argmax_compared']} positions"
    if found["argmax_compared"] == 0:
        yield "no position could be compared"
    allowed = PERPLEXITY_TOLERANCE if is_strict else allowed
    if not abs(found["perplexity"] / found["reference_perplexity"] - 1) < allowed:
        yield f"perplexity {found['perplexity']}, the reference's {found['reference_perplexity']}"


def choose_ids(path, layout):
    """Random ids on which no activation of the model is near a tie, and the reference's logits there."""
    import numpy as np
    from bitnet_ref import load
    from bitnet_ref.forward import forward

    model = load.read(path, layout)
    for seed in range(SEEDS):
        ids = np.random.default_rng(seed).integers(0, model.n_vocab, N_IDS).tolist()
        result = forward(model, ids)
        if result.margin.min() > MARGIN:
            return ids, result.logits
    raise RuntimeError(f"{path}: no ids without a tie among {SEEDS} sequences")


def reference_logits(path, layout, ids):
    from bitnet_ref import load
    from bitnet_ref.forward import forward

    return forward(load.read(path, layout), ids).logits


def check_same_reference(case, first, ids, logits):
    """The reference itself must find the same model in every container of a group."""
    import numpy as np

    found = reference_logits(case.path, case.layout, ids)
    worst = np.abs(found - logits).max() / np.abs(logits).max()
    if worst > SAME_MODEL:
        yield f"the reference's logits differ from those of {first} by {worst:.1e}"


def check_models(cases):
    """Each case against the reference; those of a group against the group's first."""
    groups = {}
    for case in cases:
        key = case.group or case.name
        if key not in groups:
            groups[key] = {"name": case.name, "ids": choose_ids(case.path, case.layout)}
        group, (ids, logits) = groups[key], groups[key]["ids"]
        found, notes = doctor((case.path, case.layout), "--ids", ",".join(map(str, ids)))
        if found:
            notes += list(faults(found)) + list(check_same_reference(case, group["name"], ids, logits))
            said = group.setdefault("hash", found["logits_fnv1a64"])
            if said != found["logits_fnv1a64"]:
                notes.append(f"logits {found['logits_fnv1a64']}, those of {group['name']} are {said}")
        say("not ok" if notes else "ok", case.name, notes)
    return groups


def check_converted(cases, groups, folder):
    """A folder written as GGUF is the same model: the reference agrees, and the logits keep their bits."""
    for case in (c for c in cases if c.path.is_dir() and c.group):
        for kind in ("i2_s", "tq1_0"):
            out, group = folder / "converted.gguf", groups[case.group]
            done = subprocess.run([BIN, "convert", case.path, "-o", out, "--type", kind, "--force"], capture_output=True,
                                  text=True, timeout=TIMEOUT_S, check=False)
            found, notes = None, [done.stderr] if done.returncode else []
            if not notes:
                found, notes = doctor((out, "a"), "--ids", ",".join(map(str, group["ids"][0])))
            if found:
                notes += list(faults(found))
                if found["logits_fnv1a64"] != group["hash"]:
                    notes.append(f"logits {found['logits_fnv1a64']}, before they were {group['hash']}")
            say("not ok" if notes else "ok", f"{case.name} converted to {kind}", notes)


def check_text(cases):
    """A folder's tokenizer.json and the GGUF made of it cut a text into the same ids."""
    by_group = {}
    for case in cases:
        by_group.setdefault(case.group, []).append(case)
    for group in ("bitnet-b1.58", "bitnet"):
        pair = [by_group[group][0], next(c for c in by_group[group] if c.path.is_dir())]
        results = [doctor((c.path, c.layout), "-p", TEXT) for c in pair]
        notes = [note for _, notes in results for note in notes]
        if not notes:
            notes = [note for found, _ in results for note in faults(found, is_strict=False)]
            ids = [found["ids"] for found, _ in results]
            if ids[0] != ids[1]:
                notes.append(f"{pair[0].name}: {ids[0]}; {pair[1].name}: {ids[1]}")
        say("not ok" if notes else "ok", f"text through the tokenizers of {group}, GGUF and tokenizer.json", notes)


def check_file(path):
    """A trained model on a text: roundings may differ there, so doctor's own allowance holds."""
    found, notes = doctor((path, "a"))
    notes += list(faults(found, is_strict=False)) if found else []
    say("not ok" if notes else "ok", f"{path.name}, a text", notes)


def check_vectors():
    import vectors

    for name, function in vectors.CASES.items():
        notes = list(function())
        say("not ok" if notes else "ok", f"the reference: {name}", notes)


def main(names):
    try:
        import numpy  # noqa: F401
    except ImportError:
        say("skip", "logits against the reference: NumPy is not installed (apt install python3-numpy)")
        return 0
    if not BIN.exists():
        sys.exit(f"{BIN} does not exist: build it with ./start --build-only")
    import make_models

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices this small only wait for threads
    sys.dont_write_bytecode = True
    check_vectors()
    with tempfile.TemporaryDirectory() as tmp:
        cases = make_models.make(pathlib.Path(tmp))
        cases = [c for c in cases if not names or any(n in c.name for n in names)]
        check_converted(cases, check_models(cases), pathlib.Path(tmp))
        if not names:
            check_text(cases)
    shared = sorted((ROOT.parent / "shared/models").glob("*.gguf"))
    for path in [ROOT / "models/bitnet-tales/bitnet-tales.i2_s.gguf", *shared]:
        check_file(path)
    if not shared:
        say("skip", "the models of ../shared: not there")
    return 1 if count["not ok"] else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    status = main(sys.argv[1:])
    print(f"{count['ok']} passed, {count['not ok']} failed, {count['skip']} skipped")
    sys.exit(status)
