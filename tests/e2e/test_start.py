"""Starting godwitd where it cannot work: one clear sentence, status 1, nothing broken by it."""

import socket

import pytest
from machines import BACKEND
from place import PlaceError

pytestmark = pytest.mark.skipif(BACKEND != "godwitd", reason="the tests run on testpmd: these are about godwitd")


def test_a_live_socket_is_refused(stage):
    first, vm = stage.guest()
    second = stage.backend("B", socket=first.socket, wait=False)
    assert second.process.wait(timeout=10) == 1
    errors = [line for line in second.log.read_text().splitlines() if str(first.socket) in line]
    assert len(errors) == 1, f"one sentence that names the socket, not {errors}"
    assert first.alive() and first.socket.exists()
    stage.check_reaches_peer(vm)


def test_a_dead_socket_is_replaced(stage):
    path = stage.directory / "vhost-A.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    _, vm = stage.guest()
    stage.check_reached_by_peer()
    assert vm.process.poll() is None


def test_a_file_that_is_no_socket_is_left_alone(stage):
    path = stage.directory / "vhost-A.sock"
    path.write_text("precious")
    refused = stage.backend("A", wait=False)
    assert refused.process.wait(timeout=10) == 1
    assert path.read_text() == "precious"
    assert str(path) in refused.log.read_text()


def test_memory_that_is_not_shared_is_reported(stage):
    backend = stage.backend("A")
    vm = stage.vm("vm-A", backend, share=False)
    vm.agent.wait_up()
    vm.agent.ask("sh ping -c 3 -W 1 192.0.2.1")
    assert backend.said("no ring progress: is guest memory shared?", timeout_s=15), backend.log.read_text()[-2000:]
    assert backend.alive()


def test_no_such_interface(stage):
    refused = stage.backend("A", "--device", "net_af_packet0,iface=nowhere", wait=False)
    assert refused.process.wait(timeout=10) == 1
    assert "nowhere" in refused.log.read_text()
    with pytest.raises(PlaceError):
        refused.wait_listening()
