#!/usr/bin/env python3
"""What the tracker costs per token, in instructions: run.py PROGRAM (tracker_cost, built by the tests).

Instructions of a release build repeat to a few in a million, where times do not; so this is a test and not a benchmark.
The last line is "N passed, N failed, N skipped".
"""
import re
import shutil
import subprocess
import sys

PUSH_MOST = 400  # instructions a token on the thread that decodes
ALL_MOST = 2000  # and with the draining, folding, writing and sending that the pump does: the project's bar
FEW, MANY = 100, 400  # tokens of two runs; what comes once, as the hello, is in both


def collected(program, function, n_tokens):
    """Instructions within a function and all it calls."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
                           f"--toggle-collect={function}", program, str(n_tokens)], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or int(done.stdout) != n_tokens:
        sys.exit(f"not ok {function}\n  status {done.returncode}, {done.stdout}\n{done.stderr}\n0 passed, 1 failed, 0 skipped")
    return int(found[1])


def a_token(program, function):
    return (collected(program, function, MANY) - collected(program, function, FEW)) / (MANY - FEW)


def main():
    if not shutil.which("valgrind"):
        print("skip: needs Debian's valgrind\n0 passed, 0 failed, 1 skipped")
        return
    program = sys.argv[1]
    push, pump = a_token(program, "bitnet_ring_push"), a_token(program, "bitnet_tracker_pump")
    rows = [("pushing", push, PUSH_MOST), ("pushing and pumping", push + pump, ALL_MOST)]
    failed = 0
    for what, cost, most in rows:
        ok = 0 < cost <= most
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {what}: {cost:.0f} instructions a token, at most {most}")
    print(f"{len(rows) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


main()
