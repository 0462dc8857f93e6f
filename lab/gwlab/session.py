"""session: one boot of the lab that plays scenarios, seen from the machine: streamed, timed, judged."""

import fcntl
import json
import os
import pathlib
import shlex
import shutil
import sys
import termios
import threading
import time

from . import paths
from .boot import Lab, LabError

# How long one scenario may take before the lab is ended: four times what the slowest takes.
SCENARIO_TIMEOUT_S = 600

# Settings of the machine's environment that reach the scenarios in L1.
HANDED_ON = ("GODWIT_LAB_UNTIMED", "GODWIT_LAB_L2", "GODWIT_LAB_VFS", "GODWITD", "GODWIT")


class Busy(Exception):
    """Another lab writes to the same directory."""


def lock(out):
    """
    Hold directory @p out, made if need be, for one lab's output. Returns the lock, to be closed.
    Errors: Busy.
    """
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    held = open(pathlib.Path(out) / ".lock", "w")  # noqa: SIM115  (the caller's to close)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise Busy(f"a lab is running in {out} already: wait for it, or end it") from error
    return held


def job(command):
    """The shell lines that L1 runs for @p command, with the settings that are handed on."""
    settings = [f"export {name}={shlex.quote(os.environ[name])}" for name in HANDED_ON if name in os.environ]
    return "\n".join(settings + ["export PYTHONDONTWRITEBYTECODE=1", f"{command}\n"])


def play(scenarios, out, tuning=None, quiet=False):
    """
    Boot L1 and play @p scenarios (names) in it. Everything prepared is expected in @p out.
    Returns {"result": "ok", "failed" or "crashed", "cause", "boot_s", "boot_hangs", "wall_s", "accel", "verdicts"}.
    """
    out = pathlib.Path(out)
    for name in scenarios:
        for old in (out / name, *out.glob(f"{name}-emulation-*")):
            shutil.rmtree(old, ignore_errors=True)
    outcome = {"result": "crashed", "cause": "", "boot_s": None, "boot_hangs": 0, "accel": None}
    lab = Lab(out, job(f"exec {paths.IN_TREE}/lab/l1/play {' '.join(scenarios)}"), tuning)
    try:
        with lab:
            outcome["accel"] = lab.accel
            outcome["boot_s"] = round(lab.wait_booted(), 1)
            if not quiet:
                print(f"lab: two SR-IOV hosts are up after {outcome['boot_s']} s ({lab.accel})", flush=True)
            outcome["boot_hangs"] = lab.hangs
            _stream(lab, SCENARIO_TIMEOUT_S * len(scenarios), quiet)
            outcome["result"] = "ok" if lab.wait_done(10) == 0 else "failed"
    except LabError as error:
        outcome["cause"] = str(error)
    outcome["wall_s"] = round(time.monotonic() - lab.started, 1)
    outcome["verdicts"] = [verdict for name in scenarios if (verdict := _verdict(out / name))]
    if outcome["result"] == "ok" and len(outcome["verdicts"]) != len(scenarios):
        outcome.update(result="failed", cause="a scenario left no result")
    return outcome


def enter(scenario, out):
    """Boot L1 with @p scenario at this terminal, which is given back as it was. Returns the exit status."""
    terminal = sys.stdin.isatty() and termios.tcgetattr(sys.stdin)
    size = shutil.get_terminal_size()
    command = (f"stty rows {size.lines} cols {size.columns}; export LAB_TERM={shlex.quote(os.environ.get('TERM', 'dumb'))}\n"
               f"exec {paths.IN_TREE}/lab/l1/play {scenario}")
    try:
        with Lab(out, job(command), interactive=True) as lab:
            lab.wait_booted()
            return lab.wait_done(None)
    except LabError as error:
        return fail(str(error))
    finally:
        if terminal:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)


def _verdict(directory):
    path = directory / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _stream(lab, timeout_s, quiet):
    """Copy the job's output until L1 ends; L1 is ended when it takes over @p timeout_s."""
    watchdog = threading.Timer(timeout_s, lab.process.kill)
    watchdog.start()
    try:
        with open(lab.logs / "job.log", "w", encoding="utf-8") as log:
            for line in lab.process.stdout:
                text = line.decode(errors="replace").rstrip()
                log.write(text + "\n")
                if not quiet:
                    print(text, flush=True)
    finally:
        watchdog.cancel()


def describe(outcome, out):
    """Closing lines for a person: what passed, what did not and which logs tell why."""
    lines = []
    for verdict in outcome["verdicts"]:
        if verdict["result"] != "ok":
            lines.append(f"lab: {verdict['scenario']} failed: {verdict['reason']}; "
                         f"its logs: {out}/{verdict['scenario']}/")
    if outcome["cause"]:
        lines.append(f"lab: {outcome['cause']}")
    faults = sum(verdict.get("emulation_faults", 0) for verdict in outcome["verdicts"])
    if faults:
        lines.append(f"lab: the emulation destroyed a guest {faults} times (lab/README.md); those scenarios were played again")
    passed = sum(1 for verdict in outcome["verdicts"] if verdict["result"] == "ok")
    lines.append(f"lab: {passed} passed, {outcome['asked'] - passed} failed in {outcome['wall_s']:.0f} s")
    return "\n".join(lines)


def fail(text):
    """Say @p text on standard error. Returns 1, the exit status."""
    print(f"lab: {text}", file=sys.stderr)
    return 1
