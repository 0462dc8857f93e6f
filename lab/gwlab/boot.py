"""boot: L1, the machine with two SR-IOV network cards behind an IOMMU, started, watched and ended."""

import contextlib
import fcntl
import pathlib
import shlex
import subprocess
import sys
import time

from . import accel as lab_accel
from . import image as lab_image
from . import initramfs, paths

BOOT_TIMEOUT_S = 120
# Once in some forty boots TCG loses the second CPU's timer, and L1's kernel hangs for good. A boot
# takes 10 s, 30 s on a busy machine: what is not there after this is started again, and counted.
TRY_TIMEOUT_S = 55

# EPYC-v4 is the newest model whose SVM TCG emulates; the rest is what TCG would warn about.
TCG_CPU = ("EPYC-v4,+svm,+npt,-monitor,-movbe,-fxsr-opt,-misalignsse,-osvw,-topoext,-perfctr-core,"
           "-xsavec,-cr8legacy,-3dnowprefetch,-nrip-save,-vgif,-pdpe1gb,-ibpb,-amd-stibp,-xsaves,-wbnoinvd,-clzero,-xsaveerptr")

# Host A's and host B's card: PF MAC, and the MAC of L1's own NIC on the same wire (the switch's port).
PORTS = {"A": ("52:54:00:0a:00:01", "52:54:00:0a:00:02"),
         "B": ("52:54:00:0b:00:01", "52:54:00:0b:00:02")}


class LabError(Exception):
    """The lab did not boot or died; the message names the log to read."""


def _wires():
    """QEMU arguments: for each host, a PF and a virtio NIC of L1 on a hub of their own."""
    args = []
    for hub, (host, (pf_mac, port_mac)) in enumerate(PORTS.items()):
        args += ["-device", f"pcie-root-port,id=port{host},chassis={hub + 1},slot={hub + 1}",
                 "-netdev", f"hubport,id=pf{host},hubid={hub}",
                 "-device", f"igb,bus=port{host},netdev=pf{host},mac={pf_mac},romfile=",
                 "-netdev", f"hubport,id=sw{host},hubid={hub}",
                 "-device", f"virtio-net-pci,netdev=sw{host},mac={port_mac},romfile="]
    return args


def _machine(accel, cpus, memory_mib, cpu):
    if accel == "kvm":
        return ["-machine", "q35,kernel-irqchip=split", "-accel", "kvm", "-cpu", cpu or "host",
                "-smp", str(cpus), "-m", str(memory_mib)]
    return ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", cpu or TCG_CPU,
            "-smp", str(cpus), "-m", str(memory_mib)]


def _share(tag, path, readonly):
    """QEMU arguments: directory @p path (in the image) as 9p share @p tag."""
    return ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"
            + (",readonly=on" if readonly else "")]


class Lab:
    """
    One boot of L1 that runs one job.
    @param out     directory for logs and results; L1 sees it, writable, as /godwit/out
    @param job     shell lines that L1 runs as root on its console
    @param tuning  optional {cpus, memory_mib, cpu, accel, append}: for trying out the emulation
    Use as a context manager: leaving it ends QEMU and everything in it, whatever happened.
    """

    def __init__(self, out, job, tuning=None, interactive=False):
        self.out = pathlib.Path(out).resolve()
        self.logs = self.out / "l1"
        self.job = job
        self.tuning = tuning or {}
        self.interactive = interactive
        self.process = None
        self.turn = None
        self.started = 0.0
        self.hangs = 0

    def _prepare(self):
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in ("status", "booted", "console.log", "qemu.log"):
            with contextlib.suppress(FileNotFoundError):
                (self.logs / name).unlink()
        for old in self.logs.glob("console-hung-*.log"):
            old.unlink()
        (self.logs / "job").write_text(self.job, encoding="utf-8")
        self.image = lab_image.ensure()
        self.version, _ = lab_image.kernel(self.image)
        initrd = self.logs / "initrd"
        initramfs.build(self.image, self.version, initrd)
        self.accel = self.tuning.get("accel") or lab_accel.accel(self.image, self.logs)


    def _command(self):
        tuning = self.tuning
        append = ("console=ttyS0 panic=-1 intel_iommu=on iommu=pt hugepages=448 iomem=relaxed log_buf_len=8M mitigations=off "
                  "net.ifnames=0 " + tuning.get("append", ""))
        command = [str(paths.LAB / "chroot"), str(self.image), str(self.out), "qemu-system-x86_64",
                   "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
        command += _machine(self.accel, tuning.get("cpus", 2), tuning.get("memory_mib", 4096),
                            tuning.get("cpu"))
        command += ["-device", "intel-iommu,intremap=on",
                    "-kernel", f"/boot/vmlinuz-{self.version}", "-initrd", "/godwit/out/l1/initrd",
                    "-append", append, "-serial", "file:/godwit/out/l1/console.log",
                    "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=job",
                    "-chardev", "stdio,id=job,signal=off"]
        command += _share("image", "/godwit/root", True) + _share("tree", "/godwit/src", True)
        command += _share("out", "/godwit/out", False) + _wires()
        return command

    def _take_turn(self):
        """One lab at a time on a machine: two would starve each other, and frames would be lost for it."""
        self.turn = open(paths.cache_dir() / "lab.lock", "w")  # noqa: SIM115  (held until __exit__)
        try:
            fcntl.flock(self.turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("lab: waiting for another lab on this machine to end", file=sys.stderr, flush=True)
            fcntl.flock(self.turn, fcntl.LOCK_EX)

    def __enter__(self):
        self._prepare()
        self._take_turn()
        self._start()
        return self

    def _start(self):
        """Start QEMU. The time counts from here."""
        with open(self.logs / "qemu.log", "wb") as errors:
            command = self._command()
            errors.write((shlex.join(command) + "\n").encode())
            errors.flush()
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                command, start_new_session=True, stdin=None if self.interactive else subprocess.DEVNULL,
                stdout=None if self.interactive else subprocess.PIPE, stderr=errors)

    def _end(self):
        """End QEMU, if it runs."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def __exit__(self, *_):
        self._end()
        if self.turn:
            self.turn.close()
        with contextlib.suppress(FileNotFoundError):
            (self.logs / "initrd").unlink()

    def wait_booted(self):
        """
        Wait until L1 has its drivers; one that hangs is started again, loudly, and counted in `hangs`.
        Returns seconds of the boot that worked. Errors: LabError after BOOT_TIMEOUT_S in all.
        """
        begun = time.monotonic()
        while not (self.logs / "booted").is_file():
            if self.process.poll() is not None:
                raise LabError(f"L1 ended while booting: read {self.logs}/console.log and qemu.log")
            if time.monotonic() - begun > BOOT_TIMEOUT_S:
                raise LabError(f"L1 did not boot in {BOOT_TIMEOUT_S} s: read {self.logs}/console.log")
            if time.monotonic() - self.started > TRY_TIMEOUT_S:
                self._start_again()
            time.sleep(0.1)
        return time.monotonic() - self.started

    def _start_again(self):
        self.hangs += 1
        kept = self.logs / f"console-hung-{self.hangs}.log"
        print(f"lab: L1 hangs in its boot after {TRY_TIMEOUT_S} s, started again; see {kept}", file=sys.stderr,
              flush=True)
        self._end()
        (self.logs / "console.log").replace(kept)
        self._start()

    def wait_done(self, timeout_s):
        """
        Wait until the job ended and L1 powered off. Returns the job's exit status.
        Errors: LabError when L1 died under the job, or @p timeout_s passed.
        """
        try:
            self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise LabError(f"the lab's job took over {timeout_s} s: read {self.out}") from None
        if not (self.logs / "status").is_file():
            raise LabError(f"L1 died under its job ({self.cause()}): read {self.logs}/console.log")
        return int((self.logs / "status").read_text(encoding="ascii"))

    def cause(self):
        """What killed L1, from its console: its last panic or oops line, or "gone without a word"."""
        text = (self.logs / "console.log").read_text(encoding="utf-8", errors="replace")
        for line in reversed(text.splitlines()):
            if "Kernel panic" in line or "Oops" in line or "BUG:" in line:
                return line.strip()
        return "gone without a word"
