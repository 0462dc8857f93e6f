"""Running godwit, and the example of its client library, from the build that godwitd is of."""

import subprocess
from pathlib import Path

from . import process

BUILD = Path(process.BINARY).resolve().parents[2]
GODWIT = str(BUILD / "cli/godwit")
EXAMPLE = str(BUILD / "docs/examples/vnic-events")


def spawn(*args, program=GODWIT, **how):
    """Popen of @p program, both outputs piped as text."""
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen([program, *args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **how)


def run(*args, timeout=30, **how):
    """Run godwit to its end; returns (status, stdout, stderr)."""
    with spawn(*args, **how) as proc:
        out, err = proc.communicate(timeout=timeout)
    assert not process.SANITIZER.search(err), err
    return proc.returncode, out, err


def works(*args, **how):
    """godwit @p args must succeed and be silent on standard error; returns standard output."""
    status, out, err = run(*args, **how)
    assert status == 0 and err == "", f"status {status}: {err}"
    return out


def fails(*args, status=1, **how):
    """godwit @p args must end with @p status, nothing on standard output and one sentence, which is returned."""
    got, out, err = run(*args, **how)
    assert got == status and out == "", f"status {got}: {out}{err}"
    assert err.startswith("godwit") and err.count("\n") == 1 and len(err) > 20, err
    return err


__all__ = ["BUILD", "EXAMPLE", "GODWIT", "fails", "run", "spawn", "works"]
