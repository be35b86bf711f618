"""What can go wrong for a client, and the exit code that a command ends with.

ClientError
├── InputError         what was asked for cannot be: a price off the grid, an unknown instrument    exit 2
├── KeystoreError      a key file or passphrase that does not serve                                 exit 3
├── WrongChainError    the node speaks for another chain than the one trusted                       exit 3
├── Unreachable        no node answers                                                              exit 5
├── Stalled            a node answers, but its chain does not advance                               exit 6
└── ExchangeError      the exchange's own refusal of a request                                      exit 3 or 4
└── Rejected       a command's end: committed with a refusal, or refused for good before        exit 4
"""

from typing import Final

from holdfast.client.mends import RIGHTS, mend_of

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_AUTH: Final = 3
EXIT_REJECTED: Final = 4
EXIT_UNREACHABLE: Final = 5
EXIT_STALLED: Final = 6

# Deribit's numbers for a missing or wrong identity, and for a request that is itself wrong.
_AUTH_CODES: Final = frozenset({13004, 13009, 13021})
_USAGE_CODES: Final = frozenset({-32700, -32600, -32601, -32602, 11029, 11050, 13020})


class ClientError(Exception):
    """Anything that ends a call; its text is one line that names what was given and the mend."""

    exit_code = EXIT_FAILURE
    retryable = False


class InputError(ClientError):
    """What was asked for cannot be, whatever the exchange says."""

    exit_code = EXIT_USAGE


class KeystoreError(ClientError):
    """A key file or its passphrase does not serve."""

    exit_code = EXIT_AUTH


class WrongChainError(ClientError):
    """The node speaks for another chain than the one that is trusted; nothing was signed."""

    exit_code = EXIT_AUTH


class Unreachable(ClientError):  # noqa: N818 -- a state of the world, as `Malformed` is one of bytes
    """No node answers at the address."""

    exit_code = EXIT_UNREACHABLE
    retryable = True


class Stalled(ClientError):  # noqa: N818 -- as above
    """A node answers, but its chain does not advance."""

    exit_code = EXIT_STALLED
    retryable = True


class ExchangeError(ClientError):
    """A refusal by the exchange: a stable number, its name, words, and whether trying again can help."""

    def __init__(self, code: int, name: str, message: str, *, retryable: bool = False, param: str = "") -> None:
        """Keep what the exchange said."""
        super().__init__(code, name, message)
        self.code = code
        self.name = name
        self.message = message
        self.retryable = retryable
        self.param = param
        if code in _AUTH_CODES:
            self.exit_code = EXIT_AUTH
        elif code in _USAGE_CODES:
            self.exit_code = EXIT_USAGE
        else:
            self.exit_code = EXIT_REJECTED

    def __str__(self) -> str:
        """Return one line: the name, the words, the parameter."""
        words = (
            self.message if self.name in self.message else f"{self.name}: {self.message}" if self.name else self.message
        )
        return words if not self.param or self.param in words else f"{words} (parameter {self.param})"


class Rejected(ExchangeError):  # noqa: N818 -- as above
    """The end of a command that took no effect.

    `height` is the block that holds the refusal; 0 means that the command is in no block and never will be.
    """

    def __init__(
        self, code: int, name: str, message: str, *, tx_hash: str, height: int, retryable: bool = False
    ) -> None:
        """Keep the refusal and where it is recorded."""
        super().__init__(code, name, message, retryable=retryable)
        self.tx_hash = tx_hash
        self.height = height
        self.mend = mend_of(code)
        self.exit_code = EXIT_AUTH if code in RIGHTS else EXIT_REJECTED

    def __str__(self) -> str:
        """Return one line: the refusal, where it stands, the mend."""
        where = f"in block {self.height}" if self.height else "in no block"
        return f"{super().__str__()} ({where}){f'; {self.mend}' if self.mend else ''}"
