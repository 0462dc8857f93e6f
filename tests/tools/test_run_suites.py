"""The suite runner: what it counts, and that nothing that goes wrong is counted as passed."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

TOOLS = pathlib.Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS / "lib"))

from results import read_cmocka, read_junit, read_lab, read_meson  # noqa: E402


@pytest.fixture
def tree(tmp_path):
    """A project with the real runner, a build that does nothing, and a table of one suite, tests/one."""
    shutil.copytree(TOOLS / "lib", tmp_path / "tools/lib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOOLS / "run-suites", tmp_path / "tools")
    write(tmp_path / "tools/build", "#!/bin/sh\necho $1 >>built\n", 0o755)
    table(tmp_path, 'Suite("one", "tests/one", "pytest", "plain", 60)')
    return tmp_path


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def table(tree, *rows):
    """Replace the table of suites by `rows`."""
    path = tree / "tools/lib/suites.py"
    head = path.read_text().partition("\nSUITES = (")[0]
    path.write_text(f"{head}\nSUITES = (\n" + "".join(f"    {row},\n" for row in rows) + ")\n")


def run(tree, *names):
    """Run the suites; return (exit status, lines printed)."""
    done = subprocess.run([tree / "tools/run-suites", *names], capture_output=True, text=True, timeout=120)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def test_counts_come_from_the_results_and_close_the_output(tree):
    write(tree / "tests/one/test_a.py",
          "import pytest\ndef test_x(): pass\ndef test_y(): pass\ndef test_s(): pytest.skip('no VF here')\n")
    status, lines = run(tree)
    assert (status, lines[-1]) == (0, "2 passed, 0 failed, 1 skipped")
    assert any("test_s: no VF here" in line for line in lines)
    report = json.loads((tree / "build/reports/check.json").read_text())
    assert [suite["passed"] for suite in report["suites"]] == [2]


def test_a_failure_is_named_with_its_log(tree):
    write(tree / "tests/one/test_a.py", "def test_x(): pass\ndef test_y(): assert 1 == 2\n")
    status, lines = run(tree)
    assert (status, lines[-1]) == (1, "1 passed, 1 failed, 0 skipped")
    assert any("FAILED  tests.one.test_a.test_y: assert 1 == 2" in line for line in lines)
    assert "  log: build/logs/one.log" in lines


@pytest.mark.parametrize("text, why", [
    ("", "ran no test"),
    ("import pytest\ndef test_s(): pytest.skip('always')\n", "ran no test"),
    ("import os\ndef test_x(): os._exit(0)\n", "no readable results"),
    ("import os, signal\ndef test_x(): os.kill(os.getpid(), signal.SIGSEGV)\n", "no readable results"),
    ("def test_x(:\n", "collection failure"),
    ("def test_x(): pass\ndef test_y(): import pytest; pytest.exit('enough', returncode=3)\n", "ended with status 3"),
])
def test_a_suite_that_runs_nothing_or_dies_fails(tree, text, why):
    write(tree / "tests/one/test_a.py", text)
    status, lines = run(tree)
    assert (status, ", 1 failed, " in lines[-1]) == (1, True), lines
    assert any(why in line for line in lines), lines


def test_a_missing_suite_and_a_failed_build_fail(tree):
    write(tree / "tests/one/test_a.py", "def test_x(): pass\n")
    table(tree, 'Suite("one", "tests/one", "pytest", "plain", 60)', 'Suite("two", "tests/two", "pytest", "plain", 60)')
    status, lines = run(tree)
    assert (status, lines[-1]) == (1, "1 passed, 1 failed, 0 skipped")
    assert "  FAILED  two: tests/two does not exist" in lines
    write(tree / "tools/build", "#!/bin/sh\nexit 1\n", 0o755)
    status, lines = run(tree, "one")
    assert (status, lines[-1]) == (1, "0 passed, 1 failed, 0 skipped")


def test_a_hanging_suite_is_stopped_with_its_children(tree):
    table(tree, 'Suite("one", "slow", "lab", "", 1)')
    write(tree / "slow", f"#!/bin/bash\nsleep 300 &\necho $! >{tree}/pid\nwait\n", 0o755)
    status, lines = run(tree)
    assert (status, lines[-1]) == (1, "0 passed, 1 failed, 0 skipped")
    assert any("still running after 1 s" in line for line in lines)
    assert not alive(int((tree / "pid").read_text()))


def test_a_suite_that_leaves_processes_behind_fails(tree):
    write(tree / "tests/one/test_a.py",
          f"import subprocess\ndef test_x(): open('{tree}/pid', 'w').write(str(subprocess.Popen(['sleep', '300']).pid))\n")
    status, lines = run(tree)
    assert (status, lines[-1]) == (1, "1 passed, 1 failed, 0 skipped"), lines
    assert not alive(int((tree / "pid").read_text()))


def test_ctrl_c_stops_the_suite_and_still_closes_with_the_counts(tree):
    table(tree, 'Suite("one", "slow", "lab", "", 60)', 'Suite("two", "slow", "lab", "", 60)')
    write(tree / "slow", f"#!/bin/bash\nsleep 300 &\necho $! >{tree}/pid\nwait\n", 0o755)
    runner = subprocess.Popen([tree / "tools/run-suites"], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not (tree / "pid").exists() or not (tree / "pid").read_text():
        assert time.monotonic() < deadline and runner.poll() is None, runner.communicate()
        time.sleep(0.05)
    runner.send_signal(signal.SIGINT)
    output = runner.communicate(timeout=60)[0].splitlines()
    assert (runner.returncode, output[-1]) == (130, "0 passed, 1 failed, 0 skipped")
    assert not alive(int((tree / "pid").read_text()))


def alive(pid):
    """Whether the process exists and is no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_unknown_suite_is_wrong_usage(tree):
    done = subprocess.run([tree / "tools/run-suites", "nonsense"], capture_output=True, text=True)
    assert (done.returncode, "no suite named 'nonsense'" in done.stderr) == (2, True)


CMOCKA = """[==========] Running 4 test(s).
[ RUN      ] a
[       OK ] a
[ RUN      ] b
[  FAILED  ] b
[ RUN      ] c
[  SKIPPED ] c
[ RUN      ] d
"""


def test_cmocka_output_counts_case_by_case_and_a_crash_is_a_failure():
    counts = read_cmocka("ring", CMOCKA)
    assert counts.line() == "1 passed, 2 failed, 1 skipped"
    assert counts.failures[1] == ("ring.d", "did not end: the program crashed or hung in it")
    tail = "[       OK ] d\n[==========] 4 test(s) run.\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] b\n"
    assert read_cmocka("ring", CMOCKA + tail).line() == "2 passed, 1 failed, 1 skipped"


def test_tap_output_counts_case_by_case():
    counts = read_cmocka("x", "1..3\nok 1 - a\nnot ok 2 - b\n# 0x1 != 0x2\n# x.c:7: error\nnot ok 3 # SKIP c\nok 4 - d\n")
    assert counts.line() == "2 passed, 1 failed, 1 skipped"
    assert counts.failures == [("x.b", "0x1 != 0x2")]


@pytest.mark.parametrize("result, output, line", [
    ("OK", "", "1 passed, 0 failed, 0 skipped"),
    ("FAIL", "", "0 passed, 1 failed, 0 skipped"),
    ("TIMEOUT", "[ RUN      ] a\n", "0 passed, 1 failed, 0 skipped"),
    ("FAIL", "[ RUN      ] a\n[       OK ] a\n", "1 passed, 1 failed, 0 skipped"),  # a leak found at exit
    ("SKIP", "", "0 passed, 0 failed, 1 skipped"),
])
def test_a_program_that_meson_saw_fail_is_a_failure(tmp_path, result, output, line):
    entry = {"name": "godwit:unit / ring", "stdout": output, "result": result, "returncode": 1}
    write(tmp_path / "testlog.json", json.dumps(entry) + "\n")
    assert read_meson(tmp_path, 0).line() == line
    assert read_meson(tmp_path, time.time() + 1).line() == "0 passed, 0 failed, 0 skipped"  # an older run's log


def test_the_labs_verdicts_count_scenario_by_scenario_and_old_ones_do_not(tmp_path):
    for name, result in (("a", "ok"), ("b", "failed"), ("c", "skipped"), ("d", "crashed"), ("old", "ok")):
        write(tmp_path / name / "result.json", json.dumps({"scenario": name, "result": result, "reason": "why"}))
    os.utime(tmp_path / "old/result.json", (1, 1))
    assert read_lab(tmp_path, 2).line() == "1 passed, 2 failed, 1 skipped"


def test_junit_errors_count_as_failures(tmp_path):
    write(tmp_path / "x.xml", "<testsuite><testcase name='a'/><testcase name='b'><error message='boom&#10;more'/>"
                              "</testcase></testsuite>")
    counts = read_junit(tmp_path / "x.xml")
    assert (counts.line(), counts.failures) == ("1 passed, 1 failed, 0 skipped", [("b", "boom")])


def test_the_suites_build_is_made_and_san_chooses_another(tree):
    write(tree / "tests/one/test_a.py", "def test_x(): pass\n")
    for own, built in (("asan", {"1": "asan", "0": "plain", "all": "asan"}),
                       ("plain", {"1": "plain", "0": "plain", "all": "asan"}), ("tsan", {"all": "tsan"})):
        table(tree, f'Suite("one", "tests/one", "pytest", "{own}", 60)')
        for san, wanted in built.items():
            subprocess.run([tree / "tools/run-suites"], env=dict(os.environ, SAN=san), capture_output=True, check=True)
            assert (tree / "built").read_text().split()[-1] == wanted, (own, san)


def test_a_suite_may_be_some_files_of_a_directory(tree):
    write(tree / "tests/one/test_a.py", "def test_x(): pass\n")
    write(tree / "tests/one/test_b.py", "def test_y(): pass\ndef test_z(): pass\n")
    table(tree, 'Suite("one", "tests/one", "pytest", "plain", 60, only=("test_b.py",))')
    assert run(tree)[1][-1] == "2 passed, 0 failed, 0 skipped"
