"""
The exact sequences of QEMU 7.2.22 and 10.0.13 (Debian 12 and 13), as recorded between them and godwitd: a Linux guest
boots, is migrated, and runs on. A line is a message and its ring; `?` has a reply of its own, `!` asks for
an acknowledgement, a line without either has no answer. The first ones are of a QEMU that takes the four oldest protocol features
only; the last is of QEMU 7.2.22 with all that are offered: it resets the status before it asks for the rings' places, and
sends memory once.
"""

import pytest

from lib import checks
from lib import messages as m
from lib.frontend import OFFERED, RX, TX
from lib.memory import DirtyLog
from lib.wire import ETH_P_RARP, GUEST_MAC

CONNECT = """
GET_FEATURES?
GET_PROTOCOL_FEATURES?
SET_PROTOCOL_FEATURES
GET_QUEUE_NUM?
SET_OWNER
GET_FEATURES?
SET_VRING_CALL 0
SET_VRING_ERR 0
SET_VRING_CALL 1
SET_VRING_ERR 1
"""

# Before 8.2 QEMU does not wait for it. It repeats it for each change of the guest's device status.
ENABLE = {"7.2": "SET_VRING_ENABLE 0\nSET_VRING_ENABLE 1\n", "10.0": "SET_VRING_ENABLE 0!\nSET_VRING_ENABLE 1!\n"}

START = """
SET_FEATURES
SET_MEM_TABLE!
SET_VRING_NUM 0
SET_VRING_BASE 0
SET_VRING_ADDR 0
SET_VRING_KICK 0
SET_VRING_CALL 0
SET_VRING_NUM 1
SET_VRING_BASE 1
SET_VRING_ADDR 1
SET_VRING_KICK 1
SET_VRING_CALL 1
"""

MIGRATE = """
SET_LOG_BASE?
SET_FEATURES log!
SET_VRING_ADDR 0 log!
SET_VRING_ADDR 1 log!
"""

STOP = """
GET_VRING_BASE 0?
GET_VRING_BASE 1?
"""


def payload(fe, request, i, log):
    """(payload, descriptors) of one message."""
    if request in (m.SET_VRING_CALL, m.SET_VRING_ERR, m.SET_VRING_KICK):
        fds = {m.SET_VRING_CALL: fe.call, m.SET_VRING_ERR: fe.err, m.SET_VRING_KICK: fe.kick}
        return m.U64.pack(i), [fds[request][i]]
    return {
        m.SET_PROTOCOL_FEATURES: lambda: (m.U64.pack(fe.protocol), ()),
        m.SET_STATUS: lambda: (m.U64.pack(i), ()),
        m.ADD_MEM_REG: lambda: (m.mem_reg(fe.memory.regions[i].entry()), [fe.memory.regions[i].fd]),
        m.SET_FEATURES: lambda: (m.U64.pack(fe.features | (m.F_LOG_ALL if log else 0)), ()),
        m.SET_MEM_TABLE: lambda: (m.mem_table(fe.memory.table()), fe.memory.fds()),
        m.SET_LOG_BASE: lambda: (m.LOG.pack(fe.log.size, 0), [fe.log.fd]),
        m.SET_VRING_NUM: lambda: (m.STATE.pack(i, fe.size), ()),
        m.SET_VRING_BASE: lambda: (m.STATE.pack(i, fe.queues[i].used_idx), ()),
        m.SET_VRING_ADDR: lambda: (fe.addr_payload(i, m.VRING_F_LOG if log else 0), ()),
        m.SET_VRING_ENABLE: lambda: (m.STATE.pack(i, 1), ()),
        m.GET_VRING_BASE: lambda: (m.STATE.pack(i, 0), ()),
        m.SEND_RARP: lambda: (GUEST_MAC + bytes(2), ()),
    }.get(request, lambda: (b"", ()))()


def play(fe, trace):
    """Send @p trace line by line, checking each answer; returns what GET_VRING_BASE said."""
    bases = []
    for line in trace.split("\n"):
        if not line:
            continue
        words = line.rstrip("?!").split()
        request, log = getattr(m, words[0]), "log" in words
        i = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
        body, fds = payload(fe, request, i, log)
        if line.endswith("?"):
            answer = fe.conn.ask(request, body, fds)
            if request == m.GET_VRING_BASE:
                bases.append(m.STATE.unpack(answer))
        elif line.endswith("!"):
            assert fe.conn.ask_u64(request, body, fds, m.VERSION | m.NEED_REPLY) == 0, line
        else:
            fe.conn.send(request, body, fds)
    return bases


def no_more_answers(fe):
    with pytest.raises(m.NoReply):
        fe.conn.receive(0.05)


@pytest.mark.parametrize("qemu", ["7.2", "10.0"])
def test_source(daemon, wire, quiet, qemu):
    with checks.connect(daemon.socket, size=1024) as fe:
        play(fe, CONNECT + ENABLE[qemu] * 5 + START)
        no_more_answers(fe)
        checks.both_ways(fe, wire)
        fe.log = DirtyLog(fe.memory)
        play(fe, MIGRATE)
        checks.both_ways(fe, wire)
        assert play(fe, STOP) == [(RX, fe.rx.device_idx()), (TX, fe.tx.device_idx())]
        no_more_answers(fe)
        assert fe.log.pages() >= {fe.rx.used // 4096, fe.tx.used // 4096}
        fe.log.close()


@pytest.mark.parametrize("announce", [False, True])
@pytest.mark.parametrize("qemu", ["7.2", "10.0"])
def test_destination(daemon, wire, quiet, qemu, announce):
    """The rings go on at the source's indices. QEMU asks for RARP once before the memory table and four times after."""
    with checks.connect(daemon.socket, size=1024, base=(4486, 8)) as fe:
        early, late = ("SEND_RARP\n", "SEND_RARP\n" * 4) if announce else ("", "")
        play(fe, CONNECT + ENABLE[qemu] * 3 + early + ENABLE[qemu] + START + late)
        no_more_answers(fe)
        checks.both_ways(fe, wire)
        wire.poll(ethertypes=(ETH_P_RARP,))
        assert play(fe, STOP) == [(RX, 4487), (TX, 9)]


# The guest was stopped for the last pass and goes on, or was reset meanwhile: with logging still on, the new start
# says so, and a new log comes after it.
RESUME = {
    "logging_is_over": START,
    "while_logging": START.replace("SET_FEATURES", "SET_FEATURES log")
    .replace("SET_VRING_ADDR 0", "SET_VRING_ADDR 0 log!")
    .replace("SET_VRING_ADDR 1", "SET_VRING_ADDR 1 log!")
    + "SET_LOG_BASE?\n",
}


@pytest.mark.parametrize("when", sorted(RESUME))
@pytest.mark.parametrize("qemu", ["7.2", "10.0"])
def test_migration_that_failed(daemon, wire, quiet, qemu, when):
    """After a failed migration the source's guest runs on: logging goes off, and the next attempt is like the first."""
    with checks.connect(daemon.socket, size=1024) as fe:
        play(fe, CONNECT + ENABLE[qemu] * 5 + START)
        for _ in range(3):
            fe.log = DirtyLog(fe.memory)
            play(fe, MIGRATE)
            checks.both_ways(fe, wire)
            play(fe, STOP)
            play(fe, RESUME[when])
            fe.conn.settle()
            checks.both_ways(fe, wire)
            if when == "while_logging":
                assert fe.log.pages()
                play(fe, "SET_FEATURES\nSET_VRING_ADDR 0\nSET_VRING_ADDR 1\n")
                fe.conn.settle()
                checks.both_ways(fe, wire)
            fe.log.close()
        play(fe, STOP)


def full(start):
    """@p start as QEMU 7.2 sends it where STATUS was negotiated, without its memory."""
    return start.replace("SET_FEATURES", "SET_FEATURES\nGET_STATUS?\nSET_STATUS 11").replace("SET_MEM_TABLE!\n", "") + (
        "GET_STATUS?\nSET_STATUS 15\n"
    )


def test_all_features_pause_and_reset(daemon, wire, quiet):
    """Boot, stop, cont, system_reset, and the driver's next start."""
    with checks.connect(daemon.socket, size=1024, protocol=OFFERED) as fe:
        play(fe, CONNECT.replace("GET_QUEUE_NUM?", "GET_QUEUE_NUM?\nGET_MAX_MEM_SLOTS?") + ENABLE["7.2"] * 5)
        memory = "".join(f"ADD_MEM_REG {i}!\n" for i in range(len(fe.memory.regions)))
        play(fe, full(START).replace("SET_STATUS 11\n", "SET_STATUS 11\n" + memory, 1))
        no_more_answers(fe)
        checks.both_ways(fe, wire)
        for _ in range(3):
            places = play(fe, "SET_STATUS 0\n" + STOP)
            assert places == [(RX, fe.rx.device_idx()), (TX, fe.tx.device_idx())]
            play(fe, ENABLE["7.2"] + full(START))
            checks.both_ways(fe, wire)
        play(fe, "SET_STATUS 0\n" + STOP + ENABLE["7.2"] * 2)
        for q in fe.queues:
            q.reset()
        play(fe, ENABLE["7.2"] + full(START))
        checks.both_ways(fe, wire)
        no_more_answers(fe)
