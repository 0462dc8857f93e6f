"""
Idling: what an idle vNIC costs, and how soon it answers after a silence. On net_tap, which has
receive interrupts, and on net_af_packet, which has none. The figures are asserted: they are promises.
"""

import os
import re
import socket
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from lib import checks, process
from lib import messages as m
from lib.frontend import FEATURES, RX, TX
from lib.wire import Wire, frame

TAP = "gwt0"
WITH, WITHOUT = FEATURES, FEATURES & ~m.F_EVENT_IDX
ways = pytest.mark.parametrize("features", [WITH, WITHOUT], ids=["event_idx", "flags"])


def cpu_s(daemon):
    """CPU seconds of all its threads so far: the scheduler's own count, in nanoseconds."""
    tasks = Path(f"/proc/{daemon.pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9


def load(daemons, seconds=2.0):
    """The share of one core that @p daemons take together."""
    before, began = sum(map(cpu_s, daemons)), time.monotonic()
    time.sleep(seconds)
    return (sum(map(cpu_s, daemons)) - before) / (time.monotonic() - began)


def counters(daemon):
    return {name: int(value) for name, value in re.findall(r"^\s+(\w+)\s+(\d+)\s", daemon.dump(), re.M)}


def wakes(daemon):
    """What each direction wakes by, as the dump says."""
    return dict(re.findall(r"virtqueue \d \((\w+)\): running.*wakes by ([\w ]+)", daemon.dump()))


class Tap:
    """A godwitd on a tap interface of its own, and the host's end of it."""

    def __init__(self, name, *args):
        self.daemon = process.Godwitd(f"net_tap{name[-1]},iface={name}", *args)
        self.wire = Wire(self.interface(name))

    def interface(self, name, timeout=10):
        """@p name, once it is up: godwitd listens before DPDK makes it."""
        deadline = time.monotonic() + timeout
        while "serves" not in self.daemon.log():
            assert self.daemon.alive() and time.monotonic() < deadline, self.daemon.tail()
            time.sleep(0.01)
        return name

    def stop(self):
        self.wire.close()
        self.daemon.stop()


@pytest.fixture(scope="module")
def tap(own_namespaces):
    t = Tap(TAP)
    yield t
    t.stop()


@pytest.fixture
def sleeper(request, tap):
    """A running front-end on the tap that has fallen silent."""
    with checks.connect(tap.daemon.socket, features=getattr(request, "param", WITH)) as fe:
        fe.start()
        fe.fill(64)
        checks.both_ways(fe, tap.wire)
        yield fe


both = pytest.mark.parametrize("sleeper", [WITH, WITHOUT], indirect=True, ids=["event_idx", "flags"])


def test_both_ways_wake_by_themselves_on_tap(tap, sleeper):
    assert wakes(tap.daemon) == {"receive": "port interrupt", "transmit": "kick"}


def test_receive_wakes_by_timer_on_af_packet(daemon, running):
    assert wakes(daemon) == {"receive": "timer", "transmit": "kick"}


@both
def test_idle_vnic_uses_less_than_two_percent(tap, sleeper):
    time.sleep(0.2)
    before = counters(tap.daemon)
    used = load([tap.daemon])
    after = counters(tap.daemon)
    assert used < 0.02, f"{used:.1%} of a core"
    # It slept, and looked ten times a second.
    assert 5 <= after["wakes_timer"] - before["wakes_timer"] <= 40


def receive_s(fe, wire):
    """How long a frame takes to the guest, which sleeps for it as guests do."""
    data = frame(checks.fresh())
    fe.rx.want_call()
    m.eventfd_take(fe.call[RX])
    began = time.monotonic()
    wire.inject(data)
    while True:
        process.wait_readable(fe.call[RX], 0.2)
        for _, got, chains in fe.frames():
            if got == data:
                done = time.monotonic() - began
                for _, _, segments in chains:
                    fe.post(segments)
                fe.publish(RX)
                return done
        assert time.monotonic() - began < 5, "the frame did not come"


def transmit_s(fe, wire):
    """How long a frame takes to the wire."""
    data = frame(checks.fresh(), to_guest=False)
    wire.poll()
    began = time.monotonic()
    fe.send(data)
    while data not in wire.poll():
        process.wait_readable(wire.sock.fileno(), 0.2)
        assert time.monotonic() - began < 5, "the frame did not come"
    done = time.monotonic() - began
    fe.reap_tx()
    return done


@both
@pytest.mark.parametrize("answer", [receive_s, transmit_s], ids=["receive", "transmit"])
def test_first_frame_after_silence_takes_less_than_a_millisecond(tap, sleeper, answer):
    """The median of five. What else the machine does may spoil a series, so there are up to six."""
    name = "wakes_port" if answer is receive_s else "wakes_kick"
    before = counters(tap.daemon)[name]
    for _ in range(6):
        took = []
        for _ in range(5):
            time.sleep(1)
            took.append(answer(sleeper, tap.wire))
        if statistics.median(took) < 0.001:
            break
    else:
        pytest.fail(f"took {['%.2f ms' % (t * 1e3) for t in took]}")
    # It was woken, and did not just happen to look.
    assert counters(tap.daemon)[name] - before >= 5


@both
def test_no_wake_up_is_lost_on_tap(tap, sleeper):
    """
    Frames that come about when the worker falls asleep: they do not wait for the slow tick (a busy
    machine may hold up some that long), and the worker does not fall back to naps.
    """
    before = counters(tap.daemon)["wakes_timer"]
    began = time.monotonic()
    late = 0
    for i in range(1000):
        time.sleep((i % 10) * 2e-5)
        late += max(receive_s(sleeper, tap.wire), transmit_s(sleeper, tap.wire)) > 0.09
    took = time.monotonic() - began
    assert late <= 40, f"{late} of 2000 frames were late"
    assert counters(tap.daemon)["wakes_timer"] - before <= took * 12 + 5


def test_held_frames_wait_for_a_kick(tap):
    """No buffers: the frames are held, the worker sleeps, and buffers with a kick bring them."""
    with checks.connect(tap.daemon.socket) as fe:
        fe.start()
        fe.conn.settle()
        data = [frame(checks.fresh()) for _ in range(5)]
        tap.wire.inject(*data)
        time.sleep(0.3)
        used = load([tap.daemon], 1)
        assert used < 0.02, f"{used:.1%} of a core"
        before = counters(tap.daemon)["wakes_kick"]
        fe.fill(8)
        assert [got for _, got, _ in fe.receive(5)] == data
        assert counters(tap.daemon)["wakes_kick"] > before


def test_announcement_comes_out_of_sleep(tap, sleeper):
    time.sleep(0.3)
    sleeper.conn.send(m.SEND_RARP, b"\x52\x54\0\1\2\3\0\0")
    tap.wire.receive(4, ethertypes=(0x8035,))


def test_two_idle_vnics_together(tap, sleeper):
    other = Tap("gwt1", "--name", "other")
    with checks.connect(other.daemon.socket) as fe:
        fe.start()
        fe.fill(64)
        checks.both_ways(fe, other.wire)
        time.sleep(0.2)
        used = load([tap.daemon, other.daemon])
    other.stop()
    assert used < 0.02, f"{used:.1%} of a core"


def test_naps_where_there_is_no_interrupt(daemon, running, wire):
    """A sanitizer's own cost is in the figure."""
    time.sleep(0.2)
    before = counters(daemon)
    used = load([daemon])
    after = counters(daemon)
    assert used < 0.2, f"{used:.1%} of a core"
    assert 100 <= after["wakes_timer"] - before["wakes_timer"] <= 4000
    checks.both_ways(running, wire)


@pytest.mark.parametrize("us, least, most", [("0", 0, 0), ("20000", 20, 300)])
def test_longest_nap_is_an_option(wire, quiet, us, least, most):
    d = process.Godwitd("net_null0,no-rx=1", "--idle-us", us)
    with checks.connect(d.socket) as fe:
        fe.start()
        fe.fill(16)
        time.sleep(0.3)
        before = counters(d)["sleeps"]
        time.sleep(2)
        assert least <= counters(d)["sleeps"] - before <= most
        assert ("wakes by polling" in d.dump()) == (us == "0")
    d.stop()


def storm():
    """Readable 2^40 times over."""
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
    os.eventfd_write(fd, 1 << 40)
    return fd


def full():
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    os.eventfd_write(fd, 2**64 - 2)
    return fd


def pipe_end():
    read_end, write_end = os.pipe()
    os.write(write_end, b"x" * 4096)
    os.close(write_end)
    return read_end


def fifo_of_zeroes():
    return os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)


def socket_of_nobody():
    a, b = socket.socketpair()
    b.close()
    return a.detach()


def a_pidfd():
    return os.pidfd_open(os.getpid())


ODD = [storm, full, pipe_end, fifo_of_zeroes, socket_of_nobody, a_pidfd]


@pytest.mark.parametrize("make", [*ODD, None], ids=[*(f.__name__ for f in ODD), "none"])
@ways
def test_odd_kick_descriptors(tap, make, features):
    """It neither blocks nor burns a core, and frames pass both ways."""
    with checks.connect(tap.daemon.socket, features=features) as fe:
        for fd in fe.kick:
            os.close(fd)
        fe.kick = [make() if make else m.eventfd() for _ in (RX, TX)]
        own = fe.kick
        if make is None:
            fe.kick = [None, None]
        fe.start()
        fe.kick = [m.eventfd(), m.eventfd()]
        fe.fill(64)
        checks.both_ways(fe, tap.wire)
        time.sleep(0.2)
        used = load([tap.daemon], 0.5)
        assert used < 0.25, f"{used:.1%} of a core"
        # A storm is left aside while it lasts and nothing moves; what is no eventfd is never read.
        assert wakes(tap.daemon)["transmit"] == ("kick" if make is full else "timer")
        for _ in range(20):
            time.sleep(0.003)
            checks.both_ways(fe, tap.wire)
            fe.fill(1)
        for fd in own:
            os.close(fd)
    checks.still_serves(tap.daemon, tap.wire)


def test_somebody_else_takes_the_kicks(tap, sleeper):
    """The front-end reads its own eventfd, in blocking mode: godwitd must not wait for what is gone."""
    os.set_blocking(sleeper.kick[TX], True)
    for _ in range(300):
        os.eventfd_write(sleeper.kick[TX], 1)
        if process.wait_readable(sleeper.kick[TX], 0):
            os.set_blocking(sleeper.kick[TX], False)
            m.eventfd_take(sleeper.kick[TX])
            os.set_blocking(sleeper.kick[TX], True)
        time.sleep(0.0005)
    checks.both_ways(sleeper, tap.wire)


def test_new_kick_descriptor_while_asleep(tap, sleeper):
    for _ in range(20):
        time.sleep(0.01)
        for i in (RX, TX):
            old, sleeper.kick[i] = sleeper.kick[i], m.eventfd()
            sleeper.set_fd(m.SET_VRING_KICK, i, sleeper.kick[i])
            os.close(old)
        sleeper.conn.settle()
        time.sleep(0.01)
        checks.both_ways(sleeper, tap.wire)
        sleeper.fill(1)


def test_stop_and_hang_up_while_asleep(tap):
    began = time.monotonic()
    for i in range(40):
        with checks.connect(tap.daemon.socket) as fe:
            fe.start()
            fe.fill(4)
            fe.conn.settle()
            time.sleep(0.002)
            if i % 2:
                fe.stop()
    # A stop that waited for the slow tick would take 100 ms, twice.
    assert time.monotonic() - began < 4
    checks.still_serves(tap.daemon, tap.wire)


def test_interface_that_goes_away_while_asleep(own_namespaces):
    t = Tap("gwt2", "--name", "gone")
    with checks.connect(t.daemon.socket) as fe:
        fe.start()
        fe.fill(8)
        checks.both_ways(fe, t.wire)
        subprocess.run(["ip", "link", "del", "gwt2"], check=True)
        time.sleep(0.2)
        assert load([t.daemon], 1) < 0.25
        fe.send(frame(checks.fresh(), to_guest=False))
        # It waits for a port that takes it, which costs no more than idling does.
        time.sleep(0.2)
        assert load([t.daemon], 1) < 0.25 and not fe.reap_tx()
    t.stop()


