"""The place where the end-to-end tests happen: namespaces, a learning bridge, two hosts' ports, a peer."""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

PEER_MAC = "52:54:00:60:d0:02"
PEER_IP, PEER_IP6 = "192.0.2.1", "fd60::1"
GUEST_IP, GUEST_IP6 = "192.0.2.2", "fd60::2"

_libc = ctypes.CDLL(None, use_errno=True)


class PlaceError(Exception):
    """The test's own furniture cannot be set up."""


def run(*command, check=True):
    """Run a command to its end. Returns its output. Errors: PlaceError."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode:
        raise PlaceError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")
    return done.stdout


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def popen(*command, log, **options):
    """Start a program, output appended to file @p log. Returns the Popen; it dies when the tests die."""
    options.setdefault("stdin", subprocess.DEVNULL)
    with open(log, "ab") as stream:
        return subprocess.Popen([str(word) for word in command], stdout=stream, stderr=subprocess.STDOUT,
                                preexec_fn=_die_with_parent, **options)


def enter_own_namespaces():
    """Move this process into fresh network and mount namespaces with a /run of its own; all vanish with it."""
    if os.geteuid() != 0:
        raise PlaceError("the end-to-end tests need root: they make namespaces")
    if _libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise PlaceError(f"unshare: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1", encoding="ascii")
    pathlib.Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")


class Peer:
    """The station on the wire: a network namespace of its own, held by a sleeping process."""

    def __init__(self):
        self.anchor = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], preexec_fn=_die_with_parent)
        comm = pathlib.Path(f"/proc/{self.anchor.pid}/comm")
        while comm.read_text(encoding="ascii").strip() != "sleep":
            time.sleep(0.01)

    def command(self, *command):
        """@p command as it has to be started to run at the peer."""
        return ["nsenter", "-t", str(self.anchor.pid), "--net", "--", *map(str, command)]

    def run(self, *command, check=True):
        """Run @p command at the peer to its end. Returns its output. Errors: PlaceError."""
        return run(*self.command(*command), check=check)

    def popen(self, *command, log):
        """Start @p command at the peer. Returns the Popen."""
        return popen(*self.command(*command), log=log)


class Place:
    """
    The bridge with three ports. Hosts A and B reach it by the interfaces `port("A")` and `port("B")`, which a back-end
    takes over as its network card; the peer has "wire", with addresses.
    """

    def __init__(self):
        run("ip", "link", "add", "switch", "type", "bridge", "forward_delay", "0", "stp_state", "0")
        run("ip", "link", "set", "switch", "up")
        for host in ("A", "B"):
            run("ip", "link", "add", self.port(host), "type", "veth", "peer", "name", f"to-{host}")
            self._plug(f"to-{host}")
            self.plain(self.port(host))
        self.peer = Peer()
        run("ip", "link", "add", "to-peer", "type", "veth", "peer", "name", "wire", "netns", self.peer.anchor.pid,
            "address", PEER_MAC)
        self._plug("to-peer")
        self.peer.run("ip", "link", "set", "wire", "up")
        self.peer.run("ethtool", "-K", "wire", "tx", "off", "gso", "off", "tso", "off")
        self.peer.run("ip", "addr", "add", f"{PEER_IP}/24", "dev", "wire")
        self.peer.run("ip", "addr", "add", f"{PEER_IP6}/64", "dev", "wire", "nodad")

    @staticmethod
    def port(host):
        """Name of the interface that is host @p host's network card."""
        return f"card-{host}"

    def _plug(self, port):
        run("ip", "link", "set", port, "master", "switch")
        self.plain(port)

    @staticmethod
    def plain(iface):
        """Up, and without offloads: what leaves it is what a wire would carry."""
        run("ethtool", "-K", iface, "tx", "off", "gso", "off", "tso", "off")
        run("ip", "link", "set", iface, "up")

    @staticmethod
    def forget_addresses():
        """Flush what the bridge learned: a stale entry makes a reused MAC look dead."""
        for port in ("to-A", "to-B", "to-peer"):
            run("bridge", "fdb", "flush", "dev", port, "dynamic", check=False)

    @staticmethod
    def learned_at(mac):
        """Which port the bridge learned @p mac on: "A", "B", "peer", or None."""
        for line in run("bridge", "fdb", "show", "br", "switch").splitlines():
            words = line.split()
            if words[0] == mac and "permanent" not in words:
                return words[words.index("dev") + 1].removeprefix("to-")
        return None
