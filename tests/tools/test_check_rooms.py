"""The room checker accepts what the table allows and fails on each kind of violation."""

import pathlib
import subprocess

import pytest

CHECKER = pathlib.Path(__file__).parents[2] / "tools" / "check-rooms"


def run(root, files):
    """Run the checker over a tree of {path: text}; return (exit status, output)."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run([CHECKER, root], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_tree_within_the_table_passes(tmp_path):
    status, output = run(tmp_path, {
        "src/base/err.h": "int base_err(void);\n",
        "src/guest/memory.c": '#include <errno.h>\n#include "base/err.h"\n#include "guest/memory.h"\n',
        "src/path/copy.c": '#include <rte_mbuf.h>\n#include "ring/ring.h"\nint x = RTE_MAX(1, 2);\n',
        "src/daemon/main.c": '#include "vnic/vnic.h"\n/* rte_eal_init is vf/\'s */\nchar *s = "rte_x";\n',
        "cli/verb.h": "int x;\n",
        "cli/verbs.c": '#include "verb.h"\n',
        "cli/migrate.c": '#include "migrate/plan.h"\n#include "base/err.h"\n',
        "tests/unit/test_copy.c": '#include "daemon/main.h"\n#include <rte_mbuf.h>\n',
    })
    assert (status, "0 rules broken" in output) == (0, True), output


@pytest.mark.parametrize("path, text, said", [
    ("src/base/err.c", '#include "guest/memory.h"\n', "base may include no other room"),
    ("src/ring/ring.c", '\n\n#include "vhost/message.h"\n', "src/ring/ring.c:3:"),
    ("src/daemon/main.c", '#include "vf/port.h"\n', "daemon may include vnic, base"),
    ("migrate/plan.c", '#include "vnic/vnic.h"\n', "migrate may include"),
    ("src/vnic/vnic.c", "#include <rte_ethdev.h>\n", "may include DPDK"),
    ("src/vnic/vnic.c", "int f(void)\n{\n\treturn rte_errno;\n}\n", "src/vnic/vnic.c:3: rte_errno"),
    ("src/guest/memory.c", '#include "memory.h"\n', "no header of this directory"),
    ("src/guest/memory.c", '#include "../base/fine.h"\n', 'no "room/file.h"'),
    ("src/util/misc.c", "int x;\n", "no room of the table"),
    ("src/main.c", "int x;\n", "no room of the table"),
    ("extra/main.c", "int x;\n", "no room of the table"),
    ("src/util/notes.txt", "x\n", "src/util: is no room"),
])
def test_a_violation_fails_and_is_named(tmp_path, path, text, said):
    status, output = run(tmp_path, {"src/base/fine.h": "int x;\n", path: text})
    assert status == 1
    assert said in output


def test_an_empty_tree_fails(tmp_path):
    (tmp_path / "src").mkdir()
    status, output = run(tmp_path, {})
    assert (status, "no C file found" in output) == (1, True)
