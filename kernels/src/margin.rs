//! Margin's exact sums over positions: lots times scenario rows, of all accounts or of one fill.
//!
//! Positions lie account by account: those of account `a` are `starts[a]..starts[a + 1]` of `places` (the instrument's
//! row number) and `lots`. Rows are 32 changes of a lot's value in atoms. Sums wrap at 64 bits and therefore depend on
//! no order, thread or path; they are the true sums as long as |row| <= 2^36 and an account's |lots| add up to at most
//! 2^26, which the exchange upholds. Rows are read fastest where they begin at multiples of 64 bytes.

mod accounts;
mod lanes;
mod scenarios;
mod sums;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{hold, Held, Views, ANY};
use crate::dispatch::Path;
use accounts::{AccountStress, Accounts, Added, Instruments, FIGURES, UNIVERSES};
use lanes::{run, Kernel, Row, SCENARIOS};
use scenarios::Scenarios;
use sums::{Fills, Kept, Reads, Sums};

type Array<'a, 'py> = &'a Bound<'py, PyAny>;
type Done = Result<(), &'static str>;

const NO_PLACE: &str = "places: each is a row number of rows";
const THREADS_MAX: usize = 2;

/// The positions of an account. Refuses: starts that do not ascend or that pass the positions.
fn span(starts: &[i64], account: usize, positions: usize) -> Result<(usize, usize), &'static str> {
    let bounds = |from: i64, to: i64| {
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        (from <= to && to <= positions).then_some((from, to))
    };
    bounds(starts[account], starts[account + 1]).ok_or("starts: ascend from 0 to the number of positions")
}

/// Refuses: starts that leave out positions at either end. The rest is checked where they are used.
fn check_starts(starts: &[i64], positions: usize) -> PyResult<()> {
    let ends = (starts.first(), starts.last().map(|end| usize::try_from(*end)));
    if ends == (Some(&0), Some(Ok(positions))) {
        Ok(())
    } else {
        Err(refuse("starts: ascend from 0 to the number of positions"))
    }
}

fn refuse(why: &'static str) -> PyErr {
    PyValueError::new_err(why)
}

/// The item of a place; a negative one is none, like one past the end.
#[inline]
#[allow(clippy::cast_sign_loss, reason = "what is negative becomes greater than any length")]
fn get<T>(items: &[T], place: i32) -> Option<&T> {
    items.get(place as usize)
}

/// A number as the position of one of `end` items.
#[inline]
fn position(number: i64, end: usize) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number < end)
}

fn rows_of(numbers: &[i64]) -> &[Row] {
    numbers.as_chunks().0
}

fn rows_of_mut(numbers: &mut [i64]) -> &mut [Row] {
    numbers.as_chunks_mut().0
}

/// The account before which half of the positions lie, or 0 if all are for one thread.
fn halve(starts: &[i64], threads: usize) -> PyResult<usize> {
    match threads {
        1 => Ok(0),
        THREADS_MAX => Ok(starts[1..].partition_point(|end| *end <= starts[starts.len() - 1] / 2)),
        _ => Err(refuse("threads: is 1 or 2")),
    }
}

/// Run one kernel beside another, in a thread of its own.
fn run_both<K: Kernel<Output = Done> + Send>(path: Path, kernels: (Option<K>, K)) -> Done {
    let (Some(other), kernel) = kernels else { return run(path, kernels.1) };
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| run(path, other));
        let here = run(path, kernel);
        beside.join().unwrap_or(Err("threads: one panicked")).and(here)
    })
}

/// Positions, account by account, as they come from Python.
struct Positions {
    starts: Held<i64>,
    places: Held<i32>,
    lots: Held<i64>,
}

impl Positions {
    fn hold(starts: Array, places: Array, lots: Array) -> PyResult<Positions> {
        Ok(Positions { starts: hold(starts, "starts")?, places: hold(places, "places")?, lots: hold(lots, "lots")? })
    }

    fn read<'a>(&'a self, views: &mut Views) -> PyResult<(&'a [i64], &'a [i32], &'a [i64])> {
        let starts = views.read(&self.starts, &[ANY])?;
        let places = views.read(&self.places, &[ANY])?;
        check_starts(starts, places.len())?;
        Ok((starts, places, views.read(&self.lots, &[places.len()])?))
    }
}

/// Write every account's 32 sums of lots times rows.
#[pyfunction]
#[pyo3(signature = (starts, places, lots, rows, out, threads = 1, path = None))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn sum_rows(
    py: Python<'_>,
    starts: Array,
    places: Array,
    lots: Array,
    rows: Array,
    out: Array,
    threads: usize,
    path: Option<&str>,
) -> PyResult<()> {
    let path = Path::choose(path)?;
    let (positions, rows, mut out) = (Positions::hold(starts, places, lots)?, hold(rows, "rows")?, hold(out, "out")?);
    let mut views = Views::default();
    let (starts, places, lots) = positions.read(&mut views)?;
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let out = rows_of_mut(views.write(&mut out, &[starts.len() - 1, SCENARIOS])?);
    let half = halve(starts, threads)?;
    let (before, after) = out.split_at_mut(half);
    let part = |first, out| Sums { first, starts, places, lots, rows, out: Kept::Sums(out) };
    let kernels = ((half > 0).then(|| part(0, before)), part(half, after));
    py.detach(|| run_both(path, kernels)).map_err(refuse)
}

/// Write the least of every account's 32 sums of lots times rows.
#[pyfunction]
#[pyo3(signature = (starts, places, lots, rows, out, threads = 1, path = None))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn worst_rows(
    py: Python<'_>,
    starts: Array,
    places: Array,
    lots: Array,
    rows: Array,
    out: Array,
    threads: usize,
    path: Option<&str>,
) -> PyResult<()> {
    let path = Path::choose(path)?;
    let (positions, rows, mut out) = (Positions::hold(starts, places, lots)?, hold(rows, "rows")?, hold(out, "out")?);
    let mut views = Views::default();
    let (starts, places, lots) = positions.read(&mut views)?;
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let out = views.write(&mut out, &[starts.len() - 1])?;
    let half = halve(starts, threads)?;
    let (before, after) = out.split_at_mut(half);
    let part = |first, out| Sums { first, starts, places, lots, rows, out: Kept::Worst(out) };
    let kernels = ((half > 0).then(|| part(0, before)), part(half, after));
    py.detach(|| run_both(path, kernels)).map_err(refuse)
}

/// Add fills to their accounts' sums, one after the other, and write the least of the sums after each.
#[pyfunction]
#[pyo3(signature = (sums, accounts, places, lots, rows, out, path = None))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn add_fills(
    py: Python<'_>,
    sums: Array,
    accounts: Array,
    places: Array,
    lots: Array,
    rows: Array,
    out: Array,
    path: Option<&str>,
) -> PyResult<()> {
    let path = Path::choose(path)?;
    let (mut sums, accounts, places) = (hold(sums, "sums")?, hold(accounts, "accounts")?, hold(places, "places")?);
    let (lots, rows, mut out) = (hold(lots, "lots")?, hold(rows, "rows")?, hold(out, "out")?);
    let mut views = Views::default();
    let accounts = views.read(&accounts, &[ANY])?;
    let fills = Fills {
        sums: rows_of_mut(views.write(&mut sums, &[ANY, SCENARIOS])?),
        accounts,
        places: views.read(&places, &[accounts.len()])?,
        lots: views.read(&lots, &[accounts.len()])?,
        rows: rows_of(views.read(&rows, &[ANY, SCENARIOS])?),
        out: views.write(&mut out, &[accounts.len()])?,
    };
    py.detach(|| run(path, fills)).map_err(refuse)
}

/// Read rows in the order given and return the sum of all their numbers, modulo 2^64: what reading alone costs.
#[pyfunction]
#[pyo3(signature = (rows, order, path = None))]
fn read_rows(py: Python<'_>, rows: Array, order: Array, path: Option<&str>) -> PyResult<i64> {
    let path = Path::choose(path)?;
    let (rows, order) = (hold(rows, "rows")?, hold(order, "order")?);
    let mut views = Views::default();
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let order = views.read(&order, &[ANY])?;
    py.detach(|| run(path, Reads { rows, order })).map_err(|_| refuse("order: each is a row number of rows"))
}

/// The arrays of `margin_accounts` beside the positions.
struct Book {
    rows: Held<i64>,
    values: Held<i64>,
    universes: Held<i64>,
    is_future: Held<i64>,
    groups: Held<i64>,
    joint: Held<i64>,
    opposed: Held<i64>,
    extra_of: Held<i64>,
    extras: Held<i64>,
    order_of: Held<i64>,
    orders: Held<i64>,
}

impl Book {
    fn instruments(&self, views: &mut Views) -> PyResult<Instruments<'_>> {
        let rows = rows_of(views.read(&self.rows, &[ANY, SCENARIOS])?);
        let mut column = |held| views.read(held, &[rows.len()]);
        let (values, universes) = (column(&self.values)?, column(&self.universes)?);
        let (is_future, groups) = (column(&self.is_future)?, column(&self.groups)?);
        Instruments::new(rows, values, universes, is_future, groups).map_err(refuse)
    }

    fn scenarios(&self, views: &mut Views, cross_weight_ppm: i64) -> PyResult<Scenarios> {
        let joint = views.read(&self.joint, &[ANY, UNIVERSES])?;
        let opposed = views.read(&self.opposed, &[ANY, UNIVERSES])?;
        Scenarios::new(joint, opposed, cross_weight_ppm).map_err(refuse)
    }
}

fn added<'a>(
    views: &mut Views,
    accounts: usize,
    of: &'a Held<i64>,
    vectors: &'a Held<i64>,
    refusal: &'static str,
) -> PyResult<Added<'a>> {
    let of = views.read(of, &[accounts])?;
    let vectors = views.read(vectors, &[ANY, UNIVERSES, SCENARIOS])?;
    Ok(Added { of, vectors: rows_of(vectors).as_chunks().0, refusal })
}

/// Cut each of the output's rows before an account.
fn split_out(out: &mut [i64], accounts: usize, half: usize) -> ([&mut [i64]; FIGURES], [&mut [i64]; FIGURES]) {
    let mut before = [const { [].as_mut_slice() }; FIGURES];
    let mut after = [const { [].as_mut_slice() }; FIGURES];
    let mut rest = out;
    for (before, after) in before.iter_mut().zip(&mut after) {
        let (row, others) = rest.split_at_mut(accounts);
        (*before, *after) = row.split_at_mut(half);
        rest = others;
    }
    (before, after)
}

/// Write what the exchange's margin asks of every account's positions: one row per figure, one column per account.
#[pyfunction]
#[pyo3(signature = (
    starts, places, lots, rows, values, universes, is_future, groups, joint, opposed, cross_weight_ppm,
    extra_of, extras, order_of, orders, out, threads = 1, path = None
))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn margin_accounts(
    py: Python<'_>,
    starts: Array,
    places: Array,
    lots: Array,
    rows: Array,
    values: Array,
    universes: Array,
    is_future: Array,
    groups: Array,
    joint: Array,
    opposed: Array,
    cross_weight_ppm: i64,
    extra_of: Array,
    extras: Array,
    order_of: Array,
    orders: Array,
    out: Array,
    threads: usize,
    path: Option<&str>,
) -> PyResult<()> {
    let path = Path::choose(path)?;
    let (positions, mut out) = (Positions::hold(starts, places, lots)?, hold(out, "out")?);
    let book = Book {
        rows: hold(rows, "rows")?,
        values: hold(values, "values")?,
        universes: hold(universes, "universes")?,
        is_future: hold(is_future, "is_future")?,
        groups: hold(groups, "groups")?,
        joint: hold(joint, "joint")?,
        opposed: hold(opposed, "opposed")?,
        extra_of: hold(extra_of, "extra_of")?,
        extras: hold(extras, "extras")?,
        order_of: hold(order_of, "order_of")?,
        orders: hold(orders, "orders")?,
    };
    let mut views = Views::default();
    let (starts, places, lots) = positions.read(&mut views)?;
    let accounts = starts.len() - 1;
    let instruments = book.instruments(&mut views)?;
    let scenarios = book.scenarios(&mut views, cross_weight_ppm)?;
    let extras =
        added(&mut views, accounts, &book.extra_of, &book.extras, "extra_of: each is -1 or a place in extras")?;
    let orders =
        added(&mut views, accounts, &book.order_of, &book.orders, "order_of: each is -1 or a place in orders")?;
    let half = halve(starts, threads)?;
    let (before, after) = split_out(views.write(&mut out, &[FIGURES, accounts])?, accounts, half);
    let (instruments, scenarios) = (&instruments, &scenarios);
    let part = |first, out| Accounts { first, starts, places, lots, instruments, scenarios, extras, orders, out };
    let kernels = ((half > 0).then(|| part(0, before)), part(half, after));
    py.detach(|| run_both(path, kernels)).map_err(refuse)
}

/// Write one account's stress: the sums of lots times rows, per universe.
#[pyfunction]
#[pyo3(signature = (places, lots, rows, universes, out, path = None))]
fn margin_account_stress(
    places: Array,
    lots: Array,
    rows: Array,
    universes: Array,
    out: Array,
    path: Option<&str>,
) -> PyResult<()> {
    let path = Path::choose(path)?;
    let (places, lots, rows) = (hold(places, "places")?, hold(lots, "lots")?, hold(rows, "rows")?);
    let (universes, mut out) = (hold(universes, "universes")?, hold(out, "out")?);
    let mut views = Views::default();
    let places = views.read(&places, &[ANY])?;
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let kernel = AccountStress {
        places,
        lots: views.read(&lots, &[places.len()])?,
        rows,
        universes: views.read(&universes, &[rows.len()])?,
        out: rows_of_mut(views.write(&mut out, &[UNIVERSES, SCENARIOS])?),
    };
    run(path, kernel).map_err(refuse)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sum_rows, module)?)?;
    module.add_function(wrap_pyfunction!(worst_rows, module)?)?;
    module.add_function(wrap_pyfunction!(add_fills, module)?)?;
    module.add_function(wrap_pyfunction!(read_rows, module)?)?;
    module.add_function(wrap_pyfunction!(margin_accounts, module)?)?;
    module.add_function(wrap_pyfunction!(margin_account_stress, module)?)
}
