"""House rules on plain text that no other linter knows."""

import re

CODE = (".c", ".h", ".py", ".sh", "meson.build")
LONG = 500  # lines; a longer file holds two things
LONG_TEST = 700  # tables of cases are long and yet one thing

# Things of one machine or one network that must not be written into the project. The patterns are
# spelled so that they do not match themselves.
FOREIGN = (
    (re.compile(r"(?<!\w[\"'}])(?<![\w.}-])/(?:work|home/\w+|root/[.]\w+)/[\w.]"), "a path of somebody's machine"),
    (re.compile(r"\b(?:deb|ftp|security|snapshot|packages)[.]debian[.]org\b"), "a package mirror's host name"),
    (re.compile(r"\b(?:pypi|npmjs|crates|proxy[.]golang)[.](?:org|com|io)\b"), "a package registry's host name"),
)
LEFTOVER = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
HEADER = {
    ".c": re.compile(r"(/\*|//)"),
    ".h": re.compile(r"(/\*|//)"),
    ".py": re.compile(r'(#|""")'),
    ".sh": re.compile(r"#"),
    "meson.build": re.compile(r"#"),
}
SCRIPT = re.compile(r'(#|""")')


def opening(name, lines):
    """Whether the file says at its very beginning what it is for."""
    if not lines:
        return name.endswith("__init__.py")
    if lines[0].startswith("#!"):
        return len(lines) > 1 and bool(SCRIPT.match(lines[1]))
    for suffix, pattern in HEADER.items():
        if name.endswith(suffix):
            return bool(pattern.match(lines[0]))
    return True


def check_lines(name, lines):
    """Yield what is wrong with single lines of a file."""
    markdown = name.endswith(".md")
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() and not markdown:
            yield f"{name}:{number}: white space at the end of the line"
        if name.startswith("tools/lib/text.py"):
            continue
        if LEFTOVER.search(line):
            yield f"{name}:{number}: something is left to do: {line.strip()[:80]}"
        for pattern, what in FOREIGN:
            if pattern.search(line):
                yield f"{name}:{number}: {what}: {line.strip()[:80]}"


def check_text(root, names):
    """Everything wrong with the files `names` (relative to `root`), as printable lines."""
    wrong = []
    for name in names:
        data = (root / name).read_bytes()
        if b"\0" in data:
            wrong.append(f"{name}: is binary; only text belongs in the project")
            continue
        text = data.decode("utf-8", "replace")
        lines = text.splitlines()
        if text and not text.endswith("\n"):
            wrong.append(f"{name}: no newline at the end of the file")
        if not opening(name, lines):
            wrong.append(f"{name}:1: does not say what it is for")
        limit = LONG_TEST if name.startswith("tests/") else LONG
        if name.endswith(CODE) and len(lines) > limit:
            wrong.append(f"{name}: {len(lines)} lines; split it at {limit}")
        wrong += check_lines(name, lines)
    return wrong
