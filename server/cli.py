"""The `inkling` command."""


def run() -> int:
    print("hello")
    return 0
