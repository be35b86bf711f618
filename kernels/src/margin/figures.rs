//! What Python calls for the figures of the exchange's margin.

use holdfast_margin::{
    run, AccountStress, Accounts, Added, Instruments, Orders, Scenarios, FIGURES, SCENARIOS, UNIVERSES,
};
use pyo3::prelude::*;

use super::{halve, refuse, rows_of, rows_of_mut, run_both, Array, HeldPositions};
use crate::arrays::{hold, Held, Views, ANY};
use crate::dispatch::choose;

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
    let path = choose(path)?;
    let (held, mut out) = (HeldPositions::hold(starts, places, lots)?, hold(out, "out")?);
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
    let positions = held.read(&mut views)?;
    let accounts = positions.starts.len() - 1;
    let instruments = book.instruments(&mut views)?;
    let scenarios = book.scenarios(&mut views, cross_weight_ppm)?;
    let extras =
        added(&mut views, accounts, &book.extra_of, &book.extras, "extra_of: each is -1 or a place in extras")?;
    let orders =
        added(&mut views, accounts, &book.order_of, &book.orders, "order_of: each is -1 or a place in orders")?;
    let half = halve(positions.starts, threads)?;
    let (before, after) = split_out(views.write(&mut out, &[FIGURES, accounts])?, accounts, half);
    let (instruments, scenarios) = (&instruments, &scenarios);
    let part = |first, out| Accounts { first, positions, instruments, scenarios, extras, orders, out };
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
    let path = choose(path)?;
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

/// Write the sums of what open orders would lose, each added to its cell: a row of `out`.
#[pyfunction]
#[pyo3(signature = (places, edges, lots, cells, rows, out, path = None))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn sum_orders(
    py: Python<'_>,
    places: Array,
    edges: Array,
    lots: Array,
    cells: Array,
    rows: Array,
    out: Array,
    path: Option<&str>,
) -> PyResult<()> {
    let path = choose(path)?;
    let (places, edges, lots) = (hold(places, "places")?, hold(edges, "edges")?, hold(lots, "lots")?);
    let (cells, rows, mut out) = (hold(cells, "cells")?, hold(rows, "rows")?, hold(out, "out")?);
    let mut views = Views::default();
    let places = views.read(&places, &[ANY])?;
    let kernel = Orders {
        places,
        edges: views.read(&edges, &[places.len()])?,
        lots: views.read(&lots, &[places.len()])?,
        cells: views.read(&cells, &[places.len()])?,
        rows: rows_of(views.read(&rows, &[ANY, SCENARIOS])?),
        out: rows_of_mut(views.write(&mut out, &[ANY, SCENARIOS])?),
    };
    py.detach(|| run(path, kernel)).map_err(refuse)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(margin_accounts, module)?)?;
    module.add_function(wrap_pyfunction!(margin_account_stress, module)?)?;
    module.add_function(wrap_pyfunction!(sum_orders, module)?)
}
