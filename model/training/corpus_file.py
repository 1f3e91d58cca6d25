"""A corpus that was read, in one file: for a machine without a network or without time to read archives.

The texts of the files with what they import and their outlines, and what was written between two versions, as lines of
JSON under xz. What always holds: what is
read is what was written, or an UnreadableCorpusError; a file is replaced as a whole.
"""

import json
import lzma
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inkling.errors import UserError
from model.adapters import write_atomically
from model.document import Document
from model.training.corpus import Corpus, Package
from model.training.corpus_files import CodeFile
from model.training.edits import Written
from model.training.outline import Outline, Section
from model.training.outline import outline as outline_of

_FORM = 2
_PRESET = 6  # of xz: a fifth of the text, 3 MB of it per second


class UnreadableCorpusError(UserError):
    """The file is not one that `write_corpus` made, or not whole."""


def write_corpus(corpus: Corpus, path: Path) -> None:
    """Write it with the outlines of its training files."""
    lines = (json.dumps(line).encode() + b"\n" for line in _lines(corpus))
    squeezer = lzma.LZMACompressor(preset=_PRESET)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, b"".join([*(squeezer.compress(line) for line in lines), squeezer.flush()]))


def read_corpus(path: Path) -> Corpus:
    """What was written. Raises UnreadableCorpusError."""
    try:
        with lzma.open(path) as file:
            head = json.loads(next(file))
            if head["form"] != _FORM:
                raise ValueError(f"it has form {head['form']}, this version reads {_FORM}")
            found: dict[bool, dict[str, list[CodeFile]]] = {False: {}, True: {}}
            written: dict[str, list[Written]] = {}
            for line in file:
                entry = json.loads(line)
                if "written" in entry:
                    written.setdefault(entry["package"], []).append(_written(entry["written"]))
                    continue
                found[entry["held_out"]].setdefault(entry["package"], []).append(_file(entry))
    except (OSError, EOFError, lzma.LZMAError, StopIteration, ValueError, KeyError, TypeError) as error:
        raise UnreadableCorpusError(
            f"{path} holds no corpus ({error}). Write it again with `inkling pretrain --save-corpus`."
        ) from error
    packages = tuple(Package(**package) for package in head["packages"])
    training, held_out = ({name: tuple(files) for name, files in found[held].items()} for held in (False, True))
    places = {name: tuple(several) for name, several in written.items()}
    return Corpus(packages, training, held_out, head["dropped"], places)


def _lines(corpus: Corpus) -> Iterator[dict[str, Any]]:
    packages = [asdict(package) for package in corpus.packages]
    yield {"form": _FORM, "packages": packages, "dropped": dict(corpus.dropped)}
    for held_out, packed in ((False, corpus.training), (True, corpus.held_out)):
        for package, files in packed.items():
            for file in files:
                found = outline_of(file.language, file.text)
                yield {
                    "held_out": held_out,
                    "package": package,
                    "path": file.path,
                    "text": file.text,
                    "imports": file.imports,
                    "statements": found.statements,
                    "sections": [(one.start, one.body, one.stop) for one in found.sections],
                }
    for package, places in corpus.written.items():
        yield from ({"package": package, "written": asdict(place)} for place in places)


def _file(entry: dict[str, Any]) -> CodeFile:
    imports = {path: tuple(names) for path, names in entry["imports"].items()}
    statements = tuple((start, name) for start, name in entry["statements"])
    found = Outline(statements, tuple(Section(*section) for section in entry["sections"]))
    return CodeFile(entry["package"], entry["path"], entry["text"], imports, found)


def _written(entry: dict[str, Any]) -> Written:
    documents = tuple(Document(**document) for document in entry["documents"])
    lists = {name: tuple(entry[name]) for name in ("lines", "code")}
    return Written(**{**entry, **lists, "documents": documents})
