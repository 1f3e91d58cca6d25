"""How tools put what they found into words: short, with places, and bounded, for a model or a person to read."""

from collections.abc import Iterable, Sequence

from agent.findings import Finding
from agent.shadow import lines_shown
from index.records import Hit

_MOST_LINES = 400  # of a file at once
_MOST_CHARACTERS = 40_000  # of these
_LONGEST = 500  # characters of a line
_MOST_HIT_LINES = 40
_MOST_FINDINGS = 60


def hits_in_words(hits: Sequence[Hit]) -> str:
    """Each hit with its place and text; lines count from 1."""
    if not hits:
        return "Nothing fits."
    return "\n\n".join(_hit(hit) for hit in hits)


def findings_in_words(findings: Iterable[Finding]) -> str:
    """One line per finding, as compilers print it; lines count from 1."""
    lines = [_finding(one) for one in findings]
    if len(lines) > _MOST_FINDINGS:
        lines[_MOST_FINDINGS:] = [f"... and {len(lines) - _MOST_FINDINGS} more"]
    return "\n".join(lines) or "No findings."


def lines_in_words(text: str, first: int, last: int | None) -> str:
    """Lines `first` to `last` (from 1, inclusive) with their numbers: at most 400 of them and 40,000 characters. What a
    line has beyond 500 is left out."""
    lines = lines_shown(text)
    first = max(first, 1)
    last = min(len(lines) if last is None else last, first + _MOST_LINES - 1, len(lines))
    shown: list[str] = []
    room = _MOST_CHARACTERS
    for number in range(first, last + 1):
        shown.append(f"{number:>5}  {_cut(lines[number - 1])}")
        room -= len(shown[-1]) + 1
        if room < _LONGEST:
            last = number
            break
    if last < len(lines):
        shown.append(f"... {len(lines)} lines in all")
    return "\n".join(shown) or "(no such lines)"


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ... (cut, {len(line):,} characters)"


def _finding(one: Finding) -> str:
    who = f"{one.source} {one.code}".strip()
    return f"{one.span.line + 1}:{one.span.column + 1}: {one.severity}: {one.message} [{who}]"


def _hit(hit: Hit) -> str:
    name = ".".join(part for part in (hit.scope, hit.name) if part)
    lines = lines_shown(hit.text)
    body = [*map(_cut, lines[:_MOST_HIT_LINES]), *(["..."] if len(lines) > _MOST_HIT_LINES else [])]
    head = f"{hit.path}:{hit.start_line + 1}-{hit.end_line + 1} {hit.kind} {name}".rstrip()
    return "\n".join([head, *body])
