"""docs/spec-map.md: each test that it names exists, each row says something, and no message of ours is missing."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAP = ROOT / "docs/spec-map.md"
REFERENCE = re.compile(r"`(\w+\.(?:py|c))::(\w+)`")
PLACES = {".py": ("tests/wire",), ".c": ("tests/unit", "tests/fuzz")}
MESSAGES = 45


def functions(path):
    """Names that a test file runs: functions of Python, words of a C file's list of tests."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    if path.parent.name == "fuzz":
        return set(re.findall(r"\w+", text))
    return set(re.findall(r"(?:\bT|cmocka_unit_test\w*)\((\w+)", text))


def missing(text, root=ROOT):
    """References of @p text that lead nowhere."""
    wrong = []
    for name, test in REFERENCE.findall(text):
        places = [root / place / name for place in PLACES[pathlib.Path(name).suffix]]
        files = [path for path in places if path.exists()]
        if not files or test not in functions(files[0]):
            wrong.append(f"{name}::{test}")
    return wrong


def rows(text):
    """The cells of each table row, heads left out."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells[-1] != "shown by":
                yield cells


def silent(text):
    """Rows that neither name a test nor say why not."""
    return [
        cells[1]
        for cells in rows(text)
        if not REFERENCE.search(cells[-1]) and not re.match(r"not offered, because \w+", cells[-1])
    ]


def test_every_test_exists():
    assert missing(MAP.read_text()) == []


def test_every_row_says_something():
    assert silent(MAP.read_text()) == []


def test_every_message_is_listed_once():
    listed = [int(cells[0]) for cells in rows(MAP.read_text().split("## ")[1]) if cells[0].isdigit()]
    assert listed == list(range(1, MESSAGES + 1))


def test_what_is_offered_is_what_the_code_takes():
    """The map says "not offered" of exactly those messages that message.h does not know."""
    known = dict(re.findall(r"VHOST_(\w+) = (\d+),", (ROOT / "src/vhost/message.h").read_text().split("};")[0]))
    table = [cells for cells in rows(MAP.read_text().split("## ")[1]) if cells[0].isdigit()]
    offered = {cells[1].split()[0]: cells[0] for cells in table if not cells[2].startswith("not offered")}
    assert offered == known


@pytest.mark.parametrize("row", [
    "| 1 | X | `test_protocol.py::test_nothing_of_that_name` |",
    "| 1 | X | `test_no_such_file.py::test_offer` |",
    "| 1 | X | `test_ring_walk.c::no_such_case` |",
])
def test_a_test_that_does_not_exist_is_seen(row):
    assert len(missing(row)) == 1


@pytest.mark.parametrize("row", ["| 1 | X | |", "| 1 | X | soon |", "| 1 | X | not offered |"])
def test_a_row_that_says_nothing_is_seen(row):
    assert silent(row) == ["X"]
