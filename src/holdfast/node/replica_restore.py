"""What a replica expects to be once a snapshot is restored, durable before the last chunk is handed over.

Why: the application's state and the block log become durable one after the other; after a crash between them this
record tells which tip the restored state belongs to.
"""

from typing import Final, NamedTuple

from holdfast.consensus import limits
from holdfast.node.blockstore import BlockRecord, StoredBlock
from holdfast.node.frames import DamagedFileError, frame, read_record
from holdfast.node.ports import Disk
from holdfast.node.replica_tip import Tip, TipRecord, read_tip, record_of
from holdfast.primitives.codec import Decoder, Record, encode
from holdfast.primitives.reject import Malformed

FILE: Final = "restoring"


class Restore(NamedTuple):
    """The tip of a snapshot, and the block that it stands on."""

    tip: Tip
    stored: StoredBlock


class _RestoreRecord(Record):
    tip: TipRecord
    block: BlockRecord


_DECODER: Final = Decoder(
    _RestoreRecord, max_bytes=2 * limits.BLOCK_BYTES_MAX + 4 * 1024 * 1024, max_depth=8, max_items=2**20
)


def save_restore(disk: Disk, restore: Restore) -> None:
    """Make durable what is expected."""
    block = BlockRecord(restore.tip.height, restore.stored.data, restore.stored.votes)
    disk.replace(FILE, frame(encode(_RestoreRecord(record_of(restore.tip), block))))


def load_restore(disk: Disk) -> Restore | None:
    """Return what was expected when the replica went down, None where nothing was.

    Refuses: DamagedFileError, where the record does not check.
    """
    payload = read_record(FILE, disk.read(FILE))
    if payload is None:
        return None
    try:
        record = _DECODER.decode(payload)
    except Malformed as error:
        raise DamagedFileError(f"{FILE}: {error}") from error
    return Restore(read_tip(record.tip), StoredBlock(record.block.data, record.block.votes))


def drop_restore(disk: Disk) -> None:
    """Forget what was expected."""
    disk.delete(FILE)
