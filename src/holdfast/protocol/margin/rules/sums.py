"""The margin kernel's arithmetic over a sheet of accounts, in exact int64.

No sum can overflow: an entry of the risk array and the lots of an account are bounded where they arise (`limits`).
"""

from typing import Final, NamedTuple

import numpy as np

from holdfast import _kernels
from holdfast.primitives.arrays import share_floor
from holdfast.primitives.pricing import native_path
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.margin.params import JOINT_INDEX, JOINT_ROWS, OPPOSED_INDEX, OPPOSED_ROWS, UNIVERSES
from holdfast.protocol.margin.state import Int32Array, Int64Array, KernelLines, Sheet

_COUNT: Final = len(UNIVERSES)
_FIGURES: Final = 12  # rows of what the native kernel tells, in the order of `Sums`
_ACCOUNTS_AT_ONCE: Final = 2_048


class Extras(NamedTuple):
    """What else stresses some accounts: vectors int64[n, 3, 32], and by account the place of its own, or -1."""

    coin_of: Int64Array
    coins: Int64Array  # coins held as collateral
    order_of: Int64Array
    orders: Int64Array  # open orders, where they lose: for initial margin alone


class Sums(NamedTuple):
    """What the kernel tells of each account of a sheet, in atoms and lots."""

    value_atoms: Int64Array  # positions at mark
    short_lots: Int64Array  # int64[3, accounts]: net short options per expiry and strike
    gross_lots: Int64Array  # int64[3, accounts]
    future_lots: Int64Array  # int64[3, accounts]: dated futures, gross
    loss_atoms: Int64Array  # the worst listed scenario of positions and coins, not below 0
    order_loss_atoms: Int64Array  # the same with open orders


def place_extras(places: Int64Array, firsts: list[int]) -> tuple[Int64Array, list[int]]:
    """Return by account the place of its vectors among those of its sheet, or -1; and where each sheet's begin.

    `places` are those of the accounts that have any, ascending; `firsts` are the places of the sheets' first accounts
    and, last, the number of accounts.
    """
    begins = np.searchsorted(places, firsts)
    place_of = np.full(firsts[-1], -1, dtype=np.int64)
    place_of[places] = np.arange(len(places)) - np.repeat(begins[:-1], np.diff(begins))
    return place_of, begins.tolist()


def make_room(accounts: int) -> Sums:
    """Return where the sums of so many accounts are written; nothing is there yet."""
    return _split(np.empty((_FIGURES, accounts), dtype=np.int64))


def sum_accounts(sheet: Sheet, lines: KernelLines, extras: Extras, cross_weight_ppm: int) -> Sums:
    """Return the sums of every account of a sheet, by the kernel that was chosen."""
    path = native_path()
    if path is None:
        return sum_accounts_numpy(sheet, lines, extras, cross_weight_ppm)
    return sum_accounts_native(sheet, lines, extras, cross_weight_ppm, path)


def sum_accounts_native(sheet: Sheet, lines: KernelLines, extras: Extras, cross_weight_ppm: int, path: str) -> Sums:
    """Return what `sum_accounts` returns, by the native kernel on one instruction set."""
    out: Int64Array = np.empty((_FIGURES, len(sheet.account_ids)), dtype=np.int64)
    _kernels.margin_accounts(
        sheet.starts,
        sheet.places,
        sheet.lots,
        *lines,
        JOINT_ROWS,
        OPPOSED_ROWS,
        cross_weight_ppm,
        *extras,
        out,
        path=path,
    )
    return _split(out)


def _split(figures: Int64Array) -> Sums:
    return Sums(figures[0], figures[1:4], figures[4:7], figures[7:10], figures[10], figures[11])


def sum_accounts_numpy(sheet: Sheet, lines: KernelLines, extras: Extras, cross_weight_ppm: int) -> Sums:
    """Return what `sum_accounts` returns, by NumPy: the reference."""
    accounts = len(sheet.account_ids)
    holder = np.repeat(np.arange(accounts), np.diff(sheet.starts))
    places, lots = sheet.places, sheet.lots
    keys = holder * _COUNT + lines.universes[places]
    cells = accounts * _COUNT
    is_future, groups = lines.is_future[places], lines.strike_groups[places]
    optional = np.flatnonzero(is_future == 0)
    width = int(groups.max(initial=0)) + 1
    net_keys, nets = _net_by((keys * width + groups)[optional], lots[optional])
    gross = np.abs(lots)
    loss, order_loss = _worst_losses(sheet, lines, extras, keys, cross_weight_ppm)
    return Sums(
        sum_by(holder, lines.values_atoms[places] * lots, accounts),
        sum_by(np.floor_divide(net_keys, width), np.maximum(0, -nets), cells).reshape(-1, _COUNT).T,
        sum_by(keys, gross, cells).reshape(-1, _COUNT).T,
        sum_by(keys, gross * is_future, cells).reshape(-1, _COUNT).T,
        loss,
        order_loss,
    )


def sum_account(places: Int32Array, lots: Int64Array, lines: KernelLines) -> Int64Array:
    """Return what one account's positions gain or lose, int64[3, 32] in atoms, by the kernel that was chosen."""
    path = native_path()
    if path is None:
        return sum_by(lines.universes[places], lines.rows[places] * lots[:, None], _COUNT)
    out: Int64Array = np.empty((_COUNT, SCENARIOS), dtype=np.int64)
    _kernels.margin_account_stress(places, lots, lines.rows, lines.universes, out, path)
    return out


def sum_by(keys: Int64Array, values: Int64Array, size: int) -> Int64Array:
    """Add up the values (vectors or numbers) of equal keys into an array of `size` places."""
    result = np.zeros((size, *values.shape[1:]), dtype=np.int64)
    if len(keys):
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        result[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
    return result


def _net_by(keys: Int64Array, lots: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Net the lots of equal keys; return the keys, ascending, and their nets."""
    if not len(keys):
        return keys, lots
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[starts], np.add.reduceat(lots[order], starts)


def _worst_losses(
    sheet: Sheet, lines: KernelLines, extras: Extras, keys: Int64Array, cross_weight_ppm: int
) -> tuple[Int64Array, Int64Array]:
    """Return each account's worst loss over the listed scenarios, without and with its open orders."""
    accounts = len(sheet.account_ids)
    losses = np.zeros((2, accounts), dtype=np.int64)
    for first in range(0, accounts, _ACCOUNTS_AT_ONCE):
        end = min(accounts, first + _ACCOUNTS_AT_ONCE)
        held = slice(int(sheet.starts[first]), int(sheet.starts[end]))
        moved = lines.rows[sheet.places[held]] * sheet.lots[held, None]
        stress = sum_by(keys[held] - first * _COUNT, moved, (end - first) * _COUNT).reshape(-1, _COUNT, SCENARIOS)
        _add(stress, extras.coin_of[first:end], extras.coins)
        losses[0, first:end] = _worst_loss(stress, cross_weight_ppm)
        _add(stress, extras.order_of[first:end], extras.orders)
        losses[1, first:end] = _worst_loss(stress, cross_weight_ppm)
    return losses[0], losses[1]


def _add(stress: Int64Array, places: Int64Array, vectors: Int64Array) -> None:
    having = np.flatnonzero(places >= 0)
    stress[having] += vectors[places[having]]


def _worst_loss(stress: Int64Array, cross_weight_ppm: int) -> Int64Array:
    flat = stress.reshape(-1, _COUNT * SCENARIOS)
    joint = flat[:, JOINT_INDEX[0]] + flat[:, JOINT_INDEX[1]] + flat[:, JOINT_INDEX[2]]
    against = flat[:, OPPOSED_INDEX[0]] + flat[:, OPPOSED_INDEX[1]] + flat[:, OPPOSED_INDEX[2]]
    weighed = share_floor(np.minimum.reduce(against, axis=1), cross_weight_ppm)
    return np.maximum(0, -np.minimum(np.minimum.reduce(joint, axis=1), weighed))
