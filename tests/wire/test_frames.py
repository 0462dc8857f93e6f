"""Frames through whole rings: sizes, shapes of buffers, headers, order, contents."""

import random
import struct
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import FEATURES, HDR, RX, TX
from lib.wire import ETHERTYPE, GUEST_MAC, PEER_MAC, frame, number_of

SIZES = [15, 18, 42, 59, 60, 61, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1499, 1500, 1501, 1513, 1514]


def test_sizes_to_guest(running, wire):
    for size in SIZES:
        data = frame(checks.fresh(), size)
        header, got, chains = checks.from_wire(running, wire, data)
        assert got == data and len(chains) == 1
        running.post()
        running.publish(RX)


def test_sizes_to_wire(running, wire):
    for size in SIZES:
        checks.to_wire(running, wire, frame(checks.fresh(), size, to_guest=False))


def vlan_frame(size, to_guest=True):
    """A frame of @p size bytes with a VLAN tag."""
    addresses = GUEST_MAC + PEER_MAC if to_guest else PEER_MAC + GUEST_MAC
    return addresses + struct.pack(">HHHI", 0x8100, 42, ETHERTYPE, checks.fresh()) + bytes(size - 22)


def test_vlan_frame_to_guest(running, wire):
    """A full-sized frame with a VLAN tag has 1518 bytes."""
    for size in (64, 1518):
        checks.from_wire(running, wire, vlan_frame(size))


@pytest.mark.parametrize("size", [1522, 2000, 2048, 2100, 4096, 9000])
def test_frame_larger_than_the_port_takes(running, wire, size):
    """What the port makes of it is its driver's business; what follows must pass."""
    wire.inject(frame(checks.fresh(), size))
    checks.both_ways(running, wire)


def test_more_frames_than_buffers(running, wire):
    """3,000 frames at once for 64 buffers: what is lost is lost, what arrives is whole and in order."""
    first = checks.fresh() * 100
    sent = [frame(first + k, 60 + k % 1000) for k in range(3000)]
    for k in range(0, 3000, 500):
        wire.inject(*sent[k : k + 500])
    last, got = -1, 0
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        for _, data, chains in running.frames():
            number = number_of(data) - first
            assert number > last and data == sent[number]
            last, got, end = number, got + 1, time.monotonic() + 0.1
            for _, _, segments in chains:
                running.post(segments)
        running.publish(RX)
    assert got >= 64
    checks.both_ways(running, wire)


def test_vlan_frame_to_wire(running, wire):
    for size in (64, 1518):
        checks.to_wire(running, wire, vlan_frame(size, to_guest=False))


@pytest.mark.parametrize("size", [0, 1, 6, 12, 13])
def test_guest_frame_too_short_is_dropped(running, wire, size):
    """Shorter than an Ethernet header: given back, not sent, and the next one passes."""
    running.send(bytes(size))
    running.drain_tx(1)
    checks.both_ways(running, wire)


@pytest.mark.parametrize("size", [9019, 16000, 65535 - 12, 65536, 200000])
def test_guest_frame_too_long_is_dropped(running, wire, size):
    fe = running
    at = fe.memory.alloc(min(size + 12, 65536), region=1)
    segments = []
    left = size + 12
    while left:
        piece = min(left, 65536)
        segments.append((at, piece, False))
        left -= piece
    fe.tx.add(segments, None)
    fe.publish(TX)
    fe.drain_tx(1)
    checks.both_ways(fe, wire)
    assert not [f for f in wire.poll() if len(f) > 9018]


def test_half_a_header_is_dropped(running, wire):
    """A chain that ends within the virtio-net header."""
    fe = running
    at = fe.memory.alloc(64)
    for size in (1, 11, 12):
        fe.tx.add([(at, size, False)], None)
    fe.publish(TX)
    fe.drain_tx(3)
    checks.both_ways(fe, wire)


SPLITS = [[12], [1, 11], [6, 6], [4, 4, 4], [1] * 12, [12, 14], [10, 10], [13], [12, 20, 20], [1] * 40]


@pytest.mark.parametrize("splits", SPLITS)
def test_split_transmit_chains(running, wire, splits):
    """Header alone, header over several descriptors, descriptors that cut across header and frame."""
    for size in (60, 61, 1514):
        checks.to_wire(running, wire, frame(checks.fresh(), size, to_guest=False), split=splits)


@pytest.mark.parametrize("splits", [[12], [1] * 12, [100], [], [1] * 100])
def test_indirect_transmit_chains(running, wire, splits):
    fe = running
    for size in (60, 1514):
        table = fe.memory.alloc(16 * 128, 16)
        checks.to_wire(fe, wire, frame(checks.fresh(), size, to_guest=False), split=splits, indirect=table)


ODD_HEADERS = [b"\xff" * 12, bytes(range(12)), HDR.pack(1, 0, 14, 0, 34, 6, 0), HDR.pack(0, 1, 54, 1460, 0, 0, 9)]


@pytest.mark.parametrize("header", ODD_HEADERS)
def test_transmit_header_means_nothing_without_offloads(running, wire, header):
    """No checksum or segmentation was offered: what the header says is not acted upon."""
    checks.to_wire(running, wire, frame(checks.fresh(), 200, to_guest=False), header=header)


def test_receive_header(running, wire):
    header, _, _ = checks.from_wire(running, wire, frame(checks.fresh(), 200))
    assert header == HDR.pack(0, 0, 0, 0, 0, 0, 1)


def test_receive_header_overwrites_what_was_there(daemon, wire, quiet):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        at = fe.memory.alloc(2048)
        fe.memory.write(at, b"\xa5" * 2048)
        fe.post([(at, 2048)])
        fe.publish(RX)
        header, _, _ = checks.from_wire(fe, wire, frame(checks.fresh(), 200))
        assert header == HDR.pack(0, 0, 0, 0, 0, 0, 1)
        assert fe.memory.read(at + 212, 2048 - 212) == b"\xa5" * (2048 - 212), "written past used.len"


RX_SHAPES = {
    "one": [2048],
    "exact": [1526],
    "header_alone": [12, 1514],
    "header_split": [1] * 12 + [1514],
    "header_cut": [5, 100, 2000],
    "pages": [12, 700, 700, 700],
    "many": [64] * 32,
}


@pytest.mark.parametrize("indirect", [False, True])
@pytest.mark.parametrize("mergeable", [True, False])
@pytest.mark.parametrize("shape", sorted(RX_SHAPES))
def test_receive_chain_shapes(daemon, wire, quiet, shape, mergeable, indirect):
    features = FEATURES if mergeable else FEATURES & ~m.NET_F_MRG_RXBUF
    with checks.connect(daemon.socket, features=features) as fe:
        fe.start()
        for size in (60, 61, 1514):
            segments = [(fe.memory.alloc(n, 64, skew=k % 64), n) for k, n in enumerate(RX_SHAPES[shape])]
            fe.post(segments, fe.memory.alloc(16 * len(segments), 16) if indirect else None)
            fe.publish(RX)
            _, _, chains = checks.from_wire(fe, wire, frame(checks.fresh(), size))
            assert len(chains) == 1 and chains[0][1] == size + 12
        fe.stop()


@pytest.mark.parametrize("room", [12, 13, 14, 60, 100, 256, 512, 1000])
def test_mergeable_frame_over_several_chains(daemon, wire, quiet, room):
    """Small buffers: num_buffers says how many, each but the last is full, the used lengths add up."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        for _ in range(128):
            fe.post(length=room)
        fe.publish(RX)
        for size in (60, 64, 1024 if room < 20 else 1514):
            need = -(-(size + 12) // room)
            if need > 100:
                size, need = 60, -(-72 // room)
            _, _, chains = checks.from_wire(fe, wire, frame(checks.fresh(), size))
            assert len(chains) == need
            assert [n for _, n, _ in chains[:-1]] == [room] * (need - 1)
            assert sum(n for _, n, _ in chains) == size + 12
            for _, _, segments in chains:
                fe.post(segments)
            fe.publish(RX)
        fe.stop()


def test_frame_waits_for_enough_buffers(daemon, wire, quiet):
    """Half of the buffers a frame needs: nothing is shown to the guest until the rest is there; then it arrives."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        for _ in range(4):
            fe.post(length=256)
        fe.publish(RX)
        data = frame(checks.fresh(), 1514)
        wire.inject(data)
        time.sleep(0.1)
        assert fe.rx.device_idx() == 0
        for _ in range(2):
            fe.post(length=256)
        fe.publish(RX)
        assert fe.receive(1)[0][1] == data
        fe.stop()


def test_no_buffers_posted_at_all(daemon, wire, quiet):
    """Frames that came before the guest posted buffers are delivered, in order, when it does."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        fe.conn.settle()
        sent = [frame(checks.fresh()) for _ in range(20)]
        wire.inject(*sent)
        time.sleep(0.05)
        fe.fill(32)
        assert [f for _, f, _ in fe.receive(20)] == sent
        fe.stop()


def test_frame_larger_than_all_buffers_is_dropped(daemon, wire, quiet):
    """Without mergeable buffers a frame that does not fit is dropped, and the next that fits arrives."""
    with checks.connect(daemon.socket, features=FEATURES & ~m.NET_F_MRG_RXBUF) as fe:
        fe.start()
        for _ in range(8):
            fe.post(length=200)
        fe.publish(RX)
        wire.inject(frame(checks.fresh(), 1514))
        _, _, chains = checks.from_wire(fe, wire, frame(checks.fresh(), 188))
        assert chains[0][1] == 200
        fe.stop()


def test_buffer_across_a_region_border(daemon, wire, quiet):
    """Guest-physically contiguous regions that lie apart for us: a buffer may span them."""
    from lib.memory import GuestMemory

    layout = [(0, 0x40000, 0x7F0000000000), (0x40000, 0x40000, 0x7E0000000000), (0x100000, 0x80000, 0x7D0000000000)]
    with checks.connect(daemon.socket, memory=GuestMemory(layout)) as fe:
        fe.start()
        fe.rx.add([(0x40000 - 700, 700, True), (0x40000, 1348, True)], [(0x40000 - 700, 700), (0x40000, 1348)])
        spanning = fe.rx.chains.copy()
        assert spanning
        fe.publish(RX)
        checks.from_wire(fe, wire, frame(checks.fresh(), 1514))
        # The same as one descriptor.
        head = fe.rx.free[-1]
        fe.rx.add([(0x40000 - 700, 2048, True)], [(0x40000 - 700, 700), (0x40000, 1348)])
        assert head in fe.rx.chains
        fe.publish(RX)
        checks.from_wire(fe, wire, frame(checks.fresh(), 1514))
        data = bytes(12) + frame(checks.fresh(), 1514, to_guest=False)
        fe.memory.write(0x40000 - 800, data[:800])
        fe.memory.write(0x40000, data[800:])
        fe.tx.add([(0x40000 - 800, len(data), False)], None)
        fe.publish(TX)
        assert data[12:] in wire.receive(1)
        fe.stop()


def shape_of(rng):
    """Random lengths of one receive chain that holds a full frame."""
    kind = rng.randrange(4)
    if kind == 0:
        return [2048]
    if kind == 1:
        return [12, 1600]
    if kind == 2:
        return [rng.randrange(1, 700) for _ in range(3)] + [1600]
    return [rng.randrange(12, 300) for _ in range(rng.randrange(1, 4))]


@pytest.mark.parametrize(
    "features",
    [FEATURES, FEATURES & ~m.F_EVENT_IDX, FEATURES & ~m.NET_F_MRG_RXBUF],
    ids=["all", "no_event_idx", "not_mergeable"],
)
def test_ten_thousand_frames_each_way(daemon, wire, quiet, features):
    """Random sizes, batches and buffers; every frame arrives whole, once and in order, both ways at the same time."""
    total = 10000 if features == FEATURES else 2000
    rng = random.Random(features)
    with checks.connect(daemon.socket, features=features, size=256) as fe:
        fe.start()
        for _ in range(60):
            shape = shape_of(rng) if fe.mergeable else [12, 1600]
            fe.post([(fe.memory.alloc(n, 2, region=1), n) for n in shape])
        fe.publish(RX)
        pump(fe, wire, rng, total)
        fe.stop()


def pump(fe, wire, rng, total):
    """Drive @p total frames each way with bounded windows, checking each as it comes."""
    start = {"rx": checks.fresh() * 100, "tx": checks.fresh() * 100}
    sent = {"rx": 0, "tx": 0}
    seen = {"rx": 0, "tx": 0}
    expect = {"rx": [], "tx": []}
    # The window to the guest stays below what the port itself holds, so that nothing may be lost.
    window = {"rx": 60, "tx": 60}
    deadline = time.monotonic() + 120
    while min(seen.values()) < total:
        for way in ("rx", "tx"):
            # A frame is on the wire before its buffers come back.
            out = max(sent[way] - seen[way], len(fe.tx.chains) if way == "tx" else 0)
            room = min(window[way] - out, total - sent[way])
            first = start[way] + sent[way]
            sizes = [rng.choice((60, 64, 200, 777, 1514)) for _ in range(rng.randint(0, max(room, 0)))]
            batch = [frame(first + k, size, way == "rx") for k, size in enumerate(sizes)]
            sent[way] += len(batch)
            expect[way] += batch
            if way == "rx":
                wire.inject(*batch)
            else:
                for data in batch:
                    fe.queue_tx(data, split=rng.choice((None, [12], [5, 9])))
                fe.publish(TX)
        got = fe.frames()
        for _, data, chains in got:
            assert data == expect["rx"][seen["rx"]], f"frame {seen['rx']} to the guest: got {number_of(data)}"
            expect["rx"][seen["rx"]] = None
            seen["rx"] += 1
            for _, _, segments in chains:
                fe.post(segments)
        if got:
            fe.publish(RX)
        for data in wire.poll():
            assert data == expect["tx"][seen["tx"]], f"frame {seen['tx']} to the wire: got {number_of(data)}"
            expect["tx"][seen["tx"]] = None
            seen["tx"] += 1
        fe.reap_tx()
        assert time.monotonic() < deadline, f"sent {sent}, seen {seen}"
