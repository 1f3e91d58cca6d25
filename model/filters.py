"""What stands between a decoded text and an offer: pure functions that trim a text or refuse it.

A text is refused with a stable word for a reason. The order matters: first what is cut away (white space at the
end, what stands behind the cursor already), then what is judged (nothing left, repeats, broken syntax).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from tree_sitter import Language, Node, Parser

from model.completion import Refusal

_CLOSERS = ")]}>\"'`;,:"
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_ANGLED = _PAIRS | {"<": ">"}
_SEPARATORS = (";", ",", ":")
_QUOTES = ("'", '"', "`")
_STRINGS = re.compile(r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`""")
_ARROWS = re.compile(r"[-=]>|[<>]=")
_REPEATED_LINES = 12  # how far above the cursor a repeated line is looked for
_SYNTAX_WINDOW = 8_000  # characters on each side of the cursor that are parsed: about 5 ms


@dataclass(frozen=True)
class Filtered:
    """A text that may be offered. `replaces` closers behind the cursor, on its line, are part of the text."""

    text: str
    replaces: int = 0


def apply(text: str, language: str, prefix: str, suffix: str) -> Filtered | Refusal:
    """Trim and judge a decoded text at the cursor between `prefix` and `suffix`."""
    trimmed = without_suffix(text.rstrip(), suffix, prefix.rpartition("\n")[2])
    if not trimmed.text.strip():
        return Refusal("empty", "The model had nothing to add here.")
    if repeats(trimmed.text, prefix, suffix):
        return Refusal("repeat", "The model only repeated lines that are already there.")
    if breaks_syntax(trimmed.text, language, prefix, suffix[trimmed.replaces :]):
        return Refusal("syntax", "The suggestion would have broken the syntax.")
    return trimmed


def without_suffix(text: str, suffix: str, line: str = "") -> Filtered:
    """Cut off what is already behind the cursor. `line` is what stands before it on its line.

    The rest of the cursor's line: if the text's end is its beginning, that end goes. If the rest is nothing but
    closers that an editor put there and the text holds them in order before its end, they are replaced instead. Of
    closers no more goes than the line would have too many of: in `print(|)` the text `len(x)` keeps its own.
    The lines below: a text whose last lines stand there already loses them.
    """
    rest = suffix.split("\n", 1)[0].rstrip("\r")
    behind = rest.strip()
    first, *more = text.split("\n")
    if behind and set(behind) <= set(_CLOSERS):
        cuts = [Filtered(first[: len(first) - length]) for length in ([] if more else _overlaps(first, behind))]
        if _holds_in_order(text, behind):
            cuts.append(Filtered(_without_lines_below(text, suffix), len(rest)))
        cuts.insert(0, Filtered(_without_lines_below(text, suffix)))
        within = _within_string(line)
        present = _surplus(line, behind, within)
        return min(
            cuts, key=lambda cut: max(present, _surplus(line + cut.text, "" if cut.replaces else behind, within))
        )
    if behind:
        return Filtered(_before_rest(first, rest, line))
    return Filtered(_without_lines_below(text, suffix))


def _before_rest(text: str, rest: str, line: str) -> str:
    """One line of text without its end where that is the beginning of the rest of the line."""
    lengths = _overlaps(text, rest.strip())
    if not lengths:
        return text
    length = lengths[-1]
    if set(text[len(text) - length :]) <= set(_CLOSERS):
        within = _within_string(line)
        present = _surplus(line, rest, within)
        length = min(
            [0, *lengths], key=lambda one: max(present, _surplus(line + text[: len(text) - one], rest, within))
        )
    kept = text[: len(text) - length]
    return kept.rstrip() if length and rest[0].isspace() else kept


def repeats(text: str, prefix: str, suffix: str) -> bool:
    """True if every line of the text stands right above the cursor, or as the next line, already."""
    current = prefix.rsplit("\n", 1)[-1]
    lines = [line.strip() for line in (current + text).split("\n") if line.strip()]
    above = [line.strip() for line in prefix.split("\n")[:-1] if line.strip()][-_REPEATED_LINES:]
    below = [line.strip() for line in suffix.split("\n")[1:] if line.strip()][:1]
    if len(lines) == 1:
        return (len(lines[0]) > 3 and above[-1:] == lines) or below == lines
    return all(line in above for line in lines)


def breaks_syntax(text: str, language: str, prefix: str, suffix: str) -> bool:
    """True if the text has more syntax errors with the suggestion than without. Unknown languages never break.

    A suggestion may open what later lines close (`const f = () => {`), so it is also tried with that closed.
    """
    grammar = _grammar(language)
    if grammar is None:
        return False
    head, tail = prefix[-_SYNTAX_WINDOW:], suffix[:_SYNTAX_WINDOW]
    before = _errors(grammar, head + tail)
    tried = {text, text + _closing(text)}
    return all(_errors(grammar, head + one + tail) > before for one in tried)


def _closing(text: str) -> str:
    """What closes the brackets and the docstring that `text` leaves open. Brackets in strings count too: a guess."""
    if text.count('"""') % 2:
        return '"""'
    waiting: list[str] = []
    for character in text:
        if character in _PAIRS:
            waiting.append(_PAIRS[character])
        elif waiting and character == waiting[-1]:
            waiting.pop()
    return "".join(reversed(waiting))


def _overlaps(text: str, behind: str) -> list[int]:
    """The lengths of the ends of `text` that are beginnings of `behind`, shortest first; a single letter is none."""
    return [
        length
        for length in range(1, min(len(text), len(behind)) + 1)
        if text.endswith(behind[:length]) and (length > 1 or behind[0] in _CLOSERS)
    ]


def _surplus(before: str, behind: str, within: bool) -> int:
    """How many closers are too many where `before` and `behind` meet: brackets and quotes that close nothing, and
    punctuation that stands there twice. Brackets in strings count only `within` one, as those of an f-string do."""
    joined = before + behind
    bare = _ARROWS.sub("", joined if within else _STRINGS.sub("", joined))
    count = sum(bare.count(quote) % 2 for quote in _QUOTES)
    count += before[-1:] in _SEPARATORS and before[-1:] == behind[:1]
    waiting: list[str] = []
    for character in bare:
        if character in _ANGLED:
            waiting.append(_ANGLED[character])
        elif character in waiting:
            while waiting.pop() != character:  # what was opened since then is no bracket, such as a comparison
                pass
        elif character in _ANGLED.values():
            count += 1
    return count


def _within_string(line: str) -> bool:
    return any(quote in _STRINGS.sub("", line) for quote in _QUOTES)


def _holds_in_order(text: str, closers: str) -> bool:
    """True if the closers appear in the text in this order: only then do editors show it as ghost text."""
    at = 0
    for closer in closers:
        at = text.find(closer, at) + 1
        if at == 0:
            return False
    return True


def _without_lines_below(text: str, suffix: str) -> str:
    """Drop last lines that stand below the cursor's line already, blank lines between them ignored."""
    below = [line.strip() for line in suffix.split("\n")[1:40] if line.strip()]
    lines = text.split("\n")
    for kept in range(1, len(lines)):
        tail = [line.strip() for line in lines[kept:] if line.strip()]
        if tail and below[: len(tail)] == tail:
            return "\n".join(lines[:kept]).rstrip()
    return text


@lru_cache
def _grammar(language: str) -> Language | None:
    """The grammar for an LSP language id, or None."""
    if language == "python":
        import tree_sitter_python as python

        return Language(python.language())
    if language in ("javascript", "javascriptreact"):
        import tree_sitter_javascript as javascript

        return Language(javascript.language())
    if language in ("typescript", "typescriptreact"):
        import tree_sitter_typescript as typescript

        return Language(typescript.language_typescript() if language == "typescript" else typescript.language_tsx())
    return None


def _errors(grammar: Language, text: str) -> int:
    """The number of error and missing nodes. An error node's own children are not counted again."""
    tree = Parser(grammar).parse(text.encode("utf-8", "surrogatepass"))
    count, waiting = 0, [tree.root_node]
    while waiting:
        node: Node = waiting.pop()
        if node.is_error or node.is_missing:
            count += 1
        elif node.has_error:
            waiting += node.children
    return count
