//! The pricing kernel for Python: arrays in, arrays out, the interpreter released meanwhile.
//!
//! `path` is one of `list_paths`. The functions over doubles tell whether every input lay inside the domain; where one
//! did not, the outputs mean nothing.
#![allow(clippy::needless_pass_by_value, reason = "the binding hands over owned lists")]

use holdfast_pricing::{
    BlackJob, Grid, ImpliedJob, Job, Marks, MarksJob, Options, PriceJob, RowsJob, Slices, VolScaleJob,
};
use pyo3::prelude::*;

use crate::arrays::{hold, hold_columns, Held, Views, ANY};
use crate::dispatch::choose;

type Array<'py> = Bound<'py, PyAny>;
type Columns<'py> = Vec<Array<'py>>;

fn run(py: Python<'_>, path: &str, job: impl Job + Send) -> PyResult<()> {
    let path = choose(Some(path))?;
    py.detach(|| path.run(job));
    Ok(())
}

/// Slices and options, held.
struct Market {
    slices: [Held<i64>; 10],
    options: [Held<i64>; 4],
}

impl Market {
    fn hold(slices: &Columns<'_>, options: &Columns<'_>) -> PyResult<Self> {
        Ok(Self { slices: hold_columns(slices, "slices")?, options: hold_columns(options, "options")? })
    }

    fn read<'a>(&'a self, views: &mut Views) -> PyResult<(Slices<'a>, Options<'a>)> {
        let [forward_e8, theta_e12, rho_ppm, eta_ppm, fixed_e8, variable_ppm, remaining_ms, grid_index, shift_ppm, width_ppm] =
            views.read_columns(&self.slices, &[self.slices[0].count()])?;
        let [slice_index, strike_e8, is_call, lot_e8] =
            views.read_columns(&self.options, &[self.options[0].count()])?;
        let slices = Slices {
            forward_e8,
            theta_e12,
            rho_ppm,
            eta_ppm,
            fixed_e8,
            variable_ppm,
            remaining_ms,
            grid_index,
            shift_ppm,
            width_ppm,
        };
        Ok((slices, Options { slice_index, strike_e8, is_call, lot_e8 }))
    }
}

#[pyfunction]
#[pyo3(name = "compute_marks")]
fn marks(py: Python<'_>, path: &str, slices: Columns<'_>, options: Columns<'_>, out: Columns<'_>) -> PyResult<()> {
    let (market, mut out) = (Market::hold(&slices, &options)?, hold_columns(&out, "out")?);
    let mut views = Views::default();
    let (slices, options) = market.read(&mut views)?;
    let [mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8] =
        views.write_columns(&mut out, &[options.strike_e8.len()])?;
    let marks = Marks { mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8 };
    run(py, path, MarksJob { slices, options, marks })
}

#[pyfunction]
#[pyo3(name = "compute_rows")]
fn rows(
    py: Python<'_>,
    path: &str,
    slices: Columns<'_>,
    options: Columns<'_>,
    grid: Columns<'_>,
    marks_e8: Array<'_>,
    out: Array<'_>,
) -> PyResult<()> {
    let (market, grid) = (Market::hold(&slices, &options)?, hold_columns::<i64, 4>(&grid, "grid")?);
    let (marks_e8, mut out) = (hold(&marks_e8, "marks_e8")?, hold(&out, "out")?);
    let mut views = Views::default();
    let (slices, options) = market.read(&mut views)?;
    let (grids, scenarios) = match grid[0].shape() {
        [grids, scenarios] if *scenarios > 0 => (*grids, *scenarios),
        _ => return Err(grid[0].refuse("takes the shape [grids, scenarios], with one scenario or more")),
    };
    let [spot_ppm, vol_ppm, rho_shift_ppm, dampen_ppm] = views.read_columns(&grid, &[grids, scenarios])?;
    let grid = Grid { spot_ppm, vol_ppm, rho_shift_ppm, dampen_ppm, scenarios };
    let count = options.strike_e8.len();
    let marks_e8 = views.read(&marks_e8, &[count])?;
    let rows = views.write(&mut out, &[count, scenarios])?;
    run(py, path, RowsJob { slices, options, grid, marks_e8, rows })
}

#[pyfunction]
fn vol_scale_ppm(py: Python<'_>, path: &str, remaining_ms: Array<'_>, out: Array<'_>) -> PyResult<()> {
    let (remaining_ms, mut out) = (hold(&remaining_ms, "remaining_ms")?, hold(&out, "out")?);
    let mut views = Views::default();
    let remaining_ms = views.read(&remaining_ms, &[ANY])?;
    let scale_ppm = views.write(&mut out, &[remaining_ms.len()])?;
    run(py, path, VolScaleJob { remaining_ms, scale_ppm })
}

#[pyfunction]
fn black76(py: Python<'_>, path: &str, columns: Columns<'_>, is_call: Array<'_>, out: Columns<'_>) -> PyResult<bool> {
    let (columns, is_call) = (hold_columns(&columns, "columns")?, hold(&is_call, "is_call")?);
    let mut out = hold_columns(&out, "out")?;
    let mut views = Views::default();
    let count = is_call.count();
    let [forward, strike, variance, years] = views.read_columns(&columns, &[count])?;
    let is_call = views.read(&is_call, &[count])?;
    let [price, delta, gamma, vega, theta] = views.write_columns(&mut out, &[count])?;
    let mut is_valid = true;
    let job = BlackJob {
        forward,
        strike,
        variance,
        years,
        is_call,
        price,
        delta,
        gamma,
        vega,
        theta,
        is_valid: &mut is_valid,
    };
    run(py, path, job)?;
    Ok(is_valid)
}

#[pyfunction]
fn black76_price(
    py: Python<'_>,
    path: &str,
    columns: Columns<'_>,
    is_call: Array<'_>,
    out: Array<'_>,
) -> PyResult<bool> {
    let (columns, is_call, mut out) =
        (hold_columns(&columns, "columns")?, hold(&is_call, "is_call")?, hold(&out, "out")?);
    let mut views = Views::default();
    let count = is_call.count();
    let [forward, strike, variance] = views.read_columns(&columns, &[count])?;
    let (is_call, price) = (views.read(&is_call, &[count])?, views.write(&mut out, &[count])?);
    let mut is_valid = true;
    run(py, path, PriceJob { forward, strike, variance, is_call, price, is_valid: &mut is_valid })?;
    Ok(is_valid)
}

#[pyfunction]
fn implied_deviation(
    py: Python<'_>,
    path: &str,
    columns: Columns<'_>,
    is_call: Array<'_>,
    out: Array<'_>,
) -> PyResult<bool> {
    let (columns, is_call, mut out) =
        (hold_columns(&columns, "columns")?, hold(&is_call, "is_call")?, hold(&out, "out")?);
    let mut views = Views::default();
    let count = is_call.count();
    let [price, forward, strike] = views.read_columns(&columns, &[count])?;
    let (is_call, deviation) = (views.read(&is_call, &[count])?, views.write(&mut out, &[count])?);
    let mut is_valid = true;
    run(py, path, ImpliedJob { price, forward, strike, is_call, deviation, is_valid: &mut is_valid })?;
    Ok(is_valid)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(marks, module)?)?;
    module.add_function(wrap_pyfunction!(rows, module)?)?;
    module.add_function(wrap_pyfunction!(vol_scale_ppm, module)?)?;
    module.add_function(wrap_pyfunction!(black76, module)?)?;
    module.add_function(wrap_pyfunction!(black76_price, module)?)?;
    module.add_function(wrap_pyfunction!(implied_deviation, module)?)
}
