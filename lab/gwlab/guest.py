"""guest: the lab's guest seen from its host: QEMU's command line for it, and a client of the agent in it."""

import json
import select
import socket
import time

GUEST_MAC = "52:54:00:60:d0:01"

# QEMU before 9.0 loses stores of a TCG guest during a migration (its dirty bitmap's fast path forgets TCG's TLB) unless
# the memory is no multiple of 256 KiB. Measured with QEMU 7.2 and its own tap card: the guest crashed within 1 to 7
# migrations in 4 tries of 4 without this, and in none of 40 migrations with it.
ODD_KIB = 8


class AgentError(Exception):
    """The agent in the guest does not answer, or says that it failed."""


class Agent:
    """
    Client of `gwtraffic agent` in the guest, over the UNIX socket @p path of its second serial port.
    Nothing is kept in the connection: after a migration make a new Agent on the new QEMU's socket.
    """

    serial = 0

    def __init__(self, path):
        self.path = str(path)
        self._socket = None
        self._buffer = b""

    def _connect(self):
        if self._socket is None:
            attempt = socket.socket(socket.AF_UNIX)
            try:
                attempt.connect(self.path)
            except OSError as error:
                attempt.close()
                raise AgentError(f"{self.path}: {error.strerror}") from error
            self._socket, self._buffer = attempt, b""
            self._send(b"\n")  # ends what another client left of a line

    def _send(self, data):
        try:
            self._socket.sendall(data)
        except OSError as error:
            self.close()
            raise AgentError(f"{self.path}: {error.strerror}") from error

    def _answers(self, deadline):
        """Lines that the agent sends until @p deadline (monotonic)."""
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                yield line
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                return
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.close()
                raise AgentError(f"{self.path}: QEMU closed the connection")
            self._buffer += data

    def ask(self, command, timeout_s=15):
        """
        Send @p command (agent.c lists them). Returns the answer as a dict without looking at "ok".
        Errors: AgentError when no answer comes within @p timeout_s.
        """
        self._connect()
        Agent.serial += 1
        mark = f"{time.time_ns():x}-{Agent.serial}"
        self._send(f"{mark} {command}\n".encode())
        for line in self._answers(time.monotonic() + timeout_s):
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict) and answer.get("id") == mark:
                return answer
        raise AgentError(f"the guest did not answer '{command}' within {timeout_s} s")

    def tell(self, command, timeout_s=15):
        """Like ask(), but an answer that is not "ok" is an AgentError with the guest's reason."""
        answer = self.ask(command, timeout_s)
        if not answer.get("ok"):
            reason = answer.get("error") or answer.get("out") or answer.get("status")
            raise AgentError(f"guest: '{command}' failed: {reason}")
        return answer

    def wait_up(self, timeout_s=60):
        """Wait until the guest has booted. Returns the seconds it took. Errors: AgentError."""
        begun = time.monotonic()
        while time.monotonic() < begun + timeout_s:
            try:
                self.tell("hello", timeout_s=1)
                return time.monotonic() - begun
            except AgentError:
                time.sleep(0.1)
        raise AgentError(f"the guest was not up after {timeout_s} s")

    def sh(self, command, timeout_s=30):
        """Run shell @p command in the guest. Returns its output. Errors: AgentError when it fails."""
        return self.tell(f"sh {command}", timeout_s)["out"]

    def mark(self):
        """Forget what the guest saw up to now."""
        self.tell("mark")

    def events(self):
        """What the guest saw since the mark: boot_id, carrier_changes, link_events, kernel_log."""
        return self.tell("events")

    def close(self):
        """Hang up. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def qemu_command(directory, socket_path, kernel, initrd, *, accel="tcg", memory_mib=192, share=True, incoming=None,
                 mac=GUEST_MAC, ip="192.0.2.2/24", ip6="fd60::2/64", nic="", machine="pc", cpu="max", name="guest"):
    """
    QEMU's command line for the guest with a vhost-user card.
    @param directory    gets qmp.sock, agent.sock and console.log; one running QEMU a directory
    @param socket_path  vhost-user socket of the back-end, which listens
    @param share        False: guest memory the back-end cannot see (to show that this is noticed)
    @param incoming     URI to wait on for a migration, or None
    @param name         what the VM is called: the same on both ends of a migration
    @param nic          more properties for the card, as in "mrg_rxbuf=off,csum=off"
    @param kernel       None: the card keeps QEMU's option ROM for it (iPXE), for the firmware to boot
    """
    memory_kib = memory_mib * 1024 + (ODD_KIB if accel.startswith("tcg") else 0)
    backend = (f"memory-backend-memfd,id=ram,size={memory_kib}K,share=on" if share else
               f"memory-backend-ram,id=ram,size={memory_kib}K,share=off")
    card = f"virtio-net-pci,id=nic0,netdev=net0,mac={mac}" + (",romfile=" if kernel else "") + (f",{nic}" if nic else "")
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-name", name,
               "-machine", f"{machine},memory-backend=ram", "-accel", accel, "-cpu", cpu, "-smp", "1",
               "-m", f"{memory_kib}K", "-object", backend,
               "-qmp", f"unix:{directory}/qmp.sock,server=on,wait=off",
               "-chardev", f"file,id=console,path={directory}/console.log", "-serial", "chardev:console",
               "-chardev", f"socket,id=agent,path={directory}/agent.sock,server=on,wait=off",
               "-serial", "chardev:agent",
               "-chardev", f"socket,id=vhost,path={socket_path}",
               "-netdev", "vhost-user,id=net0,chardev=vhost,queues=1", "-device", card]
    if kernel:
        command += ["-kernel", kernel, "-initrd", initrd,
                    "-append", f"console=ttyS0 quiet panic=-1 mitigations=off gw.ip={ip} gw.ip6={ip6}"]
    return [str(word) for word in command] + (["-incoming", incoming] if incoming else [])
