"""godwitd without what it needs: no descriptors left, nobody who reads its log."""

import fcntl
import os
import resource
import time

import pytest

from conftest import DEVICE, MAC
from lib import checks, process
from lib import messages as m
from lib.frontend import RX

F_SETPIPE_SZ = 1031


def cpu_s(pid):
    """Processor seconds that the main thread of @p pid has used."""
    with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def limit(own_daemon):
    """A function that leaves godwitd @p spare descriptor numbers; undone after the test."""
    before = resource.prlimit(own_daemon.pid, resource.RLIMIT_NOFILE)

    def leave(spare):
        own_daemon.holds_nothing()
        free, number = spare, 0
        taken = own_daemon.fds()
        while number in taken or free:
            free -= number not in taken
            number += 1
        resource.prlimit(own_daemon.pid, resource.RLIMIT_NOFILE, (number, before[1]))

    yield leave
    resource.prlimit(own_daemon.pid, resource.RLIMIT_NOFILE, before)


def undo(daemon):
    hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_no_descriptor_for_a_connection(own_daemon, limit, wire, quiet):
    """The front-end is turned away, and the loop does not spin on it."""
    checks.still_serves(own_daemon, wire)
    own_daemon.set_baseline()
    limit(0)
    for _ in range(3):
        conn = m.Connection(own_daemon.socket)
        conn.wait_closed(3)
        conn.close()
    before = cpu_s(own_daemon.pid)
    time.sleep(0.5)
    assert cpu_s(own_daemon.pid) - before < 0.2, "the main loop spins"
    undo(own_daemon)
    checks.still_serves(own_daemon, wire)


@pytest.mark.parametrize("spare", [1, 2, 3, 4, 6])
def test_no_descriptor_for_a_message(own_daemon, limit, wire, quiet, spare):
    """A message's descriptors do not all arrive: that connection ends, what did arrive is closed."""
    checks.still_serves(own_daemon, wire)
    own_daemon.set_baseline()
    limit(spare)
    with checks.FrontEnd(own_daemon.socket) as fe:
        with pytest.raises(m.Closed):
            fe.start()
            fe.conn.settle()
    undo(own_daemon)
    own_daemon.holds_nothing()
    checks.still_serves(own_daemon, wire)


def test_nobody_reads_the_log(wire, quiet):
    """Standard error is a full pipe: lines are lost, frames are not."""
    r, w = os.pipe()
    fcntl.fcntl(w, F_SETPIPE_SZ, 4096)
    d = process.Godwitd(DEVICE, "--mac", MAC, "--log-level", "debug", stderr=w)
    os.close(w)
    try:
        for _ in range(100):
            checks.connect(d.socket).close()
        for _ in range(5):
            d.proc.send_signal(10)
            checks.still_serves(d, wire)
    finally:
        d.stop()
        os.close(r)


def test_nobody_is_left_at_the_log(wire, quiet):
    """The reader of standard error is gone (EPIPE, SIGPIPE)."""
    r, w = os.pipe()
    d = process.Godwitd(DEVICE, "--mac", MAC, "--log-level", "debug", stderr=w)
    os.close(w)
    os.close(r)
    d.proc.send_signal(10)
    checks.still_serves(d, wire)
    d.stop()


def test_standard_descriptors_are_dev_null(wire, quiet):
    with open("/dev/null", "wb") as null:
        d = process.Godwitd(DEVICE, "--mac", MAC, stderr=null.fileno())
    with checks.connect(d.socket) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        assert fe.get_base(RX) == 1
    d.stop()


