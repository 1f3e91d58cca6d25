"""Tensors on a disk without room: the error of the system, as for any other file."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from model.exchange import ExchangeError, export
from model.tensor_files import disk_errors
from model.training.network import load_network
from model.training.section_training import save_adapter
from model.training.sft import SftOptions, with_fresh_adapter

resource = pytest.importorskip("resource", reason="limits of files are a thing of POSIX")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may be larger, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_the_system_refused_keeps_its_number_and_its_file(tmp_path: Path) -> None:
    place = tmp_path / "tensors.safetensors"
    with pytest.raises(OSError, match="too large") as caught, room_for(4096), disk_errors(place):
        save_file({"a": np.zeros(100_000, np.float32)}, place)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(place))


def test_what_is_no_fault_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    place = tmp_path / "tensors.safetensors"
    place.write_bytes(b"none")
    with pytest.raises(SafetensorError), disk_errors(place):
        load_file(place)


def test_an_adapter_that_does_not_fit_on_the_disk_is_an_error_of_the_disk(tiny_base: Path, tmp_path: Path) -> None:
    model = with_fresh_adapter(load_network(tiny_base), SftOptions(rank=4))
    with pytest.raises(OSError, match="too large") as caught, room_for(4096):
        save_adapter(model, tmp_path / "adapter")
    assert caught.value.errno == errno.EFBIG


def test_an_export_that_does_not_fit_on_the_disk_says_where_it_could_go(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="--out"), room_for(4096):
        export(tiny_base, [], "merged", tmp_path / "merged", base="tiny")
    assert list(tmp_path.iterdir()) == []
