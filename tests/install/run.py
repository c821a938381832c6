#!/usr/bin/env python3
"""What is installed is enough: installs a build into an empty prefix and uses it as a stranger would.

The usage example in bitnet/bitnet.h is taken out of its comment, built once through pkg-config and once
through find_package(bitnet), and must print the golden text. Every public header compiles alone in C11
and in C++17 with warnings as errors. Every symbol of the library starts with bitnet_, and those with
default visibility are exactly the functions and objects that the headers mark BITNET_API.

usage: run.py BUILD_DIR
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "models/bitnet-tales/bitnet-tales.i2_s.gguf"
WARN = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def sh(*args, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=300, **kw)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, args))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


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


def install(build, tmp):
    prefix = tmp / "pre fix"
    sh("cmake", "--install", build, "--prefix", prefix)
    for file in ("bin/bitnet", "include/bitnet/bitnet.h", "include/bitnet/metrics.def"):
        assert (prefix / file).exists(), f"{file} is not installed"
    return prefix


def prints_golden(program):
    assert (got := sh(program, MODEL)) == golden_text(), f"got      {got!r}\nexpected {golden_text()!r}"


def by_pkg_config(prefix, tmp, source):
    pc = next(prefix.rglob("bitnet.pc"))
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    flags = sh("pkg-config", "--cflags", "--libs", "bitnet", env=env)
    sh("sh", "-c", f"cc -std=c11 {' '.join(WARN)} -o '{tmp}/app-pc' '{source}' {flags.strip()}")
    prints_golden(tmp / "app-pc")


def by_find_package(prefix, tmp, source):
    project = tmp / "project"
    project.mkdir()
    (project / "CMakeLists.txt").write_bytes((HERE / "CMakeLists.txt").read_bytes())
    (project / "app.c").write_text(source.read_text())
    sh("cmake", "-G", "Ninja", "-S", project, "-B", tmp / "app-build", f"-DCMAKE_PREFIX_PATH={prefix}")
    sh("cmake", "--build", tmp / "app-build")
    prints_golden(tmp / "app-build/app")


def header_alone(header, include, compiler):
    line = f'#include "bitnet/{header.name}"\n'
    sh(*compiler, *WARN, "-fsyntax-only", f"-I{include}", "-", input=line)


def symbols(library, headers):
    """Names are ours alone; what is visible is what the headers declare, no more and no less."""
    rows = [line.split() for line in sh("readelf", "-sW", library).splitlines()]
    rows = [r for r in rows if len(r) == 8 and r[4] == "GLOBAL" and r[6] != "UND"]
    names = {r[7] for r in rows}
    foreign = sorted(n for n in names if not n.startswith("bitnet_"))
    assert rows and not foreign, f"symbols without our prefix: {foreign or 'no symbols at all'}"
    declared = set()
    for header in headers:
        code = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        for decl in re.findall(r"\bBITNET_API\b([^;{]*);", code):
            declared.add(re.search(r"(bitnet_\w+)\s*(?:\(|$)", decl.strip())[1])
    visible = {r[7] for r in rows if r[5] == "DEFAULT"}
    assert visible == declared, (f"visible but not declared: {sorted(visible - declared)}; "
                                 f"declared but not there: {sorted(declared - visible)}")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    n_failed = n_passed = 0

    def check(name, fn, *args):
        nonlocal n_failed, n_passed
        try:
            result = fn(*args)
        except (AssertionError, OSError, subprocess.TimeoutExpired, StopIteration) as e:
            n_failed += 1
            print(f"not ok {name}\n    " + str(e or type(e).__name__).replace("\n", "\n    "))
            return None
        n_passed += 1
        print(f"ok {name}")
        return result

    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        if prefix := check("installs into an empty prefix whose path has a space", install, build, tmp):
            include = prefix / "include"
            headers = sorted((include / "bitnet").glob("*.h"))
            source = tmp / "app.c"
            source.write_text(example(include / "bitnet/bitnet.h"))
            check("the example of bitnet.h builds through pkg-config and prints the golden text",
                  by_pkg_config, prefix, tmp, source)
            check("the example of bitnet.h builds through find_package and prints the golden text",
                  by_find_package, prefix, tmp, source)
            for header in headers:
                check(f"{header.name} compiles alone in C11", header_alone, header, include,
                      ["cc", "-std=c11", "-x", "c"])
                check(f"{header.name} compiles alone in C++17", header_alone, header, include,
                      ["c++", "-std=c++17", "-x", "c++"])
            check("every symbol starts with bitnet_, visible ones are those declared BITNET_API",
                  symbols, next(prefix.rglob("libbitnet.a")), headers)
    print(f"{n_passed} passed, {n_failed} failed, 0 skipped")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
