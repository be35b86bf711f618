"""Proof files: one row of the state, or its absence, with all that is needed to check it without a node.

A file is JSON, described in `docs/proofs.md`. `make_proof_file` builds one, `verify_proof` checks one; what makes it
true is in `client/proof_rules.py`. Whom to trust is never taken from the file: a `TrustedChain` says it.

Fields for people (table, key, value) repeat what the bytes say, and a file in which they differ is refused, so that
nobody reads one thing where another is proven.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final, Literal, NamedTuple, Self, cast

import msgspec
from msgspec import Meta

from holdfast.client import proof_rules as rules
from holdfast.client.proof_rows import read_row
from holdfast.client.proof_rules import Leaf, Validator
from holdfast.consensus.limits import HEIGHT_MAX, POWER_TOTAL_MAX, TIME_MS_MAX, VALIDATORS_MAX
from holdfast.consensus.messages import CheckpointCertificate
from holdfast.primitives.crypto import verify_many

FORMAT: Final = "holdfast-proof"
VERSION: Final = 1
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
# A larger genesis travels apart from the proof.
GENESIS_BYTES_MAX: Final = 256 * 1024
_KEY_BYTES_MAX: Final = 256
_VALUE_BYTES_MAX: Final = 64 * 1024


_Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Hex64 = Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]
_Bytes = r"^([0-9a-f]{2})*\Z"
_Index = Annotated[int, Meta(ge=0, lt=VALIDATORS_MAX)]


class ProofFormError(Exception):
    """What was given is no proof file, or no genesis, that this program can read: what is wrong with it, in a line."""


class NotProvenError(Exception):
    """The file is whole, and what it states does not follow from what it holds: why, in one line."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file: every field is there, and no other."""


class _Leaf(_Part, frozen=True):
    path: _Hex32
    value_hash: _Hex32


class _Validator(_Part, frozen=True):
    public_key: _Hex32
    power: Annotated[int, Meta(ge=0, le=POWER_TOTAL_MAX)]


class _Signature(_Part, frozen=True):
    validator: _Index
    signature: _Hex64


class _File(_Part, frozen=True):
    format: Literal["holdfast-proof"]
    version: Literal[1]
    chain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    genesis_hash: _Hex32
    height: Annotated[int, Meta(ge=1, le=HEIGHT_MAX)]
    time_ms: Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
    app_hash: _Hex32
    table: str
    key: object
    key_hex: Annotated[str, Meta(pattern=_Bytes, min_length=2, max_length=2 * _KEY_BYTES_MAX)]
    value: object
    value_hex: Annotated[str, Meta(pattern=_Bytes, max_length=2 * _VALUE_BYTES_MAX)] | None
    siblings: Annotated[tuple[_Hex32, ...], Meta(max_length=rules.LEVELS_MAX)]
    other_leaf: _Leaf | None
    validators: Annotated[tuple[_Validator, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
    validators_hash: _Hex32
    signatures: Annotated[tuple[_Signature, ...], Meta(max_length=VALIDATORS_MAX)]
    genesis: Annotated[str, Meta(pattern=_Bytes, max_length=2 * GENESIS_BYTES_MAX)] | None


class TrustedChain(NamedTuple):
    """The chain that a verifier trusts: by its genesis, or by the hash that the genesis in the file must have."""

    genesis_hash: bytes
    chain_id: str | None = None
    validators: tuple[Validator, ...] | None = None

    @classmethod
    def from_genesis(cls, genesis: bytes) -> Self:
        """Trust the validators that a genesis names.

        Refuses: ProofFormError, for bytes that are no genesis.
        """
        chain_id, validators = _read_genesis(genesis)
        return cls(sha256(genesis).digest(), chain_id, validators)

    @classmethod
    def from_genesis_hash(cls, genesis_hash: bytes) -> Self:
        """Trust whatever genesis has this hash."""
        return cls(genesis_hash)


class Statement(NamedTuple):
    """What a file that checks says, and by whose word."""

    chain_id: str
    genesis_hash: bytes
    height: int
    time_ms: int
    app_hash: bytes
    table: str
    key: object
    value: object
    is_present: bool
    words: str
    signers: tuple[int, ...]
    validators: int
    power_signed: int
    power_total: int
    is_trusted: bool


def make_proof_file(
    *,
    chain_id: str,
    genesis_hash: bytes,
    key: bytes,
    value: bytes | None,
    siblings: Sequence[bytes],
    other_leaf: tuple[bytes, bytes] | None,
    certificate: CheckpointCertificate,
    validators: Sequence[tuple[bytes, int]],
    genesis: bytes | None = None,
) -> dict[str, object]:
    """Return the file that shows what the state under a certificate holds at `key`, ready to be written as JSON.

    `value` is None where it holds nothing. `validators` are keys and powers of the certificate's height, by index. The
    genesis goes along where it is small, so that its hash is all that a verifier needs to know.

    Refuses: NotProvenError, where the parts do not fit each other, such as a certificate of another state.
    """
    row = read_row(key, value)
    carried = genesis if genesis is not None and len(genesis) <= GENESIS_BYTES_MAX else None
    file: dict[str, object] = {
        "format": FORMAT,
        "version": VERSION,
        "chain_id": chain_id,
        "genesis_hash": genesis_hash.hex(),
        "height": certificate.height,
        "time_ms": certificate.time_ms,
        "app_hash": certificate.app_hash.hex(),
        "table": row.table,
        "key": row.key,
        "key_hex": key.hex(),
        "value": row.value,
        "value_hex": None if value is None else value.hex(),
        "siblings": [sibling.hex() for sibling in siblings],
        "other_leaf": other_leaf and {"path": other_leaf[0].hex(), "value_hash": other_leaf[1].hex()},
        "validators": [{"public_key": public_key.hex(), "power": power} for public_key, power in validators],
        "validators_hash": rules.hash_validators([Validator(*validator) for validator in validators]).hex(),
        "signatures": [
            {"validator": entry.validator_index, "signature": entry.signature.hex()} for entry in certificate.signatures
        ],
        "genesis": None if carried is None else carried.hex(),
    }
    verify_parsed(file, None)
    return file


def verify_proof(file: bytes, trusted: TrustedChain | None = None) -> Statement:
    """Check a proof file; without a trusted chain, only that it is consistent, which the statement then says.

    Refuses: ProofFormError, for what is no proof file; NotProvenError, where a statement does not follow.
    """
    return verify_parsed(_parse(file), trusted)


def verify_parsed(content: object, trusted: TrustedChain | None) -> Statement:
    """Check a proof file that has been read as JSON already. Refuses: as `verify_proof`."""
    file = _convert(content)
    key = bytes.fromhex(file.key_hex)
    value = None if file.value_hex is None else bytes.fromhex(file.value_hex)
    app_hash, genesis_hash = bytes.fromhex(file.app_hash), bytes.fromhex(file.genesis_hash)
    validators = tuple(Validator(bytes.fromhex(one.public_key), one.power) for one in file.validators)

    row = read_row(key, value)
    for name, shown, read in (
        ("table", file.table, row.table),
        ("key", file.key, row.key),
        ("value", file.value, row.value),
    ):
        if not _is_same(shown, read):
            raise NotProvenError(f"{name}: it is not what the bytes of key and value read as in this version")

    leaf = file.other_leaf
    other = None if leaf is None else Leaf(bytes.fromhex(leaf.path), bytes.fromhex(leaf.value_hash))
    if rules.compute_root(key, value, [bytes.fromhex(sibling) for sibling in file.siblings], other) != app_hash:
        raise NotProvenError("siblings: the way from this row does not lead to the app hash")

    if rules.hash_validators(validators).hex() != file.validators_hash:
        raise NotProvenError("validators: their hash is not validators_hash")
    signers = _check_signatures(file, validators, genesis_hash, app_hash)
    is_trusted = _check_origin(file, validators, genesis_hash, trusted)
    return Statement(
        chain_id=file.chain_id,
        genesis_hash=genesis_hash,
        height=file.height,
        time_ms=file.time_ms,
        app_hash=app_hash,
        table=row.table,
        key=row.key,
        value=row.value,
        is_present=value is not None,
        words=row.words,
        signers=signers,
        validators=sum(validator.power > 0 for validator in validators),
        power_signed=sum(validators[index].power for index in signers),
        power_total=sum(validator.power for validator in validators),
        is_trusted=is_trusted,
    )


def _check_signatures(
    file: _File, validators: tuple[Validator, ...], genesis_hash: bytes, app_hash: bytes
) -> tuple[int, ...]:
    """Return who signed. Every signature must be sound: a file holds nothing that does not count."""
    signers = tuple(entry.validator for entry in file.signatures)
    if any(low >= high for low, high in pairwise(signers)):
        raise NotProvenError("signatures: they are not in order, each validator once")
    for index in signers:
        if index >= len(validators) or validators[index].power == 0:
            raise NotProvenError(f"signatures: {index} is no validator with power")
    if not rules.has_quorum(validators, signers):
        raise NotProvenError("signatures: they are of two thirds of power or less")
    message = rules.checkpoint_message(file.chain_id, genesis_hash, file.height, file.time_ms, app_hash)
    checks = [
        (validators[entry.validator].public_key, message, bytes.fromhex(entry.signature)) for entry in file.signatures
    ]
    for index, is_sound in zip(signers, verify_many(checks), strict=True):
        if not is_sound:
            raise NotProvenError(f"signatures: that of validator {index} does not verify")
    return signers


def _check_origin(
    file: _File, validators: tuple[Validator, ...], genesis_hash: bytes, trusted: TrustedChain | None
) -> bool:
    """Compare chain and validators with the genesis that the file carries, and with what is trusted."""
    if file.genesis is not None:
        carried = TrustedChain.from_genesis(bytes.fromhex(file.genesis))
        _compare("genesis", carried, file.chain_id, genesis_hash, validators)
    if trusted is None:
        return False
    if trusted.genesis_hash != genesis_hash:
        raise NotProvenError("genesis_hash: the file is of another chain than the one that you trust")
    if trusted.validators is None and file.genesis is None:
        raise ProofFormError(
            "genesis: the file carries none, so that a hash alone does not tell who validates; give the genesis itself"
        )
    _compare("the genesis that you trust", trusted, file.chain_id, genesis_hash, validators)
    return True


def _compare(
    name: str, chain: TrustedChain, chain_id: str, genesis_hash: bytes, validators: tuple[Validator, ...]
) -> None:
    if chain.genesis_hash != genesis_hash:
        raise NotProvenError(f"{name}: its hash is not genesis_hash")
    if chain.chain_id is not None and chain.chain_id != chain_id:
        raise NotProvenError(f"{name}: it is of chain {chain.chain_id!a}, not of chain_id")
    if chain.validators is not None and chain.validators != validators:
        raise NotProvenError(f"{name}: it names other validators; a set that changed since genesis is not followed")


def _read_genesis(genesis: bytes) -> tuple[str, tuple[Validator, ...]]:
    """Return chain id and validators: the first and the third field of a genesis.

    Why not the whole: a verifier depends on what it trusts and on nothing else of a chain's beginning.
    """
    try:
        content: object = msgspec.msgpack.decode(genesis)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise ProofFormError("genesis: these bytes are no genesis") from None
    match content:
        case [str(chain_id), int(), [*named], *_] if named:
            return chain_id, tuple(map(_read_validator, named))
    raise ProofFormError("genesis: these bytes name no chain and validators")


def _read_validator(content: object) -> Validator:
    match content:
        case [bytes(public_key), int(power)] if len(public_key) == rules.HASH_BYTES:
            return Validator(public_key, power)
    raise ProofFormError("genesis: a validator in it has no key and power")


def _parse(file: bytes) -> object:
    if len(file) > FILE_BYTES_MAX:
        raise ProofFormError(f"{len(file)} bytes, where a proof file has at most {FILE_BYTES_MAX}")
    try:
        return cast(
            "object",
            json.loads(
                file.decode("utf-8"),
                object_pairs_hook=_object_of,
                parse_float=_refuse_number,
                parse_constant=_refuse_number,
            ),
        )
    except RecursionError:
        raise ProofFormError("it is nested too deeply to be a proof file") from None
    except ValueError as error:
        raise ProofFormError(f"it is not JSON of a proof file: {' '.join(str(error).split())[:120]}") from None


def _object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def _refuse_number(text: str) -> float:
    message = f"{text[:40]} is no integer"
    raise ValueError(message)


def _convert(content: object) -> _File:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ProofFormError(f"format: a proof file says {FORMAT!r}; this is another kind of file")
    if content.get("version") != VERSION or isinstance(content["version"], bool):
        raise ProofFormError(f"version: this program reads version {VERSION}; use the program that goes with the file")
    try:
        return msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise ProofFormError(str(error)) from None


def _is_same(shown: object, read: object) -> bool:
    """Compare JSON values by type, too: true is not 1."""
    if isinstance(shown, dict) and isinstance(read, dict):
        return shown.keys() == read.keys() and all(_is_same(shown[name], read[name]) for name in shown)
    if isinstance(shown, list) and isinstance(read, list):
        return len(shown) == len(read) and all(map(_is_same, shown, read))
    return type(shown) is type(read) and shown == read
