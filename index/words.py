"""Words as the lexical index knows them: identifiers whole and in parts, in one simple form.

The same function feeds the index and every query, so that what is typed meets what is stored. It is not a linguist: the
stem only lets "caches", "cached" and "caching" meet.
"""

import re
from functools import lru_cache
from unicodedata import combining, normalize

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")  # scripts without spaces
MAX_WORD = 80  # longer ones are hashes or data
STOP_WORDS = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have", "how", "i",
        "if", "in", "is", "it", "its", "me", "my", "not", "of", "on", "or", "that", "the", "their", "then", "there",
        "this", "to", "was", "we", "what", "when", "where", "which", "who", "why", "will", "with", "you", "your",
    }
)  # fmt: skip


def stem(word: str) -> str:
    """A lower-case word without its English endings, for words of letters only."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    for ending, least in (("ing", 6), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4), ("e", 4), ("y", 5)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def indexed(word: str) -> str:
    """The word as the word index keeps it: FTS5 takes marks off Latin letters (`remove_diacritics 2`), and so do its
    queries, but not whoever reads its vocabulary."""
    return word if word.isascii() else "".join(map(_unmarked, word))


def words(text: str) -> list[str]:
    """The words of a text in order: each identifier's parts, and the whole identifier if it has several."""
    return spelled(text).split()


def spelled(text: str) -> str:
    """The same with spaces between them."""
    return " ".join(filter(None, map(_spelled, _WORD.findall(text))))


def _unmarked(letter: str) -> str:
    if combining(letter):  # left by `casefold`
        return ""
    base = normalize("NFD", letter)[0]
    return base if base.isascii() else letter


@lru_cache(maxsize=1 << 16)
def _spelled(word: str) -> str:
    """The same for one identifier; a text repeats few of them many times."""
    return " ".join(_words_of(word))


def _words_of(word: str) -> tuple[str, ...]:
    if len(word) > MAX_WORD:
        return ()
    if not word.isascii() and _WIDE.search(word):
        return tuple(_WIDE.findall(word))
    parts = _PART.findall(word) if not (word.isascii() and word.islower() and word.isalpha()) else [word]
    found = [stem(part.casefold()) for part in parts]
    return (*found, word.casefold().strip("_")) if len(parts) > 1 else tuple(found)


def query_words(text: str) -> list[str]:
    """The distinct words of a query, without those that say nothing unless there are no others."""
    telling = " ".join(word for word in _WORD.findall(text) if word.casefold() not in STOP_WORDS)
    return list(dict.fromkeys(words(telling) or words(text)))


def match_expression(wanted: list[str]) -> str:
    """An FTS5 expression for any of the words. Each is quoted, so that no query can be a syntax error."""
    return " OR ".join('"' + word.replace('"', '""') + '"' for word in wanted)
