"""Certificates and proofs: what verifies, and every way in which they can be forged."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast._kernels import public_key, sign
from holdfast.consensus.commit import (
    Fault,
    check_commit,
    check_equivocation_proof,
    check_extension,
    check_vote,
    compute_block_time_ms,
    make_commit,
    make_equivocation_proof,
    vote_of,
)
from holdfast.consensus.messages import (
    NIL,
    NO_COMMIT,
    Commit,
    CommitSignature,
    EquivocationProof,
    Vote,
    VoteKind,
    decode_vote,
    extension_sign_bytes,
    make_sign_domains,
    vote_sign_bytes,
)
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.codec import Decoder, encode
from holdfast.primitives.reject import Malformed

SEEDS = [hashlib.sha256(b"commit %d" % index).digest() for index in range(6)]
DOMAINS = make_sign_domains("chain-1", bytes(32))
ELSEWHERE = make_sign_domains("chain-2", bytes(32))
BLOCK, OTHER = b"b" * 32, b"o" * 32
HEIGHT, ROUND = 9, 2


def validators_of(*powers: int) -> ValidatorSet:
    return ValidatorSet([Validator(public_key(SEEDS[index]), power) for index, power in enumerate(powers)])


def signed_vote(
    index: int,
    block_hash: bytes = BLOCK,
    *,
    kind: VoteKind = VoteKind.PRECOMMIT,
    round_number: int = ROUND,
    timestamp_ms: int = 1_000,
    height: int = HEIGHT,
    extension: bytes = b"",
) -> Vote:
    extension_signature = b""
    if kind == VoteKind.PRECOMMIT and block_hash != NIL:
        extension_signature = sign(SEEDS[index], extension_sign_bytes(DOMAINS, height, round_number, extension))
    vote = Vote(kind, height, round_number, block_hash, index, timestamp_ms, bytes(64), extension, extension_signature)
    return replace(vote, signature=sign(SEEDS[index], vote_sign_bytes(DOMAINS, vote)))


FOUR = validators_of(1, 1, 1, 1)
COMMIT = make_commit([signed_vote(index) for index in (2, 0, 3)])


def check(
    commit: Commit, validators: ValidatorSet = FOUR, height: int = HEIGHT, block_hash: bytes = BLOCK
) -> Fault | None:
    return check_commit(validators, DOMAINS, commit, height, block_hash)


def test_commit__three_of_four__verifies() -> None:
    assert check(COMMIT) is None
    assert [entry.validator_index for entry in COMMIT.signatures] == [0, 2, 3]


def test_commit__exactly_two_thirds__is_not_enough() -> None:
    three = validators_of(1, 1, 1)
    assert check(make_commit([signed_vote(0), signed_vote(1)]), three) == Fault.POWER_SHORT
    assert check(make_commit([signed_vote(index) for index in range(3)]), three) is None


def test_commit__weight_decides__not_the_count() -> None:
    weighted = validators_of(7, 1, 1, 1)
    assert check(make_commit([signed_vote(0)]), weighted) is None
    assert check(make_commit([signed_vote(index) for index in (1, 2, 3)]), weighted) == Fault.POWER_SHORT


@pytest.mark.parametrize(
    ("commit", "fault"),
    [
        (replace(COMMIT, height=HEIGHT + 1), Fault.WRONG_BLOCK),
        (replace(COMMIT, block_hash=OTHER), Fault.WRONG_BLOCK),
        (replace(COMMIT, block_hash=NIL), Fault.WRONG_BLOCK),
        (replace(COMMIT, round=ROUND + 1), Fault.BAD_SIGNATURE),
        (replace(COMMIT, signatures=COMMIT.signatures[:2]), Fault.POWER_SHORT),
        (replace(COMMIT, signatures=()), Fault.POWER_SHORT),
        (replace(COMMIT, signatures=(*COMMIT.signatures[:2], COMMIT.signatures[1])), Fault.MALFORMED),
        (replace(COMMIT, signatures=COMMIT.signatures[::-1]), Fault.MALFORMED),
        (NO_COMMIT, Fault.WRONG_BLOCK),
    ],
)
def test_commit__altered__is_refused(commit: Commit, fault: Fault) -> None:
    assert check(commit) == fault


def test_commit__foreign_validator__is_refused() -> None:
    assert check(make_commit([signed_vote(index) for index in (0, 1, 2, 4)])) == Fault.FOREIGN_VALIDATOR
    removed = validators_of(1, 1, 1, 0)
    assert check(make_commit([signed_vote(index) for index in (0, 1, 2, 3)]), removed) == Fault.FOREIGN_VALIDATOR


def test_commit__signature_under_anothers_index__is_refused() -> None:
    stolen = replace(COMMIT.signatures[0], validator_index=1)
    assert check(replace(COMMIT, signatures=(stolen, *COMMIT.signatures[1:]))) == Fault.BAD_SIGNATURE


def test_commit__timestamp_altered__is_refused() -> None:
    shifted = replace(COMMIT.signatures[1], timestamp_ms=2_000)
    altered = replace(COMMIT, signatures=(COMMIT.signatures[0], shifted, COMMIT.signatures[2]))
    assert check(altered) == Fault.BAD_SIGNATURE


@pytest.mark.parametrize("vote", [signed_vote(1, NIL), signed_vote(1, kind=VoteKind.PREVOTE), signed_vote(1, OTHER)])
def test_commit__signature_of_another_vote__does_not_count(vote: Vote) -> None:
    entry = CommitSignature(1, vote.timestamp_ms, vote.signature)
    forged = replace(COMMIT, signatures=(COMMIT.signatures[0], entry, *COMMIT.signatures[1:]))
    assert check(forged) == Fault.BAD_SIGNATURE


def test_commit__another_chain__is_refused() -> None:
    assert check_commit(FOUR, ELSEWHERE, COMMIT, HEIGHT, BLOCK) == Fault.BAD_SIGNATURE


def test_commit__verified_before__is_not_verified_again_but_only_if_equal() -> None:
    forged = replace(COMMIT.signatures[0], timestamp_ms=5)
    altered = replace(COMMIT, signatures=(forged, *COMMIT.signatures[1:]))
    assert check_commit(FOUR, DOMAINS, altered, HEIGHT, BLOCK, frozenset(COMMIT.signatures)) == Fault.BAD_SIGNATURE
    assert check_commit(FOUR, DOMAINS, COMMIT, HEIGHT, BLOCK, frozenset(COMMIT.signatures)) is None


def test_vote_of__entry__is_the_bare_vote() -> None:
    vote = vote_of(COMMIT, COMMIT.signatures[0])
    assert check_vote(FOUR, DOMAINS, vote) is None


# Block time


def commit_at(*timestamps: int) -> Commit:
    return make_commit([signed_vote(index, timestamp_ms=time) for index, time in enumerate(timestamps)])


def test_block_time__equal_powers__is_the_lower_median() -> None:
    assert compute_block_time_ms(FOUR, commit_at(400, 100, 300)) == 300
    assert compute_block_time_ms(FOUR, commit_at(400, 100, 300, 200)) == 200


def test_block_time__one_heavy_validator__is_its_timestamp() -> None:
    assert compute_block_time_ms(validators_of(7, 1, 1, 1), commit_at(5, 9_000, 9_000, 9_000)) == 5


@given(st.lists(st.integers(1, 10**9), min_size=4, max_size=6), st.data())
def test_block_time__less_than_a_third_lies__stays_within_honest_times(powers: list[int], data: st.DataObject) -> None:
    liars: set[int] = set()
    for index in data.draw(st.permutations(range(len(powers)))):
        if 3 * sum(powers[each] for each in {*liars, index}) < sum(powers):
            liars.add(index)
    honest = {index: data.draw(st.integers(1_000, 2_000)) for index in range(len(powers)) if index not in liars}
    lies = {index: data.draw(st.sampled_from([0, 2**50])) for index in liars if data.draw(st.booleans())}
    entries = [CommitSignature(index, time, bytes(64)) for index, time in sorted({**honest, **lies}.items())]
    time_ms = compute_block_time_ms(validators_of(*powers), Commit(HEIGHT, ROUND, BLOCK, tuple(entries)))
    assert min(honest.values()) <= time_ms <= max(honest.values())


# Votes and extensions


def test_vote__genuine__verifies_and_round_trips() -> None:
    vote = signed_vote(1, extension=b"prices")
    assert check_vote(FOUR, DOMAINS, vote) is None
    assert check_extension(FOUR, DOMAINS, vote) is None
    assert decode_vote(encode(vote)) == vote


@pytest.mark.parametrize(
    "change",
    [
        {"height": 10},
        {"round": 3},
        {"block_hash": OTHER},
        {"validator_index": 2},
        {"timestamp_ms": 1},
        {"kind": VoteKind.PREVOTE},
    ],
)
def test_vote__any_field_altered__is_refused(change: dict[str, object]) -> None:
    vote = replace(signed_vote(1), extension_signature=b"", **change)
    assert check_vote(FOUR, DOMAINS, vote) == Fault.BAD_SIGNATURE


def test_vote__no_such_validator__is_refused() -> None:
    assert check_vote(FOUR, DOMAINS, signed_vote(5)) == Fault.FOREIGN_VALIDATOR


@pytest.mark.parametrize("change", [{"extension": b"other"}, {"height": 8}, {"round": 1}, {"extension_signature": b""}])
def test_extension__altered_or_of_another_round__is_refused(change: dict[str, object]) -> None:
    assert check_extension(FOUR, DOMAINS, replace(signed_vote(1, extension=b"prices"), **change)) is not None


@pytest.mark.parametrize(
    "vote",
    [
        replace(signed_vote(1, NIL), extension=b"x", extension_signature=bytes(64)),
        replace(signed_vote(1, kind=VoteKind.PREVOTE), extension_signature=bytes(64)),
        replace(signed_vote(1), extension_signature=bytes(10)),
        replace(signed_vote(1), extension=b"x", extension_signature=b""),
        replace(signed_vote(1), block_hash=b"short"),
    ],
)
def test_vote__parts_that_do_not_go_together__are_malformed(vote: Vote) -> None:
    with pytest.raises(Malformed):
        decode_vote(encode(vote))
    assert check_vote(FOUR, DOMAINS, vote) == Fault.MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        {"height": -1},
        {"height": 2**53 + 1},
        {"round": -1},
        {"round": 2**31 + 1},
        {"validator_index": -1},
        {"validator_index": 128},
        {"timestamp_ms": -1},
        {"signature": bytes(63)},
        {"block_hash": bytes(33)},
        {"extension": bytes(8 * 1024 + 1)},
    ],
)
def test_vote__field_out_of_bounds__is_malformed(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        decode_vote(encode(replace(signed_vote(1), **change)))


# Equivocation


PROOFS = Decoder(EquivocationProof, max_bytes=1024, max_depth=3, max_items=32)


@pytest.mark.parametrize("kind", list(VoteKind))
@pytest.mark.parametrize("other", [NIL, OTHER])
def test_proof__two_conflicting_votes__verifies_either_way_round(kind: VoteKind, other: bytes) -> None:
    one, two = (
        signed_vote(1, kind=kind, extension=b"x" if kind == VoteKind.PRECOMMIT else b""),
        signed_vote(1, other, kind=kind),
    )
    proof = make_equivocation_proof(one, two)
    assert proof == make_equivocation_proof(two, one)
    assert check_equivocation_proof(FOUR, DOMAINS, proof) is None
    assert PROOFS.decode(encode(proof)) == proof


@pytest.mark.parametrize(
    "two",
    [
        signed_vote(1, timestamp_ms=2_000),
        signed_vote(2, OTHER),
        signed_vote(1, OTHER, round_number=ROUND + 1),
        signed_vote(1, OTHER, height=HEIGHT + 1),
        signed_vote(1, OTHER, kind=VoteKind.PREVOTE),
    ],
)
def test_proof__votes_that_do_not_conflict__is_none(two: Vote) -> None:
    with pytest.raises(BrokenInvariantError):
        make_equivocation_proof(signed_vote(1), two)
    bare = replace(signed_vote(1), extension_signature=b"")
    forged = EquivocationProof(*sorted((bare, replace(two, extension_signature=b"")), key=lambda vote: vote.block_hash))
    assert check_equivocation_proof(FOUR, DOMAINS, forged) == Fault.NO_CONFLICT


def test_proof__forged_vote__accuses_nobody() -> None:
    proof = make_equivocation_proof(signed_vote(1), signed_vote(1, OTHER))
    framed = replace(proof, first=replace(proof.first, signature=sign(SEEDS[2], b"anything")))
    assert check_equivocation_proof(FOUR, DOMAINS, framed) == Fault.BAD_SIGNATURE
    moved = EquivocationProof(replace(proof.first, validator_index=2), replace(proof.second, validator_index=2))
    assert check_equivocation_proof(FOUR, DOMAINS, moved) == Fault.BAD_SIGNATURE
    assert check_equivocation_proof(FOUR, ELSEWHERE, proof) == Fault.BAD_SIGNATURE


def test_proof__swapped_or_padded__is_refused_so_that_one_proof_has_one_form() -> None:
    proof = make_equivocation_proof(signed_vote(1), signed_vote(1, OTHER))
    assert check_equivocation_proof(FOUR, DOMAINS, EquivocationProof(proof.second, proof.first)) == Fault.NO_CONFLICT
    padded = replace(proof, first=signed_vote(1))
    assert check_equivocation_proof(FOUR, DOMAINS, padded) == Fault.MALFORMED
