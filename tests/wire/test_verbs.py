"""godwit's verbs against live godwitds, and the client library's example."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from conftest import MAC
from lib import checks, process, tool
from lib.cli import NULL
from lib.control import Control, somebody_else, wait_for

ROOT = Path(__file__).resolve().parents[2]


class Vnic:
    """A godwitd at the default place, with nothing but net_null0 behind it."""

    def __init__(self, name):
        self.name = name
        self.control = f"/run/godwit/{name}/control.sock"
        self.socket = f"/run/godwit/{name}/vhost.sock"
        self.log = open(f"/run/{name}.log", "w+b")
        args = ["--name", name, "--device", NULL, "--mac", MAC, "--group", "daemon"]
        self.proc = process.spawn(args, stderr=self.log)
        wait_for(self.control)

    def stop(self):
        self.proc.terminate()
        assert self.proc.wait(process.STOP_TIMEOUT_S) == 0
        self.log.seek(0)
        assert not process.SANITIZER.search(self.log.read().decode(errors="replace"))
        self.log.close()


@pytest.fixture(scope="module")
def pair(own_namespaces):
    """Two vNICs, vm1 and vm2, that have no front-end."""
    both = [Vnic("vm1"), Vnic("vm2")]
    yield both
    for v in both:
        v.stop()


@pytest.fixture
def own(own_namespaces):
    v = Vnic("own")
    yield v
    if v.proc.poll() is None:
        v.stop()


@pytest.fixture
def dead(pair):
    """What a killed godwitd leaves behind."""
    os.mkdir("/run/godwit/dead")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("/run/godwit/dead/control.sock")
    yield "dead"
    os.unlink("/run/godwit/dead/control.sock")
    os.rmdir("/run/godwit/dead")


def narrow(text):
    """@p text, whose lines must fit a terminal of 80 columns."""
    for line in text.splitlines():
        assert len(line) <= 80, line
    return text


# --- list, show, stats ----------------------------------------------------------------------


def test_list(pair, dead):
    lines = narrow(tool.works("list")).splitlines()
    assert lines[0].split() == ["NAME", "STATE", "LINK", "MAC", "DEVICE"]
    assert lines[1].split() == ["dead", "dead", "-", "-", "-"]
    assert lines[2].split() == ["vm1", "waiting", "up", MAC, NULL]
    assert lines[3].split()[0] == "vm2" and len(lines) == 4


def test_list_json(pair, dead):
    gone, one, two = json.loads(tool.works("list", "--json"))
    assert gone["name"] == "dead" and gone["state"] == "dead" and "died" in gone["error"]
    assert (one["name"], two["name"]) == ("vm1", "vm2") and one["device"]["mac"] == MAC


def test_list_of_nothing(own_namespaces):
    """Another /run: no vNIC is no failure."""
    script = f"mount -t tmpfs tmpfs /run && {tool.GODWIT} list && {tool.GODWIT} list --json"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" and "no vNIC" in done.stderr


def test_show(pair):
    text = narrow(tool.works("show", "vm1"))
    assert "vm1: waiting for" in text and MAC in text and "link up" in text and NULL in text
    assert "virtqueue  receive: stopped" in text


def test_show_of_a_running_vnic(pair):
    with checks.connect(pair[0].socket) as fe:
        fe.start()
        fe.conn.settle()
        text = narrow(tool.works("show", "vm1"))
        assert "vm1: running" in text and "front-end  connected, " in text
        assert f"receive: running, size {fe.rx.size}" in text
        shown = json.loads(tool.works("show", "--json", "vm1"))
        assert shown["state"] == "running" and shown["connected"] is True


def test_show_by_path(pair):
    assert tool.works("show", pair[1].control).startswith("vNIC       vm2")


def test_stats(pair):
    lines = dict(line.split() for line in narrow(tool.works("stats", "vm1")).splitlines())
    assert lines["rx_frames"].isdigit() and lines["port_rx_missed"].isdigit()
    said = json.loads(tool.works("stats", "vm1", "--json"))
    assert {*said["counters"], *said["port"], *said["devices"]} == set(lines)


def test_stats_watch_counts_rates(daemon, running, wire):
    with tool.spawn("stats", "--watch", "--count", "2", daemon.control) as proc:
        head = proc.stdout.readline()
        for _ in range(20):
            checks.both_ways(running, wire)
            running.post()
            running.publish(0)
        rows = [line.split() for line in proc.stdout.read().splitlines()]
        assert proc.wait(10) == 0
    assert head.split() == ["received/s", "Mbit/s", "sent/s", "Mbit/s", "dropped"]
    assert len(rows) == 2 and all(re.fullmatch(r"\d\d:\d\d:\d\d", row[0]) for row in rows)
    assert sum(int(row[1]) for row in rows) >= 10 and sum(int(row[3]) for row in rows) >= 10
    assert all(row[5] == "0" for row in rows)


def test_stats_watch_json(pair):
    lines = tool.works("stats", "--watch", "--count", "2", "--json", "vm1").splitlines()
    first, second = map(json.loads, lines)
    assert second["time_ns"] - first["time_ns"] > 900_000_000


# --- attach, detach, set --------------------------------------------------------------------


def test_detach_and_attach(own):
    assert "device     none" in narrow(tool.works("detach", "own"))
    assert "nothing" not in tool.fails("detach", "own")
    assert tool.works("list").splitlines()[1].split()[:3] == ["own", "waiting", "-"]
    text = narrow(tool.works("attach", "--mac", "52:54:00:00:00:09", "own", "net_null3"))
    assert "device     net_null3" in text and "52:54:00:00:00:09" in text
    assert "net_null3" in tool.fails("attach", "own", "net_null4")
    assert json.loads(tool.works("detach", "--json", "--hold", "own"))["device"]["attached"] is False
    assert "net_nonsense0" in tool.fails("attach", "own", "net_nonsense0")
    assert json.loads(tool.works("attach", "--json", "own", "net_null5"))["device"]["name"] == "net_null5"
    assert "nonsense" in tool.fails("attach", "--mac", "nonsense", "own", NULL)


def test_set(own):
    assert tool.works("set", "own", "--log-level", "debug").split() == ["log-level", "debug", "incoming", "no"]
    said = json.loads(tool.works("set", "own", "--incoming", "yes", "--json"))
    assert said == {"log_level": "debug", "incoming": True}
    assert "awaits a VM" in tool.works("show", "own")
    assert "notice" in tool.fails("set", "own", "--log-level", "loud")
    tool.fails("set", "own", "--incoming", "maybe", status=2)


# --- watch, and the example -----------------------------------------------------------------


def read_until(proc, word):
    """Lines of standard error up to the one that holds @p word."""
    for line in proc.stderr:
        if word in line:
            return line
    raise AssertionError(f"no line with '{word}': {proc.wait()}")


def test_watch(own):
    with tool.spawn("watch", "own") as text, tool.spawn("watch", "--json", "--count", "2", "own") as events:
        for proc in (text, events):
            read_until(proc, "watching own")
        checks.connect(own.socket).close()
        said = [json.loads(events.stdout.readline()) for _ in range(2)]
        assert [(ev["event"], ev["detail"]) for ev in said] == [("state", "negotiating"), ("state", "waiting")]
        assert all(ev["vnic"] == "own" and abs(ev["time"] - time.time()) < 60 for ev in said)
        assert events.wait(10) == 0
        for state in ("negotiating", "waiting"):
            line = narrow(text.stdout.readline())
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  state +" + state + "\n", line), line
        own.stop()
        assert text.wait(10) == 1
        assert "closed the connection" in text.stderr.read()


def test_watch_ends_by_ctrl_c(pair):
    with tool.spawn("watch", "vm1") as proc:
        read_until(proc, "watching vm1")
        proc.send_signal(signal.SIGINT)
        assert proc.wait(10) == -signal.SIGINT


def test_example_of_the_client_library(own):
    """docs/examples/vnic-events.c: counters, then events, then the end."""
    with tool.spawn("own", program=tool.EXAMPLE) as proc:
        assert json.loads(proc.stdout.readline())["counters"]["rx_frames"] == 0
        checks.connect(own.socket).close()
        assert proc.stdout.readline().split()[1:] == ["state", "negotiating"]
        assert proc.stdout.readline().split()[1:] == ["state", "waiting"]
        own.stop()
        assert proc.wait(10) == 0 and not process.SANITIZER.search(proc.stderr.read())
    with tool.spawn("nosuch", program=tool.EXAMPLE) as proc:
        assert proc.wait(10) == 1 and "nosuch" in proc.stderr.read()


def test_example_is_short_and_needs_only_the_public_header():
    text = (ROOT / "docs/examples/vnic-events.c").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 70
    includes = re.findall(r'#include ["<]([^">]+)', text)
    assert [name for name in includes if "/" in name] == ["godwit/client.h"]


def test_example_links_with_the_shared_library(tmp_path, own):
    """As a user compiles it, against what is installed: the header and the .so, nothing else of ours."""
    kinds = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}
    flags = kinds.get(tool.BUILD.name, [])
    out = tmp_path / "example"
    lib = tool.BUILD / "src"
    subprocess.run(["gcc", *flags, "-I", ROOT / "include", "-o", out, ROOT / "docs/examples/vnic-events.c",
                    f"-L{lib}", "-lgodwit-client", f"-Wl,-rpath,{lib}"], check=True)
    with tool.spawn("own", program=str(out)) as proc:
        assert json.loads(proc.stdout.readline())["name"] == "own"
        own.stop()
        assert proc.wait(10) == 0


# --- errors ---------------------------------------------------------------------------------


NEEDS_NAME = [["show"], ["stats"], ["watch"], ["detach"], ["set"], ["attach"]]


@pytest.mark.parametrize("verb", NEEDS_NAME, ids=lambda v: v[0])
def test_no_such_vnic(pair, verb):
    rest = [NULL] if verb == ["attach"] else []
    text = tool.fails(*verb, "nosuch", *rest)
    assert "nosuch" in text and "vm1, vm2" in text


@pytest.mark.parametrize("verb", NEEDS_NAME, ids=lambda v: v[0])
def test_name_is_missing(verb):
    assert "NAME" in tool.fails(*verb, status=2)


def test_dead_vnic(dead):
    assert "died" in tool.fails("show", "dead")


def test_path_without_a_socket(tmp_path):
    assert str(tmp_path / "s") in tool.fails("show", str(tmp_path / "s"))


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 200])
def test_names_that_are_none(name):
    tool.fails("show", name)


def test_not_permitted(own, tmp_path):
    """Another user: kept out by the mode; let in, it may read but not write."""
    import shutil

    program = tmp_path / "godwit"
    shutil.copy(tool.GODWIT, program)
    for path in [tmp_path, *tmp_path.parents]:
        os.chmod(path, path.stat().st_mode | stat.S_IXOTH)
    nobody = {"program": str(program), "user": 65534, "group": 65534, "extra_groups": []}
    assert "ermitted" in tool.fails("show", "own", **nobody)
    os.chmod("/run/godwit/own", 0o755)
    os.chmod(own.control, 0o666)
    assert "own: waiting" in tool.works("show", "own", **nobody)
    assert "root" in tool.fails("detach", "own", **nobody)
    assert tool.works("list").splitlines()[1].split()[2] == "up"


def test_client_library_as_another_user(own):
    os.chmod("/run/godwit/own", 0o755)
    os.chmod(own.control, 0o666)
    with somebody_else():
        c = Control(own.control)
    with c:
        assert c.call("ping") == "pong"


class Impostor:
    """Something that is no godwitd, at /run/godwit/fake: answers what it is told to."""

    def __init__(self, answer, then_close=True):
        os.makedirs("/run/godwit/fake", exist_ok=True)
        self.path = "/run/godwit/fake/control.sock"
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.pid = os.fork()
        if self.pid == 0:
            conn = self.server.accept()[0]
            conn.recv(65536)
            conn.sendall(answer)
            time.sleep(0 if then_close else 60)
            os._exit(0)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.server.close()
        os.unlink(self.path)
        os.rmdir("/run/godwit/fake")


IMPOSTORS = {
    "closes": (b"", "closed the connection"),
    "half": (b'{"jsonrpc":"2.0","id":1,"resu', "closed the connection"),
    "garbage": (b"HTTP/1.1 400 Bad Request\r\n", "no godwitd"),
    "endless": (b"x" * (2 << 20), "no godwitd"),
    "empty_answer": (b'{"jsonrpc":"2.0","id":1}\n', "no godwitd"),
    "list": (b"[]\n", "closed the connection"),
    "other_id": (b'{"jsonrpc":"2.0","id":7,"result":{}}\n', "closed the connection"),
    "event_of_nothing": (b'{"method":"event"}\n{"method":"event","params":[]}\n', "closed the connection"),
    "error_of_nothing": (b'{"jsonrpc":"2.0","id":1,"error":5}\n', "says no"),
}


@pytest.mark.parametrize("case", sorted(IMPOSTORS))
def test_what_answers_is_no_godwitd(own_namespaces, case):
    answer, said = IMPOSTORS[case]
    fake = Impostor(answer)
    try:
        assert said in tool.fails("show", "fake")
    finally:
        fake.end()


def test_no_answer(own_namespaces):
    fake = Impostor(b'{"jsonrpc":"2.0",', then_close=False)
    try:
        start = time.monotonic()
        assert "in time" in tool.fails("show", "fake")
        assert 4 < time.monotonic() - start < 20
    finally:
        fake.end()


@pytest.mark.parametrize("verb", [["list"], ["show", "vm1"], ["stats", "vm1"], ["set", "vm1"], ["completion", "bash"]],
                         ids=lambda v: v[0])
def test_output_that_cannot_be_written(pair, verb):
    with open("/dev/full", "wb") as full, tool.spawn(*verb, stdout=full) as proc:
        err = proc.communicate(timeout=30)[1]
        assert proc.returncode == 1 and "written" in err


# --- one table feeds help, completion and the man page --------------------------------------


def verbs():
    listed = tool.works("help").split("Verbs:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines() if not line.startswith("  help")]


def options(verb):
    """{option: its value's name or None} as help shows them."""
    text = tool.works("help", verb).split("Options:\n")[1]
    return {m[1]: m[2] for m in re.finditer(r"^  --([a-z-]+)(?: ([A-Z|]+))?\b", text, re.M)}


def test_help_knows_the_verbs():
    assert verbs() == ["migrate", "list", "show", "stats", "watch", "attach", "detach", "set", "completion"]
    for verb in verbs():
        assert tool.works(verb, "--help") == narrow(tool.works("help", verb))


@pytest.mark.parametrize("verb", ["list", "show", "stats", "watch", "attach", "detach", "set", "migrate"])
def test_json_is_everywhere(verb):
    assert "json" in options(verb)


def test_man_page_agrees_with_the_table():
    """Each verb has its section, with its operands and exactly its options."""
    page = (ROOT / "docs/godwit.1.scd").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^# GODWIT ([A-Z]+)\n(.*?)(?=^# )", page, re.M | re.S))
    assert sorted(sections) == sorted(verb.upper() for verb in verbs())
    for verb in verbs():
        section = sections[verb.upper()]
        documented = {m[1]: m[2] for m in re.finditer(r"^\*--([a-z-]+)\*(?: _([A-Z|]+)_)?$", section, re.M)}
        wanted = options(verb)
        del wanted["help"]
        assert documented == wanted, verb
        usage = tool.works("help", verb).split("\n\n")[0].split("] ")[-1].split()
        operands = [word for word in usage if word.isupper() and not word.startswith("[")]
        assert all(f"_{word}_" in section for word in operands), (verb, operands)
        assert f"*{verb}*" in page.split("# VERBS")[1].split("\n# ")[0], f"{verb} is not in the list of verbs"


def complete(*words):
    """What bash offers for the last of @p words."""
    script = tool.works("completion", "bash") + "\n" + (
        f"COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _godwit; "
        'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_completion_of_verbs():
    assert set(complete("godwit", "")) == {*verbs(), "help", "--help", "--version"}
    assert complete("godwit", "st") == ["stats"]
    assert set(complete("godwit", "help", "")) == {*verbs(), "help"}
    assert complete("godwit", "nonsense", "") == []


def test_completion_of_options():
    for verb in verbs():
        assert set(complete("godwit", verb, "-")) == {f"--{name}" for name in options(verb)}
    assert complete("godwit", "stats", "--wa") == ["--watch"]


def test_completion_of_names(pair, dead):
    assert complete("godwit", "show", "") == ["dead", "vm1", "vm2"]
    assert complete("godwit", "show", "--json", "vm") == ["vm1", "vm2"]
    assert complete("godwit", "list", "") == []
    assert complete("godwit", "completion", "") == ["bash"]


def test_completion_of_files(tmp_path):
    (tmp_path / "a-file").write_text("")
    assert complete("godwit", "migrate", "--qmp", f"{tmp_path}/a-") == [f"{tmp_path}/a-file"]


def test_completion_for_another_shell():
    assert "bash" in tool.fails("completion", "tcsh", status=2)


def test_shellcheck_accepts_the_completion(tmp_path):
    script = tmp_path / "godwit.bash"
    script.write_text(tool.works("completion", "bash"))
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
