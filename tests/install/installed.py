"""What the install tests share: commands that must succeed, a tally, and checks of headers and symbols."""
import os
import re
import subprocess

WARN = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def sh(*args, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=300, **kw)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, args))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Tally:
    """Runs checks, prints a line for each, and in the end "N passed, N failed, N skipped"."""

    def __init__(self):
        self.n_passed = self.n_failed = 0

    def check(self, name, fn, *args):
        try:
            result = fn(*args)
        except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired, StopIteration) as e:
            self.n_failed += 1
            print(f"not ok {name}\n    " + str(e or type(e).__name__).replace("\n", "\n    "))
            return None
        self.n_passed += 1
        print(f"ok {name}")
        return result

    def check_headers(self, include):
        headers = sorted((include / "bitnet").glob("*.h"))
        for header in headers:
            self.check(f"{header.name} compiles alone in C11", header_alone, header, include, ["cc", "-std=c11", "-x", "c"])
            self.check(f"{header.name} compiles alone in C++17", header_alone, header, include, ["c++", "-std=c++17", "-x", "c++"])
        return headers

    def end(self):
        print(f"{self.n_passed} passed, {self.n_failed} failed, 0 skipped")
        return 1 if self.n_failed or not self.n_passed else 0


def install(build, prefix, *files):
    sh("cmake", "--install", build, "--prefix", prefix)
    for file in files:
        assert (prefix / file).exists(), f"{file} is not installed"
    return prefix


def build_with_pkg_config(prefix, package, source, program):
    pc = next(prefix.rglob(f"{package}.pc"))
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    flags = sh("pkg-config", "--cflags", "--libs", package, env=env)
    sh("sh", "-c", f"cc -std=c11 {' '.join(WARN)} -o '{program}' '{source}' {flags.strip()}")
    return program


def build_with_find_package(prefix, project, build):
    sh("cmake", "-G", "Ninja", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    sh("cmake", "--build", build)
    return build / "app"


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
