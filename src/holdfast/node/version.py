"""The version of a validator's store, so that a program never reads files that another wrote differently."""

from typing import Final

from holdfast.node.frames import frame, read_record
from holdfast.node.ports import Disk

FILE: Final = "format"
VERSION: Final = 1
_PREFIX: Final = b"holdfast store "


class VersionError(Exception):
    """The store was written by an older or a newer program, which is the one to open it with."""


def check_version(disk: Disk) -> None:
    """Note the version in an empty store; demand it of any other.

    Refuses: VersionError, for the store of another program; DamagedFileError, where the note does not check.
    """
    found = read_record(FILE, disk.read(FILE))
    if found == _PREFIX + b"%d" % VERSION:
        return
    if found is not None:
        text = found.removeprefix(_PREFIX).decode("ascii", "replace")
        age = "an older" if text.isdigit() and int(text) < VERSION else "a newer"
        raise VersionError(
            f"{FILE}: the store was written by {age} Holdfast (version {text}, this program has {VERSION});"
            " open it with that program"
        )
    if disk.names():
        raise VersionError(
            f"{FILE}: absent beside other files: an older Holdfast wrote this store; open it with that one"
        )
    disk.replace(FILE, frame(_PREFIX + b"%d" % VERSION))
