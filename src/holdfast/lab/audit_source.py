"""The chain that an audit reads: a data directory's block log, opened without touching a byte, judged block by block.

The directory may belong to a running process: nothing is locked, created, removed or written. What is taken for true is
the genesis and its validators' keys; every block must follow from the one before under a certificate.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.consensus.commit import check_commit, make_commit
from holdfast.consensus.messages import Block, Commit, CommitSignature, decode_block, header_hash, make_sign_domains
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.node.application import BlockRequest
from holdfast.node.blockstore import PREFIX, BlockStore, Outcome, StoredBlock
from holdfast.node.evidence_pool import proof_key
from holdfast.node.frames import HEADER_BYTES, DamagedFileError, frame_bytes, open_frame
from holdfast.node.home import About, Home, HomeError
from holdfast.node.replica_env import ChainConfig
from holdfast.node.replica_rules import (
    fault_of_body,
    fault_of_contents,
    fault_of_header,
    oldest_evidence_height,
    request_of,
)
from holdfast.node.replica_tip import Tip, genesis_tip, sets_after
from holdfast.node.version import FILE, VersionError, check_version
from holdfast.primitives.codec import encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed
from holdfast.protocol.genesis import DECODER

_SEARCH_BYTES: Final = 8 * 1024 * 1024


class AuditInputError(Exception):
    """What was asked for cannot be audited; its one line names the input and the mend."""


class FaultyBlockError(Exception):
    """A stored block does not follow from the chain before it."""


class ClaimError(Exception):
    """What validators have signed of the block before is not what was computed."""

    def __init__(self, what: str, ours: bytes, theirs: bytes) -> None:
        """Keep both."""
        super().__init__(what)
        self.what = what
        self.ours = ours
        self.theirs = theirs


class ReadOnlyDisk:
    """A validator's files, to be read. The program that they belong to may be writing them."""

    def __init__(self, root: Path) -> None:
        """Use a folder."""
        self._root = root

    def names(self) -> list[str]:
        """Return the files that exist, sorted."""
        return sorted(path.name for path in self._root.iterdir() if path.is_file())

    def read(self, name: str) -> bytes:
        """Return a whole file, empty where absent."""
        path = self._root / name
        return path.read_bytes() if path.exists() else b""

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return part of a file."""
        try:
            with (self._root / name).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def size(self, name: str) -> int:
        """Return a file's length in bytes, zero where it is absent."""
        path = self._root / name
        return path.stat().st_size if path.exists() else 0

    def sync(self, name: str) -> None:
        """Leave it to whoever writes."""

    def append(self, name: str, data: bytes) -> None:
        """Refuse."""
        raise AuditInputError(f"{name}: an audit writes nothing, and {len(data)} bytes were to be appended")

    def replace(self, name: str, data: bytes) -> None:
        """Refuse."""
        raise AuditInputError(f"{name}: an audit writes nothing, and {len(data)} bytes were to replace it")

    def delete(self, name: str) -> None:
        """Refuse."""
        raise AuditInputError(f"{name}: an audit deletes nothing")

    def close(self) -> None:
        """Keep nothing open."""


class Judged(NamedTuple):
    """A block that follows from the chain before it, and what the log says that it came to."""

    request: BlockRequest
    recorded: Outcome | None


class ChainLog:
    """One validator's block log, from its first height on."""

    def __init__(self, directory: Path, validator: int | None = None) -> None:
        """Open a data directory; without a validator, the one whose log is whole and longest.

        Refuses: AuditInputError.
        """
        home = Home(directory)
        try:
            self.about: About = home.read_about()
            self.genesis = home.read_genesis(self.about)
            powers = [Validator(one.public_key, one.power) for one in DECODER.decode(self.genesis).validators]
        except (HomeError, Malformed) as error:
            raise AuditInputError(str(error)) from None
        self.validator, self._store, faults = _open_store(home, self.about, validator)
        self.last = self._store.last
        self.note = "; ".join(filter(None, [self._store.cut, *faults]))
        self._chain = ChainConfig(
            chain_id=self.about.chain_id,
            genesis=self.genesis,
            genesis_time_ms=self.about.genesis_time_ms,
            block_interval_ms=self.about.block_interval_ms,
        )
        self._domains = make_sign_domains(self.about.chain_id, bytes.fromhex(self.about.genesis_hash))
        self.tip: Tip = genesis_tip(ValidatorSet(powers), self.about.genesis_time_ms)
        self._commit: Commit | None = None

    def begin(self, app_hash: bytes) -> None:
        """Note the genesis state's root, which the first header must name."""
        self.tip = self.tip._replace(app_hash=app_hash)

    def read(self) -> Judged:
        """Return the next block, judged: body, header, time, last commit, evidence, and its own certificate.

        Refuses: AuditInputError, for a damaged or missing record; FaultyBlockError, for a block that does not follow;
        ClaimError, where its header says something else of the block before than was computed.
        """
        height = self.tip.height + 1
        stored, recorded = self._store.load(height), self._store.outcome(height)
        if stored is None or self._store.tip_at(height) is None:
            raise AuditInputError(
                f"validator-{self.validator}: the record of block {height} is damaged or missing;"
                " choose another with --validator, or restore a backup"
            )
        try:
            block = decode_block(stored.data)
        except Malformed as error:
            raise FaultyBlockError(f"it is no block: {error}") from None
        block_hash = header_hash(block.header)
        certificate = self._check_certificate(stored, block_hash)
        header, tip = block.header, self.tip
        for what, ours, theirs in (
            ("app hash", tip.app_hash, header.app_hash),
            ("results hash", tip.results_hash, header.last_results_hash),
        ):
            if ours != theirs:
                raise ClaimError(what, ours, theirs)
        fault = (
            fault_of_body(block)
            or fault_of_header(tip, self._chain, header)
            or fault_of_contents(tip, self._chain, self._domains, block, self._verified(block.last_commit))
        )
        if fault:
            raise FaultyBlockError(fault)
        self._block, self._block_hash, self._commit = block, block_hash, certificate
        return Judged(request_of(self.tip, block, block_hash), recorded)

    def advance(self, app_hash: bytes, results: Sequence[tuple[int, bytes]]) -> None:
        """Go on behind the block that was read, whose effect the next header must name."""
        block: Block = self._block
        oldest = oldest_evidence_height(self.tip, self._chain)
        proven = {key for key in self.tip.proven if key[0] >= oldest} | {proof_key(proof) for proof in block.evidence}
        self.tip = Tip(
            height=block.header.height,
            block_hash=self._block_hash,
            time_ms=block.header.time_ms,
            app_hash=app_hash,
            results_hash=sha256(encode(list(results))),
            sets=sets_after(self.tip, ()),
            proven=frozenset(proven),
        )

    def _check_certificate(self, stored: StoredBlock, block_hash: bytes) -> Commit:
        """Return the precommits that decided a block, once they have verified."""
        if not stored.votes:
            raise FaultyBlockError("it has no certificate")
        certificate = make_commit(stored.votes)
        wrong = check_commit(self.tip.validators, self._domains, certificate, self.tip.height + 1, block_hash)
        if wrong is not None:
            raise FaultyBlockError(f"its certificate: {wrong}")
        return certificate

    def _verified(self, commit: Commit) -> frozenset[CommitSignature]:
        """Return the entries of the last certificate, which were verified with its block."""
        known = self._commit
        return frozenset() if known is None or known.round != commit.round else frozenset(known.signatures)


def _open_store(home: Home, about: About, wanted: int | None) -> tuple[int, BlockStore, list[str]]:
    """Open the log of a validator, or of the one whose log reaches furthest; also say what is wrong with others'."""
    if wanted is not None and not 0 <= wanted < about.validators:
        raise AuditInputError(f"--validator {wanted}: this chain has validators 0 to {about.validators - 1}")
    found: list[tuple[int, int, BlockStore]] = []
    faults: list[str] = []
    for index in range(about.validators) if wanted is None else [wanted]:
        if wanted is None and not home.store(index).is_dir():
            continue
        try:
            store = _open_one(home.store(index), index)
        except AuditInputError as error:
            faults.append(str(error))
            continue
        found.append((store.last, -index, store))
    if not found:
        raise AuditInputError(faults[0] if faults else f"{home.root}: no validator has a store here")
    _, negative, store = max(found, key=lambda entry: entry[:2])
    return -negative, store, faults


def _open_one(folder: Path, index: int) -> BlockStore:
    name = f"validator-{index}"
    if not folder.is_dir():
        raise AuditInputError(f"{name}: has no store in this directory; choose another with --validator")
    disk = ReadOnlyDisk(folder)
    try:
        if disk.read(FILE):
            check_version(disk)
        store = BlockStore(disk)
    except (VersionError, DamagedFileError, ValueError, OSError) as error:
        raise AuditInputError(f"{name}: {error}") from None
    if store.last == 0:
        why = store.cut or "holds no blocks"
        raise AuditInputError(f"{name}: {why}; choose another with --validator")
    if store.first > 1:
        raise AuditInputError(
            f"{name}: its log begins at block {store.first}: what came before was pruned, or its state came from a"
            " snapshot; an audit begins at genesis, so choose another with --validator"
        )
    if store.cut and _has_blocks_behind(disk, store.cut):
        # A running process may have written on in between; damage stays where it is.
        before, store = store.cut, BlockStore(disk)
        if store.cut != before:
            return store
        raise AuditInputError(f"{name}: {store.cut}, with blocks behind it; choose another with --validator")
    return store


def _has_blocks_behind(disk: ReadOnlyDisk, cut: str) -> bool:
    """Tell damage from a torn end: behind damage more than one whole frame is left, behind a torn write at most one."""
    segment = max(name for name in disk.names() if name.startswith(PREFIX))
    data = disk.read(segment)
    start = int(cut.rpartition(" at byte ")[2].partition(" ")[0])
    data = data[start : start + _SEARCH_BYTES]
    whole = at = 0
    while at + HEADER_BYTES <= len(data) and whole <= 1:
        length = frame_bytes(data[at : at + HEADER_BYTES]) if data[at] == 0 else None
        is_whole = length is not None and open_frame(data[at : at + length]) is not None
        whole += is_whole
        at += length if is_whole and length is not None else 1
    return whole > 1
