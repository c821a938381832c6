#!/usr/bin/env python3
"""Runs the command line cases: one folder each, the golden matrix of golden.py, the terminal of chat_tty.py, the runs
of deterministic.py.

    cmd            sh, run with -eu in an empty folder; `bitnet` is the executable under test, $MODEL the
                   shipped model. The folder holds the damaged models of make_models() below.
    status         the exit status; without the file 0
    stdout.expect  each line must occur in stdout; without the file stdout must be empty: it is for data
    stderr.expect  each line must occur in stderr; without the file stderr must hold no error

Every failure says so in a line "bitnet: error: ..." or shows the usage.
BITNET_BIN names the executable, otherwise build/native/bitnet is used; arguments choose cases by name.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import chat_tty
import deterministic
import golden

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "models/bitnet-tales/bitnet-tales.i2_s.gguf"
BIN = pathlib.Path(os.environ.get("BITNET_BIN") or ROOT / "build/native/bitnet").resolve()
TIMEOUT_S = 120  # a sanitizer build on a busy machine; a case takes well under a second otherwise


def make_models(folder):
    """The shipped model, damaged in one way each."""
    data = MODEL.read_bytes()
    arch = data.index(b"bitnet-b1.58")  # the value of general.architecture
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "four-bytes.gguf").write_bytes(data[:4])
    (folder / "no-tensor-data.gguf").write_bytes(data[: 256 * 1024])
    (folder / "one-byte-short.gguf").write_bytes(data[:-1])
    (folder / "wrong-magic.gguf").write_bytes(b"GGML" + data[4:])
    (folder / "version-9.gguf").write_bytes(data[:4] + b"\x09\0\0\0" + data[8:])
    (folder / "unknown-arch.gguf").write_bytes(data[:arch] + b"mamba-b1.58x" + data[arch + 12 :])


def clean_env(folder):
    """No BITNET_* of the caller leaks in; sanitizers report as they would anywhere."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("BITNET_")}
    return {**env, "PATH": f"{folder}/bin:{env['PATH']}", "MODEL": str(MODEL), "LC_ALL": "C.UTF-8"}


def expected(case, name):
    path = case / name
    return path.read_text().splitlines() if path.exists() else None


def faults(case, done):
    """What is wrong with this outcome, one sentence each."""
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    status = int((expected(case, "status") or ["0"])[0])
    if done.returncode != status:
        yield f"status {done.returncode}, expected {status}"
    want = expected(case, "stdout.expect")
    if want is None and out:
        yield f"stdout should be empty, it holds {out[:200]!r}"
    for line in want or []:
        if line not in out:
            yield f"stdout lacks {line!r}"
    want = expected(case, "stderr.expect")
    if want is None and "error" in err:
        yield "stderr holds an error"
    for line in want or []:
        if line not in err:
            yield f"stderr lacks {line!r}"
    if status and not any(line.startswith(("bitnet: error: ", "usage: bitnet ")) for line in err.splitlines()):
        yield "stderr says neither what is wrong nor how it is used"


def run_case(case, folder):
    done = subprocess.run(["sh", "-eu", case / "cmd"], cwd=folder, env=clean_env(folder), capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    found = list(faults(case, done))
    if found:
        found.append(f"stdout: {done.stdout[-600:]!r}")
        found.append(f"stderr: {done.stderr[-600:]!r}")
    return "not ok" if found else "ok", found


def main(names):
    if not BIN.exists():
        sys.exit(f"{BIN} does not exist: build it with ./start --build-only")
    cases = {c.parent.name: c.parent for c in sorted(HERE.glob("*/cmd"))}
    runs = {name: (run_case, path) for name, path in cases.items()}
    runs.update({f"golden {name}": (golden.run, cell) for name, cell in golden.cells(ROOT).items()})
    runs.update({f"chat: {name}": (chat_tty.run, case) for name, case in chat_tty.cells().items()})
    runs.update({f"deterministic: {name}": (deterministic.run, cell) for name, cell in deterministic.cells().items()})
    count = {"ok": 0, "not ok": 0, "skip": 0}
    for name, (fn, arg) in runs.items():
        if names and not any(n in name for n in names):
            continue
        with tempfile.TemporaryDirectory() as tmp:
            folder = pathlib.Path(tmp)
            make_models(folder)
            (folder / "bin").mkdir()
            (folder / "bin/bitnet").symlink_to(BIN)
            try:
                verdict, notes = fn(arg, folder)
            except subprocess.TimeoutExpired as e:
                verdict, notes = "not ok", [str(e)]
        count[verdict] += 1
        print(f"{verdict} {name}", *notes, sep="\n    ", flush=True)
    print(f"{count['ok']} passed, {count['not ok']} failed, {count['skip']} skipped")
    return 1 if count["not ok"] or not count["ok"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
