"""hosts: in L1, the two SR-IOV hosts A and B, the switch between them, and the peer on its third port.

A and B have mount and network namespaces of their own: the PF and its VFs, /run/godwit and the
network are the host's alone. What a real pair of hosts shares is shared here too: the management
network (a veth, 10.9.0.1 and .2) and RUN, which stands for the way the operator's tool takes to
each host's QMP sockets (ssh, libvirt).
"""

import ctypes
import os
import pathlib
import re
import subprocess
import time

from .boot import PORTS
from .guest import GUEST_MAC

RUN = pathlib.Path("/run/lab")
PEER_MAC = "52:54:00:60:d0:02"
MANAGEMENT = {"A": "10.9.0.1", "B": "10.9.0.2"}
BRIDGE = "switch"


class HostError(Exception):
    """The lab's own furniture cannot be set up."""


def run(*command, check=True, stdin=None):
    """Run a command in L1's root namespaces. Returns its standard output. Errors: HostError."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True,
                          check=False)
    if check and done.returncode != 0:
        raise HostError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def write(path, text):
    """Write @p text to a file of /proc or /sys in one write(2)."""
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def netdev_of(mac):
    """Name of the network device with @p mac in the current network namespace."""
    for device in pathlib.Path("/sys/class/net").iterdir():
        if (device / "address").read_text(encoding="ascii").strip() == mac:
            return device.name
    raise HostError(f"no network device has the address {mac}")


def die_with_parent():
    """preexec_fn: the child gets SIGKILL when the process that started it dies."""
    ctypes.CDLL(None).prctl(1, 9)


class Namespace:
    """A network namespace, and a mount namespace if @p mounts, held by a sleeping process."""

    def __init__(self, name, mounts=False):
        self.name = name
        self.mounts = mounts
        command = ["unshare", "--net"] + (["--mount", "--propagation", "private"] if mounts else [])
        self.anchor = subprocess.Popen(command + ["sleep", "infinity"], preexec_fn=die_with_parent)
        # the namespaces are there once the process is no longer `unshare`
        while pathlib.Path(f"/proc/{self.anchor.pid}/comm").read_text(encoding="ascii").strip() != "sleep":
            if self.anchor.poll() is not None:
                raise HostError(f"cannot make namespaces for {name}")
            time.sleep(0.01)
        write(RUN / f"{name}.pid", str(self.anchor.pid))
        if mounts:
            self.run("mount", "-t", "sysfs", "sysfs", "/sys")
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; "
                             "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up")

    def command(self, *command):
        """@p command as it has to be started in L1 to run in here."""
        enter = ["nsenter", "-t", str(self.anchor.pid), "--net"] + (["--mount"] if self.mounts else [])
        return enter + ["--"] + [str(word) for word in command]

    def run(self, *command, check=True):
        """Run @p command in here to its end. Returns its standard output. Errors: HostError."""
        return run(*self.command(*command), check=check)

    def popen(self, *command, log=None, **options):
        """Start @p command in here, output to file @p log. Returns the Popen; it dies with us."""
        if log:
            with open(log, "ab") as stream:
                return subprocess.Popen(self.command(*command), stdout=stream, stderr=subprocess.STDOUT,
                                        preexec_fn=die_with_parent, **options)
        return subprocess.Popen(self.command(*command), preexec_fn=die_with_parent, **options)

    def path(self, inside):
        """Path in L1's root namespace of the file that is @p inside in here."""
        if not self.mounts:
            return pathlib.Path(inside)
        return pathlib.Path(f"/proc/{self.anchor.pid}/root{inside}")

    def close(self):
        """End the anchor: devices fall back to L1, mounts vanish. Idempotent."""
        self.anchor.kill()
        self.anchor.wait()


class Host(Namespace):
    """An SR-IOV host: its PF up in its own namespaces, VF 0 with the guest's MAC on vfio-pci."""

    def __init__(self, name, vfs=1):
        super().__init__(name, mounts=True)
        self.run("mkdir", "-p", "/run/godwit")
        self.run("mount", "-t", "tmpfs", "-o", "mode=755", "run-godwit", "/run/godwit")
        self.shared = RUN / name
        self.shared.mkdir(parents=True, exist_ok=True)
        self.pf = netdev_of(PORTS[name][0])
        self.pf_pci = pathlib.Path(f"/sys/class/net/{self.pf}/device").resolve().name
        run("ip", "link", "set", self.pf, "netns", self.anchor.pid)
        self.run("ip", "link", "set", self.pf, "up")
        self._make_vfs(vfs)

    def _make_vfs(self, count):
        device = pathlib.Path("/sys/bus/pci/devices") / self.pf_pci
        write(device / "sriov_drivers_autoprobe", "0")
        write(device / "sriov_numvfs", str(count))
        self.set_vf_mac(GUEST_MAC)
        self.vfs = [(device / f"virtfn{index}").resolve().name for index in range(count)]
        self.vf = self.vfs[0]
        for vf in self.vfs:
            bind_vfio(vf)

    def want_vfs(self, count):
        """Have at least @p count VFs. Those there are may be replaced by new ones: nobody may be using one."""
        if len(self.vfs) < count:
            write(pathlib.Path("/sys/bus/pci/devices") / self.pf_pci / "sriov_numvfs", "0")
            self._make_vfs(count)

    def set_vf_mac(self, mac, vf=0):
        """Give VF number @p vf its address, as the host's administrator does, through the PF."""
        self.run("ip", "link", "set", self.pf, "vf", vf, "mac", mac)


def bind_vfio(pci):
    """Bind PCI function @p pci to vfio-pci. Errors: HostError when it shares its IOMMU group."""
    device = pathlib.Path("/sys/bus/pci/devices") / pci
    write(device / "driver_override", "vfio-pci")
    write("/sys/bus/pci/drivers_probe", pci)
    if not (device / "driver").exists():
        raise HostError(f"{pci} did not bind to vfio-pci")
    group = device / "iommu_group"
    members = sorted(entry.name for entry in (group / "devices").iterdir())
    if members != [pci]:
        raise HostError(f"{pci} shares IOMMU group {group.resolve().name} with {members}")


def iommu_group(pci):
    """Number of the IOMMU group of PCI function @p pci, as text."""
    return (pathlib.Path("/sys/bus/pci/devices") / pci / "iommu_group").resolve().name


class Site:
    """
    The whole place: hosts A and B, the learning switch with their wires in it, the peer.
    One per boot of L1. `close()` ends every process that was started in it.
    """

    def __init__(self, vfs=1):
        RUN.mkdir(parents=True, exist_ok=True)
        for scope in ("all", "default"):
            write(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "1")
        self._make_switch()
        self.hosts = {name: Host(name, vfs) for name in PORTS}
        self.a, self.b = self.hosts["A"], self.hosts["B"]
        self.peer = Namespace("peer")
        self._plug_peer()
        self._make_management()

    def _make_switch(self):
        # Found before there is a bridge: that takes over the lowest address among its ports.
        self.ports = {netdev_of(port_mac): name for name, (_, port_mac) in PORTS.items()}
        run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "stp_state", "0")
        run("ip", "link", "set", BRIDGE, "up")
        for port in self.ports:
            run("ip", "link", "set", port, "master", BRIDGE)
            run("ip", "link", "set", port, "up")

    def _plug_peer(self):
        run("ip", "link", "add", "to-peer", "type", "veth", "peer", "name", "wire", "netns",
            self.peer.anchor.pid, "address", PEER_MAC)
        run("ip", "link", "set", "to-peer", "master", BRIDGE)
        run("ip", "link", "set", "to-peer", "up")
        self.peer.run("ip", "addr", "add", "192.0.2.1/24", "dev", "wire")
        self.peer.run("ip", "link", "set", "wire", "up")

    def _make_management(self):
        run("ip", "link", "add", "mgmt", "netns", self.a.anchor.pid, "type", "veth", "peer", "name", "mgmt",
            "netns", self.b.anchor.pid)
        for name, host in self.hosts.items():
            host.run("ip", "addr", "add", MANAGEMENT[name] + "/24", "dev", "mgmt")
            host.run("ip", "link", "set", "mgmt", "up")

    def forget_addresses(self):
        """Flush what the switch learned: a stale entry makes a reused MAC look dead."""
        for port in self.ports:
            run("bridge", "fdb", "flush", "dev", port, "dynamic", check=False)

    def switch_port_of(self, mac):
        """Which port the switch learned @p mac on: "A", "B", "peer"; None if none, asked for 3 s."""
        ports = self.ports | {"to-peer": "peer"}
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            words = run("bridge", "fdb", "get", mac, "br", BRIDGE, check=False).split()
            if "dev" in words:
                return ports.get(words[words.index("dev") + 1])
            time.sleep(0.2)
        return None

    def close(self):
        """End the namespaces and with them what they hold. Idempotent."""
        for namespace in (self.peer, self.a, self.b):
            namespace.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


DMA_FAULT = re.compile(r"DMAR:.*(DMA (Read|Write).*fault|fault addr|fault_addr)")


def dma_faults():
    """Lines of L1's kernel log in which the IOMMU reports a DMA fault. Empty in a healthy lab."""
    return [line for line in run("dmesg").splitlines() if DMA_FAULT.search(line)]


def l1_facts():
    """{accel of L2, cpus}: what a report says about this machine."""
    return {"kvm": os.path.exists("/dev/kvm"), "cpus": os.cpu_count()}
