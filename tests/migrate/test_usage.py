"""The command line: verbs, options, wrong usage (status 2)."""

import re
import subprocess

import pytest

from conftest import GODWIT, ROOT

MOVE = ["--qmp", "/a", "--to-qmp", "/b", "--uri", "unix:/c"]


def godwit(*args):
    return subprocess.run([GODWIT, *args], capture_output=True, text=True, timeout=20, check=False)


def test_man_page_knows_every_verb_and_option():
    page = (ROOT / "docs/godwit.1.scd").read_text(encoding="utf-8")
    verbs = re.findall(r"^  (\w+)  ", godwit("help").stdout.split("Verbs:")[1].split("Options:")[0], re.M)
    assert "migrate" in verbs
    for verb in verbs:
        assert f"*{verb}*" in page
        for option in re.findall(r"^  (--[\w-]+)", godwit("help", verb).stdout, re.M):
            assert f"*{option}*" in page, option


def test_version():
    run = godwit("--version")
    assert run.returncode == 0 and re.fullmatch(r"godwit \d+\.\d+\.\d+\n", run.stdout)


@pytest.mark.parametrize("args", [["--help"], ["help"], ["-h"]])
def test_help_lists_the_verbs(args):
    run = godwit(*args)
    assert run.returncode == 0 and "migrate" in run.stdout and not run.stderr


@pytest.mark.parametrize("args", [["help", "migrate"], ["migrate", "--help"]])
def test_help_of_a_verb_lists_its_options(args):
    run = godwit(*args)
    assert run.returncode == 0
    for option in ("--qmp SOCKET", "--to-qmp SOCKET", "--uri URI", "--downtime-ms N", "--bandwidth MIB", "--timeout S",
                   "--json", "--report FILE"):
        assert option in run.stdout


@pytest.mark.parametrize("args, sentence", [
    ([], "no verb given"),
    (["fly"], "fly is no verb"),
    (["help", "fly"], "fly is no verb"),
    (["migrate"], "missing --qmp SOCKET"),
    (["migrate", "--qmp", "/a", "--to-qmp", "/b", "g"], "missing --uri URI"),
    (["migrate", *MOVE], "missing NAME"),
    (["migrate", *MOVE, "g", "h"], "too much: h"),
    (["migrate", *MOVE, "g", "--wings"], "unknown or unfit option --wings"),
    (["migrate", *MOVE, "g", "--report"], "a value is missing after --report"),
    (["migrate", *MOVE, "g", "--downtime-ms", "0"], "--downtime-ms 0: expected a number from 1"),
    (["migrate", *MOVE, "g", "--downtime-ms", "-5"], "expected a number"),
    (["migrate", *MOVE, "g", "--bandwidth", "fast"], "--bandwidth fast"),
    (["migrate", *MOVE, "g", "--timeout", "99999999999999999999"], "expected a number"),
    (["migrate", *MOVE, ""], "the VM's name is empty"),
    (["migrate", *MOVE[:-1], "exec:cat", "g"], "expected tcp:HOST:PORT or unix:PATH"),
    (["migrate", *MOVE[:-1], "tcp:host", "g"], "expected tcp:HOST:PORT"),
    (["migrate", *MOVE[:-1], "tcp:host:0", "g"], "a port from 1 to 65535"),
    (["migrate", *MOVE[:-1], "tcp:host:70000", "g"], "a port from 1 to 65535"),
    (["migrate", *MOVE[:-1], "unix:", "g"], "expected tcp:HOST:PORT or unix:PATH"),
])
def test_wrong_usage(args, sentence):
    run = godwit(*args)
    assert run.returncode == 2 and sentence in run.stderr and not run.stdout
    assert run.stderr.count("\n") == 1
