"""Which text was being parsed when the process died, kept in a small file beside the index.

A grammar that crashes takes the process along, and no exception is left to handle. So the hash of a text is written
down before it is parsed; a text that was written down when the process ended, twice in a row, is cut by lines from
then on. Once is not enough: processes are killed for other reasons. It knows no grammar and opens no other file.
"""

import os
from pathlib import Path
from types import TracebackType

ENOUGH = 2  # deaths


class Suspect:
    """The file, open while there is something to parse. `with suspect:` around a batch of texts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._digest, self._deaths = b"", 0

    def __enter__(self) -> "Suspect":
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        held = os.read(self._file, 64).split()
        if len(held) == 2 and held[1].isdigit():
            self._digest, self._deaths = held[0], int(held[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def is_deadly(self, digest: bytes) -> bool:
        """Whether this text ended too many processes. Writes down that it is parsed now if not."""
        deaths = self._deaths if digest.hex().encode() == self._digest else 0
        if deaths >= ENOUGH:
            return True
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, f"{digest.hex()} {deaths + 1}\n".encode())
        return False
