//! The margin kernel for Python: arrays in, arrays out, the interpreter released meanwhile, on one thread or two.

mod figures;

use holdfast_margin::{golden, run, Done, Fills, Kept, Kernel, Positions, Reads, Row, Sums, Table, SCENARIOS};
use holdfast_pricing::Path;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{hold, Held, Views, ANY};
use crate::dispatch::choose;

type Array<'a, 'py> = &'a Bound<'py, PyAny>;

const THREADS_MAX: usize = 2;

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
struct HeldPositions {
    starts: Held<i64>,
    places: Held<i32>,
    lots: Held<i64>,
}

impl HeldPositions {
    fn hold(starts: Array, places: Array, lots: Array) -> PyResult<HeldPositions> {
        Ok(HeldPositions {
            starts: hold(starts, "starts")?,
            places: hold(places, "places")?,
            lots: hold(lots, "lots")?,
        })
    }

    fn read<'a>(&'a self, views: &mut Views) -> PyResult<Positions<'a>> {
        let starts = views.read(&self.starts, &[ANY])?;
        let places = views.read(&self.places, &[ANY])?;
        check_starts(starts, places.len())?;
        Ok(Positions { starts, places, lots: views.read(&self.lots, &[places.len()])? })
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
    let path = choose(path)?;
    let (held, rows, mut out) = (HeldPositions::hold(starts, places, lots)?, hold(rows, "rows")?, hold(out, "out")?);
    let mut views = Views::default();
    let positions = held.read(&mut views)?;
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let out = rows_of_mut(views.write(&mut out, &[positions.starts.len() - 1, SCENARIOS])?);
    let table = &Table::new(rows, positions.places.len());
    let half = halve(positions.starts, threads)?;
    let (before, after) = out.split_at_mut(half);
    let part = |first, out| Sums { first, positions, table, out: Kept::Sums(out) };
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
    let path = choose(path)?;
    let (held, rows, mut out) = (HeldPositions::hold(starts, places, lots)?, hold(rows, "rows")?, hold(out, "out")?);
    let mut views = Views::default();
    let positions = held.read(&mut views)?;
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let out = views.write(&mut out, &[positions.starts.len() - 1])?;
    let table = &Table::new(rows, positions.places.len());
    let half = halve(positions.starts, threads)?;
    let (before, after) = out.split_at_mut(half);
    let part = |first, out| Sums { first, positions, table, out: Kept::Worst(out) };
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
    let path = choose(path)?;
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
    let path = choose(path)?;
    let (rows, order) = (hold(rows, "rows")?, hold(order, "order")?);
    let mut views = Views::default();
    let rows = rows_of(views.read(&rows, &[ANY, SCENARIOS])?);
    let order = views.read(&order, &[ANY])?;
    py.detach(|| run(path, Reads { rows, order })).map_err(|_| refuse("order: each is a row number of rows"))
}

/// The golden hash of margin on one path.
#[pyfunction]
fn margin_golden_hash(py: Python<'_>, path: &str) -> PyResult<String> {
    let path = choose(Some(path))?;
    Ok(py.detach(|| golden::hash(path)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sum_rows, module)?)?;
    module.add_function(wrap_pyfunction!(worst_rows, module)?)?;
    module.add_function(wrap_pyfunction!(add_fills, module)?)?;
    module.add_function(wrap_pyfunction!(read_rows, module)?)?;
    module.add_function(wrap_pyfunction!(margin_golden_hash, module)?)?;
    figures::register(module)
}
