"""What the files of a stopped validator say."""

from pathlib import Path

import pytest

from holdfast.consensus.messages import Vote, VoteKind
from holdfast.lab.chaos.evidence import ChainLog, Signatures
from holdfast.lab.chaos.stepped import Stepped, make_script, write_orders
from holdfast.node.disk import ReadOnlyDisk
from holdfast.node.ports import DiskError
from holdfast.node.wal import SignLog


def snapshot_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def vote(block_hash: bytes, *, round_number: int = 0, signature: int = 1) -> Vote:
    return Vote(VoteKind.PREVOTE, 5, round_number, block_hash, 2, 1_000, bytes([signature]) * 64)


def test_signatures__one_vote_a_slot__have_no_conflict() -> None:
    signatures = Signatures()
    signatures.add_all([vote(b"a" * 32), vote(b"a" * 32), vote(b"b" * 32, round_number=1)])
    assert (signatures.conflicts, signatures.repeated, len(signatures.votes)) == ([], 0, 2)


def test_signatures__two_blocks_in_a_slot__are_a_conflict() -> None:
    signatures = Signatures()
    signatures.add_all([vote(b"a" * 32), vote(b"", signature=2)])
    assert len(signatures.conflicts) == 1
    assert "validator 2 voted twice at height 5, round 0" in signatures.conflicts[0]


def test_signatures__same_block_signed_anew__are_counted_apart() -> None:
    signatures = Signatures()
    signatures.add_all([vote(b"a" * 32), vote(b"a" * 32, signature=2)])
    assert (signatures.conflicts, signatures.repeated) == ([], 1)


def test_store__of_a_stopped_validator__tells_blocks_and_votes_and_stays_as_it_is(tmp_path: Path) -> None:
    script = make_script(minutes_to_expiry=40, snapshot_every=30)
    node = Stepped(tmp_path, script)
    node.run(4, lambda _height, _root: None)
    write_orders(script, node.app.state.draft(), {5: 6})
    roots: dict[int, bytes] = {}
    node.run(6, lambda height, root: roots.update({height: root}))
    signed = SignLog(node.disk)
    node.close()
    before = snapshot_of(tmp_path)
    chain, signatures = ChainLog(), Signatures()
    chain.add_store(0, tmp_path, signatures)
    signatures.add_sign_log(tmp_path)
    assert (chain.top, chain.missing(), chain.failures, chain.proofs) == (6, [], [], 0)
    assert chain.hashes[6][1] == roots[6]
    assert [one[0].height for one in chain.txs.values()] == [5] * 6
    assert signatures.conflicts == []
    assert signed.signed.votes == ()
    assert {(slot.height, slot.kind) for slot in signatures.votes} >= {(6, VoteKind.PREVOTE), (6, VoteKind.PRECOMMIT)}
    assert snapshot_of(tmp_path) == before


def test_read_only_disk__asked_to_append__refuses(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="read only"):
        ReadOnlyDisk(tmp_path).append("log", b"x")
