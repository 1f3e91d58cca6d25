"""Finds secrets in text before it is stored. Pure pattern matching: nothing is verified over a network.

The patterns are those of detect-secrets. Its plugins are asked line by line through `analyze_string`, which only
matches; its scanning functions work on process-wide settings and may verify a finding by a request, so they are not
used. Lines are remembered (as verdicts by content), because texts around a cursor overlap from key to key.
Public IP addresses are not secrets here: version numbers look like them. A private key is known without its first line
too, because a window may begin in the middle of one.
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin
    from detect_secrets.plugins.keyword import KeywordDetector

_LONGEST = 2000  # a longer line is looked at in pieces: some patterns backtrack
_MOST = 20_000  # a line beyond that is nobody's writing, and would take long to look at
_OVERLAP = 200  # longer than any token that is searched for by its shape
_KEY_BORDER = re.compile("(?:BEGIN|END) [A-Z0-9 ]*PRIVATE KEY")
_KEY_LINE = re.compile(r"\W{0,8}([A-Za-z0-9+/]{60,76})={0,2}(?:\\[nr])*\W{0,8}")  # indented, quoted, or in a diff
_KEY_LINES = 3  # so many of them in a row are a key


def holds_secret(texts: Iterable[str], path: str = "") -> bool:
    """True if one of the texts contains something that looks like a secret, or a line that is too long to tell.

    `path` only tells how assignments look: configuration files have unquoted values.
    """
    suffix = path[path.rfind(".") :] if "." in path.rsplit("/", 1)[-1] else ""
    return any(_text_holds_secret(text, suffix) for text in texts)


def _text_holds_secret(text: str, suffix: str) -> bool:
    in_a_row = 0
    for line in text.splitlines():
        bare = line.strip()
        in_a_row = in_a_row + 1 if _is_key_line(bare) else 0
        if in_a_row == _KEY_LINES or (bare and _line_holds_secret(line, suffix)):
            return True
    return False


def _is_key_line(line: str) -> bool:
    """Whether it is one of those that a key is wrapped to; digests of one case and rulers are none."""
    found = _KEY_LINE.fullmatch(line)
    return found is not None and all(re.search(kind, found[1]) for kind in ("[a-z]", "[A-Z]", "[0-9]"))


@lru_cache(maxsize=16_384)
def _line_holds_secret(line: str, suffix: str) -> bool:
    if len(line) > _MOST or _KEY_BORDER.search(line):
        return True
    pieces = (
        [line]
        if len(line) <= _LONGEST
        else [line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST - _OVERLAP)]
    )
    return any(_piece_holds_secret(piece, suffix) for piece in pieces)


def _piece_holds_secret(line: str, suffix: str) -> bool:
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
    from detect_secrets.plugins.keyword import KeywordDetector

    found: list[str]
    for plugin in _plugins():
        if isinstance(plugin, KeywordDetector):
            found = _keyword_values(plugin, line, suffix)
        elif isinstance(plugin, HighEntropyStringsPlugin):
            found = [
                value
                for value in plugin.analyze_string(line)
                if plugin.calculate_shannon_entropy(value) > plugin.entropy_limit
            ]
        else:
            if any(plugin.analyze_string(line)):
                return True
            continue
        if any(not _harmless(value, line, plugin) for value in found):
            return True
    return False


def _keyword_values(plugin: "KeywordDetector", line: str, suffix: str) -> list[str]:
    from detect_secrets.filters.heuristic import is_indirect_reference
    from detect_secrets.plugins.keyword import QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP, REGEX_BY_FILETYPE
    from detect_secrets.util.filetype import determine_file_type

    if is_indirect_reference(line):  # password = ask_for("the password")
        return []
    patterns = REGEX_BY_FILETYPE.get(determine_file_type(f"x{suffix}"), QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP)
    return list(plugin.analyze_string(line, denylist_regex_to_group=patterns))


def _harmless(value: str, line: str, plugin: "BasePlugin") -> bool:
    """What detect-secrets' own default filters let pass: placeholders, uuids, sequences, identifiers."""
    from detect_secrets.filters import heuristic

    return bool(
        heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_not_alphanumeric_string(value)
        or heuristic.is_potential_uuid(value)
        or heuristic.is_sequential_string(value)
        or heuristic.is_likely_id_string(value, line, plugin)
    )


@cache
def _plugins() -> "tuple[BasePlugin, ...]":
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.ip_public import IPPublicDetector

    kinds: list[type[BasePlugin]] = list(get_mapping_from_secret_type_to_class().values())
    return tuple(kind() for kind in kinds if kind is not IPPublicDetector)
