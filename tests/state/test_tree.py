"""The state tree against a naive recursion over its definition."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import _kernels
from holdfast.primitives.check import BrokenInvariantError
from holdfast.state.tree import EMPTY_ROOT, StateTree

Changes = list[tuple[bytes, bytes | None]]


def compute_root(content: dict[bytes, bytes]) -> bytes:
    leaves = [(sha256(key).digest(), sha256(value).digest()) for key, value in content.items()]
    return compute_node(leaves, 0)


def compute_node(leaves: list[tuple[bytes, bytes]], level: int) -> bytes:
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0][0] + leaves[0][1]).digest()
    sides: tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] = ([], [])
    for leaf in leaves:
        sides[leaf[0][level // 8] >> (7 - level % 8) & 1].append(leaf)
    return sha256(b"\x01" + compute_node(sides[0], level + 1) + compute_node(sides[1], level + 1)).digest()


def built(content: dict[bytes, bytes], depth: int = 14) -> StateTree:
    tree = StateTree(depth)
    tree.apply(tree.plan(list(content.items())))
    return tree


def colliding_keys(count: int, bits: int) -> list[bytes]:
    """Return keys whose paths begin with the same bits, so that they meet far below a shallow cache."""
    groups: dict[int, list[bytes]] = {}
    number = 0
    while True:
        key = number.to_bytes(4, "big")
        group = groups.setdefault(int.from_bytes(sha256(key).digest(), "big") >> (256 - bits), [])
        group.append(key)
        if len(group) == count:
            return group
        number += 1


COLLIDING = colliding_keys(3, 17)
keys = st.sampled_from([bytes([index]) for index in range(40)] + COLLIDING)
batches = st.lists(
    st.dictionaries(keys, st.none() | st.binary(max_size=3), max_size=30).map(lambda batch: list(batch.items())),
    max_size=5,
)


@settings(deadline=None)
@given(batches)
def test_root__any_batches_at_any_cache_depth__equals_the_naive_recursion(batches: list[Changes]) -> None:
    trees = [StateTree(depth) for depth in (1, 2, 5, 9)]
    content: dict[bytes, bytes] = {}
    for batch in batches:
        for tree in trees:
            before, size = tree.root, len(tree)
            plan = tree.plan(batch)
            assert (tree.root, len(tree)) == (before, size)
            tree.apply(plan)
        for key, value in batch:
            if value is None:
                content.pop(key, None)
            else:
                content[key] = value
        assert {tree.root for tree in trees} == {compute_root(content)}
        assert {len(tree) for tree in trees} == {len(content)}


@settings(deadline=None, max_examples=20)
@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=40), max_size=300))
def test_root__fresh_trees_of_depth_2_and_14__are_equal(content: dict[bytes, bytes]) -> None:
    assert built(content, 2).root == built(content, 14).root == compute_root(content)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(keys, st.binary(max_size=3)).map(lambda batch: list(batch.items())), st.randoms())
def test_plan__changes_in_another_order__gives_the_same_plan(batch: Changes, random: object) -> None:
    shuffled = list(batch)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    tree = built({bytes([index]): b"old" for index in range(0, 40, 3)}, 5)
    assert tree.plan(batch) == tree.plan(shuffled)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(keys, st.binary(max_size=3)), st.dictionaries(keys, st.binary(max_size=3)))
def test_root__inserted_and_deleted_again__is_as_before(
    content: dict[bytes, bytes], passing: dict[bytes, bytes]
) -> None:
    tree = built(content, 5)
    before = tree.root
    added = [(key, value) for key, value in passing.items() if key not in content]
    tree.apply(tree.plan(added))
    tree.apply(tree.plan([(key, None) for key, _ in added]))
    assert (tree.root, len(tree)) == (before, len(content))


def test_root__empty_tree__is_32_zero_bytes() -> None:
    assert StateTree().root == EMPTY_ROOT == bytes(32)
    tree = built({b"key": b"value"})
    tree.apply(tree.plan([(b"key", None)]))
    assert (tree.root, len(tree)) == (EMPTY_ROOT, 0)


def test_root__one_key__is_its_leaf() -> None:
    leaf = sha256(b"\x00" + sha256(b"key").digest() + sha256(b"value").digest()).digest()
    assert built({b"key": b"value"}).root == leaf


def test_root__golden_content__does_not_move() -> None:
    """A change of this figure is a fork: it needs a version of the state, not a new figure here."""
    content = {b"key %d" % index: b"value %d" % index for index in range(1_000)}
    assert built(content).root == compute_root(content)
    assert built(content).root.hex() == "94e14a12fb00fff7ad653aa82359e0cffb2664d906947ecfe5d1dabb7f1e5255"


def test_plan__of_nothing__keeps_the_root() -> None:
    for tree in (StateTree(), built({b"key": b"value"})):
        plan = tree.plan([])
        assert plan.root == tree.root
        tree.apply(plan)
        assert plan.root == tree.root


def test_plan__absent_key_deleted__keeps_the_root() -> None:
    tree = built({b"key": b"value"})
    assert tree.plan([(b"other", None)]).root == tree.root


def test_plan__empty_value__differs_from_no_value() -> None:
    assert built({b"key": b""}).root not in {EMPTY_ROOT, built({b"key": b"\x00"}).root}


def test_plan__key_twice__halts() -> None:
    with pytest.raises(BrokenInvariantError, match="once"):
        StateTree().plan([(b"key", b"1"), (b"other", b"2"), (b"key", None)])


def test_plan__dropped__leaves_no_trace() -> None:
    tree = built({bytes([index]): b"old" for index in range(100)})
    dropped = tree.plan([(bytes([index]), b"new") for index in range(50, 150)])
    kept = tree.plan([(b"\x01", None)])
    tree.apply(kept)
    assert tree.root == compute_root({bytes([index]): b"old" for index in range(100) if index != 1})
    with pytest.raises(BrokenInvariantError, match="made for"):
        tree.apply(dropped)


@pytest.mark.parametrize("depth", [0, 21, 1_000])
def test_tree__cache_depth_out_of_bounds__halts(depth: int) -> None:
    with pytest.raises(BrokenInvariantError):
        StateTree(depth)


def test_kernel__pages_of_another_shape__refuses() -> None:
    buckets = [b""] * 4
    for pages in ([], [bytes(33)], [b"\xff" * 33 * 6]):
        with pytest.raises((ValueError, IndexError)):
            _kernels.tree_plan(pages, buckets, 2, EMPTY_ROOT, [(b"key", b"value")])
