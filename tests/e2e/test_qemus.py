"""The lab image's QEMU (10.0) as the front-end: it serves a guest, dies, starts again; guests move to it and between two."""

import dataclasses
import signal
import time

import pytest
from frontends import image_qemu, qemu_version
from gwlab import report
from machines import BACKEND, CARD
from place import PEER_IP
from stage import BOOT_TIMEOUT_S, GENTLE, SETTLE_S, judged, lossless

pytestmark = pytest.mark.skipif(BACKEND != "godwitd", reason="the tests run on testpmd: these are about godwitd")

SECONDS = 3
# With interrupts by MSI-X, which QEMU 7.2 under TCG crashes at.
MSIX_CARD = "rx_queue_size=1024,tx_queue_size=1024"
# Loss, order, content and what the guest sees are judged; times and rates only where something stands still.
LIMITS = dataclasses.replace(report.UNTIMED, rate_min=20, slack_ms=10_000, other_gap_ms=10_000)
MACHINE_QEMU = ["qemu-system-x86_64"]


def test_it_is_killed_and_started_again(stage, image):
    """A PCI Express machine with MSI-X. What the front-end gave is given back each time."""
    backend = stage.backend("A")
    backend.serves()
    for name in ("vm-A", "vm-again"):
        vm = stage.vm(name, backend, qemu=image_qemu(image), machine="q35", nic=MSIX_CARD)
        vm.agent.wait_up(BOOT_TIMEOUT_S)
        stage.check_reaches_peer(vm)
        stage.check_reached_by_peer()
        assert "virtio0-input" in vm.agent.sh("grep MSI /proc/interrupts")
        traffic = stage.traffic(vm, f"traffic-{name}", **GENTLE)
        time.sleep(SECONDS)
        lossless(traffic.stop(vm.agent))
        vm.close(signal.SIGKILL)
        backend.left_nothing()
    assert backend.close() == 0
    assert not backend.socket.exists()


@pytest.mark.parametrize("which", ["machine", "image"])
def test_the_back_end_is_killed_and_started_again(stage, request, which):
    """QEMU connects again by itself when it was told to (libvirt: <reconnect>). The guest sees its link flap: QEMU's doing."""
    qemu = MACHINE_QEMU if which == "machine" else image_qemu(request.getfixturevalue("image"))
    backend, vm = stage.guest(qemu=qemu, socket="reconnect=1")
    backend.close(signal.SIGKILL)
    again = stage.backend("A", log=stage.directory / "godwitd-again.log")
    vm.agent.sh(f"for i in $(seq 30); do ping -c 1 -W 1 {PEER_IP} && exit; done; exit 1", timeout_s=60)
    stage.check_reached_by_peer()
    traffic = stage.traffic(vm, **GENTLE)
    time.sleep(SECONDS)
    lossless(traffic.stop(vm.agent))
    assert again.alive()


@pytest.mark.parametrize("start", ["machine", "image"])
def test_a_guest_moves_to_it(stage, image, start):
    """From this machine's QEMU (7.2 on Debian 12), and from one like it."""
    ends = [MACHINE_QEMU if start == "machine" else image_qemu(image), image_qemu(image)]
    print(" -> ".join(qemu_version(qemu) for qemu in ends))
    # A model and a machine that both versions have, and nothing that only the newer one can emulate.
    how = {"machine": "pc-i440fx-7.2", "cpu": "qemu64", "nic": CARD if start == "machine" else MSIX_CARD}
    backend, source = stage.guest(qemu=ends[0], **how)
    traffic = stage.traffic(source, **GENTLE)
    time.sleep(SECONDS)
    _, destination = stage.arrival("B", qemu=ends[1], **how)
    source.agent.mark()
    before = source.agent.events()
    moved = stage.godwit_migrate(source, destination) | {"from": "A", "to": "B"}
    time.sleep(SETTLE_S)
    after = destination.agent.events()
    judged(traffic.stop(destination.agent), [moved], [(before, after)], LIMITS)
    assert backend.alive()
