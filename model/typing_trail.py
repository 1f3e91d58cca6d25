"""What the user wrote lately, told from one request to the next: finished lines, for drafts that repeat them."""

_LONGEST = 2000  # characters that may come at once; more is a paste or another place in the file


class TypingTrail:
    """Follows the text before the cursor of one file at a time."""

    def __init__(self) -> None:
        self._path = ""
        self._prefix = ""
        self._typed = ""

    def typed(self, path: str, prefix: str) -> str:
        """The lines that were finished since the last call, "" if none was."""
        before, self._prefix = self._prefix, prefix
        new = prefix[len(before) :]
        if path != self._path or not prefix.startswith(before) or len(new) > _LONGEST:
            self._path, self._typed = path, ""
            return ""
        if "\n" not in new:
            self._typed += new
            return ""
        finished, _, rest = (self._typed + new).rpartition("\n")
        self._typed = rest
        return finished + "\n"
