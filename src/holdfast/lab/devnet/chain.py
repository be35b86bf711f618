"""The validators of a devnet: a data directory opened or laid out, and the cluster over it."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from holdfast.client.signing import SigningKey
from holdfast.lab.devnet.settings import DevnetSettings, SettingsError, margin_word
from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.market.accounts import genesis_accounts, make_custodian
from holdfast.node.application import ValidatorInfo
from holdfast.node.disk import FileDisk, ReadOnlyDisk
from holdfast.node.embedded import Cluster
from holdfast.node.exchange import ReportSource
from holdfast.node.frames import DamagedFileError
from holdfast.node.home import FORMAT, About, Home, HomeError, KeyPair
from holdfast.node.keyguard import KeyGuard
from holdfast.node.loop import Timebase
from holdfast.node.ports import Disk, Network
from holdfast.node.replica_env import ChainConfig, LogLine
from holdfast.node.validator import Surroundings
from holdfast.node.version import VersionError, check_version
from holdfast.primitives import codec
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.genesis import DECODER, Genesis, GenesisAccount
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.ranges.params import RangeParams
from holdfast.protocol.staking.state import Validator

POWER: Final = 10
INSURANCE_ATOMS: Final = 5_000_000 * USDC_ATOMS
BACKSTOP_ATOMS: Final = 10_000_000 * USDC_ATOMS

_EXTRA_DEPOSIT: Final = ((USDC, 1_000 * USDC_ATOMS),)

MakeReporter = Callable[[int], ReportSource]
WrapNetwork = Callable[[int, SigningKey, Network], Network]


class Ground(NamedTuple):
    """What a devnet stands on: its description, genesis and keys, and where its files are (None: in memory)."""

    about: About
    genesis: bytes
    keys: tuple[SigningKey, ...]
    home: Home | None
    is_new: bool

    @property
    def margin(self) -> str:
        """Return whether this chain's ranges are adaptive or fixed."""
        return margin_word(is_adaptive=DECODER.decode(self.genesis).range_params.is_adaptive)


def prepare(settings: DevnetSettings, now_ms: int) -> Ground:
    """Open the data directory, laying it out where it is empty.

    Refuses: HomeError, for a store of another program too.
    """
    if settings.data is None:
        about, genesis, pairs = _lay_out(settings, now_ms)
        return Ground(about, genesis, _signing_keys(pairs), None, is_new=True)
    home = Home(settings.data)
    found = home.open()
    try:
        if found is None:
            about, genesis, pairs = _lay_out(settings, now_ms)
            home.create(about, genesis, pairs)
            return Ground(about, genesis, _signing_keys(pairs), home, is_new=True)
        genesis = home.read_genesis(found)
        pairs = [home.read_key(index) for index in range(found.validators)]
        _check_versions(home, found.validators)
    except BaseException:
        home.close()
        raise
    return Ground(found, genesis, _signing_keys(pairs), home, is_new=False)


def _check_versions(home: Home, validators: int) -> None:
    for index in range(validators):
        disk = ReadOnlyDisk(home.store(index))
        if not disk.names():
            continue
        try:
            # Damage is for the supervisor, who makes the store anew.
            with suppress(DamagedFileError):
                check_version(disk)
        except VersionError as error:
            raise HomeError(f"{home.store(index)}/{error}") from None


def make_cluster(
    settings: DevnetSettings,
    ground: Ground,
    time_base: Timebase,
    *,
    make_reporter: MakeReporter,
    wrap_network: WrapNetwork,
    has_lied: Callable[[int], bool],
    log: LogLine,
) -> Cluster:
    """Return the cluster, still down."""
    about = ground.about
    powers = DECODER.decode(ground.genesis).validators
    infos = [ValidatorInfo(validator.public_key, validator.power) for validator in powers]
    chain = ChainConfig(
        chain_id=about.chain_id,
        genesis=ground.genesis,
        genesis_time_ms=about.genesis_time_ms,
        block_interval_ms=about.block_interval_ms,
    )

    def make(index: int) -> Surroundings:
        key = ground.keys[index]
        return Surroundings(
            index=index,
            validators=infos,
            chain=chain,
            config=replace(settings.replica_config(), has_lied=lambda: has_lied(index)),
            signer=key,
            open_disk=_disk_opener(ground, index),
            report_source=make_reporter(index),
            wrap_network=lambda inner: wrap_network(index, key, inner),
            snapshot_every=settings.snapshot_every,
            keep_blocks=settings.keep_blocks,
            log=log,
        )

    home = ground.home
    return Cluster(
        make,
        about.validators,
        time_base,
        chain_id=about.chain_id,
        genesis_hash=bytes.fromhex(about.genesis_hash),
        block_interval_ms=about.block_interval_ms,
        set_aside=lambda index: "" if home is None else home.set_aside(index).name,
    )


def guard_keys(ground: Ground) -> list[KeyGuard]:
    """Make sure that no other process of this machine signs with these keys.

    Refuses: KeyInUseError.
    """
    guards: list[KeyGuard] = []
    try:
        guards.extend(KeyGuard.acquire(key.public_key) for key in ground.keys)
    except BaseException:
        for guard in guards:
            guard.release()
        raise
    return guards


def check_agreement(settings: DevnetSettings, ground: Ground, asked: frozenset[str]) -> None:
    """Refuse options that a chain which already exists has answered otherwise, with SettingsError."""
    about = ground.about
    answers: tuple[tuple[str, str, int | str, int | str], ...] = (
        ("validators", "", settings.validators, about.validators),
        ("block-interval", "ms", settings.block_interval_ms, about.block_interval_ms),
        ("margin", "", settings.margin, ground.margin),
    )
    for option, unit, wanted, found in answers:
        if option in asked and wanted != found:
            raise SettingsError(
                f"--{option} {wanted}{unit}: the chain in this data directory has {found}{unit}; leave the option out,"
                " or start a new chain with another --data"
            )


def _lay_out(settings: DevnetSettings, now_ms: int) -> tuple[About, bytes, list[KeyPair]]:
    # Fresh keys: two devnets of one seed are two chains, and neither can sign for the other.
    seeds = [os.urandom(32) for _ in range(settings.validators)]
    pairs = [KeyPair(seed, SigningKey(seed).public_key) for seed in seeds]
    chain_id = f"holdfast-dev-{settings.seed}"
    genesis = codec.encode(
        Genesis(
            chain_id=chain_id,
            # The first block carries the chain's start as its time, and time strictly increases.
            time_ms=now_ms - 1,
            validators=tuple(Validator(pair.public_key, POWER) for pair in pairs),
            custodian_key=make_custodian().public_key,
            accounts=(*genesis_accounts(), *_extra_accounts(settings.extra_accounts)),
            insurance_atoms=INSURANCE_ATOMS,
            backstop_atoms=BACKSTOP_ATOMS,
            range_params=RangeParams(is_adaptive=settings.is_adaptive),
        )
    )
    about = About(
        format=FORMAT,
        chain_id=chain_id,
        genesis_hash=sha256(genesis).hex(),
        genesis_time_ms=now_ms,
        validators=settings.validators,
        block_interval_ms=settings.block_interval_ms,
        seed=settings.seed,
    )
    return about, genesis, pairs


def _extra_accounts(count: int) -> Iterator[GenesisAccount]:
    """Yield accounts that only make the state large; their keys are nobody's."""
    for number in range(count):
        yield GenesisAccount(SigningKey(sha256(b"holdfast extra account %d" % number)).public_key, _EXTRA_DEPOSIT)


def _signing_keys(pairs: list[KeyPair]) -> tuple[SigningKey, ...]:
    return tuple(SigningKey(pair.seed) for pair in pairs)


def _disk_opener(ground: Ground, index: int) -> Callable[[], Disk]:
    if ground.home is not None:
        folder = ground.home.store(index)
        return lambda: FileDisk(folder)
    # What is in memory outlives a validator's crash, not the process.
    disk = SimulatedDisk(random.Random(index))
    return lambda: disk
