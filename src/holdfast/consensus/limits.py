"""Every size and count that a peer's bytes may reach, and the relations between them."""

from typing import Final

from holdfast.primitives.check import ensure

HASH_BYTES: Final = 32
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

VALIDATORS_MAX: Final = 128
POWER_TOTAL_MAX: Final = 2**60
HEIGHT_MAX: Final = 2**53
ROUND_MAX: Final = 2**31
TIME_MS_MAX: Final = 2**53

EXTENSION_BYTES_MAX: Final = 8 * 1024
TX_BYTES_MAX: Final = 16 * 1024
BLOCK_TXS_MAX: Final = 65_536
BLOCK_BYTES_MAX: Final = 8 * 1024 * 1024
EVIDENCE_PER_BLOCK_MAX: Final = 16

# Rounds of a height whose votes are kept in full: this many behind and ahead of the current one.
ROUNDS_BEHIND_MAX: Final = 64
ROUNDS_AHEAD_MAX: Final = 16

# Bounds of one encoded record, a generous envelope around its fields.
VOTE_BYTES_MAX: Final = EXTENSION_BYTES_MAX + 512
COMMIT_BYTES_MAX: Final = 256 + VALIDATORS_MAX * 128
EVIDENCE_BYTES_MAX: Final = EVIDENCE_PER_BLOCK_MAX * 2 * 512

ensure(BLOCK_BYTES_MAX > VALIDATORS_MAX * VOTE_BYTES_MAX, "a block can carry one extension of every validator")
ensure(BLOCK_BYTES_MAX > COMMIT_BYTES_MAX + EVIDENCE_BYTES_MAX, "a block can carry its commit and its evidence")
