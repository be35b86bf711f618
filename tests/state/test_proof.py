"""Proofs: each true statement has exactly one, and no false statement has any."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.codec import encode
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Malformed
from holdfast.state.proof import PROOF_DECODER, OtherLeaf, Proof, check_proof
from holdfast.state.tree import StateTree

ABSENT = [b"absent %d" % index for index in range(200)]


def built(content: dict[bytes, bytes], depth: int = 14) -> StateTree:
    tree = StateTree(depth)
    tree.apply(tree.plan(list(content.items())))
    return tree


CONTENT = {b"key %d" % index: b"value %d" % index for index in range(100)}
TREE = built(CONTENT)


def check_bytes(root: bytes, key: bytes, value: bytes | None, data: bytes) -> bool:
    try:
        proof = PROOF_DECODER.decode(data)
    except Malformed:
        return False
    return check_proof(root, key, value, proof)


def flipped(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def absent_key(*, ends_in_other_leaf: bool) -> bytes:
    return next(key for key in ABSENT if (TREE.prove(key).other is not None) == ends_in_other_leaf)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.binary(max_size=2), st.binary(max_size=3), max_size=60),
    st.binary(max_size=2),
    st.sampled_from([1, 2, 4, 7]),
)
def test_prove__any_content__proves_what_is_true_and_nothing_else(
    content: dict[bytes, bytes], key: bytes, depth: int
) -> None:
    tree = built(content, depth)
    for asked in {key, *content}:
        proof = tree.prove(asked)
        assert PROOF_DECODER.decode(encode(proof)) == proof
        for claimed in (None, content.get(asked), b"false"):
            assert check_proof(tree.root, asked, claimed, proof) == (claimed == content.get(asked))


@pytest.mark.parametrize("depth", [1, 2, 5, 10, 14, 15])
def test_prove__any_cache_depth__gives_the_same_proof(depth: int) -> None:
    tree = built(CONTENT, depth)
    for key in [*CONTENT, *ABSENT]:
        assert tree.prove(key) == TREE.prove(key)


def test_prove__empty_tree_and_single_leaf__have_no_siblings() -> None:
    assert StateTree().prove(b"key") == Proof((), None)
    assert check_proof(bytes(32), b"key", None, Proof((), None))
    tree = built({b"key": b"value"})
    assert tree.prove(b"key") == Proof((), None)
    assert check_proof(tree.root, b"key", b"value", Proof((), None))
    other = OtherLeaf(sha256(b"key"), sha256(b"value"))
    assert tree.prove(b"other") == Proof((), other)
    assert check_proof(tree.root, b"other", None, Proof((), other))
    assert not check_proof(tree.root, b"key", None, Proof((), other))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"key 7", b"value 7"),
        (absent_key(ends_in_other_leaf=True), None),
        (absent_key(ends_in_other_leaf=False), None),
    ],
    ids=["present", "other leaf", "empty"],
)
def test_check_proof__any_bit_flipped__fails(key: bytes, value: bytes | None) -> None:
    data = encode(TREE.prove(key))
    assert check_bytes(TREE.root, key, value, data)
    assert not any(check_bytes(TREE.root, key, value, changed) for changed in flipped(data))
    assert not any(check_bytes(changed, key, value, data) for changed in flipped(TREE.root))
    assert not any(check_bytes(TREE.root, key, changed, data) for changed in flipped(value or b""))
    if value is not None:
        assert not any(check_bytes(TREE.root, changed, value, data) for changed in flipped(key))


def test_check_proof__key_flipped_in_an_absence__holds_only_for_keys_on_the_same_way() -> None:
    """An absence proof speaks of every key that leads to the same place: for these the statement is true as well."""
    for ends_in_other_leaf in (True, False):
        key = absent_key(ends_in_other_leaf=ends_in_other_leaf)
        proof = TREE.prove(key)
        for changed in flipped(key):
            assert check_proof(TREE.root, changed, None, proof) == (TREE.prove(changed) == proof)


def test_check_proof__present_key__cannot_be_shown_absent() -> None:
    for key, value in CONTENT.items():
        proof = TREE.prove(key)
        own = OtherLeaf(sha256(key), sha256(value))
        assert not check_proof(TREE.root, key, None, proof)
        assert not check_proof(TREE.root, key, None, Proof(proof.siblings, own))
        for depth in range(len(proof.siblings)):
            assert not check_proof(TREE.root, key, None, Proof(proof.siblings[:depth], None))


def test_check_proof__absent_key__cannot_be_shown_present() -> None:
    for key in ABSENT:
        proof = TREE.prove(key)
        assert check_proof(TREE.root, key, None, proof)
        for value in (b"", b"value 7"):
            assert not check_proof(TREE.root, key, value, proof)
            assert not check_proof(TREE.root, key, value, Proof(proof.siblings, None))


def test_check_proof__siblings_added_removed_or_moved__fails() -> None:
    for key, value in [(b"key 7", b"value 7"), *((absent, None) for absent in ABSENT[:10])]:
        proof = TREE.prove(key)
        siblings = proof.siblings
        variants = [siblings[1:], siblings[:-1], siblings[::-1], (*siblings, siblings[-1])]
        variants += [(*siblings[:at], bytes(32), *siblings[at:]) for at in range(len(siblings) + 1)]
        variants += [siblings + (bytes(32),) * (256 - len(siblings)), siblings + (bytes(32),) * (257 - len(siblings))]
        for variant in variants:
            if variant != siblings:
                assert not check_proof(TREE.root, key, value, Proof(variant, proof.other))


def test_check_proof__other_leaf_of_another_place__fails() -> None:
    key = absent_key(ends_in_other_leaf=True)
    proof = TREE.prove(key)
    for other_key, value in CONTENT.items():
        other = OtherLeaf(sha256(other_key), sha256(value))
        assert check_proof(TREE.root, key, None, Proof(proof.siblings, other)) == (other == proof.other)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_check_proof__hashes_of_wrong_length__fail(size: int) -> None:
    key = absent_key(ends_in_other_leaf=True)
    proof = TREE.prove(key)
    assert proof.other is not None
    wrong = bytes(size)
    for bad in (
        Proof((wrong, *proof.siblings[1:]), proof.other),
        Proof(proof.siblings, OtherLeaf(wrong, proof.other.value_hash)),
        Proof(proof.siblings, OtherLeaf(proof.other.path, wrong)),
        Proof(proof.siblings, OtherLeaf(proof.other.path + wrong, proof.other.value_hash)),
    ):
        if bad != proof:
            assert not check_proof(TREE.root, key, None, bad)
            with pytest.raises(Malformed):
                PROOF_DECODER.decode(encode(bad))
    assert not check_proof(wrong, key, None, proof)


def test_check_proof__leaf_boundary_moved_between_path_and_value__fails() -> None:
    """The two halves of an other leaf are hashed side by side: only their lengths keep them apart."""
    key = absent_key(ends_in_other_leaf=True)
    proof = TREE.prove(key)
    assert proof.other is not None
    both = proof.other.path + proof.other.value_hash
    for cut in (0, 31, 33, 64):
        assert not check_proof(TREE.root, key, None, Proof(proof.siblings, OtherLeaf(both[:cut], both[cut:])))


def test_proof_decoder__more_siblings_than_levels__refuses() -> None:
    longest = Proof((bytes(32),) * 256, None)
    assert PROOF_DECODER.decode(encode(longest)) == longest
    with pytest.raises(Malformed):
        PROOF_DECODER.decode(encode(Proof((bytes(32),) * 257, None)))
