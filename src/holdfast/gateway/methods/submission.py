"""Signed transactions in, and what became of them."""

from typing import Final

from holdfast.gateway import params
from holdfast.gateway.answers import Result
from holdfast.gateway.api import Call, Method, act
from holdfast.gateway.errors import bad_param
from holdfast.primitives.units import SECOND_MS


async def submit(call: Call, given: params.Submit) -> Result:
    """Hand a signed transaction on, and wait for its block; the same bytes may be sent at any time again."""
    waits = given.wait == "committed"
    return await call.api.submitter.submit(bytes.fromhex(given.tx), waits=waits, timeout_s=given.timeout_ms / SECOND_MS)


async def get_tx(call: Call, given: params.GetTx) -> Result:
    """Return what became of a transaction: committed, pending, or unknown here."""
    submitter = call.api.submitter
    by_nonce = (given.account_id, given.signer, given.nonce)
    if given.tx_hash is not None:
        return await submitter.get(bytes.fromhex(given.tx_hash))
    account_id, signer, nonce = by_nonce
    if account_id is None or signer is None or nonce is None:
        raise bad_param("tx_hash", "give tx_hash, or account_id, signer and nonce")
    return await submitter.get_by_nonce(account_id, bytes.fromhex(signer), nonce)


METHODS: Final[tuple[Method, ...]] = (
    act("public/submit", params.Submit, submit),
    act("public/get_tx", params.GetTx, get_tx),
)
