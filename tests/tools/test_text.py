"""The house rules on plain text: each one is seen failing, and clean files pass."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools" / "lib"))

from text import check_text  # noqa: E402

CLEAN = {
    "src/base/err.c": "/* err.c: errors. */\nint x;\n",
    "lab/run": "#!/bin/bash\n# Runs the lab.\nmount x \"$work\"/root/boot\n",
    "lab/tool.py": '"""A tool."""\n',
    "lab/__init__.py": "",
    "docs/x.md": "two spaces  \nbreak a line\n",
}


def check(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return check_text(root, sorted(files))


def test_clean_files_pass(tmp_path):
    assert check(tmp_path, CLEAN) == []


@pytest.mark.parametrize("name, text, said", [
    ("src/a.c", "int x;\n", "src/a.c:1: does not say what it is for"),
    ("tools/x", "#!/bin/bash\nset -e\n", "does not say what it is for"),
    ("src/a.c", "/* a */\nint x; \n", "src/a.c:2: white space"),
    ("src/a.c", "/* a */\nint x;", "no newline at the end"),
    ("src/a.c", "/* a */\n" + "int x;\n" * 500, "501 lines"),
    ("src/a.c", "/* a */\n// " + "TO" + "DO: later\n", "something is left to do"),
    ("lab/x.py", '"""x"""\nP = "' + "/wo" + 'rk/main/src"\n', "a path of somebody's machine"),
    ("lab/x.py", '"""x"""\nP = "' + "/ho" + 'me/ann/src"\n', "a path of somebody's machine"),
    ("lab/x.py", '"""x"""\nU = "http://deb.' + 'debian.org/"\n', "a package mirror's host name"),
    ("docs/logo.png", "\0PNG", "is binary"),
])
def test_each_rule_is_seen_failing(tmp_path, name, text, said):
    wrong = check(tmp_path, {name: text})
    assert len(wrong) == 1 and said in wrong[0], wrong
