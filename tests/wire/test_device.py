"""The messages about the device as a whole: status, reset, MTU."""

import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import OFFERED, RX, TX
from lib.memory import DirtyLog
from lib.wire import MTU, frame

ACK = m.VERSION | m.NEED_REPLY


@pytest.fixture
def fe(daemon, wire, quiet):
    with checks.connect(daemon.socket, protocol=OFFERED) as front:
        front.start()
        checks.both_ways(front, wire)
        yield front
    checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def stands_still(fe, wire):
    """Nothing is written, called or sent, whatever comes from either side."""
    fe.memory.track()
    for fd in fe.call:
        m.eventfd_take(fd)
    wire.poll()
    fe.queue_tx(frame(checks.fresh(), to_guest=False))
    fe.publish(TX)
    m.os.eventfd_write(fe.kick[TX], 1)
    wire.inject(*(frame(checks.fresh()) for _ in range(5)))
    time.sleep(0.1)
    assert fe.memory.changed_pages() == set()
    assert not wire.poll(), "a stopped ring sent"
    assert not any(m.eventfd_take(fd) for fd in fe.call), "a stopped ring called"


# --- status -------------------------------------------------------------------------------


def set_status(fe, value):
    return fe.conn.ask_u64(m.SET_STATUS, m.U64.pack(value), (), ACK)


def test_status_is_kept(fe):
    assert fe.conn.ask_u64(m.GET_STATUS) == 0
    for value in (1, 3, 11, 15, 0x8F, 15):
        assert set_status(fe, value) == 0
        assert fe.conn.ask_u64(m.GET_STATUS) == value


def test_status_of_a_new_connection_is_0(daemon, fe):
    set_status(fe, 15)
    fe.conn.close()
    with checks.connect(daemon.socket, protocol=OFFERED) as other:
        other.hello()
        assert other.conn.ask_u64(m.GET_STATUS) == 0


@pytest.mark.parametrize("value", [0x100, 1 << 32, 2**64 - 1])
def test_status_has_8_bits(fe, value):
    try:
        assert set_status(fe, value) != 0
        fe.conn.wait_closed()
    except m.Closed:
        pass


def test_status_other_than_0_leaves_rings_alone(fe, wire):
    for value in (1, 3, 11, 15):
        set_status(fe, value)
        checks.both_ways(fe, wire)


def test_status_0_stops_the_rings_and_keeps_their_place(fe, wire):
    """QEMU sends it when the guest pauses, before or after it asks for the places, and goes on later."""
    for _ in range(3):
        set_status(fe, 15)
        assert set_status(fe, 0) == 0
        stands_still(fe, wire)
        assert fe.stop() == [fe.rx.device_idx(), fe.tx.device_idx()]
        fe.run()
        fe.drain_tx(1)
        fe.fill(8)
        checks.both_ways(fe, wire)


def test_status_0_after_the_rings_stopped_says_nothing_new(fe, wire):
    base = fe.stop()
    assert set_status(fe, 0) == 0
    assert fe.stop() == base
    stands_still(fe, wire)
    fe.run()
    checks.both_ways(fe, wire)


# --- reset --------------------------------------------------------------------------------


def reset(fe):
    assert fe.conn.ask_u64(m.RESET_DEVICE, flags=ACK) == 0


def again(fe):
    """A driver that starts on empty rings, as after a reset."""
    for q in fe.queues:
        q.reset()


def test_reset_stops_and_disables_the_rings(fe, wire):
    reset(fe)
    stands_still(fe, wire)
    again(fe)
    fe.set_features()
    for i in (RX, TX):
        fe.set_ring(i)
    fe.fill(8)
    fe.send(frame(checks.fresh(), to_guest=False))
    fe.drain_tx(1)
    wire.inject(frame(checks.fresh()))
    time.sleep(0.1)
    assert not wire.poll() and fe.rx.device_idx() == 0, "a ring was enabled after the reset"
    fe.enable()
    checks.both_ways(fe, wire)


def test_reset_keeps_the_memory(fe, wire):
    """QEMU sends regions once, and only what changes after that."""
    for _ in range(10):
        reset(fe)
        again(fe)
        fe.set_features()
        for i in (RX, TX):
            fe.set_ring(i)
        fe.enable()
        checks.both_ways(fe, wire)


def test_reset_forgets_features_sizes_and_addresses(fe):
    """What a ring needs has to be said again."""
    reset(fe)
    fe.set_fd(m.SET_VRING_KICK, RX, fe.kick[RX])
    with pytest.raises(m.Closed):
        fe.conn.settle()


def test_reset_forgets_places_and_status(fe):
    set_status(fe, 15)
    reset(fe)
    assert fe.stop() == [0, 0]
    assert fe.conn.ask_u64(m.GET_STATUS) == 0


def test_reset_ends_logging(fe, wire):
    log = DirtyLog(fe.memory)
    fe.start_log(log)
    checks.both_ways(fe, wire)
    reset(fe)
    log.clear()
    again(fe)
    fe.set_features()
    for i in (RX, TX):
        fe.set_ring(i)
    fe.enable()
    checks.both_ways(fe, wire)
    assert not log.pages()
    log.close()


def test_reset_mends_a_broken_ring(fe, wire):
    fe.tx.put_head(0xFFFF)
    fe.publish(TX)
    assert m.eventfd_wait(fe.err[TX], 5)
    reset(fe)
    again(fe)
    fe.set_features()
    for i in (RX, TX):
        fe.set_ring(i)
    fe.enable()
    checks.both_ways(fe, wire)
    # The descriptor for errors was kept.
    fe.tx.put_head(0xFFFF)
    fe.publish(TX)
    assert m.eventfd_wait(fe.err[TX], 5)


def test_reset_of_an_idle_device(daemon, wire, quiet):
    with checks.connect(daemon.socket, protocol=OFFERED) as fe:
        fe.hello()
        reset(fe)
        fe.run()
        checks.both_ways(fe, wire)
        fe.stop()


# --- MTU ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mtu", [68, 1280, 1500])
def test_mtu_that_the_port_takes(fe, wire, mtu):
    assert fe.conn.ask_u64(m.NET_SET_MTU, m.U64.pack(mtu), (), ACK) == 0
    checks.both_ways(fe, wire)


@pytest.mark.parametrize("mtu", [0, 67, MTU + 1, 65535, 65536, 2**64 - 1])
def test_mtu_that_is_refused(fe, wire, mtu):
    """An answer, not the end of the connection."""
    assert fe.conn.ask_u64(m.NET_SET_MTU, m.U64.pack(mtu), (), ACK) != 0
    checks.both_ways(fe, wire)


def test_mtu_without_an_acknowledgement(fe, wire, daemon):
    fe.conn.send(m.NET_SET_MTU, m.U64.pack(65535))
    fe.conn.settle()
    assert "MTU 65535 is refused" in daemon.log()
    checks.both_ways(fe, wire)


# --- protocol features --------------------------------------------------------------------


def test_protocol_features_before_set_features(front):
    """Spec: both are legal without SET_FEATURES, and need no acknowledgement by it."""
    assert front.conn.ask_u64(m.GET_PROTOCOL_FEATURES) == OFFERED
    front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED))
    assert front.conn.ask_u64(m.SET_OWNER, flags=ACK) == 0


@pytest.mark.parametrize("how", ["reply_ack_in_the_same_message", "twice", "fewer"])
def test_protocol_features_set_again(front, wire, how):
    if how == "reply_ack_in_the_same_message":
        assert front.conn.ask_u64(m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED), (), ACK) == 0
    elif how == "twice":
        front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED))
        front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED))
        assert front.conn.ask_u64(m.GET_STATUS) == 0
    else:
        front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED))
        front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(OFFERED & ~m.PF_STATUS))
        front.conn.send(m.GET_STATUS)
        with pytest.raises(m.Closed):
            front.conn.receive()
        return
    front.start()
    checks.both_ways(front, wire)


def test_inband_notifications_alone_end_the_connection(front):
    """Spec: set without BACKEND_REQ and REPLY_ACK, the back-end closes. Here: set at all."""
    front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(m.PF_INBAND_NOTIFICATIONS))
    with pytest.raises(m.Closed):
        front.conn.settle()


def test_features_without_protocol_features_enable_running_rings(fe, wire):
    """Spec: upon SET_FEATURES without the bit, all rings are enabled at once."""
    fe.enable(0)
    fe.conn.send(m.SET_FEATURES, m.U64.pack(fe.features & ~m.F_PROTOCOL_FEATURES))
    fe.conn.settle()
    checks.both_ways(fe, wire)
