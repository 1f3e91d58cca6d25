"""Secrets are found; ordinary code is not taken for one."""

import base64
import hashlib
import random

import pytest

from feedback.redaction import holds_secret

BYTES = random.Random(0).randbytes(1200)
KEY = "\n".join(base64.encodebytes(BYTES).decode().replace("\n", "")[at : at + 64] for at in range(0, 1600, 64))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("aws_key = 'AKIAIOSFODNN7EXAMPLE'", "a.py"),
        ("password = 'hunter2abc'", "a.py"),
        ("password: hunter2abc", "a.yaml"),
        ('client = Github("ghp_1234567890abcdefghij1234567890abcdefgh")', "a.py"),
        ("-----BEGIN RSA PRIVATE KEY-----", ""),
        (f"{KEY}\n-----END RSA PRIVATE KEY-----", "a.py"),
        ("MIIEow\n-----END PRIVATE KEY-----", "a.py"),
        (r"kz9Q\n-----END OPENSSH PRIVATE KEY-----\n", "a.json"),
        (KEY[1000:], "a.py"),
        (KEY.replace("\n", "\n    "), "a.yml"),
        ("\n".join(f'    "{line}\\n"' for line in KEY.split("\n")), "a.py"),
        ('url = "https://me:pw123@example.com"', "a.py"),
        ("x = 1\n" * 50 + "y" * 5000 + " AKIAIOSFODNN7EXAMPLE", "a.py"),
    ],
)
def test_a_secret_is_found(text: str, path: str) -> None:
    assert holds_secret((text,), path)


@pytest.mark.parametrize(
    "text",
    [
        "for token in tokens: yield token",
        'api_key = os.environ["KEY"]',
        'version = "1.2.3.4"',
        "def password(self) -> str: return self._ask('password')",
        'password = "${PASSWORD}"',
        "\n".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(9)),
        f"{'/' * 70}\n" * 9,
        "\n".join(KEY.split("\n")[:2]),
        'id = "6f9619ff-8b86-d011-b42d-00c04fc964ff"',
    ],
)
def test_ordinary_code_is_not(text: str) -> None:
    assert not holds_secret((text,), "a.py")


def test_a_line_that_is_too_long_to_look_at_is_not_trusted() -> None:
    assert not holds_secret(("x + " * 4000,), "a.py")
    assert holds_secret(("x + " * 8000,), "a.py")
