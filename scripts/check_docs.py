#!/usr/bin/env python3
"""Keeps the pages true. For every *.md of the project:

    fences           each is closed before the next one opens
    links            relative ones lead to a file that exists, and to a heading when they name one
    ```sh test       the commands are run with bash -eu in the root and must succeed
    ```text output   what the `sh test` block before it must print, but for newlines at the end
    ```text help=X   what `bitnet X --help` prints ("help=" alone: `bitnet --help`), whole

`bitnet` is the executable named by BITNET_BIN, otherwise build/native/bitnet.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("BITNET_BIN") or ROOT / "build/native/bitnet").resolve()
OUTSIDE = {"build", "dist", "node_modules", ".git", "test-results"}
FENCE = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TIMEOUT_S = 120


def headings(page):
    """GitHub's anchors: lower case, spaces to dashes, punctuation dropped."""
    text = FENCE.sub("", page.read_text())
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


def check_fences(text):
    opened = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("```"):
            continue
        if opened and line != "```":
            yield f"the fence of line {opened} is still open where line {number} opens another"
        opened = None if opened and line == "```" else number
    if opened:
        yield f"the fence of line {opened} is never closed"


def check_links(page, text):
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"link to {target}: there is no such file"
        elif anchor and file.suffix == ".md" and anchor not in headings(file):
            yield f"link to {target}: there is no such heading"


def run(*argv):
    env = {k: v for k, v in os.environ.items() if not k.startswith("BITNET_")}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=TIMEOUT_S, check=False)


def check_blocks(text):
    last = None
    for language, mark, body in FENCE.findall(text):
        if language == "sh" and mark == "test":
            last = run("bash", "-euc", body)
            if last.returncode:
                yield f"status {last.returncode} from\n{body}{last.stderr}"
        elif language == "text" and mark == "output":
            if last is None or last.stdout.rstrip("\n") != body.rstrip("\n"):
                yield f"output differs. The page has\n{body}the command printed\n{last.stdout if last else 'nothing: none was run'}"
        elif language == "text" and mark.startswith("help="):
            done = run(BIN, *mark.removeprefix("help=").split(), "--help")
            if done.stdout != body:
                yield f"help differs. The page has\n{body}bitnet prints\n{done.stdout}"


def main():
    pages = [p for p in sorted(ROOT.rglob("*.md")) if not OUTSIDE & set(p.relative_to(ROOT).parts)]
    found, n_blocks = [], 0
    for page in pages:
        text = page.read_text()
        n_blocks += sum(bool(mark) for _, mark, _ in FENCE.findall(text))
        found += [f"{page.relative_to(ROOT)}: {fault}" for fault in (*check_fences(text), *check_links(page, text), *check_blocks(text))]
    print(*found, f"{len(pages)} pages, {n_blocks} tested blocks, {len(found)} faults", sep="\n")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
