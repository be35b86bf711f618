"""Reads a text file whole, of any kind that a path may name: a pipe has no size, and a device no end."""

from pathlib import Path
from typing import Final

from holdfast.risk.rows import InputError

FILE_BYTES_MAX: Final = 64 * 1024 * 1024


def read_text(path: Path) -> str:
    """Return the text of a file; a byte order mark is no part of it.

    Refuses: what cannot be read, what is not UTF-8, and more than `FILE_BYTES_MAX`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InputError("", "", error.strerror or "the file cannot be read") from None
    if len(content) > FILE_BYTES_MAX:
        raise InputError("", "", f"the file has more than {FILE_BYTES_MAX // 1024**2} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("", "", "the file is not UTF-8 text") from None
