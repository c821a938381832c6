#!/usr/bin/env python3
"""The tracker alone is enough: installs a build of preset tracker into an empty prefix and uses it as a
stranger would, who has no model.

The example of docs/operations.md is built through pkg-config, a program in C++ (tracker/) through
find_package(bitnet_tracker); what they print must be the operations they ran. Headers and symbols are
held to what run.py holds them to, and the library is made of nothing but core/base, core/tracker and the
platform.

usage: run_tracker.py BUILD_DIR
"""
import json
import pathlib
import re
import sys
import tempfile

from installed import Tally, build_with_find_package, build_with_pkg_config, install, sh, symbols

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def example():
    return re.search(r"^```c\n(.*?)^```$", (ROOT / "docs/operations.md").read_text(), re.M | re.S)[1]


def expect(what, got, expected):
    assert got == expected, f"{what}: got {got!r}, expected {expected!r}"


def by_pkg_config(prefix, tmp):
    source = tmp / "app.c"
    source.write_text(example())
    doc = json.loads(sh(build_with_pkg_config(prefix, "bitnet_tracker", source, tmp / "app-pc")))
    group, = (g for g in doc["by_type_and_strategy"] if g["type"] == "upscale")
    # twenty pictures of 0 to 19 rows; those of 14 and more fail at row 13
    expect("pictures", (group["count"], group["failed"], group["duration_s"]["n"]), (20, 6, 14))
    expect("rows", [(t["unit"], t["units"]) for t in group["throughput"]], [("row", sum(range(14)))])
    expect("operations", doc["summary"]["count"], 21)
    job = doc["recent"][0]
    expect("the job", (job["op"], job["strategy"], job["ok"], job["meta"]), ("job", "", True, {"first_bad": 19}))
    part = doc["recent"][1]
    expect("its last part", (part["parent"], part["error"], part["meta"]["factor"]), (job["id"], "row 13 of 19 is torn", 4))
    expect("the trend", [t["duration"]["n"] for t in doc["trends"] if t["type"] == "upscale"], [14])
    assert 0 < group["duration_s"]["min"] <= group["duration_s"]["p50"] <= group["duration_s"]["max"] < 60, group
    assert group["peak_memory"] > 100_000, group
    expect("dropped", (doc["dropped"]["history"], doc["dropped"]["operations"]), (0, 0))


def by_find_package(prefix, tmp):
    doc = json.loads(sh(build_with_find_package(prefix, HERE / "tracker", tmp / "app-build")))
    group, = doc["by_strategy"]
    expect("operations", (group["strategy"], group["count"], group["failed"]), ("c++", 5, 1))
    expect("ended", doc["summary"]["active"], 0)
    expect("errors", [r["error"] for r in doc["recent"] if not r["ok"]], ["item 3 is bad"])


def members(library, prefix):
    """No engine: not in the library, and nothing beside it that needs one."""
    tops = sorted(p.name for p in prefix.iterdir())
    expect("folders", tops, ["include", "lib", "share"])
    assert not (prefix / "include/bitnet/engine.h").exists(), "the header of an engine that is not there"
    expected = {f"{p.name}.o" for room in ("core/base", "core/tracker") for p in (ROOT / room).glob("*.c")
                if not p.name.startswith("profile")}  # is about models
    expected |= {"os_pthread.c.o", "os_posix.c.o", "os_cores.c.o"}
    expect("object files", sorted(sh("ar", "t", library).split()), sorted(expected))


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    tally = Tally()
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        if prefix := tally.check("installs into an empty prefix whose path has a space", install, build, tmp / "pre fix",
                                 "include/bitnet/ops.h", "include/bitnet/metrics.def"):
            tally.check("the example of docs/operations.md builds through pkg-config and counts its operations",
                        by_pkg_config, prefix, tmp)
            tally.check("a program in C++ builds through find_package; an exception ends its scope",
                        by_find_package, prefix, tmp)
            headers = tally.check_headers(prefix / "include")
            library = next(prefix.rglob("libbitnet_tracker.a"))
            tally.check("every symbol starts with bitnet_, visible ones are those declared BITNET_API", symbols, library, headers)
            tally.check("the library holds base, tracker and platform, and nothing else", members, library, prefix)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
