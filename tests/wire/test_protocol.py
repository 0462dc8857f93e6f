"""The life of a connection as QEMU 7.2 and 10.0 play it: start, traffic, migration, stop, reboot, reconnect."""

import struct
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import FEATURES, OFFERED, PROTOCOL, RX, TX
from lib.memory import DirtyLog
from lib.wire import ETH_P_RARP, GUEST_MAC, frame

NO_ACK = PROTOCOL & ~m.PF_REPLY_ACK


def both_replies(test):
    return pytest.mark.parametrize("protocol", [PROTOCOL, NO_ACK], ids=["reply_ack", "no_reply_ack"])(test)


def test_offer(front):
    features = front.conn.ask_u64(m.GET_FEATURES)
    # All of it, and nothing else: it is what a guest may have brought from another host.
    net = m.NET_F_CSUM | m.NET_F_GUEST_CSUM | m.NET_F_MTU | m.NET_F_GUEST_ANNOUNCE
    net |= m.NET_F_HOST_TSO4 | m.NET_F_HOST_TSO6 | m.NET_F_HOST_ECN
    assert features == FEATURES | net | m.F_LOG_ALL | m.F_ANY_LAYOUT | m.F_IN_ORDER, f"{features:#x}"
    assert front.conn.ask_u64(m.GET_PROTOCOL_FEATURES) == OFFERED
    front.conn.send(m.SET_PROTOCOL_FEATURES, m.U64.pack(PROTOCOL))
    assert front.conn.ask_u64(m.GET_QUEUE_NUM) == 1


@both_replies
def test_start_traffic_stop(daemon, wire, quiet, protocol):
    with checks.connect(daemon.socket, protocol=protocol) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        base = fe.stop()
        assert base == [fe.rx.device_idx(), fe.tx.device_idx()]


def test_qemu_72_does_not_wait_for_enable(daemon, wire, quiet):
    """QEMU before 8.2 sends SET_VRING_ENABLE without waiting for it, and 10.0 waits."""
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.set_features()
        fe.set_mem_table()
        for i in (RX, TX):
            fe.set_ring(i)
        for i in (RX, TX):
            fe.conn.send(m.SET_VRING_ENABLE, m.STATE.pack(i, 1))
        fe.conn.settle()
        checks.both_ways(fe, wire)
        fe.stop()


@both_replies
def test_source_of_a_migration(daemon, wire, quiet, protocol):
    with checks.connect(daemon.socket, protocol=protocol) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        log = DirtyLog(fe.memory)
        fe.start_log(log)
        checks.both_ways(fe, wire)
        fe.stop()
        assert fe.rx.used // 4096 in log.pages()
        assert not log.outside()
        log.close()


@both_replies
def test_cancelled_migration_and_second_attempt(daemon, wire, quiet, protocol):
    with checks.connect(daemon.socket, protocol=protocol) as fe:
        fe.start()
        for _ in range(2):
            log = DirtyLog(fe.memory)
            fe.start_log(log)
            checks.both_ways(fe, wire)
            assert log.pages()
            fe.stop_log()
            fe.conn.settle()
            log.clear()
            checks.both_ways(fe, wire)
            assert not log.pages(), "logged after logging was switched off"
            log.close()
        fe.stop()


def test_log_base_replaced_while_logging(daemon, wire, quiet):
    """QEMU does this when the guest's memory grows during a migration."""
    with checks.connect(daemon.socket) as fe:
        fe.start()
        old, new = DirtyLog(fe.memory), DirtyLog(fe.memory, offset=4096)
        fe.start_log(old)
        checks.both_ways(fe, wire)
        fe.conn.ask(m.SET_LOG_BASE, m.LOG.pack(new.size, new.offset), [new.fd])
        old.clear()
        checks.both_ways(fe, wire)
        assert fe.rx.used // 4096 in new.pages()
        assert not old.pages() and not new.outside()
        fe.stop()
        old.close()
        new.close()


def read_rarp(wire, timeout=3.0):
    return wire.receive(1, timeout, ethertypes=(ETH_P_RARP,))[0]


def check_rarp(data):
    arp = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 3)
    assert data[:14] == b"\xff" * 6 + GUEST_MAC + struct.pack(">H", ETH_P_RARP)
    assert data[14:22] == arp and data[22:28] == GUEST_MAC and data[32:38] == GUEST_MAC
    assert len(data) >= 42


def send_rarp(fe):
    fe.conn.send(m.SEND_RARP, GUEST_MAC + bytes(2))


@both_replies
def test_destination_order(daemon, wire, quiet, protocol):
    """VRING_ENABLE and the first SEND_RARP come before the memory table; the ring goes on where the source stopped."""
    with checks.connect(daemon.socket, protocol=protocol, base=(65530, 4711)) as fe:
        fe.hello()
        fe.enable()
        send_rarp(fe)
        fe.conn.settle()
        time.sleep(0.1)
        assert not wire.poll(ethertypes=(ETH_P_RARP,)), "announced before the guest runs"
        fe.run()
        check_rarp(read_rarp(wire))
        checks.both_ways(fe, wire)
        wire.poll()
        for _ in range(4):
            send_rarp(fe)
            fe.conn.settle()
            check_rarp(read_rarp(wire))
        base = fe.stop()
        assert base == [fe.rx.device_idx(), fe.tx.device_idx()]


def test_rings_continue_where_they_stopped(daemon, wire, quiet):
    """stop and cont of a guest: the same rings, their indices kept, 30 times over the index's wrap."""
    with checks.connect(daemon.socket, base=(65500, 65510)) as fe:
        fe.hello()
        for _ in range(30):
            fe.run()
            checks.both_ways(fe, wire)
            base = fe.stop()
            assert base == [fe.rx.device_idx(), fe.tx.device_idx()]


def test_nothing_is_written_after_get_vring_base(running, wire):
    """The source must not touch guest memory or the log once it has answered."""
    fe = running
    log = DirtyLog(fe.memory)
    fe.start_log(log)
    checks.both_ways(fe, wire)
    fe.queue_tx(frame(checks.fresh(), to_guest=False))
    wire.inject(*(frame(checks.fresh()) for _ in range(20)))
    fe.stop()
    fe.memory.track()
    log.clear()
    fe.publish(TX)
    wire.inject(*(frame(checks.fresh()) for _ in range(20)))
    time.sleep(0.2)
    assert fe.memory.changed_pages() == set()
    assert log.pages() == set()
    assert all(m.eventfd_take(fd) == 0 for fd in fe.err)
    log.close()


def test_stopped_ring_stays_stopped_for_a_kick(running, wire):
    fe = running
    checks.both_ways(fe, wire)
    fe.stop()
    idx = fe.tx.device_idx()
    fe.queue_tx(frame(checks.fresh(), to_guest=False))
    fe.publish(TX)
    m.os.eventfd_write(fe.kick[TX], 1)
    time.sleep(0.1)
    assert fe.tx.device_idx() == idx


@both_replies
def test_guest_reboots(daemon, wire, quiet, protocol):
    """The driver comes back on the same connection with empty rings, other features and another size."""
    with checks.connect(daemon.socket, protocol=protocol) as fe:
        fe.hello()
        for features in (FEATURES, FEATURES & ~m.NET_F_MRG_RXBUF, FEATURES & ~m.F_EVENT_IDX, FEATURES):
            fe.features = features
            fe.mergeable = bool(features & m.NET_F_MRG_RXBUF)
            for q in fe.queues:
                q.event_idx = bool(features & m.F_EVENT_IDX)
                q.reset()
            fe.run()
            checks.both_ways(fe, wire)
            fe.stop()


def test_smaller_ring_after_reload(daemon, wire, quiet):
    with checks.connect(daemon.socket) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        fe.stop()
        for q in fe.queues:
            q.size = 32
            q.used_event_at = q.avail + 4 + 2 * 32
            q.avail_event_at = q.used + 4 + 8 * 32
            q.reset()
        fe.run()
        checks.both_ways(fe, wire)
        fe.stop()


@pytest.mark.parametrize("mergeable", [True, False])
@pytest.mark.parametrize("event_idx", [True, False])
@pytest.mark.parametrize("version_1", [True, False])
def test_feature_combinations(daemon, wire, quiet, mergeable, event_idx, version_1):
    features = m.F_PROTOCOL_FEATURES | m.F_INDIRECT
    features |= m.NET_F_MRG_RXBUF * mergeable | m.F_EVENT_IDX * event_idx | m.F_VERSION_1 * version_1
    with checks.connect(daemon.socket, features=features) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        fe.stop()


def test_without_protocol_features_rings_start_enabled(daemon, wire, quiet):
    with checks.connect(daemon.socket, features=FEATURES & ~m.F_PROTOCOL_FEATURES, protocol=0) as fe:
        fe.start()
        checks.both_ways(fe, wire)
        fe.stop()


def test_with_protocol_features_rings_start_disabled(daemon, wire, quiet):
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.enable(0)
        fe.set_features()
        fe.set_mem_table()
        for i in (RX, TX):
            fe.set_ring(i)
        fe.fill(8)
        fe.conn.settle()
        wire.inject(frame(checks.fresh()))
        fe.send(frame(checks.fresh(), to_guest=False))
        fe.drain_tx(1)
        time.sleep(0.1)
        assert not wire.poll(), "a disabled transmit ring sent"
        assert fe.rx.device_idx() == 0, "a disabled receive ring got a frame"
        fe.enable()
        checks.both_ways(fe, wire)
        fe.stop()


def test_disable_and_enable_again(running, wire):
    """A disabled transmit ring is processed and discarded, a disabled receive ring gets nothing."""
    fe = running
    for _ in range(5):
        checks.both_ways(fe, wire)
        fe.enable(0)
        idx = fe.rx.device_idx()
        wire.inject(*(frame(checks.fresh()) for _ in range(5)))
        fe.send(*(frame(checks.fresh(), to_guest=False) for _ in range(5)))
        fe.drain_tx(5)
        assert not wire.poll(), "a disabled transmit ring sent"
        assert fe.rx.device_idx() == idx, "a disabled receive ring got a frame"
        fe.enable(1)


def test_every_message_with_need_reply_is_acknowledged_once(front):
    fe = front
    fe.hello()
    ack = m.VERSION | m.NEED_REPLY
    send = lambda r, p=b"", f=(): fe.conn.ask_u64(r, p, f, ack)  # noqa: E731
    assert send(m.SET_OWNER) == 0
    assert send(m.SET_FEATURES, m.U64.pack(fe.features)) == 0
    assert send(m.SET_PROTOCOL_FEATURES, m.U64.pack(PROTOCOL)) == 0
    assert send(m.SET_MEM_TABLE, m.mem_table(fe.memory.table()), fe.memory.fds()) == 0
    for i in (RX, TX):
        assert send(m.SET_VRING_NUM, m.STATE.pack(i, fe.size)) == 0
        assert send(m.SET_VRING_BASE, m.STATE.pack(i, 0)) == 0
        assert send(m.SET_VRING_ADDR, fe.addr_payload(i)) == 0
        assert send(m.SET_VRING_CALL, m.U64.pack(i), [fe.call[i]]) == 0
        assert send(m.SET_VRING_ERR, m.U64.pack(i), [fe.err[i]]) == 0
        assert send(m.SET_VRING_KICK, m.U64.pack(i), [fe.kick[i]]) == 0
        assert send(m.SET_VRING_ENABLE, m.STATE.pack(i, 1)) == 0
    assert send(m.SEND_RARP, GUEST_MAC + bytes(2)) == 0
    # Those with a reply of their own answer once, not twice.
    fe.conn.ask_u64(m.GET_FEATURES, flags=ack)
    fe.conn.ask_u64(m.GET_QUEUE_NUM, flags=ack)
    log = DirtyLog(fe.memory)
    fe.conn.ask(m.SET_LOG_BASE, m.LOG.pack(log.size, 0), [log.fd], ack)
    fe.conn.ask(m.GET_VRING_BASE, m.STATE.pack(RX, 0), flags=ack)
    fe.conn.settle()
    with pytest.raises(m.NoReply):
        fe.conn.receive(0.1)
    log.close()


def test_need_reply_is_ignored_unless_negotiated(daemon):
    with checks.connect(daemon.socket, protocol=NO_ACK) as fe:
        fe.hello()
        fe.conn.send(m.SET_FEATURES, m.U64.pack(fe.features), flags=m.VERSION | m.NEED_REPLY)
        fe.conn.settle()
        with pytest.raises(m.NoReply):
            fe.conn.receive(0.1)


def test_one_connection_at_a_time(daemon, running, wire):
    """A second front-end is turned away, and the first does not notice."""
    second = m.Connection(daemon.socket)
    try:
        second.send(m.GET_FEATURES)
        second.wait_closed()
    except m.Closed:
        pass
    second.close()
    checks.both_ways(running, wire)


@pytest.mark.parametrize("stage", ["connected", "hello", "running", "logging"])
def test_front_end_dies_and_comes_back(daemon, wire, quiet, stage):
    for _ in range(3):
        with checks.connect(daemon.socket) as fe:
            if stage != "connected":
                fe.hello()
            if stage in ("running", "logging"):
                fe.run()
                checks.both_ways(fe, wire)
            if stage == "logging":
                fe.start_log(DirtyLog(fe.memory))
                checks.both_ways(fe, wire)
        checks.still_serves(daemon, wire)


def test_call_and_kick_are_replaced_while_running(running, wire):
    """QEMU swaps the call eventfd whenever the guest masks or unmasks the vector."""
    fe = running
    for _ in range(20):
        old = fe.call[RX]
        fe.call[RX] = m.eventfd()
        fe.set_fd(m.SET_VRING_CALL, RX, fe.call[RX])
        fe.conn.settle()
        m.eventfd_take(fe.call[RX])
        m.os.close(old)
        fe.rx.want_call()
        checks.from_wire(fe, wire, frame(checks.fresh()))
        assert m.eventfd_wait(fe.call[RX], 2), "no call on the new eventfd"
        fe.post()
        fe.publish(RX)


def test_without_call_and_kick_descriptors(daemon, wire, quiet):
    """With the invalid-descriptor flag both sides poll."""
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.set_features()
        fe.set_mem_table()
        for i in (RX, TX):
            fe.conn.send(m.SET_VRING_NUM, m.STATE.pack(i, fe.size))
            fe.conn.send(m.SET_VRING_BASE, m.STATE.pack(i, 0))
            fe.set_addr(i)
            fe.set_fd(m.SET_VRING_CALL, i, None)
            fe.set_fd(m.SET_VRING_ERR, i, None)
            fe.set_fd(m.SET_VRING_KICK, i, None)
        fe.enable()
        checks.both_ways(fe, wire)
        fe.stop()


def test_memory_table_grows_while_running(running, wire):
    """Memory hot-plug: the table is replaced under running rings."""
    fe = running
    checks.both_ways(fe, wire)
    from lib.memory import Region

    fe.memory.regions.append(Region(0x200000000, 0x100000, 0x7E0000000000))
    fe.memory.next.append(0x200000000)
    fe.set_mem_table()
    fe.conn.settle()
    for _ in range(fe.rx.size - fe.rx.room()):
        checks.both_ways(fe, wire)
    fe.post(length=2048)
    fe.publish(RX)
    _, _, chains = checks.from_wire(fe, wire, frame(checks.fresh()))
    assert chains[0][2][0][0] >= 0x200000000


def test_get_vring_base_of_a_ring_that_never_ran(front):
    fe = front
    fe.hello()
    fe.set_features()
    assert fe.get_base(RX) == 0
    fe.conn.send(m.SET_VRING_BASE, m.STATE.pack(TX, 77))
    assert fe.get_base(TX) == 77


def test_reset_owner_is_harmless(daemon, wire, quiet):
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.conn.send(m.RESET_OWNER)
        fe.conn.send(m.SET_OWNER)
        fe.run()
        checks.both_ways(fe, wire)
        fe.stop()


def test_two_messages_in_one_write(front):
    """A stream has no message borders."""
    front.conn.send_raw(m.HEADER.pack(m.SET_OWNER, m.VERSION, 0) + m.HEADER.pack(m.GET_FEATURES, m.VERSION, 0) * 3)
    for _ in range(3):
        assert front.conn.receive()[0] == m.GET_FEATURES


@pytest.mark.parametrize("cycles", [20])
def test_start_and_stop_leak_nothing(daemon, wire, quiet, cycles):
    for _ in range(cycles):
        checks.still_serves(daemon, wire)
    daemon.holds_nothing()


def test_wire_is_drained_while_no_guest_runs(daemon, wire, quiet):
    """Frames that came while nobody listened are not given to the next guest seconds later."""
    checks.still_serves(daemon, wire)
    time.sleep(0.1)
    stale = [frame(checks.fresh()) for _ in range(50)]
    wire.inject(*stale)
    time.sleep(0.2)
    with checks.connect(daemon.socket) as fe:
        fe.start()
        fe.fill(64)
        checks.both_ways(fe, wire)
        fe.stop()
        assert fe.rx.device_idx() == 1, "frames older than the guest were delivered"


