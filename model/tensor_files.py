"""Files of tensors: what the disk refuses is an OSError with its number, as it is for any other file.

The library says it in words only, in an error of its own; so nobody would meet it who knows what to do about a full
disk.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REFUSED = re.compile(r"(?P<why>[^:]+) \(os error (?P<number>\d+)\)")


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Around a writer of safetensors: raises OSError, with `place` as its file, where the system refused something."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise
        number = int(refused["number"])  # on Windows its own, of which Python makes one of `errno`
        raise OSError(number, refused["why"].strip(), str(place), number) from error
