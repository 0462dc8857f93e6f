"""Fixtures of the wire tests: a network of their own, a godwitd, a wire, a front-end."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib import checks, process  # noqa: E402
from lib.wire import GUEST_MAC, Wire, veth  # noqa: E402

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

NEAR, FAR = "gwv0", "gwv1"
DEVICE = f"net_af_packet0,iface={NEAR}"
MAC = ":".join(f"{b:02x}" for b in GUEST_MAC)


@pytest.fixture(scope="session", autouse=True)
def own_namespaces():
    """
    Move the test process into fresh network and mount namespaces: a veth pair nobody else sees,
    and a /run of our own, both gone with the process however it ends.
    """
    if os.geteuid() != 0:
        pytest.fail("the wire tests need root: they make a network namespace")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        pytest.fail(f"unshare: {os.strerror(ctypes.get_errno())}")
    for cmd in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(cmd, check=True)
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    veth(NEAR, FAR)
    if not os.access(process.BINARY, os.X_OK):
        pytest.fail(f"{process.BINARY} is not built (GODWITD names another)")


@pytest.fixture(scope="session")
def wire(own_namespaces):
    w = Wire(FAR)
    yield w
    w.close()


class Keeper:
    """One godwitd for many tests, replaced when a test has killed it."""

    def __init__(self, wire):
        self.daemon = None
        self.wire = wire

    def get(self):
        if self.daemon is not None and not self.daemon.alive():
            self.daemon.kill()
            self.daemon = None
        if self.daemon is None:
            self.daemon = process.Godwitd(DEVICE, "--mac", MAC)
            checks.still_serves(self.daemon, self.wire)
            self.daemon.set_baseline()
        return self.daemon

    def stop(self):
        if self.daemon is not None:
            self.daemon.stop()


@pytest.fixture(scope="module")
def keeper(wire):
    k = Keeper(wire)
    yield k
    k.stop()


@pytest.fixture
def daemon(keeper):
    """A running godwitd, shared by the tests of a file; it must be alive after each."""
    d = keeper.get()
    yield d
    assert d.alive(), f"godwitd ended with {d.proc.returncode}:\n{d.tail()}"
    assert not process.SANITIZER.search(d.log()), d.log()


@pytest.fixture
def own_daemon(own_namespaces):
    """A godwitd of the test's own, held to a clean end."""
    d = process.Godwitd(DEVICE, "--mac", MAC)
    yield d
    d.stop()


@pytest.fixture
def quiet(wire):
    """Throw away what earlier tests left on the wire."""
    wire.poll()


@pytest.fixture
def front(daemon, wire, quiet):
    """A connected front-end that has said nothing yet but GET_FEATURES."""
    fe = checks.connect(daemon.socket)
    yield fe
    fe.close()


@pytest.fixture
def running(front):
    """A front-end with both rings running and 64 receive buffers posted."""
    front.start()
    front.fill(64)
    return front


@pytest.fixture
def place(tmp_path):
    """A directory that must be as empty after the test as before."""
    yield tmp_path
    left = [p for p in tmp_path.iterdir() if not p.name.startswith("keep")]
    assert left == [], f"left behind: {left}"
