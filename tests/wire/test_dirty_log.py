"""The dirty log is exact: changed pages ⊆ logged pages ⊆ pages really written, under load, 100 rounds."""

import random
import time

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import FEATURES, RX, TX
from lib.memory import PAGE, DirtyLog, GuestMemory
from lib.oracle import Oracle
from lib.virtqueue import SplitQueue
from lib.wire import frame

ROUNDS = 10
MIB = 1 << 20

LAYOUT = (
    (0x0, 0xA0000, 0x7F0020000000),
    (0xC0000, 0x300000, 0x7F0010000000),
    (0x100000000, 0x300000, 0x7F0000000000),
    (0x100400000, 0x300000, 0x7F0030000000),
    (0x100800000, 0x100000, 0x7F0040000000),  # the frames the guest sends
)


def config(
    features=FEATURES, size=256, base=0, alias=False, used_flag=m.VRING_F_LOG, shapes="all", indirect=True, skew=0
):
    return {
        "features": features,
        "size": size,
        "base": base,
        "alias": alias,
        "used_flag": used_flag,
        "shapes": shapes,
        "indirect": indirect,
        "skew": skew,
    }


NO_MERGE = FEATURES & ~m.NET_F_MRG_RXBUF

# Ten configurations of ten rounds each.
CONFIGS = {
    "plain": config(shapes="single", indirect=False),
    "chained": config(shapes="chained", indirect=False),
    "indirect": config(shapes="chained"),
    "small_mergeable": config(shapes="small"),
    "not_mergeable": config(features=NO_MERGE, shapes="chained"),
    "no_event_idx": config(features=FEATURES & ~m.F_EVENT_IDX),
    "used_ring_over_three_pages": config(size=1024, base=700),
    "used_ring_across_a_border": config(skew=PAGE - 304),
    "used_ring_logged_elsewhere": config(alias=True, skew=PAGE - 300),
    "used_ring_not_logged": config(used_flag=0),
}


def make_queue(memory, cfg, region):
    """A queue whose used ring has unused pages around it and starts @p skew into a page."""
    size = cfg["size"]
    desc = memory.alloc(16 * size, region=region)
    avail = memory.alloc(6 + 2 * size, region=region)
    memory.alloc(PAGE, region=region)
    used = memory.alloc(6 + 8 * size, region=region, skew=cfg["skew"])
    memory.alloc(2 * PAGE, region=region)
    return SplitQueue(memory, size, bool(cfg["features"] & m.F_EVENT_IDX), cfg["base"], (desc, avail, used))


class Buffers:
    """Receive buffers that lie alone on their pages, at awkward offsets."""

    OFFSETS = (0, 0, 1, 12, 2048, PAGE - 12, PAGE - 11, PAGE - 13, PAGE - 1, PAGE - 72, PAGE - 1500)

    def __init__(self, memory, rng):
        self.memory, self.rng = memory, rng
        self.regions = [1, 2, 3]

    def segment(self, length):
        region = self.rng.choice(self.regions)
        offset = self.rng.choice(self.OFFSETS)
        try:
            base = self.memory.alloc(offset + length + 2 * PAGE, PAGE, region)
        except MemoryError:
            self.regions.remove(region)
            return self.segment(length)
        return (base + PAGE + offset, length)

    def chain(self, shapes, mergeable):
        rng = self.rng
        kind = shapes if shapes != "all" else rng.choice(("single", "chained", "small"))
        if kind == "small" and not mergeable:
            kind = "chained"
        if kind == "single":
            lengths = [rng.choice((1526, 2048, 5000))]
        elif kind == "small":
            lengths = [rng.randrange(12, 400)]
        else:
            lengths = rng.choice(([12, 1600], [6, 6, 1600], [12, 100, 4096], [1, 1, 1, 9, 700, 900], [300, 300, 3000]))
        return [self.segment(n) for n in lengths]


def busy_guest(daemon, cfg, seed):
    """A running front-end as @p cfg says, with receive chains posted, about to start logging."""
    rng = random.Random(seed)
    memory = GuestMemory(LAYOUT)
    fe = checks.connect(daemon.socket, features=cfg["features"], size=2, memory=memory)
    fe.size = cfg["size"]
    fe.queues = fe.rx, fe.tx = [make_queue(memory, cfg, region) for region in (1, 2)]
    top = memory.top()
    if cfg["alias"]:
        # Spec: log_guest_addr may lie outside guest memory. A page further for each ring, and at another offset.
        fe.log_addr = [top + 8 * PAGE + 64, top + 32 * PAGE + 2000]
        top += 64 * PAGE
    else:
        fe.log_addr = [q.used for q in fe.queues]
    fe.start()
    buffers = Buffers(memory, rng)
    # Room for the largest round (15 frames of 1,514 bytes), however unluckily the shapes fall.
    for k in range(40 if cfg["shapes"] != "small" else 230):
        segments = buffers.chain(cfg["shapes"], fe.mergeable)
        table = memory.alloc(16 * len(segments), PAGE, 0) if cfg["indirect"] and k % 2 else None
        fe.post(segments, table)
    fe.publish(RX)
    return fe, rng, DirtyLog(top=top, offset=PAGE)


def load(fe, wire, oracle, rng):
    """Frames both ways at once in random bursts; returns when all came through and all chains were given back."""
    to_guest = [frame(checks.fresh(), rng.choice((60, 72, 500, 1488, 1514))) for _ in range(rng.randint(1, 15))]
    to_wire = [frame(checks.fresh(), rng.choice((60, 72, 500, 1514)), False) for _ in range(rng.randint(0, 40))]
    out, back, sent = [], [], 0
    pending = list(to_guest)
    deadline = time.monotonic() + 10
    while pending or len(back) < len(to_guest) or len(out) < len(to_wire):
        burst = rng.randint(0, 8)
        wire.inject(*pending[:burst])
        pending = pending[burst:]
        for data in to_wire[sent : sent + burst]:
            fe.queue_tx(data, split=rng.choice((None, [12])))
        sent = min(sent + burst, len(to_wire))
        fe.publish(TX)
        got = fe.frames()
        oracle.received(got)
        back += got
        out += wire.poll()
        fe.reap_tx()
        assert time.monotonic() < deadline, f"{len(back)} of {len(to_guest)}, {len(out)} of {len(to_wire)}"
    fe.drain_tx(len(fe.tx.chains))
    assert [f for _, f, _ in back] == to_guest and out == to_wire
    return back


def repost(fe, frames):
    for _, _, chains in frames:
        for _, _, segments in chains:
            fe.post(segments)
    fe.publish(RX)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_log_is_exact(daemon, wire, quiet, name):
    cfg = CONFIGS[name]
    fe, rng, log = busy_guest(daemon, cfg, name)
    with fe:
        fe.start_log(log, cfg["used_flag"])
        oracle = Oracle(fe, log, bool(cfg["used_flag"]))
        for _ in range(ROUNDS):
            oracle.begin()
            done = load(fe, wire, oracle, rng)
            oracle.check()
            repost(fe, done)
        # The stop belongs to it: what it writes (flags) must be logged before the answer, and nothing after.
        oracle.begin()
        oracle.received(load(fe, wire, oracle, rng))
        fe.stop()
        oracle.check(patience=0)
        log.close()


def test_logging_starts_and_ends_under_load(daemon, wire, quiet):
    """On: exact from the acknowledgement. Off: nothing is logged. On again with another log: exact."""
    cfg = CONFIGS["used_ring_across_a_border"]
    fe, rng, log = busy_guest(daemon, cfg, 99)
    second = DirtyLog(fe.memory)
    with fe:
        for turn in (log, second, log):
            oracle = Oracle(fe, turn)
            repost(fe, load(fe, wire, oracle, rng))
            fe.start_log(turn)
            for _ in range(3):
                oracle.begin()
                done = load(fe, wire, oracle, rng)
                oracle.check()
                repost(fe, done)
            fe.stop_log()
            fe.conn.settle()
            turn.clear()
            repost(fe, load(fe, wire, oracle, rng))
            assert not turn.pages() and not turn.outside(), "logged after the end of logging"
        fe.stop()
    log.close()
    second.close()


def test_ring_restarted_while_logging(daemon, wire, quiet):
    """The guest reboots in the middle of a migration: LOG_ALL and the flag come with the new start, the log after it."""
    fe, rng, log = busy_guest(daemon, CONFIGS["plain"], 7)
    with fe:
        fe.start_log(log)
        oracle = Oracle(fe, log)
        for _ in range(3):
            oracle.begin()
            done = load(fe, wire, oracle, rng)
            oracle.check()
            repost(fe, done)
            fe.stop()
            # QEMU gives its log up with the stop: nothing may be marked in it any more, nor be written unmarked.
            log.clear()
            fe.memory.track()
            fe.run(extra=m.F_LOG_ALL, flags=m.VRING_F_LOG)
            wire.inject(frame(checks.fresh()))
            time.sleep(0.05)
            assert not fe.memory.changed_pages() and not log.pages(), "the rings ran before the log came"
            fe.conn.ask(m.SET_LOG_BASE, m.LOG.pack(log.size, log.offset), [log.fd])
            checks.both_ways(fe, wire)
            repost(fe, [])
        fe.stop()
    log.close()


def test_rings_before_the_log(daemon, wire, quiet):
    """LOG_ALL set at the start, the log not there yet: what was written before must be in the log once it comes."""
    with checks.connect(daemon.socket) as fe:
        fe.hello()
        fe.run(extra=m.F_LOG_ALL, flags=m.VRING_F_LOG)
        fe.fill(16)
        fe.memory.track()
        wire.inject(*(frame(checks.fresh()) for _ in range(4)))
        time.sleep(0.1)
        changed = fe.memory.changed_pages()
        log = DirtyLog(fe.memory)
        fe.conn.ask(m.SET_LOG_BASE, m.LOG.pack(log.size, 0), [log.fd])
        checks.both_ways(fe, wire)
        fe.stop()
        assert changed <= log.pages(), "written before the log came, and never logged"
        log.close()


def test_transmit_alone_logs_the_used_ring_alone(daemon, wire, quiet):
    fe, _, log = busy_guest(daemon, CONFIGS["plain"], 3)
    with fe:
        fe.start_log(log)
        oracle = Oracle(fe, log)
        oracle.begin()
        checks.to_wire(fe, wire, frame(checks.fresh(), to_guest=False))
        oracle.check()
        assert log.pages() == {fe.tx.used // PAGE}
        fe.stop()
    log.close()


def test_dropped_frames_log_nothing(daemon, wire, quiet):
    """A frame that fits nowhere is dropped: nothing is written, nothing logged."""
    with checks.connect(daemon.socket, features=NO_MERGE) as fe:
        fe.start()
        for _ in range(4):
            at = fe.memory.alloc(PAGE)
            fe.post([(at, 200)])
        fe.publish(RX)
        log = DirtyLog(fe.memory)
        fe.start_log(log)
        oracle = Oracle(fe, log)
        oracle.begin()
        wire.inject(*(frame(checks.fresh(), 1514) for _ in range(5)))
        time.sleep(0.1)
        plain, used = oracle.changed()
        assert (plain, used, log.pages()) == (set(), set(), set())
        fe.stop()
        log.close()


def test_disabled_rings_log_only_what_they_use(running, wire):
    fe = running
    log = DirtyLog(fe.memory)
    fe.start_log(log)
    fe.enable(0)
    oracle = Oracle(fe, log)
    oracle.begin()
    wire.inject(*(frame(checks.fresh()) for _ in range(5)))
    fe.send(*(frame(checks.fresh(), to_guest=False) for _ in range(5)))
    fe.drain_tx(5)
    oracle.check()
    fe.stop()
    log.close()
