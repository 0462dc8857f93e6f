#!/usr/bin/python3
"""
Show that the wire tests can fail: build godwitd with one defect at a time, and demand that the named test notices.

Usage: tests/mutants/run.py [NAME...]     (default: all of tests/mutants/table.py)

Works on a copy of the tree in build/mutants/. Exit status 0: every mutant was noticed.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLACE = ROOT / "build/mutants"
TREE = PLACE / "tree"
BUILD = PLACE / "build"
NINJA = os.environ.get("NINJA", "/usr/bin/ninja")
MESON = os.environ.get("MESON", "/usr/bin/meson")

sys.path.insert(0, str(HERE))
from table import MUTANTS  # noqa: E402


def say(text):
    print(text, flush=True)


def copy_tree():
    """A fresh copy of what is built; the build directory beside it is kept for speed."""
    shutil.rmtree(TREE, ignore_errors=True)
    # shutil.copy: new times, or a file that a mutant was built from would look compiled already.
    skip = shutil.ignore_patterns("build", ".git", "__pycache__")
    shutil.copytree(ROOT, TREE, copy_function=shutil.copy, ignore=skip)


def quietly(cmd, log, **how):
    with open(log, "ab") as out:
        return subprocess.run(cmd, stdout=out, stderr=out, check=False, **how).returncode


def build(log):
    """Compile the copy; returns True when that worked."""
    if not (BUILD / "build.ninja").exists():
        if quietly([MESON, "setup", "-Dtests=false", str(BUILD), str(TREE)], log):
            return False
    return quietly(["nice", "-n", "5", NINJA, "-C", str(BUILD), "-j2", "src/daemon/godwitd"], log) == 0


def wire_tests(tests, log):
    """Run @p tests on what is built; returns pytest's status, or None when it hung."""
    env = dict(os.environ, GODWITD=str(BUILD / "src/daemon/godwitd"), PYTHONDONTWRITEBYTECODE="1")
    paths = [str(ROOT / "tests/wire" / test) for test in tests]
    try:
        return quietly(["/usr/bin/python3", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *paths], log,
                       env=env, timeout=300, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return None


def notices(test, log):
    """Run @p test on the mutated build: "caught" (it fails), "missed" (it passes), or what else happened."""
    status = wire_tests([test], log)
    return {0: "missed", 1: "caught", None: "hung"}.get(status, f"pytest ended with {status}")


def sound(mutants, log):
    """On the unchanged copy the tests of @p mutants pass: or a failure later would mean nothing."""
    log.unlink(missing_ok=True)
    files = sorted({mutant.test.split("::")[0] for mutant in mutants})
    return build(log) and wire_tests(files, log) == 0


def mutate(mutant):
    """Write the defect into the copy; returns the original text, or None when it does not match once."""
    file = TREE / mutant.path
    text = file.read_text()
    changed, count = re.subn(mutant.old, lambda _: mutant.new, text)
    if count != 1:
        return None
    file.write_text(changed)
    return text


def try_one(mutant, log):
    original = mutate(mutant)
    if original is None:
        return f"its pattern does not match exactly once in {mutant.path}"
    try:
        if not build(log):
            return "does not compile"
        return notices(mutant.test, log)
    finally:
        (TREE / mutant.path).write_text(original)


def main():
    wanted = set(sys.argv[1:])
    unknown = wanted - {x.name for x in MUTANTS}
    if unknown:
        say(f"unknown mutant: {', '.join(sorted(unknown))}")
        return 2
    PLACE.mkdir(parents=True, exist_ok=True)
    # One run at a time; the lock goes with the process.
    lock = os.open(PLACE / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    copy_tree()
    chosen = [mutant for mutant in MUTANTS if not wanted or mutant.name in wanted]
    if not sound(chosen, PLACE / "unchanged.log"):
        say("the unchanged copy does not build, or fails its tests: see build/mutants/unchanged.log")
        return 1
    bad = 0
    for mutant in chosen:
        log = PLACE / f"{mutant.name}.log"
        log.unlink(missing_ok=True)
        start = time.monotonic()
        verdict = try_one(mutant, log)
        bad += verdict != "caught"
        say(f"{verdict:8} {mutant.name} ({mutant.test}, {time.monotonic() - start:.0f} s)")
    say(f"{len(chosen) - bad} of {len(chosen)} mutants noticed" + (", logs in build/mutants" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
