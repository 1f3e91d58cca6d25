"""Which definition a cursor stands in. Pure; lines count from 0. A long text is not looked at."""

from index.languages import MAX_IN_PROCESS, definitions


def definition_around(language: str, text: str, line: int) -> tuple[int, int] | None:
    """First and last line of the innermost definition around `line`, with the comments above it; None without one."""
    data = text.encode("utf-8", "replace")
    if len(data) > MAX_IN_PROCESS:
        return None
    found: tuple[int, int] | None = None
    for one in definitions(language, data):  # outer definitions before inner
        first = data.count(b"\n", 0, one.doc_start)
        last = data.count(b"\n", 0, max(one.end - 1, 0))
        if first <= line <= last:
            found = first, last
    return found
