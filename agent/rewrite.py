"""How a completion model is asked to mend a finding: which lines it fills in, and what its answer changes.

Pure: no model is called here. The flagged lines are taken out, the model writes what stands between the rest, and the
answer becomes edits of exactly those lines. The first line's indentation is kept, because small models lose it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.findings import Finding, Span, TextEdit
from agent.shadow import Offsets, line_end_of, lines_of

MOST_LINES = 12


@dataclass(frozen=True)
class Gap:
    """Whole lines to rewrite, `first` to `last` inclusive. `prefix` ends with the first line's indentation.

    `prefix + original + suffix` is the text.
    """

    first: int
    last: int
    prefix: str
    original: str
    suffix: str

    @property
    def indentation(self) -> str:
        """The white space that the first rewritten line starts with."""
        return self.prefix[len(self.prefix.rstrip(" \t")) :]

    @property
    def lines(self) -> int:
        """How many lines are rewritten."""
        return self.last - self.first + 1


def gaps_of(text: str, finding: Finding) -> tuple[Gap, ...]:
    """What to blank out for a finding, the smallest first: its lines, then also the lines that they belong to.

    A span that ends at column 0 does not include that line. Long spans are cut to their first line: such a finding
    speaks of the line that opens the block.
    """
    lines = lines_of(text)
    first = min(max(finding.span.line, 0), len(lines) - 1)
    last = finding.span.end_line - (finding.span.end_column == 0 and finding.span.end_line > finding.span.line)
    last = min(max(last, first), len(lines) - 1)
    if last - first >= MOST_LINES:
        last = first
    narrow = (first, last)
    wide = _statement(lines, first, last)
    return tuple(_gap(text, lines, *bounds) for bounds in dict.fromkeys((narrow, wide)))


def hint_of(gap: Gap, finding: Finding, comment: str = "#") -> str:
    """The gap's prefix with a comment above the lines that says what is wrong with them."""
    message = " ".join(finding.message.split())
    head = gap.prefix[: len(gap.prefix) - len(gap.indentation)]
    end = line_end_of(gap.prefix + gap.original + gap.suffix)
    code = f"{finding.code}: " if finding.code else ""
    return f"{head}{gap.indentation}{comment} fix {code}{message}{end}{gap.indentation}"


def edits_of(gap: Gap, completion: str) -> tuple[TextEdit, ...]:
    """The completion as one edit of the gap, in the text's own line ends; empty if it says nothing or nothing else.

    A completion that only deletes is nothing: taking the code away is not mending it.
    """
    end = line_end_of(gap.prefix + gap.original + gap.suffix)
    written = [line.rstrip() for line in lines_of(completion)]
    while written and not written[-1]:
        written.pop()
    new = end.join(written)
    if gap.indentation and new.startswith(gap.indentation):
        new = new[len(gap.indentation) :]  # the model wrote the indentation that it was already given
    if not new.strip() or new == gap.original:
        return ()
    column = len(gap.indentation)
    last_column = len(lines_of(gap.prefix + gap.original)[-1])
    return (TextEdit(Span(gap.first, column, gap.last, last_column), new),)


def _gap(text: str, lines: Sequence[str], first: int, last: int) -> Gap:
    offsets = Offsets(text)
    indentation = len(lines[first]) - len(lines[first].lstrip(" \t"))
    start, end = offsets.at(first, indentation), offsets.at(last, len(lines[last]))
    return Gap(first, last, text[:start], text[start:end], text[end:])


def _statement(lines: Sequence[str], first: int, last: int) -> tuple[int, int]:
    """The lines around that are indented at least as deep and touch, at most MOST_LINES in all."""
    depth = _depth(lines[first])
    while first > 0 and last - first + 1 < MOST_LINES and _belongs(lines[first - 1], depth):
        first -= 1
    while last + 1 < len(lines) and last - first + 1 < MOST_LINES and _belongs(lines[last + 1], depth):
        last += 1
    return first, last


def _belongs(line: str, depth: int) -> bool:
    return bool(line.strip()) and _depth(line) >= depth


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
