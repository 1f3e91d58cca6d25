"""Columns as editors count them, and as we do: code units of the negotiated encoding, and code points.

Pure, and the one place for it. A column past the end of its line is the line's end.
"""

_CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2)}


def units(line: str, column: int, encoding: str = "utf-16") -> int:
    """The column in units of `encoding` ("utf-8", "utf-16" or "utf-32") of a column in code points."""
    column = min(max(column, 0), len(line))
    if encoding == "utf-32" or line.isascii():
        return column
    codec, width = _CODECS[encoding]
    return len(line[:column].encode(codec, "surrogatepass")) // width


def points(line: str, column: int, encoding: str = "utf-16") -> int:
    """The column in code points of a column in units of `encoding`; the middle of a character is its start."""
    column = max(column, 0)
    if encoding == "utf-32" or line.isascii():
        return min(column, len(line))
    codec, width = _CODECS[encoding]
    passed = 0
    for number, character in enumerate(line):
        passed += len(character.encode(codec, "surrogatepass")) // width
        if passed > column:
            return number
    return len(line)
