"""Checkpoints: after each commit a validator signs the state that it has, and collects what the others sign.

Signatures of more than two thirds of power over one (height, time, app hash) are a certificate: who trusts the
validators needs no block and no replica to trust that state. Nothing of consensus rests on it.

A certificate is written behind, without a sync of its own: the newest survives the end of the process, and what a power
failure takes is made anew, because a replica signs its tip again after a restart and hears its peers' signatures of it.
Signing again gives the same bytes; signing another state for a height halts.

One verification a message; a bounded number of heights is kept, and a bounded number ahead of the own tip for each
peer, who may speak for itself only.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from holdfast.consensus.commit import check_checkpoint, check_checkpoint_certificate
from holdfast.consensus.limits import SIGNATURE_BYTES, VALIDATORS_MAX
from holdfast.consensus.messages import (
    Checkpoint,
    CheckpointCertificate,
    CheckpointSignature,
    checkpoint_sign_bytes,
)
from holdfast.node.frames import frame, read_prefix
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.replica_wire import encode_message
from holdfast.primitives.codec import Decoder, encode
from holdfast.primitives.reject import Malformed

HEIGHTS_KEPT: Final = 256
HEIGHTS_EARLY_MAX: Final = 8
_FILE: Final = "checkpoints"
_FILE_BYTES_MAX: Final = 256 * 1024
_DECODER: Final = Decoder(
    CheckpointCertificate,
    max_bytes=256 + VALIDATORS_MAX * (SIGNATURE_BYTES + 16),
    max_depth=4,
    max_items=8 + 4 * VALIDATORS_MAX,
)


class _State(NamedTuple):
    """What this replica has committed at a height."""

    time_ms: int
    app_hash: bytes


class Checkpoints:
    """The checkpoints of one replica. `at` and `latest` may be read from other threads."""

    def __init__(self, env: Environment, chain: Chain, may_sign: Callable[[int], bool]) -> None:
        """Know nothing; `open` reads the disk."""
        self._env = env
        self._chain = chain
        self._may_sign = may_sign
        self._states: dict[int, _State] = {}
        self._signatures: dict[int, dict[int, bytes]] = {}
        self._certificates: dict[int, CheckpointCertificate] = {}
        self._early: dict[int, dict[int, Checkpoint]] = {}
        self._own: Checkpoint | None = None
        self._file_bytes = 0
        self.latest: CheckpointCertificate | None = None

    def at(self, height: int) -> CheckpointCertificate | None:
        """Return the certificate of a height, as far back as they are kept."""
        return self._certificates.get(height)

    def open(self) -> None:
        """Take back the certificate that the disk holds; what does not check is as good as not there."""
        data = self._env.disk.read(_FILE)
        self._file_bytes = len(data)
        for payload in reversed(read_prefix(data).payloads):
            certificate = self._sound(payload)
            if certificate is not None:
                self._certificates[certificate.height] = certificate
                self.latest = certificate
                break
        else:
            if data:
                self._env.count("checkpoint_file_dropped")
        # What follows a torn or damaged frame would never be read.
        kept = frame(encode(self.latest)) if self.latest is not None else b""
        if data and data != kept:
            self._env.disk.replace(_FILE, kept)
            self._file_bytes = len(kept)

    def _sound(self, payload: bytes) -> CheckpointCertificate | None:
        tip = self._chain.tip
        try:
            certificate = _DECODER.decode(payload)
        except Malformed:
            return None
        if not tip.first_known_height <= certificate.height <= tip.height:
            return None
        validators = tip.validators_at(certificate.height)
        fault = check_checkpoint_certificate(validators, self._env.domains, certificate)
        known = self._chain.app_hash_at(certificate.height)
        return certificate if fault is None and known in (None, certificate.app_hash) else None

    # The own word

    def note_commit(self) -> None:
        """Sign the new tip, and count what peers have said of it already."""
        tip = self._chain.tip
        self._states[tip.height] = _State(tip.time_ms, tip.app_hash)
        self._forget(tip.height - HEIGHTS_KEPT)
        self.sign_tip()
        for index, early in sorted(self._early.items()):
            message = early.pop(tip.height, None)
            if message is not None:
                self._count_in(index, message)

    def sign_tip(self) -> None:
        """Sign the tip and tell everybody, where this validator may sign at that height and has not done so."""
        tip, index = self._chain.tip, self._env.index
        own_key = self._env.signer.public_key
        if tip.height == 0 or index not in tip.last_validators or tip.last_validators.public_key(index) != own_key:
            return
        if not self._may_sign(tip.height):
            return
        if self._own is not None and self._own.height == tip.height:
            if self._own.app_hash != tip.app_hash:
                raise HaltError(f"height {tip.height}: this validator has signed another checkpoint of it")
            return
        self._states[tip.height] = _State(tip.time_ms, tip.app_hash)
        message = checkpoint_sign_bytes(self._env.domains, tip.height, tip.time_ms, tip.app_hash)
        self._own = Checkpoint(tip.height, tip.time_ms, tip.app_hash, index, self._env.signer.sign(message))
        self._env.network.broadcast(encode_message(self._own))
        self._add(self._own)

    def repeat(self) -> None:
        """Tell the own last word again: the height in progress takes long, and somebody may have missed it."""
        if self._own is not None:
            self._env.network.broadcast(encode_message(self._own))

    def tell(self, peer: int) -> None:
        """Tell one peer the own last word."""
        if self._own is not None:
            self._env.network.send(peer, encode_message(self._own))

    # The others' words

    def take(self, sender: int, message: Checkpoint) -> None:
        """Take a peer's word: at once for a height that is known here, later for one that is near."""
        height, tip_height = message.height, self._chain.tip.height
        if sender != message.validator_index:
            self._env.count("checkpoint_refused", peer=sender, height=height, fault="not the sender's own")
        elif height in self._states:
            self._count_in(sender, message)
        elif tip_height < height <= tip_height + HEIGHTS_EARLY_MAX:
            self._early.setdefault(sender, {}).setdefault(height, message)

    def _count_in(self, sender: int, message: Checkpoint) -> None:
        held = self._signatures.get(message.height, {}).get(sender)
        state = self._states[message.height]
        agrees = (message.time_ms, message.app_hash) == state
        if held is not None and agrees:
            return
        validators = self._chain.tip.validators_at(message.height)
        fault = check_checkpoint(validators, self._env.domains, message)
        if fault is not None:
            self._env.count("checkpoint_refused", peer=sender, height=message.height, fault=fault)
        elif agrees:
            self._add(message)
        else:
            # The peer has another state, or lies; with a word for this state beside it, it surely lies.
            self._env.count(
                "checkpoint_conflict",
                peer=sender,
                height=message.height,
                signed=message.app_hash.hex(),
                here=state.app_hash.hex(),
                signed_both=int(held is not None),
            )

    def _add(self, message: Checkpoint) -> None:
        """Count a verified word, and make or widen the certificate once it has the power."""
        height = message.height
        signatures = self._signatures.setdefault(height, {})
        signatures[message.validator_index] = message.signature
        validators = self._chain.tip.validators_at(height)
        if not validators.has_quorum(sum(map(validators.power, signatures))):
            return
        entries = tuple(CheckpointSignature(index, signatures[index]) for index in sorted(signatures))
        certificate = CheckpointCertificate(height, message.time_ms, message.app_hash, entries)
        is_new = height not in self._certificates
        self._certificates[height] = certificate
        if self.latest is None or self.latest.height <= height:
            self.latest = certificate
            if is_new:
                self._write(frame(encode(certificate)))

    def _write(self, data: bytes) -> None:
        if self._file_bytes + len(data) > _FILE_BYTES_MAX:
            self._env.disk.replace(_FILE, data)
            self._file_bytes = len(data)
        else:
            self._env.disk.append(_FILE, data)
            self._file_bytes += len(data)

    def _forget(self, height: int) -> None:
        """Drop the height that has become too old; heights are committed one by one, so none is passed over."""
        self._states.pop(height, None)
        self._signatures.pop(height, None)
        self._certificates.pop(height, None)
