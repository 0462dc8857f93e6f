"""Nothing grows: front-ends that come and go, devices that are detached and attached (`make growth` does it for long)."""

import os

import pytest

from conftest import DEVICE, MAC
from lib import checks, growth, process

CONNECTIONS = 1500
ATTACHES = 40
WARM_UP = 150

# ASan holds freed memory back, and would be seen growing: it finds leaks by itself, at the end.
NO_QUARANTINE = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:detect_stack_use_after_return=0"


@pytest.fixture
def small_daemon(own_namespaces, monkeypatch):
    """A godwitd of the test's own, whose memory shows what it holds."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", f"{options}:{NO_QUARANTINE}")
    d = process.Godwitd(DEVICE, "--mac", MAC)
    yield d
    d.stop()


def test_front_ends_that_come_and_go(small_daemon, wire):
    checks.still_serves(small_daemon, wire)
    before, after, what = growth.watch(small_daemon.pid, CONNECTIONS, lambda: growth.come_and_go(small_daemon.socket),
                                       WARM_UP)
    assert not what, f"{what} over {CONNECTIONS} connections: {before} became {after}"


def test_a_device_detached_and_attached(small_daemon, wire):
    checks.still_serves(small_daemon, wire)
    control = growth.Control(small_daemon.socket)

    def there_and_back():
        control.call("detach")
        control.call("attach", device=DEVICE)

    before, after, what = growth.watch(small_daemon.pid, ATTACHES, there_and_back, ATTACHES // 4)
    control.close()
    checks.still_serves(small_daemon, wire)
    assert not what, f"{what} over {ATTACHES} attaches: {before} became {after}"
