"""Notifications both ways: calls when wanted, none when not, none lost, with and without event indices."""

import os
import random
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import FEATURES, RX, TX
from lib.process import wait_readable
from lib.wire import frame

WITH = FEATURES
WITHOUT = FEATURES & ~m.F_EVENT_IDX


@pytest.fixture(params=[WITH, WITHOUT], ids=["event_idx", "flags"])
def fe(request, daemon, wire, quiet):
    with checks.connect(daemon.socket, features=request.param) as front:
        front.start()
        front.fill(64)
        checks.both_ways(front, wire)
        settle_calls(front)
        yield front
        front.stop()


def settle_calls(fe):
    fe.conn.settle()
    time.sleep(0.02)
    for fd in fe.call:
        m.eventfd_take(fd)


def one(fe, wire, i):
    """One frame over ring @p i."""
    if i == RX:
        checks.from_wire(fe, wire, frame(checks.fresh()))
        fe.post()
        fe.publish(RX)
    else:
        checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))
        fe.drain_tx(len(fe.tx.chains))


@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_call_when_wanted(fe, wire, i):
    for _ in range(50):
        fe.queues[i].want_call()
        one(fe, wire, i)
        assert m.eventfd_wait(fe.call[i], 2), "no call"


@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_no_call_when_not_wanted(fe, wire, i):
    fe.queues[i].refuse_call()
    for _ in range(50):
        one(fe, wire, i)
    time.sleep(0.02)
    assert m.eventfd_take(fe.call[i]) == 0


@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_call_is_for_its_own_ring(fe, wire, i):
    for q in fe.queues:
        q.want_call()
    one(fe, wire, i)
    assert m.eventfd_wait(fe.call[i], 2)
    time.sleep(0.01)
    assert m.eventfd_take(fe.call[1 - i]) == 0


def test_event_index_in_the_future(daemon, wire, quiet):
    """used_event asks for a call after the tenth frame from now: nine make none, the tenth makes one."""
    with checks.connect(daemon.socket, base=(65530, 65530)) as fe:
        fe.start()
        fe.fill(64)
        checks.both_ways(fe, wire)
        settle_calls(fe)
        for i in (RX, TX):
            fe.queues[i].want_call(after=9)
            for _ in range(9):
                one(fe, wire, i)
            time.sleep(0.02)
            assert m.eventfd_take(fe.call[i]) == 0, "a call before its time"
            one(fe, wire, i)
            assert m.eventfd_wait(fe.call[i], 2) == 1
            one(fe, wire, i)
            time.sleep(0.02)
            assert m.eventfd_take(fe.call[i]) == 0, "a call past its time"
        fe.stop()


@pytest.mark.parametrize("fe", [WITH], indirect=True, ids=["event_idx"])
def test_one_call_is_enough_for_a_burst(fe, wire):
    """With event indices, a driver that asked once is called once, however many frames come."""
    fe.rx.want_call()
    wire.inject(*(frame(checks.fresh()) for _ in range(30)))
    fe.receive(30)
    time.sleep(0.02)
    assert m.eventfd_take(fe.call[RX]) == 1


def test_no_interrupt_is_lost_on_receive(fe, wire):
    """A driver that sleeps on its interrupt, as Linux does (ask, look again, sleep): 1,500 rounds of random bursts."""
    rng = random.Random(1)
    outstanding = seen = 0
    for _ in range(1500):
        burst = rng.randint(1, 4)
        wire.inject(*(frame(checks.fresh()) for _ in range(burst)))
        outstanding += burst
        while outstanding:
            fe.rx.want_call()
            got = fe.frames()
            if not got:
                assert m.eventfd_wait(fe.call[RX], 3), f"interrupt lost after {seen} frames"
                got = fe.frames()
            fe.rx.refuse_call()
            m.eventfd_take(fe.call[RX])
            outstanding -= len(got)
            seen += len(got)
            for _, _, chains in got:
                for _, _, segments in chains:
                    fe.post(segments)
            fe.publish(RX)


def test_no_interrupt_is_lost_on_transmit(fe, wire):
    rng = random.Random(2)
    for _ in range(1500):
        burst = rng.randint(1, 4)
        fe.tx.want_call()
        for _ in range(burst):
            fe.queue_tx(frame(checks.fresh(), to_guest=False))
        fe.publish(TX)
        left = burst
        while left:
            fe.tx.want_call()
            done = len(fe.reap_tx())
            if not done:
                assert m.eventfd_wait(fe.call[TX], 3), "interrupt lost"
                done = len(fe.reap_tx())
            left -= done
    wire.poll()


def test_kicks_are_honoured_or_not_needed(fe, wire):
    """The driver kicks only when the device asks for it. After any pause, a frame it queued is seen."""
    for pause in (0, 0.001, 0.01, 0.05, 0.2, 0.5):
        time.sleep(pause)
        checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))


def test_full_call_eventfd_does_not_block(fe, wire):
    """The counter stands at its maximum: a write would block or fail, and traffic goes on."""
    for fd in fe.call:
        m.eventfd_take(fd)
        os.eventfd_write(fd, 2**64 - 2)
    for i in (RX, TX):
        for _ in range(10):
            fe.queues[i].want_call()
            one(fe, wire, i)


def test_blocking_call_eventfd_does_not_stall(own_daemon, wire, quiet):
    """A call descriptor in blocking mode, full: QEMU's are non-blocking, a hostile front-end's are not."""
    with checks.connect(own_daemon.socket, features=WITHOUT) as fe:
        fe.call = [os.eventfd(0, os.EFD_CLOEXEC), os.eventfd(0, os.EFD_CLOEXEC)]
        fe.start()
        fe.fill(64)
        for fd in fe.call:
            if wait_readable(fd, 0):
                os.eventfd_read(fd)
            os.eventfd_write(fd, 2**64 - 4)
        time.sleep(0.02)
        for _ in range(30):
            wire.inject(frame(checks.fresh()))
            fe.send(frame(checks.fresh(), to_guest=False))
            time.sleep(0.005)
        fe.receive(30)
    checks.still_serves(own_daemon, wire)


def test_driver_sees_used_flags_or_event(fe):
    """used.flags holds nothing but the one defined bit."""
    assert fe.memory.read16(fe.rx.used) & ~1 == 0
