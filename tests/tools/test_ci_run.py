"""Continuous integration's script: what it adds up, and that it fails when anything failed."""

import pathlib
import shutil
import subprocess

import pytest

CI = pathlib.Path(__file__).parents[2] / ".ci/run"


def run(root, lint, check):
    """Run the script over a Makefile whose targets do what `lint` and `check` (shell) say."""
    (root / ".ci").mkdir()
    shutil.copy(CI, root / ".ci/run")
    (root / "Makefile").write_text(f"lint:\n\t@{lint}\ncheck:\n\t@{check}\n")
    done = subprocess.run(["bash", root / ".ci/run"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize("lint, check, status, last", [
    ("echo 9 passed, 0 failed, 1 skipped", "echo 5 passed, 0 failed, 2 skipped", 0, "14 passed, 0 failed, 3 skipped"),
    ("echo 9 passed, 1 failed, 0 skipped; false", "echo 5 passed, 0 failed, 0 skipped", 1, "14 passed, 1 failed, 0 skipped"),
    ("echo 9 passed, 0 failed, 0 skipped", "echo 5 passed, 2 failed, 0 skipped; false", 1, "14 passed, 2 failed, 0 skipped"),
    ("echo 9 passed, 0 failed, 0 skipped", "echo broken; false", 1, "9 passed, 1 failed, 0 skipped"),
    ("echo 9 passed, 0 failed, 0 skipped", "echo no counts", 1, "9 passed, 1 failed, 0 skipped"),
])
def test_the_last_line_is_the_sum_and_a_failure_fails(tmp_path, lint, check, status, last):
    assert run(tmp_path, lint, check) == (status, last)
