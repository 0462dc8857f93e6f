"""The dependency installer against a played dpkg and apt: what it installs, and what it says when it cannot."""

import os
import pathlib
import shutil
import subprocess

import pytest

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


@pytest.fixture
def machine(tmp_path):
    """A machine whose dpkg holds gcc only, whose user is root and whose apt works; returns its directory."""
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOLS / "install-deps", tmp_path / "tools")
    (tmp_path / "tools/packages").write_text("# comment\nbuild: gcc meson\nbuild: gcc ninja-build\ntest: gcc\n")
    program(tmp_path, "dpkg-query", 'echo "installed gcc"; echo "config-files meson"; echo "no package" >&2; exit 1')
    program(tmp_path, "id", "echo 0")
    program(tmp_path, "apt-get", f'echo "$*" >>{tmp_path}/apt.log')
    return tmp_path


def program(machine, name, text):
    path = machine / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def run(machine, *purposes):
    env = dict(os.environ, PATH=f"{machine}/bin:{os.environ['PATH']}")
    done = subprocess.run([machine / "tools/install-deps", *purposes], env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_it_installs_what_is_missing_and_only_that(machine):
    status, said = run(machine)
    assert status == 0, said
    update, install = (machine / "apt.log").read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" meson ninja-build") and " install " in install


def test_it_is_silent_and_asks_no_apt_when_all_is_there(machine):
    assert run(machine, "test") == (0, "")
    assert not (machine / "apt.log").exists()


def test_without_root_it_says_what_to_run(machine):
    program(machine, "id", "echo 1000")
    status, said = run(machine)
    assert (status, "run: sudo apt-get install meson ninja-build" in said) == (1, True)
    assert not (machine / "apt.log").exists()


@pytest.mark.parametrize("broken, sentence", [
    ("update", "is there a path to Debian's packages"),
    ("install", "apt-get install failed"),
])
def test_a_failing_apt_is_reported_with_its_last_words(machine, broken, sentence):
    program(machine, "apt-get", f'[[ " $* " != *" {broken} "* ]] || {{ echo "E: mirror is gone" >&2; exit 100; }}')
    status, said = run(machine)
    assert (status, sentence in said, "E: mirror is gone" in said) == (1, True, True), said


def test_an_unknown_purpose_fails(machine):
    status, said = run(machine, "party")
    assert (status, "no purpose 'party'" in said) == (1, True)
