"""Commands, signed: what a client sends."""

from holdfast.client.signing import SigningKey
from holdfast.primitives import codec
from holdfast.protocol.messages import Command, Envelope, SignedTx


def sign_command(key: SigningKey, domain: bytes, account_id: int, nonce: int, command: Command) -> bytes:
    """Return the bytes of a transaction: the command for an account, signed by a key under a chain's domain."""
    payload = codec.encode(Envelope(account_id, key.public_key, nonce, command))
    return codec.encode(SignedTx(payload, key.sign(domain + payload)))
