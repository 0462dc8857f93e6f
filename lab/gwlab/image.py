"""image: the Debian 13 tree that is both the lab's tool box (chroot) and L1's root file system."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import paths

SUITE = "trixie"

# Everything that goes into the image. A change of this table is a new image: its hash is the name.
RECIPE = {
    "suite": SUITE,
    "packages": [
        # the outer and the nested machine: QEMU 10.0.6 or newer maps igb's VF BARs rightly
        "qemu-system-x86", "linux-image-amd64", "kmod", "busybox-static",
        # the host's side of SR-IOV
        "iproute2", "pciutils", "ethtool", "tcpdump", "procps", "psmisc", "udev",
        # the data plane, and what builds the product
        "dpdk", "dpdk-dev", "libdpdk-dev", "gcc", "libc6-dev", "meson", "ninja-build", "pkg-config",
        "libjansson-dev", "libcmocka-dev", "python3",
    ],
    # where the tree, the logs and the image itself are mounted
    "mountpoints": ["godwit/src", "godwit/out", "godwit/root", "godwit/run"],
    "exclude": ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"],
    "version": 1,
}

# apt's own settings that decide whether its mirrors can be reached from here
APT_SETTINGS = ["Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until",
                "Acquire::Check-Date"]


class ImageError(Exception):
    """The image cannot be built; the message says why and what to do."""


def image_path():
    """Where the image of this recipe is, built or not."""
    digest = hashlib.sha256(json.dumps(RECIPE, sort_keys=True).encode()).hexdigest()[:12]
    return paths.cache_dir() / f"lab-{digest}"


def apt_sources():
    """sources.list lines for SUITE, from the mirrors that apt on this machine is set up with."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)|$(ORIGIN)|$(LABEL)",
                          "Created-By: Packages"], capture_output=True, text=True, check=True).stdout
    lines = []
    for site, origin, label in sorted({tuple(line.split("|")) for line in out.splitlines()}):
        if origin != "Debian":
            continue
        suites = [f"{SUITE}-security"] if "Security" in label else [SUITE, f"{SUITE}-updates"]
        lines += [f"deb {site} {suite} main" for suite in suites]
    if not any(line.split()[2] == SUITE for line in lines):
        raise ImageError("apt knows no Debian mirror on this machine: "
                         "set one up in /etc/apt and run `apt-get update`")
    return lines


def apt_options():
    """mmdebstrap options that hand on the apt settings listed in APT_SETTINGS."""
    options = []
    for name in APT_SETTINGS:
        out = subprocess.run(["apt-config", "shell", "VALUE", name], capture_output=True, text=True,
                             check=True).stdout.strip()
        if out:
            value = out.split("=", 1)[1].strip("'")
            options.append(f'--aptopt={name} "{value}";')
    return options


def _command(target):
    """The build's command. unshare -m: mounts that mmdebstrap makes vanish with the process."""
    command = ["unshare", "--mount", "--propagation", "private", "mmdebstrap", "--mode=root",
               "--variant=minbase", "--format=directory", "--skip=output/dev",
               "--include=" + ",".join(RECIPE["packages"])]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in RECIPE["exclude"]]
    command += [f'--customize-hook=mkdir -p "$1/{where}"' for where in RECIPE["mountpoints"]]
    return command + apt_options() + [SUITE, str(target)] + apt_sources()


def _check_tools():
    if os.geteuid() != 0:
        raise ImageError("building the lab image needs root")
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("unshare", "util-linux")):
        if not shutil.which(tool):
            raise ImageError(f"{tool} is not installed: run `make deps`, or apt-get install {package}")


def _last_line(log):
    """The last line of @p log that says what is being done, short enough for a progress line."""
    with open(log, "rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - 2000))
        lines = stream.read().decode(errors="replace").replace("\r", "\n").split("\n")
    lines = [line.strip() for line in lines if line.strip()]
    return lines[-1][:60] if lines else ""


def _run(command, log, progress):
    """Run @p command with its output in @p log, calling progress(seconds, last line) as it goes."""
    start = time.monotonic()
    with open(log, "wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                 stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        while True:
            try:
                return child.wait(timeout=1)
            except subprocess.TimeoutExpired:
                progress(time.monotonic() - start, _last_line(log))
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            child.wait()


def _sweep(cache):
    """Remove what a killed build left behind. Called with the lock held, so nothing is in use."""
    for leftover in cache.glob(".lab-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _say(seconds, what):
    line = f"lab image: building, {seconds:3.0f} s (about 60 to 120)  {what:<60}"
    print(line, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def _slowly(progress, every):
    """@p progress called at most once in @p every seconds: a log file needs no line a second."""
    last = [-every]

    def call(seconds, what):
        if seconds - last[0] >= every:
            last[0] = seconds
            progress(seconds, what)
    return call


def ensure(progress=None):
    """
    Build the image unless it is cached. Returns its directory.
    Errors: ImageError. Two callers at once: the second waits for the first one's image.
    """
    image = image_path()
    if image.is_dir():
        return image
    _check_tools()
    progress = progress or _slowly(_say, 1 if sys.stderr.isatty() else 15)
    cache = paths.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "image.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if image.is_dir():
            return image
        _sweep(cache)
        log = cache / f"{image.name}.log"
        work = tempfile.mkdtemp(prefix=".lab-", suffix=".tmp", dir=cache)
        try:
            target = os.path.join(work, "root")
            status = _run(_command(target), log, progress)
            if status != 0:
                raise ImageError(f"mmdebstrap failed (status {status}), its last words are in {log}")
            os.chmod(target, 0o755)
            os.rename(target, image)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    print(f"lab image: built in {image}", file=sys.stderr)
    return image


def kernel(image):
    """(version, path of vmlinuz) of the newest kernel in @p image."""
    versions = sorted(os.listdir(image / "lib/modules"))
    if not versions:
        raise ImageError(f"no kernel in {image}: remove that directory and build it again")
    return versions[-1], image / f"boot/vmlinuz-{versions[-1]}"
