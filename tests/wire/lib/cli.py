"""Running godwitd to a failure, and what it may say then."""

from . import process

NULL = "net_null0"


def complaint(err):
    """The sentence on standard error: what is left without blank lines and the hint to --help."""
    lines = [line for line in err.splitlines() if line.strip() and "--help" not in line]
    assert len(lines) == 1, f"not one sentence:\n{err}"
    return lines[0]


def fails(status, *args, **how):
    """godwitd @p args must end with @p status and one sentence, which is returned."""
    how.setdefault("timeout", 10)
    got, out, err = process.run(list(args), **how)
    assert got == status, f"status {got}:\n{err}"
    assert not process.SANITIZER.search(err), err
    assert out == ""
    text = complaint(err)
    assert len(text) > 20
    return text
