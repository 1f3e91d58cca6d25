"""Text to token ids and back, byte by byte. Reads `tokenizer.json`; knows nothing of prompts or models.

Text of a user is never read as a special token, whatever it spells. `decode(encode(text)) == text` for every text.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from inkling.errors import UserError


class UnsupportedTokenizerError(UserError):
    """The weights come with a tokenizer that cannot be healed, as its tokens are not byte strings."""


class Tokens:
    """A byte-level BPE tokenizer, with its vocabulary as sorted byte strings."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UnsupportedTokenizerError(
                f"{folder} has no tokenizer.json; choose other weights (inkling.model.base)."
            )
        description = json.loads(file.read_text(encoding="utf-8"))
        if "ByteLevel" not in json.dumps(description.get("decoder")):
            raise UnsupportedTokenizerError(
                f"The tokenizer in {folder} is not byte-level. Choose weights of the SmolLM2, Qwen or Llama 3 kind "
                "(inkling.model.base)."
            )
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.encode_special_tokens = True  # the file's text stays text, also where it spells <|endoftext|>
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._added = {added["content"]: int(added["id"]) for added in description.get("added_tokens", [])}
        self.special = frozenset(added["id"] for added in description.get("added_tokens", []) if added["special"])
        """Ids that stand for no text: separators, ends."""
        unbyte = {character: byte for byte, character in enumerate(_byte_characters())}
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        names = {content: id for content, id in self._added.items() if id not in self.special}
        self._bytes: list[bytes] = [b""] * max(size, 1 + max(self._tokenizer.get_vocab().values()))
        for token, id in self._tokenizer.get_vocab().items():
            if id in self.special:
                continue
            if token in names:
                self._bytes[id] = token.encode()
            elif all(character in unbyte for character in token):
                self._bytes[id] = bytes(unbyte[character] for character in token)
        order = sorted((text, id) for id, text in enumerate(self._bytes) if text)
        self._sorted = [text for text, _ in order]
        self._sorted_ids = np.array([id for _, id in order], dtype=np.int64)

    def __len__(self) -> int:
        """One more than the highest id."""
        return len(self._bytes)

    def named(self, *names: str) -> int | None:
        """The id of the first of these added tokens that exists."""
        return next((self._added[name] for name in names if name in self._added), None)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with nothing added."""
        return list(self._tokenizer.encode(_readable(text), add_special_tokens=False).ids)

    def starts(self, text: str) -> list[int]:
        """Where in `text`, in characters, each of its tokens starts."""
        return [start for start, _ in self._tokenizer.encode(_readable(text), add_special_tokens=False).offsets]

    def encode_healable(self, text: str, longest: int = 8) -> tuple[list[int], bytes]:
        """Token ids of `text` up to the last safe boundary, and the bytes behind it that decoding has to start with.

        A word swallows the space before it and a newline the indentation behind it, so tokens at the cursor are
        not those that the model would have read had the text gone on. The whole last word, run of blanks or run of
        signs is therefore taken off, at most `longest` tokens of it.
        """
        encoding = self._tokenizer.encode(_readable(text), add_special_tokens=False)
        ids, words = encoding.ids, encoding.word_ids
        kept = len(ids)
        while kept > 0 and len(ids) - kept < longest and words[kept - 1] == words[-1]:
            kept -= 1
        while kept > 0 and self._inside_a_character(ids[kept]):
            kept -= 1
        return list(ids[:kept]), self.decode(ids[kept:])

    def _inside_a_character(self, id: int) -> bool:
        """True if the token starts with a continuation byte of UTF-8."""
        return 0x80 <= self._bytes[id][0] < 0xC0

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; special tokens stand for none."""
        return b"".join(self._bytes[id] for id in ids)

    def continuing(self, piece: bytes) -> np.ndarray:
        """Ids of the tokens that start with `piece` or are a beginning of it. int64, never empty for byte-level BPE."""
        start = bisect_left(self._sorted, piece)
        end = bisect_left(self._sorted, _after(piece), start) if piece else len(self._sorted)
        shorter = []
        for length in range(1, len(piece)):
            at = bisect_left(self._sorted, piece[:length])
            while at < len(self._sorted) and self._sorted[at] == piece[:length]:
                shorter.append(self._sorted_ids[at])
                at += 1
        return np.concatenate([self._sorted_ids[start:end], np.array(shorter, dtype=np.int64)])


def _after(piece: bytes) -> bytes:
    """The smallest byte string that is larger than every one that starts with `piece`."""
    stripped = piece.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else piece + b"\xff" * 64


def _byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte (Radford et al. 2019, the GPT-2 vocabulary)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def _readable(text: str) -> str:
    """Half a surrogate pair, which an editor can send, is nothing that a tokenizer takes: `?` stands for it."""
    return text.encode("utf-8", "replace").decode("utf-8")
