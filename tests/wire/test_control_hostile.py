"""Control clients that mean harm, or are broken: they harm themselves, and nobody else."""

import json
import os
import resource
import socket
import time

import pytest

from conftest import MAC
from lib import checks, process
from lib.cli import NULL
from lib.control import Control, somebody_else, wait_for
from lib.wire import frame
from test_starved import cpu_s

PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
SHOW = '{"jsonrpc":"2.0","id":1,"method":"show"}'


@pytest.fixture
def null(place):
    d = process.Godwitd(NULL, "--mac", MAC, socket_path=place / "vhost.sock")
    wait_for(d.control)
    d.set_baseline()
    yield d
    d.stop()


def resident_kib(d):
    with open(f"/proc/{d.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def answers(d):
    with Control(d.control) as c:
        return c.call("ping") == "pong"


def test_half_sent_request(daemon, running, wire):
    """It waits for its other half; everybody else goes on."""
    with Control(daemon.control) as half:
        half.sock.sendall(PING[:20].encode())
        assert answers(daemon)
        checks.both_ways(running, wire)
        half.send(PING[20:])
        assert half.read()["result"] == "pong"


def test_byte_by_byte(daemon):
    with Control(daemon.control) as c:
        for byte in (PING + "\n").encode():
            c.sock.sendall(bytes([byte]))
        assert c.read()["result"] == "pong"


def test_longest_request(daemon):
    with Control(daemon.control) as c:
        assert c.say(PING.ljust(8191))["result"] == "pong"
        assert c.say(PING)["result"] == "pong"


def test_a_byte_too_long(daemon):
    with Control(daemon.control) as c:
        answer = c.say(PING.ljust(8192))
        assert answer["error"]["code"] == -32002 and "8192" in answer["error"]["message"]
        assert c.read() is None
    assert answers(daemon)


def test_ten_megabytes_without_a_newline(daemon, running, wire):
    before = resident_kib(daemon)
    with Control(daemon.control) as c:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            c.sock.sendall(b"x" * (10 << 20))
        assert c.closed()
    assert answers(daemon)
    checks.both_ways(running, wire)
    if "asan" not in process.BINARY:
        assert resident_kib(daemon) - before < 2048
    assert "too long" in daemon.log()


def test_two_hundred_clients(null):
    """As many as there is room for are served, the others are told; root's way in stays open to root."""
    clients = [Control(null.control) for _ in range(200)]
    served = refused = 0
    for c in clients:
        try:
            c.send(PING)
            answer = c.read()
        except BrokenPipeError:
            answer = c.read()
        if answer and "result" in answer:
            served += 1
        else:
            assert answer["error"]["code"] == -32002 and "too many" in answer["error"]["message"]
            refused += 1
    assert served == 32 and refused == 168
    for c in clients:
        c.close()
    null.holds_nothing()
    assert answers(null)
    assert null.log().count("control client") < 10, "a client can fill the log"


def test_others_do_not_keep_root_out(null):
    os.chmod(null.control, 0o666)
    path = os.path.dirname(null.control)
    while path != "/":
        os.chmod(path, os.stat(path).st_mode | 0o011)
        path = os.path.dirname(path)
    with somebody_else():
        clients = [Control(null.control) for _ in range(100)]
    with Control(null.control) as root:
        assert root.call("set")["log_level"] == "notice"
    served = 0
    for c in clients:
        try:
            c.send(PING)
        except BrokenPipeError:
            pass
        served += "result" in (c.read() or {})
        c.close()
    assert served == 24


def test_subscriber_that_never_reads(null):
    """It is dropped when too much waits for it, with a line in the log; a reading one misses nothing."""
    with Control(null.control) as deaf, Control(null.control) as good:
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.call("subscribe")
        good.call("subscribe")
        cycles = 0
        while "does not read" not in null.log():
            with checks.connect(null.socket) as fe:
                fe.hello()
            while good.event("state")["detail"] != "waiting":
                pass
            cycles += 1
            assert cycles < 4000, "it was never dropped"
        assert deaf.closed()
        assert good.call("ping") == "pong"
    null.holds_nothing()


def test_flood_of_requests_nobody_reads_the_answers_of(daemon, running, wire):
    """The flooder waits for itself; a vNIC's frames and other clients do not."""
    with Control(daemon.control) as flood:
        flood.sock.setblocking(False)
        sent, until = 0, time.monotonic() + 2
        data = (SHOW + "\n").encode() * 100
        while time.monotonic() < until:
            try:
                sent += flood.sock.send(data)
            except BlockingIOError:
                time.sleep(0.001)
            if sent % 7 == 0:
                assert answers(daemon)
        assert answers(daemon)
        checks.both_ways(running, wire)
        assert daemon.alive()
    assert answers(daemon)


def test_more_answers_than_may_wait(daemon):
    """Nothing is answered while 64 KiB wait; once they are sent, what had been read before is."""
    batches = [json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "show"}] * 16)] * 10
    with Control(daemon.control) as c:
        # What the third ten ask for does not fit the socket any more; all of them are in godwitd's buffer.
        for _ in range(3):
            c.send("\n".join(batches))
            time.sleep(0.8)
        assert [len(c.read()) for _ in range(30)] == [16] * 30
        assert c.call("ping") == "pong"


def test_flood_costs_a_bounded_share(daemon):
    """Requests are answered at a bounded rate, however many come; all of them in the end."""
    lines = 2000
    with Control(daemon.control) as flood:
        flood.sock.setblocking(True)
        before = cpu_s(daemon.pid)
        start = time.monotonic()
        data = (PING + "\n").encode() * lines
        import threading

        writer = threading.Thread(target=flood.sock.sendall, args=(data,))
        writer.start()
        got = sum(flood.read()["result"] == "pong" for _ in range(lines))
        writer.join()
        took = time.monotonic() - start
        assert got == lines
        assert took > lines / 640 * 0.8, "no rate is kept"
        assert cpu_s(daemon.pid) - before < took * 0.5


def test_frames_flow_through_a_flood_of_shows(daemon, running, wire):
    floods = [Control(daemon.control) for _ in range(8)]
    for c in floods:
        c.sock.setblocking(False)
    data = (SHOW + "\n").encode() * 20
    for _ in range(100):
        for c in floods:
            try:
                c.sock.send(data)
                c.sock.recv(65536)
            except BlockingIOError:
                pass
        checks.from_wire(running, wire, frame(checks.fresh()))
        running.post()
        running.publish(0)
    for c in floods:
        c.close()
    assert answers(daemon)


def test_garbage(daemon):
    for seed in range(50):
        junk = bytes((seed * 31 + i * i * 17 + (i >> 3)) % 256 for i in range(3000))
        with Control(daemon.control) as c:
            try:
                c.sock.sendall(junk + b"\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert c.closed()
    assert answers(daemon)
    assert daemon.log().count("no JSON") < 10, "a client can fill the log"


def test_connect_and_go(null):
    """A thousand connections that say nothing, and a thousand that say something and do not wait."""
    for text in (b"", (SHOW + "\n").encode(), b"[", b'{"jsonrpc":"2.0","method":"ping"}\n'):
        for _ in range(250):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(null.control)
                s.sendall(text)
    null.holds_nothing()
    assert answers(null)


def test_request_then_gone_is_still_done(null):
    """Who does not wait for the answer has asked nevertheless."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(null.control)
        s.sendall(b'{"jsonrpc":"2.0","method":"set","params":{"log_level":"info"}}\n')
    with Control(null.control) as c:
        deadline = time.monotonic() + 3
        while c.call("set")["log_level"] != "info":
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_descriptors_sent_along_are_not_kept(null):
    """SCM_RIGHTS on a control connection: closed, not collected."""
    before = len(null.fds())
    with Control(null.control) as c:
        for _ in range(20):
            socket.send_fds(c.sock, [(PING + "\n").encode()], [0, 1, 2])
            assert c.read()["result"] == "pong"
        assert len(null.fds()) <= before + 1


def test_no_descriptor_for_a_client(null):
    """The client is turned away, and the loop does not spin on it."""
    before = resource.prlimit(null.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(null.pid, resource.RLIMIT_NOFILE, (max(null.fds()) + 1, before[1]))
    taken = [Control(null.control) for _ in range(5)]
    # The lowest free numbers may still be taken; in the end there is none.
    assert any(c.closed(2) for c in taken)
    for c in taken:
        c.close()
    used = cpu_s(null.pid)
    time.sleep(0.5)
    assert cpu_s(null.pid) - used < 0.2, "the main loop spins"
    resource.prlimit(null.pid, resource.RLIMIT_NOFILE, before)
    assert answers(null)
    assert "no file descriptors are left" in null.log()


def test_nothing_grows(null):
    """A thousand of everything: descriptors and memory stay where they were."""
    def round_trip():
        with Control(null.control) as c:
            c.call("subscribe")
            c.call("show")
            c.say(json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "stats"}] * 16))
            c.say("{")

    for _ in range(50):
        round_trip()
    before = resident_kib(null)
    for _ in range(1000):
        round_trip()
    null.holds_nothing()
    if "asan" not in process.BINARY:
        assert resident_kib(null) - before < 1024


def test_end_with_clients_connected(place):
    """SIGTERM while clients are in the middle of everything: a clean end."""
    d = process.Godwitd(NULL, socket_path=place / "vhost.sock")
    wait_for(d.control)
    clients = [Control(d.control) for _ in range(20)]
    for i, c in enumerate(clients):
        c.sock.sendall([b"", b"{", (SHOW + "\n").encode() * 50, b'{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n'][i % 4])
    d.stop()
    for c in clients:
        assert c.closed()
        c.close()
