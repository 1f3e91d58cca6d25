"""One document's keys and values as a file: our format, written whole and read through a memory map.

    magic (8 bytes), version, length and CRC-32 of the header (each 4 bytes, little-endian)
    header: JSON, padded with spaces
    scales of the keys, keys, scales of the values, values: see `model.cache.quantised`

Header and arrays begin at multiples of 64 bytes, the gaps are zero. Which files there are, and which must go, is
decided in `model.cache.disk`.

Always: a file appears under its name only when it is complete, and nothing is read from it unless every byte is what
was written: two checksums cover header and arrays, and the key is computed again from the tokens.
"""

import contextlib
import json
import os
import secrets
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from model.cache.key import DType, Key, Tokens, as_tokens
from model.cache.quantised import BLOCK, Quantised

MAGIC = b"InklDoc\n"
VERSION = 1
ALIGNMENT = 64  # bytes: a cache line, and more than any dtype asks for
UNFINISHED = ".part"  # ending of a file that is being written

_PREAMBLE = struct.Struct("<8sIII")
_READ_AT_ONCE = 1 << 15  # bytes; most headers fit


class DamagedFileError(Exception):
    """The file is one of ours, and not (or no longer) one that can be read."""


class ForeignFileError(Exception):
    """The file is not of our making, or of a newer version."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself. `shape` is (layers, kv_heads, tokens, head_dim), `checksum` the arrays' CRC-32."""

    key: Key
    tokens: Tokens
    shape: tuple[int, int, int, int]
    dtype: DType
    seconds: float
    checksum: int


@dataclass(frozen=True)
class _Layout:
    """Shapes, types and places of the four arrays, counted from the end of the header."""

    shape: tuple[int, int, int, int]

    def arrays(self) -> list[tuple[tuple[int, ...], Any, int]]:
        """(shape, dtype, offset) of key scales, keys, value scales and values."""
        layers, heads, tokens, channels = self.shape
        key_scales = (layers, heads, -(-tokens // BLOCK), channels)
        found: list[tuple[tuple[int, ...], Any, int]] = []
        offset = 0
        for shape, dtype in (
            (key_scales, np.float32),
            (self.shape, np.int8),
            (self.shape[:3], np.float32),
            (self.shape, np.int8),
        ):
            found.append((shape, dtype, offset))
            offset += _aligned(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        return found

    @property
    def nbytes(self) -> int:
        """Of all four with their gaps."""
        shape, dtype, offset = self.arrays()[-1]
        return offset + _aligned(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)


class EntryFile:
    """The bytes of one file that is yet to be written: its size is known before there is one."""

    def __init__(self, key: Key, tokens: Tokens, quantised: Quantised, seconds: float) -> None:
        self.key = key
        self._parts = _padded_parts(quantised)
        checksum = 0
        for part in self._parts:
            checksum = zlib.crc32(part, checksum)
        shape = quantised.keys.shape
        self._header = _header_bytes(
            {
                "key": key.digest,
                "lineage": key.lineage,
                "tokens": tokens.tolist(),
                "shape": list(shape),
                "dtype": quantised.dtype,
                "seconds": seconds,
                "checksum": checksum,
            }
        )

    @property
    def nbytes(self) -> int:
        """Of the whole file."""
        return len(self._header) + sum(memoryview(part).nbytes for part in self._parts)

    def write(self, path: Path) -> None:
        """Write beside `path` and rename; readable by this user only. Raises OSError, and leaves nothing behind then.

        Not synced to the disk: a file that a power cut tears apart fails its checksum, and is encoded again.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(self._header)
                for part in self._parts:
                    stream.write(part)
            unfinished.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise


def read_header(path: Path) -> Header:
    """Header only; says nothing about the arrays, but that the file is as long as they ask for.

    Raises DamagedFileError, ForeignFileError or OSError.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_READ_AT_ONCE)
        length = _header_length(head, size)
        head += stream.read(max(0, length - len(head)))
    return _parse(head, length, size)


def read(path: Path, key: Key) -> tuple[Header, Quantised, int]:
    """Header, arrays and the file's bytes, checked throughout. The arrays are views of a map of the file.

    Raises DamagedFileError (also where it is another key's file), ForeignFileError or OSError.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if not size:
            raise DamagedFileError("it is empty")
        mapped: NDArray[np.uint8] = np.memmap(stream, dtype=np.uint8, mode="r")
    length = _header_length(mapped[: _PREAMBLE.size].tobytes(), size)
    header = _parse(mapped[:length].tobytes(), length, size)
    if header.key != key:
        raise DamagedFileError("it holds another document")
    if zlib.crc32(mapped[length:].data) != header.checksum:
        raise DamagedFileError("the checksum of its arrays is wrong")
    views = [
        np.ndarray(shape, dtype, buffer=mapped, offset=length + offset)
        for shape, dtype, offset in _Layout(header.shape).arrays()
    ]
    key_scales, keys, value_scales, values = views
    return header, Quantised(keys, key_scales, values, value_scales, header.dtype), size


def _padded_parts(quantised: Quantised) -> Sequence[Any]:
    """Contiguous bytes of the four arrays, with the gaps behind each."""
    parts: list[Any] = []
    for array in (quantised.key_scales, quantised.keys, quantised.value_scales, quantised.values):
        parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        parts.append(bytes(_aligned(array.nbytes) - array.nbytes))
    return parts


def _header_bytes(fields: dict[str, Any]) -> bytes:
    """Preamble and header, as long as a multiple of the alignment."""
    text = json.dumps(fields, separators=(",", ":")).encode()
    text = text.ljust(_aligned(_PREAMBLE.size + len(text)) - _PREAMBLE.size)
    return _PREAMBLE.pack(MAGIC, VERSION, len(text), zlib.crc32(text)) + text


def _header_length(head: bytes, size: int) -> int:
    """Bytes of preamble and header of a file of `size` bytes that begins like `head`."""
    if not head.startswith(MAGIC[: len(head)]):
        raise ForeignFileError("it does not begin as a cached document does")
    if len(head) < _PREAMBLE.size:
        raise DamagedFileError("it is cut short")
    _, version, length, _ = _PREAMBLE.unpack_from(head)
    if version > VERSION:
        raise ForeignFileError(f"it is of version {version}, newer than {VERSION}")
    if version < VERSION:
        raise DamagedFileError(f"it is of version {version}, older than {VERSION}")
    if _PREAMBLE.size + length > size:
        raise DamagedFileError("it is cut short")
    return int(_PREAMBLE.size + length)


def _parse(head: bytes, length: int, size: int) -> Header:
    """The header of a file of `size` bytes, from its first `length`."""
    text = head[_PREAMBLE.size : length]
    if zlib.crc32(text) != _PREAMBLE.unpack_from(head)[3]:
        raise DamagedFileError("the checksum of its header is wrong")
    try:
        fields = json.loads(text)
        tokens = as_tokens(fields["tokens"])
        layers, heads, count, channels = map(int, fields["shape"])
        header = Header(
            key=Key(fields["lineage"], fields["key"]),
            tokens=tokens,
            shape=(layers, heads, count, channels),
            dtype=fields["dtype"],
            seconds=float(fields["seconds"]),
            checksum=int(fields["checksum"]),
        )
        sound = header.dtype in get_args(DType) and Key.of(header.key.lineage, tokens) == header.key
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedFileError(f"its header says what none of ours does: {error}") from error
    if not sound or count != len(tokens):
        raise DamagedFileError("its header contradicts itself")
    if length + _Layout(header.shape).nbytes != size:
        raise DamagedFileError("it is cut short, or too long")
    return header


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
