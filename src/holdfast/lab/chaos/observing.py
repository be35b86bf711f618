"""All that a stopped validator would serve, taken from its files by the node's own start, to compare two copies."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.client.signing import SigningKey
from holdfast.lab.chaos.evidence import Signatures, Slot
from holdfast.lab.chaos.stepped import Script, Stepped
from holdfast.node.application import ValidatorInfo
from holdfast.node.disk import FileDisk
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.home import Home
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig, HaltError
from holdfast.primitives.crypto import sha256
from holdfast.protocol.genesis import DECODER

NONE: Final = b""
_NEVER: Final = 2**62


class Observed(NamedTuple):
    """What a validator has and would serve. A digest that is empty stands for what it says it has not."""

    height: int
    app_hash: bytes
    rows: bytes
    blocks: dict[int, bytes]
    app_hashes: dict[int, bytes]
    snapshots: dict[int, tuple[bytes, ...]]
    votes: dict[Slot, tuple[bytes, bytes]]
    checkpoint: tuple[int, bytes]  # the newest certificate's height and app hash
    damage: tuple[str, ...]


Observe = Callable[[Path], Observed]


def observe_stepped(script: Script) -> Observe:
    """Return what observes the store of a validator that was alone."""

    def observe(store: Path) -> Observed:
        node = Stepped(store, script)
        try:
            return _look(store, node.replica, node.app)
        finally:
            node.close()

    return observe


def observe_home(root: Path, index: int) -> Observe:
    """Return what observes the store of one validator of a data directory."""
    home = Home(root)
    about = home.read_about()
    genesis = home.read_genesis(about)
    key = SigningKey(home.read_key(index).seed)
    chain = ChainConfig(
        chain_id=about.chain_id,
        genesis=genesis,
        genesis_time_ms=about.genesis_time_ms,
        block_interval_ms=about.block_interval_ms,
    )
    infos = [ValidatorInfo(one.public_key, one.power) for one in DECODER.decode(genesis).validators]

    def observe(store: Path) -> Observed:
        disk = FileDisk(store)
        app = ExchangeApplication(disk, lambda _height, _draft: b"", snapshot_every=_NEVER)
        replica = Replica(
            index=index,
            validators=infos,
            chain=chain,
            application=app,
            clock=_StandingClock(about.genesis_time_ms),
            network=_NoNetwork(),
            disk=disk,
            signer=key,
        )
        try:
            replica.start()
            if replica.halt_reason:
                raise HaltError(replica.halt_reason)
            return _look(store, replica, app)
        finally:
            app.close()
            disk.close()

    return observe


class _StandingClock:
    """Time stands still, and no timer fires."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def set_timer(self, delay_ms: int, token: bytes) -> None:
        """Never fire."""


class _NoNetwork:
    """Nobody else."""

    def send(self, peer: int, message: bytes) -> None:
        """Send nothing."""

    def broadcast(self, message: bytes) -> None:
        """Send nothing."""


def _look(store: Path, replica: Replica, app: ExchangeApplication) -> Observed:
    blocks: dict[int, bytes] = {}
    app_hashes: dict[int, bytes] = {}
    for height in range(1, replica.height + 1):
        stored, outcome = replica.block_at(height), replica.outcome_at(height)
        if stored is None or outcome is None:
            blocks[height] = NONE
            continue
        votes = b"".join(vote.signature + vote.extension for vote in stored.votes)
        blocks[height] = sha256(stored.data + votes + repr(outcome).encode())
        app_hashes[height] = outcome.app_hash
    snapshots = {
        info.height: tuple(
            sha256(chunk) if (chunk := app.load_snapshot_chunk(info.height, info.format, number)) else NONE
            for number in range(info.chunks)
        )
        for info in app.list_snapshots()
    }
    signatures = Signatures()
    signatures.add_sign_log(store)
    newest = replica.latest_checkpoint()
    return Observed(
        height=replica.height,
        app_hash=replica.app_hash,
        rows=sha256(b"".join(key + value for key, value in app.state.export())),
        blocks=blocks,
        app_hashes=app_hashes,
        snapshots=snapshots,
        votes=signatures.votes,
        checkpoint=(0, NONE) if newest is None else (newest.height, newest.app_hash),
        damage=app.damage,
    )
