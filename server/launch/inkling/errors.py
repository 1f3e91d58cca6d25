"""The root of every error of ours.

InklingError             something of ours went wrong
└── UserError            a person can mend it: the message says what was expected, what was found,
                         and which setting or command mends it; shown without a traceback

Packages derive their own errors from these two, beside the code that raises them.
"""


class InklingError(Exception):
    """Something of ours went wrong."""


class UserError(InklingError):
    """An error that a person can act on. `exit_code` is what the `inkling` command ends with."""

    exit_code = 2
