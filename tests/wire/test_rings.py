"""Rings a guest breaks: each costs its own ring, raises ERR, and leaves godwitd serving."""

import os
import random
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import FEATURES, RX, TX
from lib.memory import GuestMemory
from lib.virtqueue import F_INDIRECT, F_NEXT, F_WRITE
from lib.wire import frame

HOLE = 0xA0000  # in the default layout: no memory from here to 0xC0000
HIGH = 1 << 46
TOP = 2**64


def chain_cases(fe, q, writes):
    """
    Chains that break a rule: {name: function that writes descriptors and returns the head}. @p writes
    is the flag a right descriptor of queue @p q has.
    """
    mem, size = fe.memory, q.size
    buf = mem.alloc(4096)
    table = mem.alloc(4096)

    def one(addr, length=200, flags=0, nxt=0):
        q.set_desc(0, addr, length, flags | writes, nxt)
        return 0

    def indirect(entries, length=None, flags=F_INDIRECT, nxt=0):
        for i, (addr, n, fl, nx) in enumerate(entries):
            q.set_desc(i, addr, n, fl, nx, table)
        q.set_desc(0, table, 16 * len(entries) if length is None else length, flags, nxt)
        return 0

    def loop():
        q.set_desc(0, buf, 8, F_NEXT | writes, 1)
        q.set_desc(1, buf, 8, F_NEXT | writes, 0)
        return 0

    def past_table():
        """A good descriptor where the table has ended."""
        q.set_desc(size, buf, 2048, writes)
        return size

    def table_at_the_end():
        """Of four entries, the first is the last of memory, and its next lies past the end."""
        q.set_desc(0, buf, 12, F_NEXT | writes, 1, mem.top() - 16)
        q.set_desc(0, mem.top() - 16, 64, F_INDIRECT)
        return 0

    good = (buf, 2048, writes, 0)
    return {
        "outside": lambda: one(HIGH),
        "in_the_hole": lambda: one(HOLE + 4096),
        "into_the_hole": lambda: one(HOLE - 100),
        "past_the_end": lambda: one(mem.top() - 100),
        "wraps": lambda: one(TOP - 100, 200),
        "wraps_to_memory": lambda: one(TOP - 100, 0x2000),
        "length_4g": lambda: one(buf, 0xFFFFFFFF),
        "zero_length": lambda: one(buf, 0),
        "zero_length_first": lambda: (q.set_desc(1, buf, 2048, writes), one(buf, 0, F_NEXT, 1))[1],
        "zero_length_last": lambda: (q.set_desc(1, buf, 0, writes), one(buf, 12, F_NEXT, 1))[1],
        "zero_length_in_table": lambda: indirect([(buf, 12, F_NEXT | writes, 1), (buf, 0, writes, 0)]),
        "second_outside": lambda: (q.set_desc(1, HIGH, 2000, writes), one(buf, 12, F_NEXT, 1))[1],
        "next_is_size": lambda: (past_table(), one(buf, 12, F_NEXT, size))[1],
        "next_is_65535": lambda: one(buf, 12, F_NEXT, 0xFFFF),
        "loop_of_two": loop,
        "loop_to_itself": lambda: one(buf, 12, F_NEXT, 0),
        "head_is_size": past_table,
        "head_is_65535": lambda: 0xFFFF,
        "nested_indirect": lambda: indirect([(table, 16, F_INDIRECT, 0)]),
        "indirect_and_next": lambda: indirect([good], flags=F_INDIRECT | F_NEXT, nxt=1),
        "indirect_length_0": lambda: indirect([good], length=0),
        "indirect_length_15": lambda: indirect([good], length=15),
        "indirect_length_17": lambda: indirect([good], length=17),
        "indirect_length_4g": lambda: indirect([good], length=0xFFFFFFF0),
        "indirect_too_many": lambda: indirect([good], length=16 * 65536),
        "indirect_outside": lambda: (q.set_desc(0, HIGH, 16, F_INDIRECT), 0)[1],
        "indirect_wraps": lambda: (q.set_desc(0, TOP - 16, 64, F_INDIRECT), 0)[1],
        "indirect_past_the_end": table_at_the_end,
        "indirect_next_outside_table": lambda: indirect([(buf, 12, F_NEXT | writes, 1)]),
        "indirect_next_is_count": lambda: (
            q.set_desc(2, buf + 64, 2048, writes, 0, table),
            indirect([(buf, 12, F_NEXT | writes, 2), good]),
        )[1],
        "indirect_next_65535": lambda: indirect([(buf, 12, F_NEXT | writes, 0xFFFF), good]),
        "indirect_loop": lambda: indirect([(buf, 8, F_NEXT | writes, 1), (buf, 8, F_NEXT | writes, 0)]),
        "indirect_buffer_outside": lambda: indirect([(HIGH, 2048, writes, 0)]),
    }


CASES = """
    zero_length zero_length_first zero_length_last zero_length_in_table outside in_the_hole into_the_hole
    past_the_end wraps wraps_to_memory length_4g second_outside next_is_size next_is_65535 loop_of_two
    loop_to_itself head_is_size head_is_65535 nested_indirect indirect_and_next indirect_length_0
    indirect_length_15 indirect_length_17 indirect_length_4g indirect_too_many indirect_outside indirect_wraps
    indirect_past_the_end indirect_next_outside_table indirect_next_is_count indirect_next_65535 indirect_loop
    indirect_buffer_outside
""".split()


def err_raised(fe, i, timeout=3.0):
    return m.eventfd_wait(fe.err[i], timeout) > 0


def provoke(fe, wire, i):
    """Make the device look at the ring: for the receive side a frame has to come."""
    fe.publish(i)
    if i == RX:
        wire.inject(frame(checks.fresh(), 300))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_broken_chain(daemon, wire, quiet, i, case):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        q = fe.queues[i]
        fe.memory.track()
        cases = chain_cases(fe, q, F_WRITE if i == RX else 0)
        assert sorted(cases) == sorted(CASES)
        q.put_head(cases[case]())
        provoke(fe, wire, i)
        assert err_raised(fe, i), "ERR was not raised"
        assert q.device_idx() == 0, "a broken chain was given back as used"
        # The vNIC still answers, and the guest can start the ring anew on the same connection.
        fe.stop()
        for queue in fe.queues:
            queue.reset()
        fe.run()
        checks.both_ways(fe, wire)
        fe.stop()


@pytest.mark.parametrize("jump", [1, 2, 100, 0x7FFF, 0x8000, 0xFF00])
@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_available_index_jumps(daemon, wire, quiet, i, jump):
    """By more than the ring holds."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        q = fe.queues[i]
        fe.memory.write16(q.avail + 2, q.size + jump if jump < 0xFF00 else -1)
        if i == RX:
            wire.inject(frame(checks.fresh(), 300))
        assert err_raised(fe, i), "ERR was not raised"
        fe.stop()
    checks.still_serves(daemon, wire)


@pytest.mark.parametrize("back", [1, 2, 10])
def test_available_index_moves_backwards(running, daemon, wire, back):
    fe = running
    checks.both_ways(fe, wire)
    fe.memory.write16(fe.rx.avail + 2, fe.rx.avail_idx - back)
    wire.inject(*(frame(checks.fresh(), 300) for _ in range(80)))
    assert err_raised(fe, RX)
    fe.stop()
    fe.conn.close()
    checks.still_serves(daemon, wire)


@pytest.mark.parametrize("i", [RX, TX], ids=["rx", "tx"])
def test_wrong_direction(daemon, wire, quiet, i):
    """A readable buffer on the receive ring, a writable one on the transmit ring: never used in that direction."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        q = fe.queues[i]
        at = fe.memory.alloc(4096)
        fe.memory.write(at, b"\xa5" * 4096)
        q.set_desc(0, at, 2048, F_WRITE if i == TX else 0)
        q.put_head(0)
        provoke(fe, wire, i)
        assert err_raised(fe, i) or q.device_idx() == 1
        assert fe.memory.read(at, 4096) == b"\xa5" * 4096, "a read-only buffer was written"
        fe.stop()
    checks.still_serves(daemon, wire)


def test_mixed_directions_in_one_chain(daemon, wire, quiet):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        at = fe.memory.alloc(4096)
        fe.memory.write(at, b"\xa5" * 4096)
        fe.rx.add([(at, 12, True), (at + 512, 2048, False)])
        provoke(fe, wire, RX)
        assert err_raised(fe, RX) or fe.rx.device_idx() == 1
        assert fe.memory.read(at + 512, 2048) == b"\xa5" * 2048, "a read-only buffer was written"
        fe.stop()
    checks.still_serves(daemon, wire)


@pytest.mark.parametrize("broken,other", [(RX, TX), (TX, RX)], ids=["rx_breaks", "tx_breaks"])
def test_the_other_ring_goes_on(daemon, wire, quiet, broken, other):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        fe.rx.add([(HIGH, 2048, True)]) if broken == RX else fe.tx.add([(HIGH, 100, False)])
        if other == RX:
            fe.fill(16)
        provoke(fe, wire, broken)
        assert err_raised(fe, broken)
        if other == RX:
            checks.from_wire(fe, wire, frame(checks.fresh()))
        else:
            checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))
        fe.stop()


def test_indirect_without_the_feature(daemon, wire, quiet):
    with checks.connect(daemon.socket, features=FEATURES & ~m.F_INDIRECT) as fe:
        fe.start()
        fe.queue_tx(frame(checks.fresh(), to_guest=False), indirect=fe.memory.alloc(4096))
        fe.publish(TX)
        assert err_raised(fe, TX)
        fe.stop()


def test_receive_chain_too_small_for_a_header(daemon, wire, quiet):
    """Spec: virtio 1.2, 5.1.6.3.1: a mergeable buffer holds at least the header."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        at = fe.memory.alloc(4096)
        fe.memory.write(at, b"\xa5" * 64)
        fe.post([(at, 11)])
        provoke(fe, wire, RX)
        assert err_raised(fe, RX) or fe.rx.device_idx() == 1
        assert fe.memory.read(at + 11, 53) == b"\xa5" * 53
        fe.stop()
    checks.still_serves(daemon, wire)


@pytest.mark.parametrize("size", [1, 2, 4, 1024, 4096])
def test_ring_sizes(daemon, wire, quiet, size):
    layout = [(0, 0x100000, 0x7F0000000000), (0x200000, 0x400000, 0x7E0000000000)]
    with checks.connect(daemon.socket, size=size, memory=GuestMemory(layout)) as fe:
        fe.start()
        fe.fill(min(size, 64))
        for _ in range(3 * size if size < 10 else 10):
            checks.from_wire(fe, wire, frame(checks.fresh()))
            checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))
            if fe.rx.room():
                fe.post()
                fe.publish(RX)
        fe.stop()


def test_chain_as_long_as_the_ring(daemon, wire, quiet):
    with checks.connect(daemon.socket, size=256) as fe:
        fe.start()
        data = frame(checks.fresh(), 1514, to_guest=False)
        checks.to_wire(fe, wire, data, split=[5] * 255)
        at = fe.memory.alloc(2560)
        fe.post([(at + 10 * k, 10) for k in range(256)])
        fe.publish(RX)
        checks.from_wire(fe, wire, frame(checks.fresh(), 1514))
        fe.stop()


def test_indices_wrap(daemon, wire, quiet):
    with checks.connect(daemon.socket, size=64, base=(65500, 65520)) as fe:
        fe.start()
        fe.fill(32)
        for _ in range(100):
            checks.both_ways(fe, wire)
            fe.post([(fe.memory.regions[0].gpa + 0x10000, 2048)])
            fe.publish(RX)
        assert fe.stop() == [(65500 + 100) & 0xFFFF, (65520 + 100) & 0xFFFF]


def test_ring_of_zeroes(daemon, wire, quiet):
    """Memory that is all zeroes where rings should be (a guest that never came): nothing happens."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        wire.inject(*(frame(checks.fresh()) for _ in range(10)))
        time.sleep(0.1)
        assert not any(m.eventfd_take(fd) for fd in fe.err)
        assert fe.stop() == [0, 0]


def racing_guest(fe, stop_at):
    """In a process of its own: change descriptors and available entries as fast as it can, good and bad in turn."""
    rng = random.Random(1)
    good = fe.memory.alloc(4096)
    q = fe.queues
    while time.monotonic() < stop_at:
        ring = q[rng.randrange(2)]
        i = rng.randrange(ring.size)
        length = rng.choice((0, 12, 72, 2048, 0xFFFFFFFF))
        addr = rng.choice((good, good, good, HOLE, TOP - 4096))
        ring.set_desc(i, addr, length, rng.randrange(8), rng.choice((i + 1, 0, 0xFFFF)) & 0xFFFF)
        fe.memory.write16(ring.avail + 4 + 2 * i, rng.choice((i, i, 0, 0xFFFF)))


def test_guest_that_changes_its_rings_meanwhile(daemon, wire, quiet):
    """Every value is read once and checked before use: what changes in between must not matter."""
    for _ in range(20):
        with checks.connect(daemon.socket, size=64) as fe:
            fe.start()
            child = os.fork()
            if child == 0:
                try:
                    racing_guest(fe, time.monotonic() + 0.15)
                finally:
                    os._exit(0)
            end = time.monotonic() + 0.15
            while time.monotonic() < end:
                for q in fe.queues:
                    fe.memory.write16(q.avail + 2, q.device_idx() + 3)
                wire.inject(frame(checks.fresh(), 300))
            os.waitpid(child, 0)
            fe.conn.settle()
    checks.still_serves(daemon, wire)


def test_random_ring_memory(daemon, wire, quiet):
    """Rings full of random bytes, fifty times: whatever they say, godwitd lives."""
    for seed in range(50):
        with checks.connect(daemon.socket, size=64) as fe:
            fe.start()
            for q in fe.queues:
                fe.memory.write(q.desc, m.random_bytes(seed, 16 * q.size))
                fe.memory.write(q.avail + 4, m.random_bytes(seed + 1000, 2 * q.size))
                for i in range(0, q.size, 2):
                    fe.memory.write16(q.avail + 4 + 2 * i, seed + i & q.size - 1)
                    q.set_desc(seed + i & q.size - 1, i * 4096, 100 + i, seed + i & 7, i * seed & 127)
                fe.memory.write16(q.avail + 2, q.size)
            wire.inject(*(frame(checks.fresh()) for _ in range(5)))
            time.sleep(0.005)
            fe.conn.settle()
    checks.still_serves(daemon, wire)
