"""SIGUSR1: state and counters on standard error, each drop with its reason."""

import os
import re
import time

from lib import checks
from lib import messages as m
from lib.frontend import FEATURES, RX, TX
from lib.memory import DirtyLog
from lib.virtqueue import F_WRITE
from lib.wire import frame


def counters(daemon):
    """{name: value} of the dump's counter lines."""
    return {name: int(value) for name, value in re.findall(r"^\s+(\w+)\s+(\d+)\s", daemon.dump(), re.M)}


def state(daemon):
    return re.search(r"vnic wire: (\w+)", daemon.dump()).group(1)


def grown(daemon, name, action, at_least=1):
    """Run @p action; counter @p name must have grown by at least that much."""
    before = counters(daemon)
    assert name in before, f"no counter {name} in {sorted(before)}"
    action()
    deadline = time.monotonic() + 3
    while counters(daemon)[name] - before[name] < at_least:
        assert time.monotonic() < deadline, f"{name} stays at {before[name]}"
    return counters(daemon)


def test_dump_names_the_vnic_and_its_device(daemon):
    text = daemon.dump()
    assert "wire" in text and "net_af_packet" in text and "52:54:00:aa:bb:01" in text


def test_state_follows_the_front_end(daemon, wire, quiet):
    assert state(daemon) == "waiting"
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        assert state(daemon) == "negotiating"
        fe.run()
        fe.conn.settle()
        assert state(daemon) == "running"
        log = DirtyLog(fe.memory)
        fe.start_log(log)
        assert state(daemon) == "logging"
        fe.stop_log()
        fe.conn.settle()
        assert state(daemon) == "running"
        fe.stop()
        assert state(daemon) == "stopped"
        fe.run()
        fe.conn.settle()
        assert state(daemon) == "running"
        log.close()
    time.sleep(0.1)
    assert state(daemon) == "waiting"


def test_frames_and_bytes(daemon, running, wire):
    before = counters(daemon)
    for _ in range(7):
        checks.from_wire(running, wire, frame(checks.fresh(), 100))
        checks.to_wire(running, wire, frame(checks.fresh(), 200, to_guest=False))
    after = counters(daemon)
    assert after["rx_frames"] - before["rx_frames"] == 7
    assert after["rx_bytes"] - before["rx_bytes"] == 700
    assert after["tx_frames"] - before["tx_frames"] == 7
    assert after["tx_bytes"] - before["tx_bytes"] == 1400


def test_short_frame_is_counted(daemon, running):
    fe = running

    def short():
        fe.send(b"", bytes(13))
        fe.drain_tx(2)

    before = counters(daemon)
    after = grown(daemon, "tx_drop_short", short, 2)
    assert after["tx_frames"] == before["tx_frames"]


def test_long_frame_is_counted(daemon, running):
    grown(daemon, "tx_drop_long", lambda: running.send(bytes(16000)))


def test_disabled_rings_are_counted(daemon, running, wire):
    fe = running
    fe.enable(0)
    grown(daemon, "tx_drop_disabled", lambda: fe.send(frame(checks.fresh(), to_guest=False)))
    grown(daemon, "rx_drop_disabled", lambda: wire.inject(frame(checks.fresh())))


def test_frame_too_big_is_counted(daemon, wire, quiet):
    with checks.connect(daemon.socket, features=FEATURES & ~m.NET_F_MRG_RXBUF) as fe:
        fe.start()
        fe.fill(4, 200)
        grown(daemon, "rx_drop_too_big", lambda: wire.inject(frame(checks.fresh(), 1514)))


def test_broken_ring_is_counted_and_shown(daemon, running, wire):
    fe = running
    fe.memory.write16(fe.rx.avail + 2, fe.rx.avail_idx + 1000)
    grown(daemon, "rx_drop_broken", lambda: wire.inject(*(frame(checks.fresh()) for _ in range(100))))
    assert "broken" in daemon.dump()


def test_broken_transmit_ring_is_shown(daemon, running):
    fe = running
    fe.tx.set_desc(0, 1 << 50, 100, F_WRITE)
    fe.tx.put_head(0)
    fe.publish(TX)
    assert m.eventfd_wait(fe.err[TX], 3)
    assert "broken" in daemon.dump()


def test_announcement_is_counted(daemon, running):
    grown(daemon, "announcements", lambda: running.conn.send(m.SEND_RARP, b"\x52\x54\0\1\2\3\0\0"))


def test_every_frame_is_accounted_for(daemon, running, wire):
    """Frames injected = delivered + dropped with a reason, whatever happens to the ring meanwhile."""
    fe = running
    names = ("rx_frames", "rx_drop_too_big", "rx_drop_disabled", "rx_drop_stale", "rx_drop_broken")
    before = sum(counters(daemon)[n] for n in names)
    wire.inject(*(frame(checks.fresh()) for _ in range(20)))
    fe.receive(20)
    fe.enable(0)
    wire.inject(*(frame(checks.fresh()) for _ in range(20)))
    time.sleep(0.1)
    fe.enable(1)
    fe.memory.write16(fe.rx.avail + 2, fe.rx.avail_idx - 5)
    wire.inject(*(frame(checks.fresh()) for _ in range(100)))
    deadline = time.monotonic() + 3
    while sum(counters(daemon)[n] for n in names) - before < 140:
        assert time.monotonic() < deadline, "frames disappeared without a reason"
    fe.frames()
    assert fe.rx.device_idx() != RX


def test_dump_under_load_does_not_disturb(daemon, running, wire):
    fe = running
    for _ in range(30):
        os.kill(daemon.pid, 10)
        checks.from_wire(fe, wire, frame(checks.fresh()))
        checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))
        fe.post()
        fe.publish(RX)


def test_memory_that_is_not_shared_is_reported(own_daemon, wire, quiet):
    """The driver posts buffers and kicks, and godwitd sees none of it: say so, once."""
    with checks.connect(own_daemon.socket) as fe:
        fe.start()
        deadline = time.monotonic() + 15
        while "is guest memory shared" not in own_daemon.log():
            wire.inject(frame(checks.fresh()))
            os.eventfd_write(fe.kick[RX], 1)
            time.sleep(0.1)
            assert time.monotonic() < deadline, own_daemon.tail()
        time.sleep(0.5)
        assert own_daemon.log().count("is guest memory shared") == 1
