"""The chain: where it stands, its blocks and validators, and proofs of what its state holds."""

import asyncio
from contextlib import suppress
from typing import Final

from holdfast.client.proofs import NotProvenError, make_proof_file
from holdfast.consensus.messages import CheckpointCertificate, decode_block
from holdfast.gateway import params
from holdfast.gateway.api import Call, Method, Read, act, read
from holdfast.gateway.backend import Backend
from holdfast.gateway.errors import ApiCode, ApiError, bad_param, not_found, too_many
from holdfast.gateway.follow import fetch_commit
from holdfast.gateway.objects import Shown
from holdfast.gateway.rows import Builder, TxRow
from holdfast.gateway.sealed import IndexDamagedError
from holdfast.protocol.schema import TABLES
from holdfast.state.proof import PROOF_DECODER

_TXS_SHOWN_MAX: Final = 1_000
_GENESIS_BYTES_MAX: Final = 1024 * 1024
_CHECKPOINT_WAIT_S: Final = 3.0
_CHECKPOINT_WAITERS_MAX: Final = 64
_CHECKPOINT_LOOK_S: Final = 0.02
_KEY_BYTES: Final = 32
_NUMBER_CHARS: Final = 19
_PARTS: Final = {"u64": "a number", "b32": "64 hexadecimal digits"}
_waiters: Final = asyncio.Semaphore(_CHECKPOINT_WAITERS_MAX)
_TABLES: Final = {table.name.replace(" ", "_"): table for table in TABLES if table.tag is not None}


def status(here: Read, _given: params.Nothing) -> Shown:
    """Return which chain this is and where it stands."""
    api = here.api
    return {
        "locked": "false",
        "locked_indices": [],
        "chain_id": api.backend.chain_id,
        "genesis_hash": api.backend.genesis_hash.hex(),
        "time_ms": here.view.time_ms,
        "block_interval_ms": api.backend.block_interval_ms,
        "persistence": api.persistence,
        "validator": here.view.validator,
        "index_height": api.history.height,
        "is_stalled": api.metrics.is_stalled(),
        "is_devnet": api.dev is not None,
    }


async def get_validators(call: Call, _given: params.Nothing) -> list[Shown]:
    """Return how every validator is."""
    return [
        {
            "index": one.index,
            "name": one.name,
            "public_key": one.public_key.hex(),
            "power": one.power,
            "status": one.status,
            "height": one.height,
            "app_hash": one.app_hash.hex(),
            "restarts": one.restarts,
        }
        for one in call.api.backend.statuses()
    ]


async def get_genesis(call: Call, _given: params.Nothing) -> Shown:
    """Return what the chain began from, whole where it is not too large."""
    backend, genesis = call.api.backend, call.api.genesis
    shown: Shown = {"chain_id": backend.chain_id, "genesis_hash": backend.genesis_hash.hex()}
    if genesis is not None and len(genesis) <= _GENESIS_BYTES_MAX:
        shown["genesis"] = genesis.hex()
    return shown


def get_block(here: Read, given: params.AtHeight) -> Shown:
    """Return a block: its header, its transactions and what they came to."""
    height = here.view.height if given.height is None else given.height
    backend = here.api.backend
    stored, outcome = backend.block_at(height), backend.outcome_at(height)
    if stored is None or outcome is None:
        raise not_found("height", f"height: block {height} is not kept here; the last one is {here.view.height}")
    block = decode_block(stored.data)
    rows = _list_txs(here, height, max(0, len(block.txs) - 1))
    return {
        "block_height": height,
        "time_ms": outcome.time_ms,
        "block_app_hash": outcome.app_hash.hex(),
        "previous_app_hash": block.header.app_hash.hex(),
        "chain_id": block.header.chain_id,
        "transactions": len(block.txs) - 1 if block.txs else 0,
        "bytes": len(stored.data),
        "txs": [
            {
                "tx_hash": row.tx_hash,
                "account_id": row.account_id,
                "signer": row.signer,
                "nonce": row.nonce,
                "command": row.command,
                "code": row.code,
            }
            for row in rows[:_TXS_SHOWN_MAX]
        ],
    }


def _list_txs(here: Read, height: int, count: int) -> list[TxRow]:
    """Return a block's transactions, from the block itself where the index does not hold all of them."""
    with suppress(IndexDamagedError):
        rows = here.api.history.list_txs(height)
        if len(rows) == count:
            return rows
    commit = fetch_commit(here.api.backend, height)
    return [] if commit is None else Builder(commit, {}, {}).build().txs


def show_checkpoint(certificate: CheckpointCertificate) -> Shown:
    """Return a checkpoint as JSON."""
    return {
        "height": certificate.height,
        "time_ms": certificate.time_ms,
        "app_hash": certificate.app_hash.hex(),
        "signatures": [
            {"validator_index": one.validator_index, "signature": one.signature.hex()} for one in certificate.signatures
        ],
    }


async def get_checkpoint(call: Call, given: params.AtHeight) -> Shown:
    """Return the validators' checkpoint of a height, the newest that there is without one."""
    backend = call.api.backend
    top = max((one.height for one in backend.statuses()), default=0)
    heights = range(top, max(0, top - 16), -1) if given.height is None else (given.height,)
    for height in heights:
        found = backend.checkpoint_at(height)
        if found is not None:
            return show_checkpoint(found)
    raise not_found("height", f"height: no checkpoint of {given.height or 'a recent block'} is kept here")


def find_key(given: params.GetProof) -> bytes:
    """Return a row's key as bytes. Refuses: INVALID_PARAMS."""
    if given.path is not None:
        return bytes.fromhex(given.path)
    if given.table is None or given.key is None:
        raise bad_param("path", "give path, or table and key")
    table = _TABLES.get(given.table.replace(" ", "_"))
    if table is None:
        raise bad_param("table", f"there is no such table; there are {', '.join(_TABLES)}")
    parts = str(given.key).split(",")
    words = f"a key of {given.table} is {', '.join(_PARTS[part] for part in table.parts)}"
    if len(parts) != len(table.parts):
        raise bad_param("key", words)
    read_parts: list[int | bytes] = []
    for kind, part in zip(table.parts, parts, strict=True):
        is_good = part.isdecimal() and len(part) < _NUMBER_CHARS if kind == "u64" else len(part) == 2 * _KEY_BYTES
        if not is_good:
            raise bad_param("key", words)
        read_parts.append(int(part) if kind == "u64" else bytes.fromhex(part))
    return table.encode_key(read_parts[0] if len(read_parts) == 1 else tuple(read_parts))


async def get_proof(call: Call, given: params.GetProof) -> Shown:
    """Return a proof file: a row of the state, or its absence, under the validators' checkpoint of that height."""
    key = find_key(given)
    api = call.api
    answer = api.backend.query("row", key)
    proof = PROOF_DECODER.decode(answer.proof)
    certificate = await _wait_for_checkpoint(api.backend, answer.height)
    try:
        return make_proof_file(
            chain_id=api.backend.chain_id,
            genesis_hash=api.backend.genesis_hash,
            key=key,
            value=answer.value or None,
            siblings=proof.siblings,
            other_leaf=None if proof.other is None else (proof.other.path, proof.other.value_hash),
            certificate=certificate,
            validators=[(one.public_key, one.power) for one in api.backend.statuses()],
            genesis=api.genesis,
        )
    except NotProvenError as error:
        raise ApiError(ApiCode.RETRY, "NOT_PROVEN", f"try again: {error}", retryable=True) from None


async def _wait_for_checkpoint(backend: Backend, height: int) -> CheckpointCertificate:
    """Wait a moment: validators sign a state after they have committed it. Refuses: RETRY."""
    certificate = backend.checkpoint_at(height)
    if certificate is not None:
        return certificate
    if _waiters.locked():
        raise too_many("TOO_MANY_PROOFS", f"{_CHECKPOINT_WAITERS_MAX} proofs wait for a checkpoint; try again soon")
    async with _waiters:
        for _ in range(int(_CHECKPOINT_WAIT_S / _CHECKPOINT_LOOK_S)):
            await asyncio.sleep(_CHECKPOINT_LOOK_S)
            certificate = backend.checkpoint_at(height)
            if certificate is not None:
                return certificate
    words = f"the validators have not signed the state of height {height} yet; try again soon"
    raise ApiError(ApiCode.RETRY, "NO_CHECKPOINT", words, retryable=True)


METHODS: Final[tuple[Method, ...]] = (
    read("public/status", params.Nothing, status),
    read("public/get_block", params.AtHeight, get_block),
    act("public/get_validators", params.Nothing, get_validators),
    act("public/get_genesis", params.Nothing, get_genesis),
    act("public/get_checkpoint", params.AtHeight, get_checkpoint),
    act("public/get_proof", params.GetProof, get_proof),
)
