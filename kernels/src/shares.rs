//! Shares of amounts, row by row: what a coin held as collateral gains or loses in every scenario.

use pyo3::prelude::*;

use crate::arrays::{hold, Views, ANY};

const PPM: i64 = 1_000_000;

/// Write floor(value * share / 10^6) for each value and each share of its row: `out[i, u, s]` of `values[i, u]` and
/// `shares[u, s]`. Taken apart so that no product passes 64 bits; exact for shares up to 2^43 either way and results
/// that fit, and wrapping beyond.
#[pyfunction]
fn share_rows(
    py: Python<'_>,
    values: &Bound<'_, PyAny>,
    shares: &Bound<'_, PyAny>,
    out: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (values, shares, mut out) = (hold(values, "values")?, hold(shares, "shares")?, hold(out, "out")?);
    let mut views = Views::default();
    let shares_all = views.read(&shares, &[ANY, ANY])?;
    let (rows, width) = (shares.shape()[0], shares.shape()[1]);
    let values_all = views.read(&values, &[ANY, rows])?;
    let out = views.write(&mut out, &[values.shape()[0], rows, width])?;
    if width > 0 {
        py.detach(|| {
            let shares = shares_all.chunks_exact(width).cycle();
            for ((value, shares), out) in values_all.iter().zip(shares).zip(out.chunks_exact_mut(width)) {
                share_row(*value, shares, out);
            }
        });
    }
    Ok(())
}

fn share_row(value: i64, shares: &[i64], out: &mut [i64]) {
    if value == 0 {
        return out.fill(0);
    }
    let (whole, part) = (value.div_euclid(PPM), value.rem_euclid(PPM));
    // Neighbours are often equal: scenarios that move the price alike and volatility otherwise.
    let (mut last, mut product) = (0, 0);
    for (share, out) in shares.iter().zip(out) {
        if *share != last {
            last = *share;
            product = whole.wrapping_mul(last).wrapping_add(part.wrapping_mul(last).div_euclid(PPM));
        }
        *out = product;
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(share_rows, module)?)
}
