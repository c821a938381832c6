#!/usr/bin/env python3
"""What is installed is enough: installs a build into an empty prefix and uses it as a stranger would.

The usage example in bitnet/bitnet.h is taken out of its comment, built once through pkg-config and once
through find_package(bitnet), and must print the golden text. Every public header compiles alone in C11
and in C++17 with warnings as errors. Every symbol of the library starts with bitnet_, and those with
default visibility are exactly the functions and objects that the headers mark BITNET_API.

usage: run.py BUILD_DIR
"""
import json
import pathlib
import re
import sys
import tempfile

from installed import Tally, build_with_find_package, build_with_pkg_config, install, sh, symbols

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "models/bitnet-tales/bitnet-tales.i2_s.gguf"


def example(header):
    """The program in the header's first comment, and the loader of main.c behind it."""
    comment = header.read_text().split("*/", 1)[0]
    lines = re.findall(r"^ \*     (.*)$|^ \*()$", comment, re.M)
    program = "\n".join(code for code, _ in lines)
    assert "bitnet_engine_run" in program and "int run(" in program, "bitnet.h has lost its usage example"
    return program + "\n" + (HERE / "main.c").read_text()


def golden_text():
    """What the example must print: its prompt is the first golden one, 40 tokens, greedy."""
    return json.loads((ROOT / "tests/golden/bitnet-tales.json").read_text())["prompts"][0]["greedy40_text"]


def prints_golden(program):
    assert (got := sh(program, MODEL)) == golden_text(), f"got      {got!r}\nexpected {golden_text()!r}"


def by_pkg_config(prefix, tmp, source):
    prints_golden(build_with_pkg_config(prefix, "bitnet", source, tmp / "app-pc"))


def by_find_package(prefix, tmp, source):
    project = tmp / "project"
    project.mkdir()
    (project / "CMakeLists.txt").write_bytes((HERE / "CMakeLists.txt").read_bytes())
    (project / "app.c").write_text(source.read_text())
    prints_golden(build_with_find_package(prefix, project, tmp / "app-build"))


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    tally = Tally()
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        if prefix := tally.check("installs into an empty prefix whose path has a space", install, build, tmp / "pre fix",
                                 "bin/bitnet", "include/bitnet/bitnet.h", "include/bitnet/metrics.def"):
            include = prefix / "include"
            source = tmp / "app.c"
            source.write_text(example(include / "bitnet/bitnet.h"))
            tally.check("the example of bitnet.h builds through pkg-config and prints the golden text",
                        by_pkg_config, prefix, tmp, source)
            tally.check("the example of bitnet.h builds through find_package and prints the golden text",
                        by_find_package, prefix, tmp, source)
            headers = tally.check_headers(include)
            tally.check("every symbol starts with bitnet_, visible ones are those declared BITNET_API",
                        symbols, next(prefix.rglob("libbitnet.a")), headers)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
