"""A peer that is slow, silent or deaf holds up nobody: not the timers, not the log, not the next front-end."""

import os
import socket
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import RX, TX
from lib.wire import ETH_P_RARP, GUEST_MAC, frame


def pieces():
    """Beginnings of a message, as a front-end leaves them that stops in the middle."""
    whole = m.HEADER.pack(m.SET_VRING_ADDR, m.VERSION, m.ADDR.size) + bytes(m.ADDR.size)
    return {"one_byte": whole[:1], "header": whole[:12], "all_but_one_byte": whole[:-1]}


@pytest.mark.parametrize("piece", sorted(pieces()))
def test_half_a_message(daemon, running, wire, piece):
    """Frames, announcements (a timer) and the state dump (a signal) go on; a second front-end is refused at once."""
    fe = running
    fe.conn.send(m.SEND_RARP, GUEST_MAC + bytes(2))
    fe.conn.send_raw(pieces()[piece])
    wire.receive(4, ethertypes=(ETH_P_RARP,))
    checks.both_ways(fe, wire)
    assert "running" in daemon.dump()
    began = time.monotonic()
    second = m.Connection(daemon.socket)
    with pytest.raises(m.Closed):
        second.send(m.GET_FEATURES)
        second.wait_closed()
        raise m.Closed
    second.close()
    assert time.monotonic() - began < 2
    checks.both_ways(fe, wire)


def test_header_byte_by_byte_under_traffic(running, wire):
    """A message in single bytes with pauses: frames go on meanwhile, and it is answered."""
    for byte in m.HEADER.pack(m.GET_FEATURES, m.VERSION, 0):
        running.conn.send_raw(bytes([byte]))
        checks.both_ways(running, wire)
    assert running.conn.receive()[0] == m.GET_FEATURES


def flood(conn):
    """Ask and never read, until the other side has had enough. Returns how many it took."""
    conn.sock.setblocking(False)
    ask = m.HEADER.pack(m.GET_FEATURES, m.VERSION, 0)
    deadline = time.monotonic() + 20
    for count in range(10_000_000):
        try:
            conn.sock.send(ask)
        except BlockingIOError:
            time.sleep(0.001)
        except (BrokenPipeError, ConnectionResetError):
            return count
        assert time.monotonic() < deadline, "a front-end that reads nothing is kept"
    raise AssertionError("no end")


def test_replies_that_nobody_reads(daemon, wire, quiet):
    """The send buffer fills, and the connection ends; nobody waited for it."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        assert flood(fe.conn) > 10
    assert "its reply is not read" in daemon.log()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def test_timers_go_on_under_a_flood(daemon, running, wire):
    """A front-end that keeps the control thread busy does not starve its timers and signals."""
    running.conn.send(m.SEND_RARP, GUEST_MAC + bytes(2))
    ask = m.HEADER.pack(m.GET_FEATURES, m.VERSION, 0) * 100
    running.conn.sock.setblocking(True)
    deadline = time.monotonic() + 0.6
    seen = []
    while time.monotonic() < deadline:
        running.conn.send_raw(ask)
        for _ in range(100):
            running.conn.receive()
        seen += wire.poll(ethertypes=(ETH_P_RARP,))
    seen += wire.receive(4 - len(seen), ethertypes=(ETH_P_RARP,)) if len(seen) < 4 else []
    assert len(seen) == 4
    checks.both_ways(running, wire)


def test_many_half_connections(daemon, running, wire):
    """A hundred clients that connect beside the front-end: each refused at once, none kept."""
    before = len(daemon.fds())
    made = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(100)]
    for s in made:
        s.connect(daemon.socket)
    for s in made:
        s.settimeout(5)
        assert s.recv(1) == b""
        s.close()
    checks.both_ways(running, wire)
    assert len(daemon.fds()) <= before


@pytest.mark.parametrize("cut", [1, 4, 11, 12, 13, 19])
@pytest.mark.parametrize("with_fd", [False, True])
def test_half_a_message_then_hang_up(daemon, wire, quiet, cut, with_fd):
    for _ in range(5):
        fe = checks.connect(daemon.socket)
        whole = m.HEADER.pack(m.SET_VRING_CALL, m.VERSION, 8) + m.U64.pack(0)
        fe.conn.send_raw(whole[:cut], [fe.kick[0]] * with_fd)
        fe.close()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def test_hang_up_without_reading_replies(daemon, wire, quiet):
    for _ in range(20):
        fe = checks.connect(daemon.socket)
        fe.conn.send_raw(m.HEADER.pack(m.GET_FEATURES, m.VERSION, 0) * 50)
        fe.close()
    checks.still_serves(daemon, wire)


def test_byte_by_byte(daemon, wire, quiet):
    """A stream may arrive in any pieces; descriptors come with the first byte."""
    with checks.connect(daemon.socket) as fe:
        send_whole = fe.conn.send_raw

        def one_by_one(data, fds=()):
            send_whole(data[:1], fds)
            for i in range(1, len(data)):
                send_whole(data[i : i + 1])

        fe.conn.send_raw = one_by_one
        fe.start()
        fe.conn.send_raw = send_whole
        checks.both_ways(fe, wire)
        fe.stop()


def test_junk(daemon, wire, quiet):
    """Bytes that are no protocol at all."""
    for seed in range(30):
        conn = checks.connect(daemon.socket)
        try:
            conn.conn.send_raw(m.random_bytes(seed, 300))
            conn.conn.sock.shutdown(socket.SHUT_WR)
            conn.conn.wait_closed()
        except (m.Closed, OSError):
            pass
        conn.close()
    checks.still_serves(daemon, wire)


# --- eventfds that the front-end makes block --------------------------------------------


@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_call_descriptor_made_blocking_and_full(daemon, running, wire, i):
    """The worker's notification blocks: it is broken, the descriptor made non-blocking again, and frames go on."""
    fe = running
    checks.both_ways(fe, wire)
    os.set_blocking(fe.call[i], True)
    fe.queues[i].want_call()
    m.eventfd_fill(fe.call[i])
    if i == RX:
        wire.inject(frame(checks.fresh()))
    else:
        fe.send(frame(checks.fresh(), to_guest=False))
    time.sleep(0.05)
    for _ in range(3):
        checks.both_ways(fe, wire)
    assert not os.get_blocking(fe.call[i])
    assert "blocking and full" in daemon.log()


@pytest.mark.parametrize("what", ["dump", "message", "hang_up", "terminate"])
def test_control_is_not_held_up_by_a_hanging_worker(own_daemon, wire, quiet, what):
    """Whatever control does needs the worker to stand still: it does, though it hangs in a notification."""
    with checks.connect(own_daemon.socket) as fe:
        fe.start()
        fe.fill(64)
        checks.both_ways(fe, wire)
        for i in (RX, TX):
            os.set_blocking(fe.call[i], True)
            fe.queues[i].want_call()
            m.eventfd_fill(fe.call[i])
        fe.send(frame(checks.fresh(), to_guest=False))
        time.sleep(0.05)
        if what == "dump":
            assert "running" in own_daemon.dump()
        elif what == "message":
            fe.stop()
        elif what == "terminate":
            # The fixture does, and checks the end.
            own_daemon.stop()
            own_daemon.stop = own_daemon.kill
            return
    checks.still_serves(own_daemon, wire)


@pytest.mark.parametrize("which", ["call", "err"])
def test_control_is_not_held_up_by_its_own_notification(daemon, running, wire, which):
    """A ring's start calls the guest, and a broken ring signals its error: both from the control thread."""
    fe = running
    checks.both_ways(fe, wire)
    fds = fe.call if which == "call" else fe.err
    for fd in fds:
        os.set_blocking(fd, True)
        m.eventfd_fill(fd)
    if which == "call":
        fe.stop()
        for i in (RX, TX):
            fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(i, fe.size))
            fe.conn.send(m.SET_VRING_BASE, m.STATE.pack(i, fe.queues[i].used_idx))
            fe.set_fd(m.SET_VRING_KICK, i, fe.kick[i])
        fe.conn.settle()
        checks.both_ways(fe, wire)
    else:
        fe.tx.put_head(0xFFFF)
        fe.publish(TX)
        time.sleep(0.1)
        fe.conn.settle()
        checks.from_wire(fe, wire, frame(checks.fresh()))
