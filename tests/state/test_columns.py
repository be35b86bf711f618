"""A table's rows as sorted columns."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.state.columns import Columns, make_columns, make_pages, refresh_pages
from holdfast.state.draft import DraftTable, Rows

KEYS = st.integers(0, 40)
ROWS = st.tuples(st.integers(-(2**62), 2**62), st.integers(-5, 5))
TABLES = st.dictionaries(KEYS, ROWS)
CHANGES = st.dictionaries(KEYS, st.none() | ROWS)


@given(TABLES, CHANGES)
def test_change__any_puts_and_removals__is_the_table_made_anew(
    rows: dict[int, tuple[int, ...]], changes: dict[int, tuple[int, ...] | None]
) -> None:
    after = {**rows, **{key: row for key, row in changes.items() if row is not None}}
    for key, row in changes.items():
        if row is None:
            after.pop(key, None)
    before = make_columns(rows, 2)
    assert before.change(sorted(changes.items())) == make_columns(after, 2)
    assert before == make_columns(rows, 2)


def test_change__nothing__is_the_same_object() -> None:
    columns = make_columns({3: (1,)}, 1)
    assert columns.change([]) is columns


def test_columns__written_to__refuses() -> None:
    columns = make_columns({3: (1,), 5: (2,)}, 1)
    assert not columns.keys.flags.writeable
    assert not columns.values.flags.writeable
    assert not columns.change([(3, (7,))]).values.flags.writeable


@given(TABLES, CHANGES, CHANGES)
def test_refresh__twice_in_a_draft__starts_from_what_was_committed(
    rows: dict[int, tuple[int, ...]],
    first: dict[int, tuple[int, ...] | None],
    second: dict[int, tuple[int, ...] | None],
) -> None:
    def locate(changes: dict[int, tuple[int, ...] | None]) -> list[tuple[int, int, tuple[int, ...] | None]]:
        return [(key // 10, key % 10, row) for key, row in changes.items()]

    committed: Rows[int, Columns] = Rows()
    committed.apply(dict(make_pages(locate(dict(rows)), 2)))
    draft = DraftTable(committed, [])
    for changes in (first, second):
        refresh_pages(draft, locate(changes), 2)
        after = {**rows, **{key: row for key, row in changes.items() if row is not None}}
        gone = [key for key, row in changes.items() if row is None]
        expected = make_pages(locate({key: row for key, row in after.items() if key not in gone}), 2)
        assert draft.as_dict() == expected
    assert committed.by_key == make_pages(locate(dict(rows)), 2)


def test_equal__other_values_or_keys__differs() -> None:
    columns = make_columns({1: (2, 3)}, 2)
    assert columns == Columns(np.array([1]), np.array([[2], [3]]))
    assert columns != Columns(np.array([1]), np.array([[2], [4]]))
    assert columns != Columns(np.array([2]), np.array([[2], [3]]))
