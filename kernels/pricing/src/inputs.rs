//! The int64 columns that the exchange prices from; scales and bounds are those of `primitives/pricing/inputs.py`.
//!
//! The caller has checked the bounds. Columns outside them give wrong numbers or a panic, never a wild access.

/// One entry for each expiry of each underlying.
#[derive(Clone, Copy)]
pub struct Slices<'a> {
    pub forward_e8: &'a [i64],
    pub theta_e12: &'a [i64],
    pub rho_ppm: &'a [i64],
    pub eta_ppm: &'a [i64],
    pub fixed_e8: &'a [i64],
    pub variable_ppm: &'a [i64],
    pub remaining_ms: &'a [i64],
    pub grid_index: &'a [i64],
    pub shift_ppm: &'a [i64],
    pub width_ppm: &'a [i64],
}

/// One entry for each instrument.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    pub slice_index: &'a [i64],
    pub strike_e8: &'a [i64],
    pub is_call: &'a [i64],
    pub lot_e8: &'a [i64],
}

/// Scenarios, a row for each grid, `scenarios` columns.
#[derive(Clone, Copy)]
pub struct Grid<'a> {
    pub spot_ppm: &'a [i64],
    pub vol_ppm: &'a [i64],
    pub rho_shift_ppm: &'a [i64],
    pub dampen_ppm: &'a [i64],
    pub scenarios: usize,
}

/// Unshocked values, one entry for each instrument.
pub struct Marks<'a> {
    pub mark_e8: &'a mut [i64],
    pub iv_ppm: &'a mut [i64],
    pub delta_ppm: &'a mut [i64],
    pub gamma_e12: &'a mut [i64],
    pub vega_e8: &'a mut [i64],
    pub theta_e8: &'a mut [i64],
}

/// An index that the caller has checked not to be negative.
#[inline(always)]
pub fn to_index(value: i64) -> usize {
    usize::try_from(value).expect("indices are not negative")
}
