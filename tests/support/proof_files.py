"""A small state of four validators' chain, and proof files of its rows."""

import hashlib
import json
from typing import Any

from holdfast.client.proofs import make_proof_file
from holdfast.consensus.messages import (
    CheckpointCertificate,
    CheckpointSignature,
    checkpoint_sign_bytes,
    make_sign_domains,
)
from holdfast.primitives import codec
from holdfast.protocol.accounts.state import ACCOUNTS, Account
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.ledger.state import BALANCES
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.staking.state import Validator as GenesisValidator
from holdfast.protocol.surface.state import RISK_ROWS
from holdfast.state.tree import StateTree
from tests.support.replica_network import SeedSigner

CHAIN_ID = "holdfast-test"
POWERS = (10, 10, 10, 10)
HEIGHT, TIME_MS = 77, 1_790_000_000_123
File = dict[str, Any]


def genesis(powers: tuple[int, ...] = POWERS, *, chain_id: str = CHAIN_ID, first: int = 0) -> bytes:
    named = tuple(GenesisValidator(SeedSigner(first + index).public_key, power) for index, power in enumerate(powers))
    return codec.encode(Genesis(chain_id=chain_id, time_ms=1, validators=named, custodian_key=bytes([7]) * 32))


GENESIS = genesis()
GENESIS_HASH = hashlib.sha256(GENESIS).digest()
ROWS: dict[bytes, bytes] = {
    BALANCES.encode_key((1_000, 0)): BALANCES.encode_value(12_500_000),
    BALANCES.encode_key((1_000, 1)): BALANCES.encode_value(150_000_000),
    POSITIONS.encode_key((1_000, 3)): POSITIONS.encode_value(Position(-5, -2_500_000)),
    ACCOUNTS.encode_key(1_000): ACCOUNTS.encode_value(Account(bytes([9]) * 32, 1_000, 0, 0)),
    RISK_ROWS.encode_key(3): bytes(range(256)),
    **{BALANCES.encode_key((account, 0)): BALANCES.encode_value(account) for account in range(2_000, 2_006)},
}


def tree() -> StateTree:
    built = StateTree()
    built.apply(built.plan(list(ROWS.items())))
    return built


TREE = tree()


def certify(
    app_hash: bytes = TREE.root,
    *,
    signers: tuple[int, ...] = (0, 1, 2, 3),
    height: int = HEIGHT,
    genesis_hash: bytes = GENESIS_HASH,
    first: int = 0,
) -> CheckpointCertificate:
    message = checkpoint_sign_bytes(make_sign_domains(CHAIN_ID, genesis_hash), height, TIME_MS, app_hash)
    entries = tuple(CheckpointSignature(index, SeedSigner(first + index).sign(message)) for index in signers)
    return CheckpointCertificate(height, TIME_MS, app_hash, entries)


def pieces(key: bytes, *, with_genesis: bool = True) -> File:
    proof = TREE.prove(key)
    return {
        "chain_id": CHAIN_ID,
        "genesis_hash": GENESIS_HASH,
        "key": key,
        "value": ROWS.get(key),
        "siblings": proof.siblings,
        "other_leaf": None if proof.other is None else (proof.other.path, proof.other.value_hash),
        "certificate": certify(),
        "validators": [(SeedSigner(index).public_key, power) for index, power in enumerate(POWERS)],
        "genesis": GENESIS if with_genesis else None,
    }


def made(key: bytes, *, with_genesis: bool = True) -> File:
    return make_proof_file(**pieces(key, with_genesis=with_genesis))


def text(file: File) -> bytes:
    return json.dumps(file, indent=1).encode()


def absent(*, ends_in_other_leaf: bool) -> bytes:
    keys = (BALANCES.encode_key((account, 2)) for account in range(9_000, 9_999))
    return next(key for key in keys if (TREE.prove(key).other is not None) == ends_in_other_leaf)


BALANCE = BALANCES.encode_key((1_000, 0))
CASES = {
    "present": BALANCE,
    "position": POSITIONS.encode_key((1_000, 3)),
    "absent beside a leaf": absent(ends_in_other_leaf=True),
    "absent in an empty subtree": absent(ends_in_other_leaf=False),
}


def forged(powers: tuple[int, ...] = POWERS) -> bytes:
    """A proof that somebody makes with keys of their own, whole in itself."""
    own = genesis(powers, first=50)
    own_hash = hashlib.sha256(own).digest()
    file = {
        **pieces(BALANCE),
        "genesis": own,
        "genesis_hash": own_hash,
        "validators": [(SeedSigner(50 + index).public_key, power) for index, power in enumerate(powers)],
        "certificate": certify(genesis_hash=own_hash, first=50),
    }
    return text(make_proof_file(**file))
