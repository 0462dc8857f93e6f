"""Start, watch and stop one godwitd, and hold it to a clean end."""

import atexit
import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("GODWITD") or os.environ.get("GODWIT") or str(ROOT / "build/src/daemon/godwitd")

START_TIMEOUT_S = 30
# The promise is "quickly"; the slack is for a sanitizer build on a busy machine.
STOP_TIMEOUT_S = 5

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(args, **how):
    """Popen of godwitd with @p args; it dies when the tests die."""
    how.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([BINARY, *args], preexec_fn=_die_with_parent, **how)


def listening(path):
    """True when a Unix socket at @p path is in the listening state (found without connecting)."""
    with open("/proc/net/unix", encoding="ascii", errors="replace") as table:
        for line in table:
            part = line.split()
            if len(part) == 8 and part[7] == str(path) and int(part[3], 16) & 0x10000:
                return True
    return False


def control_beside(socket_path):
    """Where godwitd puts its control socket when it was told only @p socket_path."""
    path = Path(socket_path)
    return path.with_name("control.sock" if path.name == "vhost.sock" else f"{path.name.removesuffix('.sock')}.control.sock")


class Godwitd:
    """
    One process with its own directory. stop() demands a clean end: SIGTERM, status 0, in time,
    no sanitizer report, no socket left.
    """

    def __init__(self, device, *args, name="wire", socket_path=None, pass_fds=(), wait=True, stderr=None):
        self.dir = Path(tempfile.mkdtemp(prefix="godwit-wire-"))
        self.proc = None
        atexit.register(self.kill)
        self.socket = str(socket_path or self.dir / "vhost.sock")
        self.control = str(control_beside(self.socket))
        self.log_path = self.dir / "stderr"
        argv = ["--name", name, "--device", device]
        if not pass_fds:
            argv += ["--socket-path", self.socket]
        with open(self.log_path, "wb") as log:
            self.proc = spawn([*argv, *args], stdout=log, stderr=log if stderr is None else stderr, pass_fds=pass_fds)
        if wait and not pass_fds:
            self.wait_listening()

    def wait_listening(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listening(self.socket):
            assert self.proc.poll() is None, f"godwitd ended with {self.proc.returncode}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"godwitd does not listen:\n{self.tail()}"
            time.sleep(0.02)

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def tail(self, lines=30):
        """The end of its log, for a failure's message."""
        return "\n".join(self.log().splitlines()[-lines:])

    def alive(self):
        return self.proc.poll() is None

    def fds(self):
        """What its file descriptors are: {number: target}."""
        base = f"/proc/{self.pid}/fd"
        found = {}
        for fd in os.listdir(base):
            try:
                found[int(fd)] = os.readlink(f"{base}/{fd}")
            except FileNotFoundError:
                pass
        return found

    def guest_mappings(self):
        """How many mappings of the tests' memfds it holds."""
        with open(f"/proc/{self.pid}/maps", encoding="ascii", errors="replace") as maps:
            return sum("/memfd:godwit-wire" in line or "/memfd:vhost-log" in line for line in maps)

    def set_baseline(self):
        """Remember how many descriptors it holds now, with no front-end connected."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < 0.2:
            now = len(self.fds())
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.02)
        self.baseline = count

    def holds_nothing(self, timeout=3.0):
        """
        With no front-end connected: wait until it holds no more descriptors than at the baseline, and
        no mapping of a guest's memory or log. Fails when that does not come.
        """
        deadline = time.monotonic() + timeout
        while len(self.fds()) > self.baseline or self.guest_mappings():
            now = self.fds()
            leaked = f"{len(now)} descriptors instead of {self.baseline}, {self.guest_mappings()} mappings"
            assert time.monotonic() < deadline, f"leaked: {leaked}\n{now}"
            time.sleep(0.005)

    def dump(self, timeout=5.0):
        """Send SIGUSR1 and return what it then writes to standard error."""
        before = self.log_path.stat().st_size
        self.proc.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + timeout
        text, quiet = "", 0
        while time.monotonic() < deadline and quiet < 3:
            time.sleep(0.05)
            now = self.log_path.read_bytes()[before:].decode(errors="replace")
            quiet = quiet + 1 if now and now == text else 0
            text = now
        return text

    def kill(self):
        """End it without looking, if it still runs, and remove its directory. Also done when the tests end."""
        atexit.unregister(self.kill)
        if self.proc is not None:
            self.proc.kill()
            self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self):
        """End it with SIGTERM and check the end. Raises AssertionError with its log."""
        try:
            assert self.alive(), f"godwitd had ended with {self.proc.returncode}:\n{self.tail()}"
            self.proc.terminate()
            try:
                status = self.proc.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"no end {STOP_TIMEOUT_S} s after SIGTERM:\n{self.tail()}") from None
            text = self.log()
            assert not SANITIZER.search(text), text
            assert status == 0, f"ended with {status} on SIGTERM:\n{text}"
            assert not os.path.exists(self.socket), "the socket was left behind"
            assert not os.path.exists(self.control), "the control socket was left behind"
        finally:
            self.kill()


def run(args, timeout=START_TIMEOUT_S, **how):
    """Run godwitd with @p args to its end; returns (status, stdout, stderr)."""
    with spawn(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as proc:
        try:
            out, err = proc.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            proc.kill()
            out, err = proc.communicate()
            raise AssertionError(f"godwitd {args} did not end:\n{err.decode(errors='replace')}") from None
        return proc.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def wait_readable(fd, timeout):
    return bool(select.select([fd], [], [], timeout)[0])
