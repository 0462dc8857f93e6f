"""The dirty-log oracle is no ornament: godwitd built with one log call removed, or one page too many, fails it."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[1] / "mutants/run.py"


@pytest.mark.parametrize("mutants", [["log_buffers_removed", "log_used_element_removed", "log_one_page_too_many"]])
def test_mutants_of_the_log_are_noticed(mutants):
    """Builds a copy of the tree; tests/mutants/run.py has the other mutants."""
    cmd = [sys.executable, str(RUN), *mutants]
    done = subprocess.run(cmd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in mutants:
        assert f"caught   {name}" in done.stdout
