"""Checks that many tests share: a good connection passes a frame both ways."""

import itertools
import time

from . import messages as m
from .frontend import FrontEnd
from .wire import CANARY, frame, number_of

_numbers = itertools.count(1_000_000)


def fresh():
    """A frame number that no other frame of this run carries, and no canary in its bytes."""
    while True:
        number = next(_numbers)
        if CANARY not in number.to_bytes(4, "big"):
            return number


def connect(socket_path, timeout=5.0, **how):
    """
    A FrontEnd whose connection godwitd serves. While the one before is still being torn down,
    a new one may be refused by closing, so this tries again until @p timeout.
    """
    deadline = time.monotonic() + timeout
    while True:
        fe = FrontEnd(socket_path, **how)
        try:
            fe.conn.ask_u64(m.GET_FEATURES)
            return fe
        except (m.Closed, m.NoReply):
            fe.close()
            assert time.monotonic() < deadline, "no new connection was served"
            time.sleep(0.01)


def from_wire(fe, wire, data, timeout=5.0):
    """Inject @p data and return (header, frame, chains) of it at the guest, skipping older frames."""
    wire.inject(data)
    deadline = time.monotonic() + timeout
    while True:
        for header, got, chains in fe.frames():
            if got == data:
                return header, got, chains
        assert time.monotonic() < deadline, "the frame did not reach the guest"


def to_wire(fe, wire, data, timeout=5.0, **how):
    """
    Send @p data from the guest and wait for it on the wire, skipping older frames. A frame
    shorter than Ethernet's least comes padded with zeroes.
    """
    fe.send(data, **how)
    deadline = time.monotonic() + timeout
    while True:
        if data.ljust(60, b"\0") in wire.poll():
            break
        assert time.monotonic() < deadline, "the guest's frame did not come out"
    # Its buffers come back a moment after it was sent.
    while fe.reap_tx() or fe.tx.chains:
        assert time.monotonic() < deadline, f"{len(fe.tx.chains)} sent buffers did not come back"


def both_ways(fe, wire):
    """One frame each way over a running front-end."""
    if fe.rx.room() == fe.rx.size:
        fe.fill(16)
    from_wire(fe, wire, frame(fresh()))
    to_wire(fe, wire, frame(fresh(), to_guest=False))


def still_serves(daemon, wire):
    """godwitd is alive, and a fresh, well-behaved connection passes a frame both ways."""
    assert daemon.alive(), f"godwitd ended with {daemon.proc.returncode}:\n{daemon.tail()}"
    with connect(daemon.socket) as fe:
        fe.start()
        both_ways(fe, wire)
        fe.stop()


__all__ = ["both_ways", "connect", "fresh", "from_wire", "number_of", "still_serves", "to_wire"]
