"""In-flight tracking: the record is kept as the specification lays it out, and a killed godwitd loses nothing."""

import os
import random
import struct
import subprocess
import time

import pytest

from conftest import DEVICE, MAC, NEAR
from lib import checks, process
from lib import messages as m
from lib.frontend import OFFERED, RX, TX, FrontEnd
from lib.inflight import DESC, QUEUE, Record
from lib.memory import GuestMemory
from lib.wire import frame, number_of

ROUNDS = 50
ACK = m.VERSION | m.NEED_REPLY


@pytest.fixture
def fe(daemon, wire, quiet):
    """A front-end that keeps a record; its rings are not started yet."""
    with checks.connect(daemon.socket, protocol=OFFERED) as front:
        front.hello()
        front.record = Record(front)
        yield front
        front.record.close()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def refused(fe, payload, fds=()):
    try:
        assert fe.conn.ask_u64(m.SET_INFLIGHT_FD, payload, fds, ACK) != 0, "acknowledged"
        fe.conn.wait_closed()
    except m.Closed:
        pass


# --- the record ---------------------------------------------------------------------------


def test_new_record_is_empty(fe):
    assert not any(bytes(fe.record.map))
    assert fe.record.size >= 2 * (QUEUE.size + fe.size * DESC.size)


@pytest.mark.parametrize("trailer", [0, 4])
def test_reply_is_as_long_as_the_question(fe, trailer):
    """QEMU sends the C structure with its padding, others the fields."""
    body, fd = fe.conn.ask_fd(m.GET_INFLIGHT_FD, m.INFLIGHT.pack(0, 0, 2, 256) + bytes(trailer))
    os.close(fd)
    assert len(body) == m.INFLIGHT.size + trailer
    assert not any(body[m.INFLIGHT.size :])


def test_record_follows_the_ring(fe, wire):
    """Version, size, used_idx and heads after traffic: nothing is in flight while all is used."""
    fe.record.hand_back(fe)
    fe.run()
    for i in (RX, TX):
        assert fe.record.head(i)[:3] == (0, 1, fe.size)
    for _ in range(20):
        checks.both_ways(fe, wire)
    time.sleep(0.05)
    for i in (RX, TX):
        _, _, _, last, used_idx = fe.record.head(i)
        q = fe.queues[i]
        assert used_idx == q.device_idx()
        assert last == struct.unpack("<I", fe.memory.read(q.used + 4 + 8 * ((used_idx - 1) % q.size), 4))[0]
        assert fe.record.in_flight(i) == []


def test_orderly_stop_empties_the_record(fe, wire):
    """GET_VRING_BASE says where the ring stands: nothing of it is in flight, and the next start begins there."""
    fe.record.hand_back(fe)
    for _ in range(3):
        fe.run()
        checks.both_ways(fe, wire)
        assert fe.stop() == [q.device_idx() for q in fe.queues]
        assert [fe.record.head(i)[1] for i in (RX, TX)] == [0, 0]
    for q in fe.queues:
        q.reset(1234)
    fe.run()
    checks.both_ways(fe, wire)
    assert fe.stop() == [1235, 1235]


def test_record_for_one_queue_only(daemon, wire, quiet):
    with checks.connect(daemon.socket, protocol=OFFERED) as fe:
        fe.hello()
        record = Record(fe, 1)
        record.hand_back(fe)
        fe.run()
        checks.both_ways(fe, wire)
        assert record.head(RX)[1] == 1
        record.close()


def test_without_a_record_rings_run_as_ever(daemon, wire, quiet):
    with checks.connect(daemon.socket, protocol=OFFERED) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        fe.stop()


# --- what a killed process left -------------------------------------------------------------


def leave(fe, i, taken, shown, used_idx, batch=()):
    """Write a record of virtqueue @p i: @p taken heads in flight, of which @p batch was the last one shown."""
    at = fe.record.offset + i * fe.record.stride
    QUEUE.pack_into(fe.record.map, at, 0, 1, fe.size, batch[-1] if batch else 0, used_idx)
    for counter, head in enumerate(taken):
        DESC.pack_into(fe.record.map, at + QUEUE.size + DESC.size * head, 1, 0, counter)
    for before, head in zip((0, *batch), batch):
        DESC.pack_into(fe.record.map, at + QUEUE.size + DESC.size * head, 1, before, 0)
    fe.memory.write16(fe.queues[i].used + 2, shown)


def offer(fe, count):
    """Make @p count frames available on the transmit ring; returns their heads and the frames."""
    frames = [frame(checks.fresh(), to_guest=False) for _ in range(count)]
    for data in frames:
        fe.queue_tx(data)
    fe.tx.publish()
    return list(fe.tx.chains), frames


def test_what_was_taken_and_not_shown_is_sent(fe, wire):
    """The base that the front-end gives does not matter: the used ring does."""
    heads, frames = offer(fe, 10)
    leave(fe, TX, heads[:6], 0, 0)
    fe.record.hand_back(fe)
    fe.set_features()
    fe.set_mem_table()
    fe.enable()
    fe.set_ring(RX)
    fe.set_ring(TX, base=6)
    assert wire.receive(10) == frames
    assert [head for head, _, _ in fe.drain_tx(10)] == heads
    assert fe.record.in_flight(TX) == []


def test_batch_that_was_shown_and_not_noted_is_settled(fe, wire):
    """Killed between the used ring's idx and the record: four are done, and their flags are stale."""
    heads, frames = offer(fe, 10)
    for k, head in enumerate(heads[:4]):
        fe.memory.write(fe.tx.used + 4 + 8 * k, struct.pack("<II", head, 0))
    leave(fe, TX, heads[:6], 4, 0, heads[:4])
    fe.record.hand_back(fe)
    fe.set_features()
    fe.set_mem_table()
    fe.enable()
    fe.set_ring(RX)
    fe.set_ring(TX, base=4)
    assert wire.receive(6) == frames[4:]
    fe.drain_tx(10)
    time.sleep(0.05)
    assert fe.record.in_flight(TX) == [] and fe.record.head(TX)[4] == 10


BAD_RECORDS = {
    "version": lambda fe: (0, 2, fe.size, 0, 0),
    "desc_num": lambda fe: (0, 1, fe.size * 2, 0, 0),
    "desc_num_small": lambda fe: (0, 1, 1, 0, 0),
    "used_idx": lambda fe: (0, 1, fe.size, 0, 1000),
    "last_batch_head": lambda fe: (0, 1, fe.size, 0xFFFF, 0xFFFF),
}


@pytest.mark.parametrize("case", sorted(BAD_RECORDS))
def test_record_that_does_not_fit_the_ring(fe, case):
    QUEUE.pack_into(fe.record.map, fe.record.offset + fe.record.stride * TX, *BAD_RECORDS[case](fe))
    fe.record.hand_back(fe)
    with pytest.raises(m.Closed):
        fe.run()
        fe.conn.settle()


def test_record_of_a_back_end_that_works_out_of_order(fe):
    """Its guest's third buffer is in flight, and the first two are not: taken up, they would be used twice."""
    heads, _ = offer(fe, 5)
    leave(fe, TX, heads[2:3], 0, 0)
    fe.record.hand_back(fe)
    with pytest.raises(m.Closed):
        fe.run()
        fe.conn.settle()


# --- messages -------------------------------------------------------------------------------


@pytest.mark.parametrize("queues, size", [(0, 256), (3, 256), (0xFFFF, 256), (2, 0), (2, 255), (2, 32769), (2, 65535)])
@pytest.mark.parametrize("request_", ["GET_INFLIGHT_FD", "SET_INFLIGHT_FD"])
def test_numbers_out_of_range(fe, request_, queues, size):
    payload = fe.record.payload(queues=queues, queue_size=size)
    try:
        fe.conn.send(getattr(m, request_), payload, [fe.record.fd] if request_[0] == "S" else ())
        fe.conn.wait_closed()
    except m.Closed:
        pass


BAD_AREAS = [{"size": 0}, {"size": 100}, {"offset": 1 << 40}, {"offset": 3}, {"size": 2**64 - 1}, {"offset": 2**64 - 8}]


@pytest.mark.parametrize("wrong", BAD_AREAS, ids=str)
def test_area_that_is_too_small_or_elsewhere(fe, wrong):
    refused(fe, fe.record.payload(**wrong), [fe.record.fd])


def test_area_for_a_larger_ring_than_its_own(fe):
    """256 entries are recorded, and the ring has 512."""
    fe.record.hand_back(fe)
    fe.set_features()
    fe.set_mem_table()
    fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(TX, 512))
    fe.set_addr(TX)
    fe.set_fd(m.SET_VRING_KICK, TX, fe.kick[TX])
    with pytest.raises(m.Closed):
        fe.conn.settle()


def test_set_while_a_ring_runs(fe):
    fe.run()
    refused(fe, fe.record.payload(), [fe.record.fd])


@pytest.mark.parametrize("count", [0, 2])
def test_set_needs_one_descriptor(fe, count):
    refused(fe, fe.record.payload(), [fe.record.fd] * count)


def test_area_that_is_truncated_under_running_rings(fe, wire):
    """What godwitd notes down is lost, and nothing else: the record is the front-end's own."""
    fe.record.hand_back(fe)
    fe.run()
    checks.both_ways(fe, wire)
    os.ftruncate(fe.record.fd, 0)
    for _ in range(3):
        checks.both_ways(fe, wire)


def test_thousand_records_leak_nothing(fe, daemon):
    before = len(daemon.fds())
    for _ in range(1000):
        os.close(fe.conn.ask_fd(m.GET_INFLIGHT_FD, m.INFLIGHT.pack(0, 0, 2, 256))[1])
    for _ in range(50):
        fe.record.hand_back(fe)
    # A message's descriptors are closed after its answer, and before the next message.
    fe.conn.settle()
    assert len(daemon.fds()) <= before


# --- kill -9 ----------------------------------------------------------------------------------


class Guest:
    """A guest that sends numbered frames and posts buffers, over any number of godwitd's lives."""

    def __init__(self):
        layout = [(0x0, 0xA0000, 0x7F0020000000), (0x100000000, 0x800000, 0x7F0000000000)]
        self.memory, self.state, self.record = GuestMemory(layout), None, None
        self.seen, self.next, self.posted = set(), 1, False

    def connect(self, path):
        fe = FrontEnd(path, protocol=OFFERED, memory=self.memory)
        if self.state:
            fe.rx, fe.tx, fe._tx_slots, fe._partial = self.state
            fe.queues = [fe.rx, fe.tx]
        fe.log_addr = [q.used for q in fe.queues]
        fe.hello()
        self.record = self.record or Record(fe)
        self.record.hand_back(fe)
        fe.set_features()
        fe.set_mem_table()
        # As QEMU does, before the rings start: a disabled transmit ring is consumed and sends nothing.
        fe.enable()
        for i in (RX, TX):
            # What a front-end knows of a back-end that died: the used ring's idx.
            fe.set_ring(i, base=fe.queues[i].device_idx())
        fe.conn.settle()
        return fe

    def disconnect(self, fe):
        self.state = fe.rx, fe.tx, fe._tx_slots, fe._partial
        fe.conn.close()
        for fd in fe.kick + fe.call + fe.err:
            os.close(fd)

    def load(self, fe, wire, until):
        """Send as fast as the ring takes it, post what comes back, and look at the wire."""
        while time.monotonic() < until:
            for _ in range(min(fe.tx.room(), 64)):
                fe.queue_tx(frame(self.next, to_guest=False))
                self.next += 1
            fe.publish(TX)
            fe.reap_tx()
            if fe.rx.room():
                self.repost(fe)
            wire.inject(*(frame(n) for n in range(4)))
            self.look(wire)

    def repost(self, fe):
        """Buffers that came back are posted again; the first time, all there is room for."""
        if not self.posted:
            fe.fill(128, length=1024)
            self.posted = True
        for _, _, chains in fe.frames():
            for _, _, segments in chains:
                fe.post(segments)
        fe.publish(RX)

    def look(self, wire):
        self.seen.update(number_of(data) for data in wire.poll())


@pytest.fixture
def slow_port(own_namespaces):
    """The port's line is slow and its ring short, so that godwitd holds frames the port has not taken. Lifted by calling it."""
    shape = ["tc", "qdisc", "add", "dev", NEAR, "root", "tbf", "rate", "500kbit", "burst", "10k", "limit", "1000k"]
    subprocess.run(shape, check=True)
    lifted = []

    def lift():
        if not lifted:
            subprocess.run(["tc", "qdisc", "del", "dev", NEAR, "root"], check=True)
            lifted.append(True)

    yield lift
    lift()


def serving(more=""):
    """A godwitd that has started: it listens before that."""
    d = process.Godwitd(DEVICE + more, "--mac", MAC)
    deadline = time.monotonic() + 60
    while " serves " not in d.log():
        assert d.alive() and time.monotonic() < deadline, d.tail()
        time.sleep(0.01)
    return d


def test_kill_loses_no_frame_and_no_buffer(slow_port, wire, quiet):
    """
    Fifty times: under load in both directions, killed at any point, and started again. Every frame that the guest made
    available comes out (some twice: sent, and killed before that was noted), every transmit buffer comes back once, and
    every receive buffer is in the ring or came back once. take() fails on a buffer that comes back twice.
    """
    rng = random.Random(9)
    guest = Guest()
    for _ in range(ROUNDS):
        d = serving(",framecnt=64,qdisc_bypass=0")
        fe = guest.connect(d.socket)
        guest.load(fe, wire, time.monotonic() + rng.uniform(0.02, 0.3))
        d.proc.kill()
        d.proc.wait()
        assert not process.SANITIZER.search(d.log()), d.log()
        guest.look(wire)
        guest.disconnect(fe)
        d.kill()
    # What the line still holds comes out at its own pace, and a line that is taken away would drop it.
    deadline = time.monotonic() + 20
    before = -1
    while before != len(guest.seen) and time.monotonic() < deadline:
        before = len(guest.seen)
        time.sleep(0.3)
        guest.look(wire)
    slow_port()
    d = serving()
    fe = guest.connect(d.socket)
    deadline = time.monotonic() + 10
    while fe.tx.chains and time.monotonic() < deadline:
        fe.reap_tx()
    assert not fe.tx.chains, f"{len(fe.tx.chains)} transmit buffers did not come back"
    time.sleep(0.2)
    guest.look(wire)
    missing = set(range(1, guest.next)) - guest.seen
    assert not missing, f"{len(missing)} of {guest.next - 1} frames were lost, the first is {min(missing)}"
    # Every receive buffer that is out is still good for a frame.
    while fe.frames():
        time.sleep(0.05)
    left = len(fe.rx.chains)
    wire.inject(*(frame(n) for n in range(left)))
    deadline = time.monotonic() + 10
    while fe.rx.chains and time.monotonic() < deadline:
        fe.frames()
    assert not fe.rx.chains, f"{len(fe.rx.chains)} of {left} receive buffers are lost"
    assert guest.next > 50 * ROUNDS, "there was no load"
    guest.disconnect(fe)
    guest.record.close()
    guest.memory.close()
    d.stop()
