"""The chain: where it stands, its blocks and validators, and proofs of what its state holds."""

import asyncio
from typing import Final

from holdfast.consensus.messages import CheckpointCertificate, decode_block
from holdfast.gateway import params
from holdfast.gateway.api import Call, Method, Read, act, read
from holdfast.gateway.errors import bad_param, not_found
from holdfast.gateway.objects import Shown
from holdfast.primitives.reject import Malformed
from holdfast.protocol.schema import TABLES
from holdfast.state.proof import PROOF_DECODER

_TXS_SHOWN_MAX: Final = 1_000
_GENESIS_BYTES_MAX: Final = 1024 * 1024
_CHECKPOINT_WAIT_S: Final = 3.0
_CHECKPOINT_LOOK_S: Final = 0.02
_KEY_BYTES: Final = 32
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
    backend, history = here.api.backend, here.api.history
    stored, outcome = backend.block_at(height), backend.outcome_at(height)
    if stored is None or outcome is None:
        raise not_found("height", f"height: block {height} is not kept here; the last one is {here.view.height}")
    block = decode_block(stored.data)
    rows = history.list_txs(height)
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


def find_key(given: params.GetProof) -> tuple[str, bytes]:
    """Return a row's table, where it is named, and its key's bytes. Refuses: INVALID_PARAMS."""
    if given.path is not None:
        return given.table or "", bytes.fromhex(given.path)
    if given.table is None or given.key is None:
        raise bad_param("path", "give path, or table and key")
    table = _TABLES.get(given.table.replace(" ", "_"))
    if table is None:
        raise bad_param("table", f"there is no such table; there are {', '.join(_TABLES)}")
    parts = str(given.key).split(",")
    if len(parts) != len(table.parts):
        raise bad_param("key", f"a key of {given.table} has {len(table.parts)} parts, separated by commas")
    read_parts: list[int | bytes] = []
    for kind, part in zip(table.parts, parts, strict=True):
        try:
            value = int(part) if kind == "u64" else bytes.fromhex(part)
        except ValueError:
            value = -1
        if value == -1 or (isinstance(value, int) and value >= 2**63) or (value != -1 and _is_short(value)):
            raise bad_param("key", f"a key of {given.table} is made of {', '.join(table.parts)}")
        read_parts.append(value)
    return given.table, table.encode_key(read_parts[0] if len(read_parts) == 1 else tuple(read_parts))


def _is_short(value: int | bytes) -> bool:
    return isinstance(value, bytes) and len(value) != _KEY_BYTES


async def get_proof(call: Call, given: params.GetProof) -> Shown:
    """Return a row of the state with its proof, under the validators' checkpoint of that height."""
    table, key = find_key(given)
    backend = call.api.backend
    answer = backend.query("row", key)
    proof = PROOF_DECODER.decode(answer.proof)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _CHECKPOINT_WAIT_S
    # Validators sign a state after they have committed it, so its checkpoint comes a moment later.
    while (certificate := backend.checkpoint_at(answer.height)) is None and loop.time() < deadline:
        await asyncio.sleep(_CHECKPOINT_LOOK_S)
    return {
        "chain_id": backend.chain_id,
        "genesis_hash": backend.genesis_hash.hex(),
        "height": answer.height,
        "app_hash": answer.app_hash.hex(),
        "table": table,
        "path": key.hex(),
        "value": answer.value.hex() if answer.value else None,
        "value_shown": _show_value(key, answer.value),
        "proof": {
            "siblings": [sibling.hex() for sibling in proof.siblings],
            "other": None
            if proof.other is None
            else {"path": proof.other.path.hex(), "value_hash": proof.other.value_hash.hex()},
        },
        "checkpoint": None if certificate is None else show_checkpoint(certificate),
        "validators": [{"public_key": one.public_key.hex(), "power": one.power} for one in backend.statuses()],
    }


def _show_value(key: bytes, value: bytes) -> object:
    table = next((table for table in _TABLES.values() if key[:1] == bytes([table.tag or 0])), None)
    if table is None or not value or table.raw:
        return None
    try:
        decoded: object = table.decode_value(value)
    except Malformed:
        return None
    names: tuple[str, ...] = getattr(decoded, "__struct_fields__", ())
    if not names:
        return decoded
    fields = {name: getattr(decoded, name) for name in names}
    return {name: item.hex() if isinstance(item, bytes) else item for name, item in fields.items()}


METHODS: Final[tuple[Method, ...]] = (
    read("public/status", params.Nothing, status),
    read("public/get_block", params.AtHeight, get_block),
    act("public/get_validators", params.Nothing, get_validators),
    act("public/get_genesis", params.Nothing, get_genesis),
    act("public/get_checkpoint", params.AtHeight, get_checkpoint),
    act("public/get_proof", params.GetProof, get_proof),
)
