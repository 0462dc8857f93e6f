"""Fixtures of the migration tests: the binary under test, a pair of fake QEMUs, a pair of real ones."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from fakeqmp import Fake, die, fork

ROOT = pathlib.Path(__file__).resolve().parents[2]
GODWIT = os.environ.get("GODWIT", str(ROOT / "build/cli/godwit"))


class Run:
    """What one call of godwit came to."""

    def __init__(self, proc, out, err):
        self.status, self.out, self.err = proc.returncode, out, err

    @property
    def json(self):
        return json.loads(self.out)


class Pair:
    """Two QEMUs, fake or real, and the command that moves the VM between them."""

    def __init__(self, tmp):
        self.tmp = tmp
        self.src, self.dst, self.uri = tmp / "src.qmp", tmp / "dst.qmp", f"unix:{tmp}/move"

    def command(self, *more, name="g"):
        return [GODWIT, "migrate", "--qmp", str(self.src), "--to-qmp", str(self.dst), "--uri", self.uri, name, *more]

    def begin(self, *more, **kw):
        return subprocess.Popen(self.command(*more, **kw), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def end(proc, timeout=60):
        try:
            return Run(proc, *proc.communicate(timeout=timeout))
        except subprocess.TimeoutExpired:
            proc.kill()
            out, err = proc.communicate()
            raise AssertionError(f"godwit did not end:\n{out}\n{err}") from None

    def migrate(self, *more, timeout=60, **kw):
        return self.end(self.begin("--json", *more, **kw), timeout)


class FakePair(Pair):
    """`source` and `destination` may be scripted until begin() or migrate() is called."""

    def __init__(self, tmp):
        super().__init__(tmp)
        moved = fork.Event()
        self.log = tmp / "commands"
        self.source = Fake(self.src, "source", moved, self.log)
        self.destination = Fake(self.dst, "destination", moved, self.log)
        self.children = {}

    def begin(self, *more, **kw):
        for fake in (self.source, self.destination):
            if fake and not fake.role in self.children:
                self.children[fake.role] = fake.start()
        return super().begin(*more, **kw)

    def commands(self, role):
        """The commands that one side got, in order."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [l.split(" ", 1)[1] for l in lines if l.startswith(role + " ")]

    def names(self, role):
        return [c.split()[0] for c in self.commands(role)]

    def wait_for(self, role, command, timeout=10):
        wait_until(lambda: command in self.names(role), timeout, f"{command} at the {role}")

    def kill_destination_when_moved(self):
        """The destination has all the state, and dies before it runs the VM."""
        fake = self.destination
        fake.facts["resume"] = False
        fake._tick = lambda: fake.moved.is_set() and die(fake, None)

    def restart_destination(self):
        """A fresh QEMU in the place of the one that a failed migration ended."""
        child = self.children.pop("destination")
        child.kill()
        child.join()
        self.dst.unlink()

    def close(self):
        for child in self.children.values():
            child.kill()
            child.join()


def wait_until(true, timeout, what):
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, f"waited {timeout} s in vain for: {what}"
        time.sleep(0.02)


def interrupt(proc):
    proc.send_signal(signal.SIGINT)


@pytest.fixture
def pair(tmp_path):
    p = FakePair(tmp_path)
    yield p
    p.close()
