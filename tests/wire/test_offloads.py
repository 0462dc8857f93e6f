"""Checksums and segments that the guest leaves to its network card: what goes out is checked by a receiver of our own."""

import itertools
import random
import subprocess

import pytest
from lib import checks, process
from lib import messages as m
from lib.frontend import FEATURES, HDR, TX
from lib.tcpip import V6 as V6_ADDRESSES
from lib.tcpip import (ACK, DATA_VALID, GSO_ECN, GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, PSH, RST, SYN, URG, Flow, Received,
                       pseudo, reassemble, total)
from lib.wire import GUEST_MAC, MTU, PEER_MAC, Wire, frame
from test_show import counters, grown

OFFLOADS = FEATURES | m.NET_F_CSUM | m.NET_F_HOST_TSO4 | m.NET_F_HOST_TSO6 | m.NET_F_HOST_ECN
TYPES = {"ethertypes": (0x0800, 0x86DD, 0x8100, 0x88A8)}

SHAPES = [
    pytest.param(Flow(v6=v6, tags=tags, options=options, tcp_options=tcp),
                 id=f"{'v6' if v6 else 'v4'}-tags{tags}-ip{options}-tcp{tcp}")
    for v6, tags, options, tcp in itertools.product((False, True), (0, 1, 2), (0, 8, 40), (0, 12))
]


def data(length, seed=1):
    return random.Random(seed).randbytes(length)


@pytest.fixture
def guest(daemon, wire, quiet):
    """A guest whose driver leaves checksums and segmentation to us."""
    with checks.connect(daemon.socket, features=OFFLOADS) as fe:
        fe.start()
        fe.fill(16)
        yield fe
        fe.stop()


def hand_over(fe, header, *parts):
    """Queue a frame behind @p header, in descriptors of @p parts."""
    whole = header + b"".join(parts)
    at = fe.memory.alloc(len(whole), 64, region=1)
    fe.memory.next[1] = at  # each is taken at once: the place serves again
    fe.memory.write(at, whole)
    segments, done = [], 0
    for length in [len(header), *(len(p) for p in parts)]:
        segments.append((at + done, length, False))
        done += length
    fe.tx.add(segments, None)
    fe.publish(TX)
    fe.drain_tx(1)


def cut(fe, wire, flow, payload, size, **other):
    """Have @p payload sent as segments of @p size, and receive them."""
    whole = flow.tcp(payload)
    head = len(whole) - len(payload)
    hand_over(fe, flow.want_cut(size, **other), whole[:head], whole[head:])
    reassemble(flow, wire.receive(max(-(-len(payload) // size), 1), **TYPES), payload, size)


@pytest.mark.parametrize("flow", SHAPES)
def test_segments(guest, wire, flow):
    head = flow.start() + 20 + flow.tcp_options
    largest = 65535 + 14 + 4 * flow.tags + (40 if flow.v6 else 0) - head
    full = 1514 + 4 * flow.tags - head
    for length, size in ((1, 1000), (full, full), (full + 1, full), (3 * 999, 999), (20001, 1000), (largest, full)):
        cut(guest, wire, flow, data(length, length), size)
    assert wire.poll(**TYPES) == []


def test_flags_alone_decide(guest, wire):
    for flags in (ACK, ACK | PSH, 0):
        cut(guest, wire, Flow(flags=flags), data(5000), 1448)
    cut(guest, wire, Flow(), data(5000), 1448, type=GSO_TCPV4 | GSO_ECN)


def test_header_length_is_not_believed(guest, wire):
    for hdr_len in (0, 1, 14, 53, 54, 55, 5000, 65535):
        cut(guest, wire, Flow(), data(5000), 1448, hdr_len=hdr_len)


def test_order_among_plain_frames(guest, wire):
    """Large and plain frames leave in the order in which the guest gave them."""
    fe, flow = guest, Flow(flags=ACK)
    want = []
    for k in range(8):
        plain = frame(checks.fresh(), 60 + 100 * k, to_guest=False)
        at = fe.memory.alloc(32768, 64, region=1)
        whole = flow.want_cut(1000) + flow.tcp(data(20000, k))
        fe.memory.write(at, whole + bytes(12) + plain)
        fe.tx.add([(at, len(whole), False)], None)
        fe.tx.add([(at + len(whole), 12 + len(plain), False)], None)
        want += [data(20000, k)[n : n + 1000] for n in range(0, 20000, 1000)] + [plain]
    fe.publish(TX)
    got = wire.receive(len(want), ethertypes=(0x0800, 0x88B5))
    assert [Received(f).payload if f[12:14] == b"\x08\0" else f for f in got] == want
    fe.drain_tx(16)
    fe.memory.next[1] = at


@pytest.mark.parametrize("flow", SHAPES)
def test_checksums(guest, wire, flow):
    """TCP and UDP of even and odd lengths, the shortest among them."""
    for length in (0, 1, 5, 6, 17, 100, 101, 1300):
        payload = data(length, length)
        for whole, offset in ((flow.tcp(payload), 16), (flow.udp(payload), 6)):
            hand_over(guest, flow.want_checksum(offset), whole)
            (got,) = wire.receive(1, **TYPES)
            assert Received(got).payload == payload
            changed = flow.start() + offset
            assert got[:changed] == whole[:changed] and got[changed + 2 :].startswith(whole[changed + 2 :])


def test_checksum_of_any_protocol(guest, wire):
    """The guest says where: what protocol it is does not matter. ICMPv6 here."""
    flow = Flow(v6=True)
    whole = flow.udp(b"hello")
    body = b"\x80\0" + b"\0\0" + whole[flow.start() + 4 :]
    packet = flow.link() + flow.ip(58, len(body)) + body
    packet = packet[: flow.start() + 2] + pseudo(V6_ADDRESSES, 58, len(body)).to_bytes(2, "big") + packet[flow.start() + 4 :]
    hand_over(guest, flow.want_checksum(2), packet)
    (got,) = wire.receive(1, **TYPES)
    assert Received(got).protocol == 58


def test_udp_checksum_is_never_zero(guest, wire):
    """A sum that comes out as 0 would mean "no checksum" in UDP: RFC 768 has it sent as all ones."""
    flow = Flow()
    blank = flow.udp(b"\0\0")
    hand_over(guest, flow.want_checksum(6), blank)
    (got,) = wire.receive(1, **TYPES)
    sent = Received(got).segment[6:8]
    hand_over(guest, flow.want_checksum(6), flow.udp(sent))
    (got,) = wire.receive(1, **TYPES)
    assert Received(got).segment[6:8] == b"\xff\xff"


GSO = "tx_drop_gso"
CSUM = "tx_drop_csum"
LONG = "tx_drop_long"
SHORT = "tx_drop_short"


def edited(flow, payload, at, new):
    """A frame with the bytes at @p at behind IP's first replaced."""
    whole = flow.tcp(payload)
    at += 14 + 4 * flow.tags
    return whole[:at] + new + whole[at + len(new) :]


V4, V6, BIG = Flow(flags=ACK), Flow(v6=True, flags=ACK), data(5000)
HOSTILE = {
    "size_0": (V4.want_cut(0), V4.tcp(BIG), GSO),
    "size_1": (V4.want_cut(1), V4.tcp(BIG), GSO),
    "size_1_largest": (V4.want_cut(1), V4.tcp(data(65000)), GSO),
    "too_many_segments": (V4.want_cut(200), V4.tcp(data(65000)), GSO),
    "size_beyond_the_wire": (V4.want_cut(1600), V4.tcp(BIG), LONG),
    "size_65535": (V4.want_cut(65535), V4.tcp(BIG), LONG),
    "start_beyond_frame": (V4.want_cut(1000, start=6000), V4.tcp(BIG), GSO),
    "start_65535": (V4.want_cut(1000, start=65535), V4.tcp(BIG), GSO),
    "start_before_tcp": (V4.want_cut(1000, start=14), V4.tcp(BIG), GSO),
    "offset_wraps": (V4.want_cut(1000, offset=65535), V4.tcp(BIG), GSO),
    "no_checksum_asked": (V4.want_cut(1000, flags=0), V4.tcp(BIG), GSO),
    "wrong_family": (V4.want_cut(1000, type=GSO_TCPV6), V4.tcp(BIG), GSO),
    "wrong_family_6": (V6.want_cut(1000, type=GSO_TCPV4), V6.tcp(BIG), GSO),
    "udp_fragmentation": (V4.want_cut(1000, type=3), V4.udp(BIG), GSO),
    "udp_segmentation": (V4.want_cut(1000, type=5), V4.udp(BIG), GSO),
    "unknown_type": (V4.want_cut(1000, type=2), V4.tcp(BIG), GSO),
    "tcp_asked_for_udp": (V4.want_cut(1000), V4.udp(BIG), GSO),
    "tcp_asked_for_arp": (V4.want_cut(1000), V4.tcp(BIG).replace(b"\x08\0", b"\x08\x06", 1), GSO),
    "no_ip_at_all": (V4.want_cut(1000), frame(1, 5000, to_guest=False), GSO),
    "three_tags": (V4.want_cut(1000), V4.tcp(BIG)[:12] + b"\x81\0\0\1" * 3 + V4.tcp(BIG)[12:], GSO),
    "first_fragment": (V4.want_cut(1000), edited(V4, BIG, 6, b"\x20\0"), GSO),
    "later_fragment": (V4.want_cut(1000), edited(V4, BIG, 6, b"\0\x10"), GSO),
    "fragment_6": (V6.want_cut(1000), edited(V6, BIG, 6, b"\x2c"), GSO),
    "routing_6": (V6.want_cut(1000), edited(V6, BIG, 6, b"\x2b"), GSO),
    "ip_version": (V4.want_cut(1000), edited(V4, BIG, 0, b"\x65"), GSO),
    "ip_header_short": (V4.want_cut(1000), edited(V4, BIG, 0, b"\x44"), GSO),
    "ip_options_over_tcp": (V4.want_cut(1000), edited(V4, BIG, 0, b"\x4f"), GSO),
    "tcp_header_short": (V4.want_cut(1000), edited(V4, BIG, 32, b"\x40"), GSO),
    "syn": (V4.want_cut(1000), edited(V4, BIG, 33, bytes([ACK | SYN])), GSO),
    "rst": (V4.want_cut(1000), edited(V4, BIG, 33, bytes([RST])), GSO),
    "urgent": (V4.want_cut(1000), edited(V4, BIG, 33, bytes([ACK | URG])), GSO),
    "headers_only_in_part": (V4.want_cut(1000), V4.tcp(b"")[:50], GSO),
    "ethernet_only": (V4.want_cut(1000), V4.tcp(b"")[:14], GSO),
    "less_than_ethernet": (V4.want_cut(1000), V4.tcp(b"")[:13], SHORT),
    "larger_than_ip": (V4.want_cut(1400), V4.tcp(data(65400)) + data(200), GSO),
    "uncut_and_too_long": (V4.want_checksum(16), V4.tcp(BIG), LONG),
    "checksum_beyond_frame": (V4.want_checksum(16, start=1000), V4.tcp(b"abc"), CSUM),
    "checksum_across_the_end": (V4.want_checksum(0, start=len(V4.tcp(b"abcd")) - 1), V4.tcp(b"abcd"), CSUM),
    "checksum_wraps": (V4.want_checksum(65535, start=65535), V4.tcp(b"abc"), CSUM),
    "checksum_in_ethernet": (V4.want_checksum(0, start=0), V4.tcp(b"abc"), CSUM),
    "all_ones": (b"\xff" * 12, V4.tcp(b"abc"), GSO),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_request_is_dropped(daemon, guest, wire, case):
    """Nothing of it goes out, its reason is counted, its buffer comes back, and what follows passes."""
    header, whole, reason = HOSTILE[case]
    grown(daemon, reason, lambda: hand_over(guest, header, whole))
    assert wire.poll(**TYPES) == []
    checks.both_ways(guest, wire)
    cut(guest, wire, V4, BIG, 1000)


def test_segmentation_that_was_not_negotiated(daemon, wire, quiet):
    """With CSUM alone, a frame that asks to be cut is not sent."""
    with checks.connect(daemon.socket, features=FEATURES | m.NET_F_CSUM) as fe:
        fe.start()
        for flow in (V4, V6):
            grown(daemon, GSO, lambda: hand_over(fe, flow.want_cut(100), flow.tcp(data(1000))))
        assert wire.poll(**TYPES) == []
        hand_over(fe, V4.want_checksum(16), V4.tcp(b"abc"))
        assert Received(wire.receive(1, **TYPES)[0]).payload == b"abc"


def sent_for(fe, wire, header, whole):
    """What goes out for one frame: all that comes before a plain frame behind it."""
    mark = frame(checks.fresh(), to_guest=False)
    hand_over(fe, header, whole)
    fe.send(mark)
    got = []
    while mark not in got:
        got += wire.receive(1, ethertypes=(*TYPES["ethertypes"], 0x88B5))
    fe.drain_tx(1)
    assert got[-1] == mark
    return got[:-1]


def test_random_headers_never_make_a_wrong_frame(guest, wire):
    """Whatever the header says, a frame either leaves as it was but for a checksum field, or is cut right, or is dropped."""
    rng = random.Random(3)
    for _ in range(400):
        flow = Flow(v6=rng.random() < 0.5, tags=rng.randrange(3), flags=ACK)
        payload = data(rng.choice((0, 10, 1000, 3000)), rng.random())
        fields = {"flags": rng.choice((0, 1, 1, 1, 255)), "type": rng.choice((0, 1, 4, 3, 0x81, 0xFF)),
                  "gso_size": rng.choice((0, 1, 16, 500, 1400, 65535)), "hdr_len": rng.randrange(65536),
                  "start": rng.choice((flow.start(), rng.randrange(100), rng.randrange(65536))),
                  "offset": rng.choice((16, 6, rng.randrange(100), rng.randrange(65536)))}
        whole = flow.tcp(payload)
        got = sent_for(guest, wire, flow.want_cut(0, **fields), whole)
        if fields["type"] & 0x7F in (1, 4) and got:
            reassemble(flow, got, payload, fields["gso_size"])
        elif got:
            (only,) = got
            place = fields["start"] + fields["offset"]
            allowed = {place, place + 1} if fields["flags"] & NEEDS_CSUM else set()
            assert {k for k in range(len(whole)) if only[k] != whole[k]} <= allowed
    checks.both_ways(guest, wire)


def test_receive_header_without_a_port_that_checks(daemon, wire, quiet):
    """net_af_packet checks nothing: the guest is told nothing, GUEST_CSUM or not."""
    with checks.connect(daemon.socket, features=OFFLOADS | m.NET_F_GUEST_CSUM) as fe:
        fe.start()
        fe.fill(4)
        header, _, _ = checks.from_wire(fe, wire, frame(checks.fresh(), 200))
        assert header == HDR.pack(0, 0, 0, 0, 0, 0, 1)


# --- switches ------------------------------------------------------------------------------


def offered(*args):
    d = process.Godwitd("net_null0", *args, name="features")
    try:
        with checks.connect(d.socket) as fe:
            return fe.conn.ask_u64(m.GET_FEATURES)
    finally:
        d.stop()


def test_features_are_switched_off(own_namespaces, tmp_path):
    every = offered()
    tso = m.NET_F_HOST_TSO4 | m.NET_F_HOST_TSO6 | m.NET_F_HOST_ECN
    assert offered("--features", "host_tso4=off") == every & ~m.NET_F_HOST_TSO4
    assert offered("--features", "-csum") == every & ~(m.NET_F_CSUM | tso), "TSO needs CSUM"
    file = tmp_path / "features.conf"
    file.write_text("features = csum=off,mtu=off\n")
    assert offered("--config", str(file), "--features", "csum=on") == every & ~m.NET_F_MTU, "the command line wins"


def test_unknown_feature_lists_the_names(own_namespaces):
    for switch in ("tso=off", "csum", "-version_1"):
        args = [process.BINARY, "--name", "x", "--device", "net_null0", "--features", switch]
        done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 2 and "--features" in done.stderr
        if switch == "tso=off":
            assert "csum, guest_csum, mtu, host_tso4, host_tso6" in done.stderr
    text = subprocess.run([process.BINARY, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert " host_tso4 host_tso6 " in text and "log_all" not in text




# --- a port with abilities of its own --------------------------------------------------------


@pytest.fixture(scope="module")
def tap(own_namespaces):
    """net_tap computes and checks checksums as a card does; its interface is the wire."""
    d = process.Godwitd("net_tap0,iface=gwtap0", name="tap")
    # It answers once its port is there.
    checks.connect(d.socket).close()
    subprocess.run(["ip", "link", "set", "gwtap0", "up"], check=True)
    w = Wire("gwtap0")
    yield d, w
    w.close()
    d.stop()


@pytest.fixture
def tap_guest(tap):
    d, w = tap
    w.poll()
    with checks.connect(d.socket, features=OFFLOADS | m.NET_F_GUEST_CSUM) as fe:
        fe.start()
        fe.fill(32)
        yield fe, w
        fe.stop()


@pytest.mark.parametrize("flow", SHAPES)
def test_port_computes_checksums(tap, tap_guest, flow):
    """Left to the port where the headers are plain, done here where they are not: right in every case."""
    fe, wire = tap_guest
    before = counters(tap[0])
    for length in (0, 1, 17, 100, 1301):
        for whole, offset in ((flow.tcp(data(length)), 16), (flow.udp(data(length)), 6)):
            hand_over(fe, flow.want_checksum(offset), whole)
            assert Received(wire.receive(1, **TYPES)[0]).payload == data(length)
    cut(fe, wire, flow, data(20001), 1000)
    after = counters(tap[0])
    by_port = 0 if flow.v6 and flow.options else 10
    assert after["tx_by_port"] - before["tx_by_port"] == by_port
    assert after["tx_gso"] - before["tx_gso"] == 1


def to_guest(flow, kind, payload):
    """The same frame as it comes from the wire: for the guest, its checksum done."""
    whole = getattr(flow, kind)(payload)
    at, offset = flow.start(), 16 if kind == "tcp" else 6
    value = 0xFFFF ^ total(whole[at:])
    return GUEST_MAC + PEER_MAC + whole[12 : at + offset] + value.to_bytes(2, "big") + whole[at + offset + 2 :]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("v6", [False, True])
def test_guest_learns_what_the_port_checked(tap_guest, kind, v6):
    """DATA_VALID for a good checksum, nothing for a bad one or for what has none; the frame is the same."""
    fe, wire = tap_guest
    good = to_guest(Flow(v6=v6), kind, data(200))
    bad = good[:-1] + bytes([good[-1] ^ 1])
    for whole, flags in ((good, DATA_VALID), (bad, 0), (frame(checks.fresh(), 200), 0)):
        header, _, _ = checks.from_wire(fe, wire, whole)
        assert header == HDR.pack(flags, 0, 0, 0, 0, 0, 1), whole.hex()


def test_guest_that_did_not_ask_learns_nothing(tap):
    d, wire = tap
    with checks.connect(d.socket, features=OFFLOADS) as fe:
        fe.start()
        fe.fill(4)
        header, _, _ = checks.from_wire(fe, wire, to_guest(Flow(), "tcp", data(200)))
        assert header == HDR.pack(0, 0, 0, 0, 0, 0, 1)
        fe.stop()


# --- sizes ---------------------------------------------------------------------------------


def test_device_that_does_not_take_the_mtu_is_refused(own_namespaces):
    args = [process.BINARY, "--name", "mtu", "--device", "net_af_packet0,iface=gwv0", "--mtu", "9000"]
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "takes an MTU of 1500 at most, and the guest was given 9000" in done.stderr


def test_small_mtu_is_given_to_the_device_and_kept(own_namespaces, wire, quiet):
    """Frames up to it pass, whole or cut; what is larger than it with two tags is dropped and counted."""
    d = process.Godwitd("net_af_packet0,iface=gwv0", "--mtu", "1280")
    try:
        with checks.connect(d.socket, features=OFFLOADS) as fe:
            fe.start()
            fe.fill(8)
            assert " mtu 1280 " in subprocess.check_output(["ip", "link", "show", "gwv0"], text=True)
            checks.to_wire(fe, wire, frame(checks.fresh(), 1280 + 14, to_guest=False))
            grown(d, LONG, lambda: fe.send(frame(checks.fresh(), 1280 + 23, to_guest=False)))
            cut(fe, wire, V4, BIG, 1240)
            grown(d, LONG, lambda: hand_over(fe, V4.want_cut(1249), V4.tcp(BIG)))
            checks.both_ways(fe, wire)
            fe.stop()
    finally:
        d.stop()
        subprocess.run(["ip", "link", "set", "gwv0", "mtu", str(MTU)], check=True)


@pytest.mark.parametrize("room", [2048, 9100])
def test_jumbo_frames(own_namespaces, wire, quiet, room):
    """9000 bytes of payload, both ways: plain, with a checksum, cut; over several of the guest's buffers and in one."""
    d = process.Godwitd("net_pcap0,rx_iface_in=gwv0,tx_iface=gwv0", "--mtu", "9000")
    try:
        with checks.connect(d.socket, features=OFFLOADS) as fe:
            fe.start()
            fe.fill(30, length=room)
            for size in (60, 2034, 2035, 2048, 2049, 9014):
                _, _, chains = checks.from_wire(fe, wire, frame(checks.fresh(), size))
                assert len(chains) == -(-(size + 12) // room)
                checks.to_wire(fe, wire, frame(checks.fresh(), size, to_guest=False))
            for flow in (V4, V6, Flow(tags=1, flags=ACK)):
                whole = flow.tcp(data(8900))
                hand_over(fe, flow.want_checksum(16), whole)
                assert Received(wire.receive(1, **TYPES)[0]).payload == data(8900)
                cut(fe, wire, flow, data(60000), 8900)
            grown(d, LONG, lambda: fe.send(frame(checks.fresh(), 9023, to_guest=False)))
            fe.stop()
    finally:
        d.stop()
