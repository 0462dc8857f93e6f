"""Count test results: JUnit files (pytest), Meson's logs and the lab's verdicts."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree


@dataclasses.dataclass
class Counts:
    """How many tests passed; which failed and which were skipped, each as (name, why)."""

    passed: int = 0
    failures: list = dataclasses.field(default_factory=list)
    skips: list = dataclasses.field(default_factory=list)

    @property
    def failed(self):
        return len(self.failures)

    @property
    def skipped(self):
        return len(self.skips)

    def fail(self, name, why):
        self.failures.append((name, why))
        return self

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips

    def line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def first_line(element):
    """The first line of what a JUnit <failure>, <error> or <skipped> says."""
    text = element.get("message") or element.text or "no reason given"
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def read_junit(path):
    """Counts of a JUnit file. A missing or broken file is a failure: the suite died before writing it."""
    counts = Counts()
    try:
        tree = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError) as error:
        return counts.fail(path.stem, f"no readable results: {error}")
    for case in tree.iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
        bad = [each for each in case if each.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if bad:
            counts.fail(name, first_line(bad[0]))
        elif skipped is not None:
            counts.skips.append((name, first_line(skipped)))
        else:
            counts.passed += 1
    return counts


def read_lab(directory, since):
    """Counts of the lab's scenarios: those verdicts, DIRECTORY/SCENARIO/result.json, written after `since`."""
    counts = Counts()
    for path in sorted(directory.glob("*/result.json")):
        if path.stat().st_mtime < since:
            continue
        verdict = json.loads(path.read_text(encoding="utf-8"))
        name, reason = verdict["scenario"], verdict.get("reason") or "no reason given"
        if verdict["result"] == "ok":
            counts.passed += 1
        elif verdict["result"] == "skipped":
            counts.skips.append((name, reason))
        else:
            counts.fail(name, reason)
    return counts


def read_meson(logs, since):
    """
    Counts of the `meson test` that was started at `since` and has its logs in the directory `logs`.

    A cmocka program counts case by case, from what it printed (plain or TAP); any other counts as one
    test. A program that failed without a failed case (a leak, a hang) adds one failure.
    """
    counts = Counts()
    log = logs / "testlog.json"
    if not log.exists() or log.stat().st_mtime < since:
        return counts  # nothing ran, which the caller reports
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        program = json.loads(line)
        name = program["name"].rpartition(" / ")[2]
        mine = read_cmocka(name, program.get("stdout", ""))
        bad = program["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")
        if bad and not mine.failed:
            mine.fail(name, f"{program['result'].lower()}, exit status {program.get('returncode')}")
        elif program["result"] == "SKIP" and not mine.skipped:
            mine.skips.append((name, "the program ended with status 77"))
        elif not mine.passed and not mine.failed and not mine.skipped:
            mine.passed = 1
        counts.add(mine)
    return counts


# "[ RUN      ] case", then "[       OK ] case" or "[  FAILED  ] case" or "[  SKIPPED ] case".
CMOCKA = re.compile(r"^\[ +(RUN|OK|FAILED|SKIPPED) +\] (\w+)", re.M)
# "ok 1 - case", "not ok 2 - case", "ok 3 # SKIP case" (cmocka 1.1.5 writes "not ok" there).
# A failed case is followed by "# why".
TAP = re.compile(r"^(ok|not ok) \d+(?: - (\S+))?(?: # SKIP ?(.*))?$(?:\n# (.*))?", re.M)


def read_cmocka(program, output):
    """Counts of what one cmocka program printed; a case that began and never ended has crashed."""
    counts, running = Counts(), None
    for word, case in CMOCKA.findall(output):
        if word == "RUN":
            running = case
            continue
        if case != running:
            continue  # the list of failures at the end repeats the names
        running = None
        if word == "FAILED":
            counts.fail(f"{program}.{case}", "failed")
        elif word == "SKIPPED":
            counts.skips.append((f"{program}.{case}", "the case called skip()"))
        else:
            counts.passed += 1
    if running:
        counts.fail(f"{program}.{running}", "did not end: the program crashed or hung in it")
    for word, case, skipped, why in TAP.findall(output):
        if skipped:
            counts.skips.append((f"{program}.{skipped}", "the case called skip()"))
        elif word == "ok":
            counts.passed += 1
        else:
            counts.fail(f"{program}.{case}", why or "failed")
    return counts
