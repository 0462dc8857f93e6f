"""iPXE boots over the vNIC: it posts a handful of buffers, gets an address, and fetches Linux, which takes over the card."""

import time

from gwlab.guest import GUEST_MAC
from machines import CARD
from place import GUEST_IP, PEER_IP
from stage import GENTLE, lossless

BOOT_TIMEOUT_S = 150
SCRIPT = f"""#!ipxe
echo godwit: ${{net0/ip}} by DHCP, script by TFTP from ${{next-server}}
kernel http://{PEER_IP}/vmlinuz initrd=guest.img console=ttyS0 quiet panic=-1 mitigations=off gw.ip={GUEST_IP}/24 || goto failed
initrd http://{PEER_IP}/guest.img || goto failed
echo godwit: Linux has come by HTTP
boot || goto failed
:failed
echo godwit: iPXE failed: ${{errno}}
poweroff
"""


def _serve(stage):
    """DHCP, TFTP and HTTP at the peer, with what iPXE will ask for."""
    served = stage.directory / "served"
    served.mkdir()
    (served / "boot.ipxe").write_text(SCRIPT, encoding="ascii")
    for source, name in zip(stage.kernel, ("vmlinuz", "guest.img")):
        (served / name).symlink_to(source)
    stage.at_peer("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file", "--port=0",
                  "--interface=wire", "--bind-interfaces", "--log-facility=-", "--leasefile-ro", "--no-ping",
                  f"--dhcp-range={GUEST_IP},static", f"--dhcp-host={GUEST_MAC},{GUEST_IP}", "--dhcp-boot=boot.ipxe",
                  "--enable-tftp", f"--tftp-root={served}", log="dnsmasq.log")
    stage.at_peer("busybox", "httpd", "-f", "-p", f"{PEER_IP}:80", "-h", served, log="httpd.log")


def test_linux_comes_over_the_vnic(stage):
    _serve(stage)
    backend = stage.backend("A")
    # graphics=off: the firmware and iPXE speak on the serial port.
    vm = stage.vm("vm-A", backend, kernel=None, machine="pc,graphics=off", nic=f"{CARD},bootindex=0")
    vm.agent.wait_up(BOOT_TIMEOUT_S)
    said = vm.console.read_text(encoding="utf-8", errors="replace")
    assert f"godwit: {GUEST_IP} by DHCP, script by TFTP from {PEER_IP}" in said, said
    assert "godwit: Linux has come by HTTP" in said, said
    traffic = stage.traffic(vm, **GENTLE)
    time.sleep(2)
    lossless(traffic.stop(vm.agent))
    assert backend.alive()
