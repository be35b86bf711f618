"""Drafts keep or drop, whatever the nesting, and iterate by key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.check import BrokenInvariantError
from holdfast.state.store import State
from holdfast.state.table import Table

ROWS = Table[int, int]("rows", ["u64"], int, tag=1)
PAIRS = Table[tuple[int, int], int]("pairs", ["u64", "u64"], int, tag=2)
INDEX = Table[int, tuple[int, ...]]("index", ["u64"], tuple, tag=None)
TABLES = (ROWS, PAIRS, INDEX)


def committed(rows: dict[int, int]) -> State:
    state = State(TABLES)
    draft = state.draft()
    for key, value in rows.items():
        draft[ROWS].put(key, value)
    state.commit(state.seal(draft))
    return state


def test_draft__before_commit__leaves_the_base_and_root_alone() -> None:
    state = committed({1: 10})
    root = state.root
    draft = state.draft()
    draft[ROWS].put(1, 11)
    draft[ROWS].delete(1)
    state.seal(draft)
    assert state.root == root
    assert state.draft()[ROWS].get(1) == 10


def test_nested__on_an_exception__drops_only_its_own_writes() -> None:
    draft = committed({1: 10}).draft()
    draft[ROWS].put(2, 20)
    with pytest.raises(ValueError, match="stop"), draft.nested():  # noqa: PT012 -- the writes are what is undone
        draft[ROWS].put(1, 11)
        draft[ROWS].delete(2)
        with draft.nested():
            draft[ROWS].put(3, 30)
        raise ValueError("stop")
    assert dict(draft[ROWS].items()) == {1: 10, 2: 20}


def test_keys__after_inserts_and_deletes__are_in_order() -> None:
    draft = committed({5: 1, 1: 1, 9: 1}).draft()
    draft[ROWS].put(7, 1)
    draft[ROWS].delete(5)
    assert draft[ROWS].keys() == [1, 7, 9]


def test_commit__of_deletes_and_updates__equals_a_fresh_state() -> None:
    state = committed({1: 1, 2: 2, 3: 3})
    draft = state.draft()
    draft[ROWS].delete(2)
    draft[ROWS].put(3, 33)
    state.commit(state.seal(draft))
    assert state.root == committed({3: 33, 1: 1}).root


def test_load__of_an_export__has_the_same_root() -> None:
    state = committed({index: index * index for index in range(50)})
    other = State(TABLES)
    other.load(list(state.export()))
    assert other.root == state.root
    assert other.draft()[ROWS].keys() == state.draft()[ROWS].keys()


def test_read__of_a_missing_row_without_asking__halts() -> None:
    with pytest.raises(BrokenInvariantError):
        _ = committed({}).draft()[ROWS][1]


def test_derived_tables__never_reach_the_root() -> None:
    state = committed({1: 1})
    root = state.root
    draft = state.draft()
    draft[INDEX].put(1, (1, 2))
    state.commit(state.seal(draft))
    assert state.root == root
    assert state.draft()[INDEX].get(1) == (1, 2)


OPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "open", "keep", "drop"]), st.integers(0, 7), st.integers(0, 3)),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.integers(0, 7), st.integers(0, 3), max_size=8), OPS)
def test_draft__under_any_nesting__equals_a_stack_of_dicts(
    base: dict[int, int], ops: list[tuple[str, int, int]]
) -> None:
    draft = committed(base).draft()
    stack, marks = [dict(base)], []
    for op, key, value in ops:
        if op == "put":
            draft[ROWS].put(key, value)
            stack[-1][key] = value
        elif op == "delete" and key in stack[-1]:
            draft[ROWS].delete(key)
            del stack[-1][key]
        elif op == "open":
            marks.append(draft.mark())
            stack.append(dict(stack[-1]))
        elif op == "keep" and marks:
            marks.pop()
            draft.keep()
            stack[-2:] = [stack[-1]]
        elif op == "drop" and marks:
            draft.drop(marks.pop())
            stack.pop()
        assert dict(draft[ROWS].items()) == stack[-1]
        assert draft[ROWS].keys() == sorted(stack[-1])
