//! The pricing kernel for Python: arrays in, arrays out, the interpreter released meanwhile.
//!
//! `path` is one of `pricing_paths`. The functions over doubles tell whether every input lay inside the domain; where
//! one did not, the outputs mean nothing.

use holdfast_pricing::{
    BlackJob, Grid, ImpliedJob, Job, Marks, MarksJob, Options, Path, PriceJob, RowsJob, Slices, VolScaleJob,
};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::buffers::{check_length, Claims};

type Columns<T> = Vec<PyBuffer<T>>;

fn run(py: Python<'_>, path: &str, job: impl Job + Send) -> PyResult<()> {
    let path = Path::named(path)
        .ok_or_else(|| PyValueError::new_err(format!("this machine has no instruction set {path}")))?;
    py.detach(|| path.run(job));
    Ok(())
}

fn slices<'a>(claims: &mut Claims, columns: &'a Columns<i64>) -> PyResult<Slices<'a>> {
    let [forward_e8, theta_e12, rho_ppm, eta_ppm, fixed_e8, variable_ppm, remaining_ms, grid_index, shift_ppm, width_ppm] =
        claims.read_columns(columns)?;
    Ok(Slices {
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
    })
}

fn options<'a>(claims: &mut Claims, columns: &'a Columns<i64>) -> PyResult<Options<'a>> {
    let [slice_index, strike_e8, is_call, lot_e8] = claims.read_columns(columns)?;
    Ok(Options { slice_index, strike_e8, is_call, lot_e8 })
}

#[pyfunction]
fn pricing_paths() -> Vec<&'static str> {
    Path::all().into_iter().map(Path::name).collect()
}

#[pyfunction]
#[pyo3(name = "compute_marks")]
#[allow(clippy::needless_pass_by_value)] // the binding hands over owned lists
fn marks(
    py: Python<'_>,
    path: &str,
    slice_columns: Columns<i64>,
    option_columns: Columns<i64>,
    mut out: Columns<i64>,
) -> PyResult<()> {
    let mut claims = Claims::default();
    let (slices, options) = (slices(&mut claims, &slice_columns)?, options(&mut claims, &option_columns)?);
    let [mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8] = claims.write_columns(&mut out)?;
    check_length("the marks' column", mark_e8.len(), options.strike_e8.len())?;
    let marks = Marks { mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8 };
    run(py, path, MarksJob { slices, options, marks })
}

#[pyfunction]
#[pyo3(name = "compute_rows")]
#[allow(clippy::needless_pass_by_value)] // as above
fn rows(
    py: Python<'_>,
    path: &str,
    slice_columns: Columns<i64>,
    option_columns: Columns<i64>,
    grid_columns: Columns<i64>,
    marks_e8: PyBuffer<i64>,
    mut out: PyBuffer<i64>,
) -> PyResult<()> {
    let mut claims = Claims::default();
    let (slices, options) = (slices(&mut claims, &slice_columns)?, options(&mut claims, &option_columns)?);
    let [spot_ppm, vol_ppm, rho_shift_ppm, dampen_ppm] = claims.read_columns(&grid_columns)?;
    let scenarios = match grid_columns[0].shape() {
        [_, scenarios] if *scenarios > 0 => *scenarios,
        _ => return Err(PyValueError::new_err("a grid's columns have the shape (grids, scenarios)")),
    };
    let grid = Grid { spot_ppm, vol_ppm, rho_shift_ppm, dampen_ppm, scenarios };
    let (marks_e8, rows) = (claims.read(&marks_e8)?, claims.write(&mut out)?);
    let count = options.strike_e8.len();
    check_length("the marks' column", marks_e8.len(), count)?;
    check_length("the risk array", rows.len(), count * scenarios)?;
    run(py, path, RowsJob { slices, options, grid, marks_e8, rows })
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // as above
fn vol_scale_ppm(py: Python<'_>, path: &str, remaining_ms: PyBuffer<i64>, mut out: PyBuffer<i64>) -> PyResult<()> {
    let mut claims = Claims::default();
    let (remaining_ms, scale_ppm) = (claims.read(&remaining_ms)?, claims.write(&mut out)?);
    check_length("the scales' column", scale_ppm.len(), remaining_ms.len())?;
    run(py, path, VolScaleJob { remaining_ms, scale_ppm })
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // as above
fn black76(
    py: Python<'_>,
    path: &str,
    columns: Columns<f64>,
    is_call: PyBuffer<u8>,
    mut out: Columns<f64>,
) -> PyResult<bool> {
    let mut claims = Claims::default();
    let [forward, strike, variance, years] = claims.read_columns(&columns)?;
    let is_call = claims.read(&is_call)?;
    let [price, delta, gamma, vega, theta] = claims.write_columns(&mut out)?;
    check_length("is_call", is_call.len(), forward.len())?;
    check_length("an output", price.len(), forward.len())?;
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
#[allow(clippy::needless_pass_by_value)] // as above
fn black76_price(
    py: Python<'_>,
    path: &str,
    columns: Columns<f64>,
    is_call: PyBuffer<u8>,
    mut out: PyBuffer<f64>,
) -> PyResult<bool> {
    let mut claims = Claims::default();
    let [forward, strike, variance] = claims.read_columns(&columns)?;
    let (is_call, price) = (claims.read(&is_call)?, claims.write(&mut out)?);
    check_length("is_call", is_call.len(), forward.len())?;
    check_length("the output", price.len(), forward.len())?;
    let mut is_valid = true;
    run(py, path, PriceJob { forward, strike, variance, is_call, price, is_valid: &mut is_valid })?;
    Ok(is_valid)
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // as above
fn implied_deviation(
    py: Python<'_>,
    path: &str,
    columns: Columns<f64>,
    is_call: PyBuffer<u8>,
    mut out: PyBuffer<f64>,
) -> PyResult<bool> {
    let mut claims = Claims::default();
    let [price, forward, strike] = claims.read_columns(&columns)?;
    let (is_call, deviation) = (claims.read(&is_call)?, claims.write(&mut out)?);
    check_length("is_call", is_call.len(), forward.len())?;
    check_length("the output", deviation.len(), forward.len())?;
    let mut is_valid = true;
    run(py, path, ImpliedJob { price, forward, strike, is_call, deviation, is_valid: &mut is_valid })?;
    Ok(is_valid)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pricing_paths, module)?)?;
    module.add_function(wrap_pyfunction!(marks, module)?)?;
    module.add_function(wrap_pyfunction!(rows, module)?)?;
    module.add_function(wrap_pyfunction!(vol_scale_ppm, module)?)?;
    module.add_function(wrap_pyfunction!(black76, module)?)?;
    module.add_function(wrap_pyfunction!(black76_price, module)?)?;
    module.add_function(wrap_pyfunction!(implied_deviation, module)?)
}
