"""--client: godwitd connects to a front-end that listens, and connects again whatever died."""

import time

import pytest

from conftest import DEVICE, MAC
from lib import checks, process
from lib import messages as m
from lib.listener import Listener


@pytest.fixture
def client(own_namespaces, tmp_path):
    """A godwitd that connects to tmp_path/vm.sock, where nobody listens yet."""
    d = process.Godwitd(DEVICE, "--mac", MAC, "--client", socket_path=tmp_path / "vm.sock", wait=False)
    yield d
    d.stop()


def wait_log(d, words, timeout=30):
    deadline = time.monotonic() + timeout
    while words not in d.log():
        assert d.alive(), d.tail()
        assert time.monotonic() < deadline, f"the log does not say '{words}':\n{d.tail()}"
        time.sleep(0.02)


def test_path_appears_later(client, wire, quiet):
    """No path, then a file that nobody serves, then a front-end: said once each, and served."""
    wait_log(client, "waits for a front-end")
    time.sleep(1)
    assert client.log().count("waits for a front-end") == 1
    with Listener(client.socket) as at, at.accept() as fe:
        fe.start()
        checks.both_ways(fe, wire)
        fe.stop()
    assert client.log().count("connected to") == 1


def test_front_end_dies_and_comes_back_100_times(client, wire, quiet):
    for _ in range(100):
        with Listener(client.socket) as at, at.accept() as fe:
            fe.start()
            checks.both_ways(fe, wire)


def test_front_end_lets_go_and_goes_on_listening(client, wire, quiet):
    """QEMU keeps the socket and loses the connection: the next one comes within a moment."""
    with Listener(client.socket) as at:
        for _ in range(5):
            with at.accept() as fe:
                fe.start()
                checks.both_ways(fe, wire)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_godwitd_dies_and_comes_back(own_namespaces, wire, quiet, tmp_path, how):
    """The front-end keeps guest and rings, as QEMU does, and goes on with the next godwitd."""
    with Listener(tmp_path / "vm.sock") as at:
        memory, base = None, [0, 0]
        for _ in range(3):
            d = process.Godwitd(DEVICE, "--mac", MAC, "--client", socket_path=at.path, wait=False)
            fe = at.accept(30)
            if memory:
                fe.memory.close()
                fe.memory, fe.queues, fe.rx, fe.tx = memory
            fe.start()
            checks.both_ways(fe, wire)
            assert [q.device_idx() for q in fe.queues] >= base
            base = [q.device_idx() for q in fe.queues]
            memory = fe.memory, fe.queues, fe.rx, fe.tx
            getattr(d.proc, how)()
            d.proc.wait(10)
            with pytest.raises(m.Closed):
                fe.conn.send(m.GET_FEATURES)
                fe.conn.wait_closed()
                raise m.Closed
            fe.conn.close()
            d.kill()
        memory[0].close()


def test_listener_that_takes_the_connection_and_says_nothing(client, wire, quiet):
    """It is said, once; it is not let go, since it may be another front-end's turn; and it may speak up later."""
    with Listener(client.socket) as at:
        sock = at.accept_socket(30)
        wait_log(client, "says nothing", 10)
        time.sleep(4)
        assert client.log().count("says nothing") == 1
        assert not at.pending(), "a second connection came"
        sock.close()
        with at.accept() as fe:
            fe.start()
            checks.both_ways(fe, wire)
            fe.stop()


def test_listener_that_hangs_up_at_once(client, wire, quiet):
    """It is tried less and less often, and served once it is a front-end."""
    with Listener(client.socket) as at:
        at.accept_socket(30).close()
        began = time.monotonic()
        for _ in range(6):
            at.accept_socket().close()
        # 0.1 s, and twice as long each time: at least 0.1 + 0.2 + 0.4 + 0.8 + 1.6 of them.
        assert time.monotonic() - began > 3
        with at.accept() as fe:
            fe.start()
            checks.both_ways(fe, wire)
            fe.stop()


def test_ends_while_it_waits(own_namespaces, tmp_path):
    """SIGTERM between two attempts: a clean end, and the path is not ours to remove."""
    d = process.Godwitd(DEVICE, "--mac", MAC, "--client", socket_path=tmp_path / "vm.sock", wait=False)
    wait_log(d, "waits for a front-end")
    d.stop()


def test_control_thread_goes_on_while_it_waits(client):
    wait_log(client, "waits for a front-end")
    assert "waiting" in client.dump()


def test_client_and_fd_exclude_each_other():
    status, _, err = process.run(["--name", "x", "--device", "net_null0", "--client", "--fd", "0"])
    assert status == 2 and "--fd and --client exclude each other" in err


def test_client_path_too_long():
    path = "/tmp/" + "x" * 120
    status, _, err = process.run(["--name", "x", "--device", "net_null0", "--client", "--socket-path", path])
    assert status == 1 and "longer than" in err
