"""godwitd --client and a QEMU that listens: each outlives the other's death."""

import signal
import time


class Listening:
    """Stands for a back-end where a VM asks for its socket: QEMU listens there."""

    def __init__(self, path):
        self.path = path
        self.socket = f"{path},server=on"


def _start(stage, at, name):
    return stage.backend("A", "--client", socket=at.path, wait=False, log=stage.directory / f"{name}.log")


def _answers(stage, vm):
    deadline = time.monotonic() + 30
    while True:
        try:
            stage.check_reaches_peer(vm)
            return
        except Exception:
            if time.monotonic() > deadline:
                raise


def test_godwitd_is_killed_and_started_again(stage):
    """The guest keeps running, and sees its link go down and up: QEMU does that, and godwitd says so."""
    at = Listening(stage.directory / "vm.sock")
    backend = _start(stage, at, "first")
    vm = stage.vm("vm", at)
    vm.agent.wait_up(120)
    _answers(stage, vm)
    boot_id = vm.agent.events()["boot_id"]
    for k, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        backend.process.send_signal(how)
        backend.process.wait(timeout=10)
        backend = _start(stage, at, f"again-{k}")
        assert backend.said("connected to", 30)
        assert backend.said("running", 30)
        _answers(stage, vm)
    assert vm.agent.events()["boot_id"] == boot_id


def test_qemu_is_killed_and_started_again(stage):
    at = Listening(stage.directory / "vm.sock")
    backend = _start(stage, at, "client")
    vm = stage.vm("vm", at)
    vm.agent.wait_up(120)
    _answers(stage, vm)
    vm.close(signal.SIGKILL)
    assert backend.said("QEMU takes the guest's link down")
    time.sleep(3)
    assert backend.alive()
    again = stage.vm("vm-again", at)
    again.agent.wait_up(120)
    _answers(stage, again)
