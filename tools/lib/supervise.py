"""Run a command with its output in a log, a time limit, and a clean end on Ctrl-C."""

import os
import signal
import subprocess
import time

GRACE_S = 60  # a stopped suite has this long to take down its VMs, mounts and namespaces


class Interrupted(Exception):
    """This program got SIGINT or SIGTERM; the command was stopped."""


def _raise(_signal, _frame):
    raise Interrupted


def _child():
    # Started from a script's background, SIGINT would be ignored, and so would every clean-up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def stop(process):
    """Ask the command's process group to end as Ctrl-C would; what outlives the command is killed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the clean-up short
    signal_group(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    end_group(process.pid)
    process.wait()


def end_group(group):
    """End what lives in the process group; returns whether anything did."""
    if not lives(group, 0.5):
        return False
    signal_group(group, signal.SIGTERM)
    if lives(group, 5):
        signal_group(group, signal.SIGKILL)
    return True


def signal_group(group, number):
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def lives(group, wait_s):
    """Whether the process group still has members after at most `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def note(log, text):
    with open(log, "a", encoding="utf-8") as out:
        out.write(f"{text}\n")


def run_logged(command, log, env, cwd, limit_s):
    """
    Run `command` in a session of its own, appending its output to the file `log`.

    Returns its exit status (127: it could not be started; 125: it left processes running), or None when it was stopped after `limit_s` seconds.
    Raises Interrupted after stopping it when this program is told to end.
    """
    old = {number: signal.signal(number, _raise) for number in (signal.SIGINT, signal.SIGTERM)}
    process = None
    try:
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"$ {' '.join(map(str, command))}\n")
            out.flush()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                       env=env, cwd=cwd, start_new_session=True, preexec_fn=_child)
        status = process.wait(limit_s)
        if end_group(process.pid):
            note(log, "the suite ended and left processes running; they were killed")
            status = status or 125
        return status
    except OSError as error:  # not there, not executable
        note(log, error)
        return 127
    except subprocess.TimeoutExpired:
        stop(process)
        return None
    except Interrupted:
        if process:
            stop(process)
        raise
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
