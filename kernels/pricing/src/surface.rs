//! Each slice under each scenario: what all of its instruments share, computed once.

use crate::inputs::{to_index, Grid, Slices};
use crate::maths::{exp, log, max, to_float, to_int};
use crate::path::Job;

pub const YEAR_MS: i64 = 365 * DAY_MS;

const DAY_MS: i64 = 86_400_000;
const AVERAGING_MS: i64 = 30 * 60_000;
const TWO_THIRDS_AVERAGING_MS: i64 = 20 * 60_000;
const SLOPE_MAX_E12: i64 = 4_000_000_000_000;
const RHO_MAX_PPM: i64 = 990_000;
const PPM: i64 = 1_000_000;
/// No strike has less than a hundredth of the variance at the money, whatever a skew shock makes of the smile.
const SHAPE_FLOOR: f64 = 0.02;
/// A volatility shock leaves at least a tenth of the volatility.
const SIGMA_FLOOR: f64 = 0.1;

/// One slice under one scenario.
#[derive(Clone, Copy)]
pub struct Shocked {
    pub forward: f64,
    pub log_shift: f64,
    pub half_variance: f64,
    pub phi: f64,
    pub rho: f64,
    pub level: f64,
    pub vertex: f64,
    pub width: f64,
}

/// The slices under their scenarios, in columns of slices x scenarios.
pub struct Surface {
    /// The forward without shock, one a slice.
    pub base: Vec<f64>,
    pub scenarios: usize,
    pub forward: Vec<f64>,
    pub log_shift: Vec<f64>,
    pub half_variance: Vec<f64>,
    pub phi: Vec<f64>,
    pub rho: Vec<f64>,
    pub level: Vec<f64>,
    pub vertex: Vec<f64>,
    pub width: Vec<f64>,
}

impl Surface {
    /// The surface under the scenarios of a grid, or alone under no shock.
    #[inline(always)]
    pub fn new(slices: &Slices, grid: Option<&Grid>) -> Self {
        let scenarios = grid.map_or(1, |grid| grid.scenarios);
        let size = slices.forward_e8.len().checked_mul(scenarios).expect("a surface fits into memory");
        let column = || Vec::with_capacity(size);
        let mut surface = Self {
            base: Vec::with_capacity(slices.forward_e8.len()),
            scenarios,
            forward: column(),
            log_shift: column(),
            half_variance: column(),
            phi: column(),
            rho: column(),
            level: column(),
            vertex: column(),
            width: column(),
        };
        for i in 0..slices.forward_e8.len() {
            let slice = Slice::new(slices, i);
            surface.base.push(slice.base);
            for number in 0..scenarios {
                let shock = grid.map_or([0; 3], |grid| {
                    let place = to_index(slices.grid_index[i]) * scenarios + number;
                    [grid.spot_ppm[place], grid.vol_ppm[place], grid.rho_shift_ppm[place]]
                });
                surface.push(slice.shock(shock));
            }
        }
        surface
    }

    #[inline(always)]
    fn push(&mut self, shocked: Shocked) {
        self.forward.push(shocked.forward);
        self.log_shift.push(shocked.log_shift);
        self.half_variance.push(shocked.half_variance);
        self.phi.push(shocked.phi);
        self.rho.push(shocked.rho);
        self.level.push(shocked.level);
        self.vertex.push(shocked.vertex);
        self.width.push(shocked.width);
    }

    /// ln(strike / forward) without shock; a scenario then only subtracts its own log shift.
    #[inline(always)]
    pub fn log_moneyness(&self, slice: usize, strike_e8: i64) -> f64 {
        log(to_float(strike_e8.max(1)) / self.base[slice])
    }
}

/// The total variance of a smile: theta/2 (level + rho z + sqrt((z + vertex)^2 + width)) at z = phi k.
#[inline(always)]
pub fn total_variance(
    moneyness: f64,
    phi: f64,
    rho: f64,
    level: f64,
    vertex: f64,
    width: f64,
    half_variance: f64,
) -> f64 {
    let wing = phi * moneyness;
    let shifted = wing + vertex;
    max((shifted * shifted + width).sqrt() + (wing * rho + level), SHAPE_FLOOR) * half_variance
}

/// What a slice's scenarios share.
struct Slice {
    base: f64,
    fixed: f64,
    open: f64,
    theta: f64,
    eta: f64,
    rho_ppm: i64,
    shift_ppm: i64,
    roundness: f64,
    rho_max_ppm: i64,
    vol_scale_ppm: i64,
    averaging: f64,
}

impl Slice {
    #[inline(always)]
    fn new(slices: &Slices, i: usize) -> Self {
        let fixed = to_float(slices.fixed_e8[i]);
        let open = to_float(slices.forward_e8[i]) * (to_float(slices.variable_ppm[i]) / 1e6);
        Self {
            base: fixed + open,
            fixed,
            open,
            theta: to_float(slices.theta_e12[i]) / 1e12,
            eta: to_float(slices.eta_ppm[i]) / 1e6,
            rho_ppm: slices.rho_ppm[i],
            shift_ppm: slices.shift_ppm[i],
            roundness: to_float(slices.width_ppm[i]) / 1e6,
            rho_max_ppm: rho_max_ppm(slices.eta_ppm[i]),
            vol_scale_ppm: vol_scale_ppm(slices.remaining_ms[i]),
            averaging: averaging(slices.remaining_ms[i]),
        }
    }

    #[inline(always)]
    fn shock(&self, [spot_ppm, vol_ppm, rho_shift_ppm]: [i64; 3]) -> Shocked {
        let moving = self.open * (to_float(PPM.wrapping_add(spot_ppm)) / 1e6);
        let forward = self.fixed + moving;
        let part = moving / forward;
        let vol_e12 = 1_000_000_000_000_i64.wrapping_add(vol_ppm.wrapping_mul(self.vol_scale_ppm));
        let factor = max(to_float(vol_e12) / 1e12, SIGMA_FLOOR);
        let theta = self.theta * factor * factor;
        let rho_ppm = self.rho_ppm.wrapping_add(rho_shift_ppm).max(-self.rho_max_ppm).min(self.rho_max_ppm);
        let theta_safe = max(theta, 1e-14);
        let vertex = to_float(rho_ppm.wrapping_add(self.shift_ppm)) / 1e6;
        let width = to_float((PPM * PPM).wrapping_sub(rho_ppm.wrapping_mul(rho_ppm))) / 1e12 * self.roundness;
        Shocked {
            forward,
            log_shift: log(forward / self.base),
            half_variance: 0.5 * theta * part * part * self.averaging,
            phi: self.eta / (theta_safe * (1.0 + theta_safe)).sqrt(),
            rho: to_float(rho_ppm) / 1e6,
            level: 2.0 - (vertex * vertex + width).sqrt(),
            vertex,
            width,
        }
    }
}

/// The largest correlation that the bounds of a smile leave: eta (1 + |rho|) <= 4, |rho| <= 0.99.
fn rho_max_ppm(eta_ppm: i64) -> i64 {
    (SLOPE_MAX_E12 / eta_ppm - PPM).clamp(0, RHO_MAX_PPM)
}

/// The variance of the settlement average over that of the last price: 1/3 inside its window, 0 at expiry.
fn averaging(remaining_ms: i64) -> f64 {
    let time = to_float(remaining_ms.max(AVERAGING_MS));
    if remaining_ms > 0 {
        (time - to_float(TWO_THIRDS_AVERAGING_MS)) / time
    } else {
        0.0
    }
}

/// How much a volatility shock counts at a time to expiry.
#[inline(always)]
fn vol_scale_ppm(remaining_ms: i64) -> i64 {
    let days = to_float(remaining_ms.max(DAY_MS)) / to_float(DAY_MS);
    let exponent = if remaining_ms <= 30 * DAY_MS { 0.30 } else { 0.13 };
    to_int(exp(exponent * log(30.0 / days)) * 1e6)
}

/// The volatility scales of times to expiry.
pub struct VolScaleJob<'a> {
    pub remaining_ms: &'a [i64],
    pub scale_ppm: &'a mut [i64],
}

impl Job for VolScaleJob<'_> {
    #[inline(always)]
    fn work(self) {
        for (scale_ppm, remaining_ms) in self.scale_ppm.iter_mut().zip(self.remaining_ms) {
            *scale_ppm = vol_scale_ppm(*remaining_ms);
        }
    }
}
