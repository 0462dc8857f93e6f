"""Every message sent wrong: sizes, descriptors, order, flags, indices, hang-ups. One connection pays, nothing else."""

import os
import socket
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import OFFERED, RX, TX
from lib.memory import DirtyLog, Region
from lib.wire import GUEST_MAC, frame

MAX_RING = 1

# request: (payload length, descriptors it carries). SET_MEM_TABLE is variable and has tests of its own.
SHAPES = {
    m.GET_FEATURES: (0, 0),
    m.SET_FEATURES: (8, 0),
    m.SET_OWNER: (0, 0),
    m.RESET_OWNER: (0, 0),
    m.SET_LOG_BASE: (16, 1),
    m.SET_VRING_NUM: (8, 0),
    m.SET_VRING_ADDR: (40, 0),
    m.SET_VRING_BASE: (8, 0),
    m.GET_VRING_BASE: (8, 0),
    m.SET_VRING_KICK: (8, 1),
    m.SET_VRING_CALL: (8, 1),
    m.SET_VRING_ERR: (8, 1),
    m.GET_PROTOCOL_FEATURES: (0, 0),
    m.SET_PROTOCOL_FEATURES: (8, 0),
    m.GET_QUEUE_NUM: (0, 0),
    m.SET_VRING_ENABLE: (8, 0),
    m.SEND_RARP: (8, 0),
    m.NET_SET_MTU: (8, 0),
    m.GET_INFLIGHT_FD: (20, 0),
    m.SET_INFLIGHT_FD: (20, 1),
    m.RESET_DEVICE: (0, 0),
    m.GET_MAX_MEM_SLOTS: (0, 0),
    m.ADD_MEM_REG: (40, 1),
    m.REM_MEM_REG: (40, 0),
    m.SET_STATUS: (8, 0),
    m.GET_STATUS: (0, 0),
}
# The protocol feature that each of the newer ones needs to be negotiated.
NEEDS = {
    m.NET_SET_MTU: m.PF_MTU,
    m.GET_INFLIGHT_FD: m.PF_INFLIGHT_SHMFD,
    m.SET_INFLIGHT_FD: m.PF_INFLIGHT_SHMFD,
    m.GET_MAX_MEM_SLOTS: m.PF_CONFIGURE_MEM_SLOTS,
    m.ADD_MEM_REG: m.PF_CONFIGURE_MEM_SLOTS,
    m.REM_MEM_REG: m.PF_CONFIGURE_MEM_SLOTS,
    m.SET_STATUS: m.PF_STATUS,
    m.GET_STATUS: m.PF_STATUS,
}
NAMES = {
    number: name
    for name, number in vars(m).items()
    if name.split("_")[0] in ("GET", "SET", "RESET", "SEND", "NET", "ADD", "REM") and name.isupper() and number in SHAPES
}
BAD_INDEX = [MAX_RING + 1, MAX_RING + 2, 0xFF]
WIDE_INDEX = BAD_INDEX + [0xFFFF, 0x10000, 0xFFFFFFFF]


OWN_REPLY = (
    m.GET_FEATURES,
    m.GET_PROTOCOL_FEATURES,
    m.GET_QUEUE_NUM,
    m.GET_VRING_BASE,
    m.SET_LOG_BASE,
    m.GET_INFLIGHT_FD,
    m.GET_MAX_MEM_SLOTS,
    m.GET_STATUS,
)


def per_request(*names):
    pick = [r for r in SHAPES if not names or r in names]
    return pytest.mark.parametrize("request_", pick, ids=[NAMES[r] for r in pick])


@pytest.fixture
def ready(daemon, wire, quiet):
    """A front-end that has done everything but start its rings. Afterwards another is served, and nothing held."""
    fe = checks.connect(daemon.socket, protocol=OFFERED)
    fe.hello()
    fe.set_features()
    fe.set_mem_table()
    for i in (RX, TX):
        fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(i, fe.size))
        fe.conn.send(m.SET_VRING_BASE, m.STATE.pack(i, 0))
        fe.set_addr(i)
    fe.conn.settle()
    yield fe
    fe.close()
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def good_payload(fe, request):
    """A payload and descriptors that would be right for @p request now."""
    state = {
        m.SET_FEATURES: m.U64.pack(fe.features),
        m.SET_PROTOCOL_FEATURES: m.U64.pack(OFFERED),
        m.SET_VRING_NUM: m.STATE.pack(RX, fe.size),
        m.SET_VRING_BASE: m.STATE.pack(RX, 0),
        m.GET_VRING_BASE: m.STATE.pack(RX, 0),
        m.SET_VRING_ENABLE: m.STATE.pack(RX, 1),
        m.SET_VRING_ADDR: fe.addr_payload(RX),
        m.SEND_RARP: GUEST_MAC + bytes(2),
        m.SET_LOG_BASE: m.LOG.pack(0x20100, 0),
        m.SET_VRING_KICK: m.U64.pack(TX),
        m.SET_VRING_CALL: m.U64.pack(TX),
        m.SET_VRING_ERR: m.U64.pack(TX),
        m.NET_SET_MTU: m.U64.pack(1500),
        m.GET_INFLIGHT_FD: m.INFLIGHT.pack(0, 0, 2, fe.size),
        m.SET_INFLIGHT_FD: m.INFLIGHT.pack(0x10000, 0, 2, fe.size),
        m.ADD_MEM_REG: m.mem_reg((0x300000000, 0x10000, 0x7D0000000000, 0)),
        m.REM_MEM_REG: m.mem_reg(fe.memory.regions[0].entry()),
        m.SET_STATUS: m.U64.pack(m.ACKNOWLEDGE),
    }
    return state.get(request, b"")


def good_fds(fe, request):
    if request == m.SET_LOG_BASE:
        fe.log = fe.log or DirtyLog(fe.memory)
        return [fe.log.fd]
    if request in (m.ADD_MEM_REG, m.SET_INFLIGHT_FD):
        fe.extra = getattr(fe, "extra", None) or Region(0x300000000, 0x10000, 0x7D0000000000)
        return [fe.extra.fd]
    eventfds = {m.SET_VRING_KICK: fe.kick, m.SET_VRING_CALL: fe.call, m.SET_VRING_ERR: fe.err}
    return [eventfds[request][TX]] if request in eventfds else []


def must_close(fe, request, payload=b"", fds=(), flags=m.VERSION, size=None):
    """The back-end refuses this message: it may say so with a non-zero acknowledgement, and closes."""
    try:
        fe.conn.send(request, payload, fds, flags, size)
    except m.Closed:
        return
    for got, _, body in fe.conn.wait_closed():
        assert got == request and m.U64.unpack(body)[0] != 0, f"request {got} was answered with {body.hex()}"


@per_request()
def test_good_message_is_good(ready, request_):
    """The ground for the tests below: what they break works when it is whole."""
    ready.conn.send(request_, good_payload(ready, request_), good_fds(ready, request_))
    if request_ in OWN_REPLY:
        assert ready.conn.receive()[0] == request_
    ready.conn.settle()


@pytest.mark.parametrize("delta", [1, 8, 4000])
@per_request()
def test_too_long(ready, request_, delta):
    must_close(ready, request_, good_payload(ready, request_) + bytes(delta), good_fds(ready, request_))


@pytest.mark.parametrize("left_out", [1, 4, 100])
@per_request(*(request for request, (length, _) in SHAPES.items() if length))
def test_too_short(ready, request_, left_out):
    payload = good_payload(ready, request_)
    must_close(ready, request_, payload[: max(len(payload) - left_out, 0)], good_fds(ready, request_))


@pytest.mark.parametrize("size", [4097, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@per_request(m.SET_FEATURES, m.SET_VRING_CALL, m.GET_FEATURES)
def test_size_field_lies(ready, request_, size):
    """More is announced than any message has: refused at once, not waited for."""
    must_close(ready, request_, good_payload(ready, request_), good_fds(ready, request_), size=size)


@pytest.mark.parametrize("need_reply", [0, m.NEED_REPLY])
@pytest.mark.parametrize("request_", [0, 46, 100, 0xFFFF, 0x10000, 0x80000001, 0xFFFFFFFF])
def test_unknown_request(ready, request_, need_reply):
    must_close(ready, request_, b"", (), m.VERSION | need_reply)


NOT_OFFERED = """
    SET_BACKEND_REQ_FD IOTLB_MSG SET_VRING_ENDIAN GET_CONFIG SET_CONFIG CREATE_CRYPTO_SESSION CLOSE_CRYPTO_SESSION
    POSTCOPY_ADVISE POSTCOPY_LISTEN POSTCOPY_END GPU_SET_SOCKET VRING_KICK GET_SHARED_OBJECT SET_DEVICE_STATE_FD
    CHECK_DEVICE_STATE GET_SHMEM_CONFIG GET_VRING_BASE_SKIP_DRAIN
""".split()


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_request_of_a_feature_that_is_not_offered(ready, name):
    request = getattr(m, name)
    fds = [ready.kick[0]] if request in (m.SET_BACKEND_REQ_FD, m.GPU_SET_SOCKET, m.SET_DEVICE_STATE_FD) else ()
    must_close(ready, request, bytes(8), fds, m.VERSION | m.NEED_REPLY)


@pytest.mark.parametrize("request_", sorted(NEEDS), ids=[NAMES[r] for r in sorted(NEEDS)])
def test_request_whose_feature_was_not_negotiated(daemon, wire, quiet, request_):
    """Offered is not enough: the front-end has to say that it uses it."""
    with checks.connect(daemon.socket, protocol=OFFERED & ~NEEDS[request_]) as fe:
        fe.hello()
        must_close(fe, request_, good_payload(fe, request_), good_fds(fe, request_))
    checks.still_serves(daemon, wire)


@pytest.mark.parametrize("flags", [0, 2, 3, m.VERSION | m.REPLY, 0xFFFFFFFF])
@per_request(m.GET_FEATURES, m.SET_FEATURES, m.SET_VRING_CALL)
def test_wrong_flags(ready, request_, flags):
    """Another version, or a reply to nothing."""
    must_close(ready, request_, good_payload(ready, request_), good_fds(ready, request_), flags=flags)


# --- file descriptors ---------------------------------------------------------------------


@per_request(*(request for request, (_, count) in SHAPES.items() if count))
def test_missing_descriptor(ready, request_):
    must_close(ready, request_, good_payload(ready, request_))


@pytest.mark.parametrize("count", [2, 8, 9, 60])
@per_request()
def test_too_many_descriptors(ready, daemon, request_, count):
    """Refused or ignored, but never kept."""
    before = len(daemon.fds())
    fds = [ready.kick[0]] * count
    payload = good_payload(ready, request_)
    try:
        ready.conn.send(request_, payload, fds)
        ready.conn.send(m.GET_FEATURES)
        while ready.conn.receive()[0] != m.GET_FEATURES:
            pass
        if request_ not in (m.SET_VRING_KICK, m.SET_LOG_BASE, m.ADD_MEM_REG, m.SET_INFLIGHT_FD):
            assert len(daemon.fds()) <= before, "descriptors nobody asked for were kept"
    except m.Closed:
        pass


@per_request(m.SET_VRING_KICK, m.SET_VRING_CALL, m.SET_VRING_ERR)
def test_no_descriptor_flag_with_descriptor(ready, daemon, request_):
    before = len(daemon.fds())
    try:
        ready.conn.send(request_, m.U64.pack(TX | m.NOFD), [ready.kick[TX]])
        ready.conn.settle()
        assert len(daemon.fds()) <= before
    except m.Closed:
        pass


def odd_fds():
    """Descriptors that are not what the message wants."""
    r, w = os.pipe()
    a, b = socket.socketpair()
    return {
        "pipe": (r, w),
        "null": (os.open("/dev/null", os.O_RDWR),),
        "directory": (os.open("/", os.O_RDONLY),),
        "socket": (a.detach(), b.detach()),
        "eventfd": (m.eventfd(),),
        "path": (os.open("/", os.O_PATH),),
    }


@pytest.mark.parametrize("kind", sorted(odd_fds()))
@per_request(m.SET_VRING_KICK, m.SET_VRING_CALL, m.SET_VRING_ERR)
def test_descriptor_of_another_kind(ready, wire, request_, kind):
    """It may be refused or taken; what is taken must not stop godwitd, even once it is signalled."""
    kinds = odd_fds()
    fd = kinds[kind][0]
    fe = ready
    try:
        fe.conn.send(request_, m.U64.pack(RX), [fd])
        fe.conn.settle()
        fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(RX, fe.size))
        fe.conn.send(m.SET_VRING_BASE, m.STATE.pack(RX, 0))
        fe.set_addr(RX)
        if request_ != m.SET_VRING_KICK:
            fe.set_fd(m.SET_VRING_KICK, RX, fe.kick[RX])
        fe.set_ring(TX)
        fe.enable()
        fe.rx.want_call()
        fe.fill(8)
        checks.from_wire(fe, wire, frame(checks.fresh()))
    except (m.Closed, AssertionError) as err:
        assert isinstance(err, m.Closed) or kind != "eventfd", err
    finally:
        for fds in kinds.values():
            for fd in fds:
                os.close(fd)


# --- indices and numbers ------------------------------------------------------------------


@pytest.mark.parametrize("index", WIDE_INDEX)
@per_request(m.SET_VRING_NUM, m.SET_VRING_BASE, m.GET_VRING_BASE, m.SET_VRING_ENABLE, m.SET_VRING_ADDR)
def test_ring_index_out_of_range(ready, request_, index):
    payload = good_payload(ready, request_)
    must_close(ready, request_, index.to_bytes(4, "little") + payload[4:])


@pytest.mark.parametrize("index", BAD_INDEX)
@pytest.mark.parametrize("nofd", [0, m.NOFD])
@per_request(m.SET_VRING_KICK, m.SET_VRING_CALL, m.SET_VRING_ERR)
def test_ring_index_of_a_descriptor_message(ready, request_, index, nofd):
    must_close(ready, request_, m.U64.pack(index | nofd), () if nofd else good_fds(ready, request_))


@pytest.mark.parametrize("number", [0, 3, 255, 257, 32767, 32769, 0xFFFF, 0x10000, 0x80000000, 0xFFFFFFFF])
def test_ring_size_not_allowed(ready, number):
    must_close(ready, m.SET_VRING_NUM, m.STATE.pack(RX, number))


@pytest.mark.parametrize("number", [1, 2, 256, 32768])
def test_ring_size_allowed(ready, number):
    ready.conn.send(m.SET_VRING_NUM, m.STATE.pack(RX, number))
    ready.conn.settle()


@pytest.mark.parametrize("number", [0, 1, 0x7FFF, 0x8000, 0xFFFF])
def test_ring_base_allowed(ready, number):
    ready.conn.send(m.SET_VRING_BASE, m.STATE.pack(RX, number))
    assert ready.get_base(RX) == number


@pytest.mark.parametrize("number", [0x10000, 0x80000000, 0xFFFFFFFF])
def test_ring_base_not_allowed(ready, number):
    """A split ring's index has 16 bits."""
    must_close(ready, m.SET_VRING_BASE, m.STATE.pack(RX, number))


@pytest.mark.parametrize("number", [2, 0xFFFF, 0x10000, 0xFFFFFFFF])
def test_enable_with_another_number(ready, number):
    must_close(ready, m.SET_VRING_ENABLE, m.STATE.pack(RX, number))


@pytest.mark.parametrize("bit", [2, 7, 10, 14, 24, 33, 34, 56, 63])
def test_feature_that_was_not_offered(ready, bit):
    must_close(ready, m.SET_FEATURES, m.U64.pack(ready.features | 1 << bit))


@pytest.mark.parametrize("bit", [5, 6, 7, 8, 9, 10, 11, 14, 17, 18, 19, 20, 21, 22, 23, 24, 63])
def test_protocol_feature_that_was_not_offered(ready, bit):
    must_close(ready, m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED | 1 << bit))


# --- ring addresses -----------------------------------------------------------------------

TOP = 2**64


def addr_cases(fe):
    """Ring addresses no ring may have: {name: fields of addr_payload}."""
    last = fe.memory.regions[-1]
    end = last.uva + last.size
    first = fe.memory.regions[0]
    return {
        "desc_null": {"desc": 0},
        "used_null": {"used": 0},
        "avail_null": {"avail": 0},
        "desc_guest_physical": {"desc": fe.rx.desc},
        "desc_outside": {"desc": end},
        "desc_before": {"desc": last.uva - 16},
        "desc_ends_outside": {"desc": end - 16 * fe.size + 16},
        "avail_ends_outside": {"avail": end - 4},
        "used_ends_outside": {"used": end - 4},
        "used_in_the_hole": {"used": first.uva + first.size},
        "desc_wraps": {"desc": TOP - 16},
        "avail_wraps": {"avail": TOP - 2},
        "used_wraps": {"used": TOP - 4},
        "desc_misaligned": {"desc": fe.memory.uva(fe.rx.desc) + 8},
        "avail_misaligned": {"avail": fe.memory.uva(fe.rx.avail) + 1},
        "used_misaligned": {"used": fe.memory.uva(fe.rx.used) + 2},
    }


ADDR_NAMES = """
    desc_null used_null avail_null desc_guest_physical desc_outside desc_before desc_ends_outside avail_ends_outside
    used_ends_outside used_in_the_hole desc_wraps avail_wraps used_wraps desc_misaligned avail_misaligned used_misaligned
""".split()


@pytest.mark.parametrize("case", ADDR_NAMES)
def test_ring_address(ready, case):
    """Refused when it is set, or at the latest when the ring should start."""
    fe = ready
    cases = addr_cases(fe)
    assert sorted(cases) == sorted(ADDR_NAMES)
    fields = cases[case]
    try:
        fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(RX, fe.size))
        fe.conn.send(m.SET_VRING_BASE, m.STATE.pack(RX, 0))
        fe.conn.send(m.SET_VRING_ADDR, fe.addr_payload(RX, **fields))
        fe.set_fd(m.SET_VRING_KICK, RX, fe.kick[RX])
        fe.conn.wait_closed()
    except m.Closed:
        pass


@pytest.mark.parametrize("flags", [2, 4, 0x80000000, 0xFFFFFFFF])
def test_ring_address_flags(ready, flags):
    must_close(ready, m.SET_VRING_ADDR, ready.addr_payload(RX, flags))


# --- order --------------------------------------------------------------------------------


def test_rings_before_memory(front):
    """Kicked with no memory table: there is nothing to start on."""
    fe = front
    fe.hello()
    fe.set_features()
    try:
        fe.set_ring(RX)
        fe.conn.settle()
        fe.enable()
        fe.conn.settle()
    except m.Closed:
        pass


@per_request()
def test_first_message_of_a_connection(daemon, wire, quiet, request_):
    """Any message may come first. Whatever happens, it happens to this connection."""
    fe = checks.connect(daemon.socket, protocol=OFFERED)
    try:
        fe.conn.send(request_, good_payload(fe, request_), good_fds(fe, request_))
        fe.conn.send(m.GET_FEATURES)
        fe.conn.receive()
    except m.Closed:
        pass
    fe.close()
    checks.still_serves(daemon, wire)


@per_request()
def test_message_in_the_middle_of_traffic(daemon, wire, quiet, request_):
    """A good message at the wrong time, rings running: refused or taken, never a crash."""
    with checks.connect(daemon.socket, protocol=OFFERED) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        try:
            fe.conn.send(request_, good_payload(fe, request_), good_fds(fe, request_))
            wire.inject(*(frame(checks.fresh()) for _ in range(10)))
            fe.send(*(frame(checks.fresh(), to_guest=False) for _ in range(10)))
            fe.conn.send(m.GET_FEATURES)
            while fe.conn.receive()[0] != m.GET_FEATURES:
                pass
        except m.Closed:
            pass
    checks.still_serves(daemon, wire)


def test_kick_with_nothing_set(front):
    try:
        front.set_fd(m.SET_VRING_KICK, RX, front.kick[RX])
        front.conn.settle()
    except m.Closed:
        pass


def test_ring_resized_while_running(running, daemon, wire):
    """The size of a running ring is not to be touched."""
    fe = running
    try:
        fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(RX, 32768))
        fe.conn.settle()
        wire.inject(*(frame(checks.fresh()) for _ in range(10)))
        time.sleep(0.05)
    except m.Closed:
        pass
    fe.conn.close()
    checks.still_serves(daemon, wire)


# --- pieces -------------------------------------------------------------------------------
