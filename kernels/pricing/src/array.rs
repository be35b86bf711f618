//! Marks with Greeks, and the risk array: instruments x scenarios in one pass.
//!
//! What a scenario shares (forward, ln of its shift, surface) is computed once a slice, what an instrument shares
//! (ln of its moneyness, mark, lot) once an instrument. Whole rows fill blocks of the size that `black` works on.

use std::ops::Range;

use crate::black::{greeks, intrinsic, price, Tails, VARIANCE_FLOOR};
use crate::blocks::{Column, BLOCK};
use crate::inputs::{to_index, Grid, Marks, Options, Slices};
use crate::maths::{max, min, to_float, to_int};
use crate::path::Job;
use crate::surface::{total_variance, Surface, YEAR_MS};

/// Marks and Greeks of every instrument.
pub struct MarksJob<'a> {
    pub slices: Slices<'a>,
    pub options: Options<'a>,
    pub marks: Marks<'a>,
}

/// The change of one lot's value in atoms, a row for each instrument, a column for each scenario.
pub struct RowsJob<'a> {
    pub slices: Slices<'a>,
    pub options: Options<'a>,
    pub grid: Grid<'a>,
    pub marks_e8: &'a [i64],
    pub rows: &'a mut [i64],
}

fn sign_of(is_call: i64) -> f64 {
    if is_call == 1 {
        1.0
    } else {
        -1.0
    }
}

impl Job for MarksJob<'_> {
    #[inline(always)]
    fn work(self) {
        let surface = Surface::new(&self.slices, None);
        let (options, marks) = (self.options, self.marks);
        let count = options.strike_e8.len();
        let mut tails = Tails::new();
        let (mut moneyness, mut variance) = ([0.0; BLOCK], [1.0; BLOCK]);
        for start in (0..count).step_by(BLOCK) {
            let size = BLOCK.min(count - start);
            for i in 0..size {
                let slice = to_index(options.slice_index[start + i]);
                let shifted = surface.log_moneyness(slice, options.strike_e8[start + i]) - surface.log_shift[slice];
                let (phi, rho) = (surface.phi[slice], surface.rho[slice]);
                let (level, vertex, width) = (surface.level[slice], surface.vertex[slice], surface.width[slice]);
                let half_variance = surface.half_variance[slice];
                variance[i] = total_variance(shifted, phi, rho, level, vertex, width, half_variance);
                moneyness[i] = shifted.abs();
            }
            tails.compute(&moneyness, &variance);
            for i in 0..size {
                let at = start + i;
                let slice = to_index(options.slice_index[at]);
                let (forward, strike) = (surface.forward[slice], to_float(options.strike_e8[at]));
                let sign = sign_of(options.is_call[at]);
                let years = to_float(self.slices.remaining_ms[slice].max(1)) / to_float(YEAR_MS);
                let share = to_float(self.slices.variable_ppm[slice]) / 1e6;
                let ratio = min(forward, strike) / max(forward, strike);
                let terms = (forward, strike, variance[i], years);
                let (delta, gamma, vega, theta) = greeks(&tails, i, terms, ratio, sign);
                let volatility = if variance[i] > VARIANCE_FLOOR { tails.deviation[i] / years.sqrt() } else { 0.0 };
                marks.mark_e8[at] = to_int(price(&tails, i, forward, strike, variance[i], sign));
                marks.iv_ppm[at] = to_int(volatility * 1e6);
                marks.delta_ppm[at] = to_int(delta * share * 1e6);
                marks.gamma_e12[at] = to_int(gamma * share * share * 1e20);
                marks.vega_e8[at] = to_int(vega * 0.01);
                marks.theta_e8[at] = to_int(theta / 365.0);
            }
        }
    }
}

/// A block of entries of the risk array on their way to a price.
struct Entries {
    moneyness: Column,
    variance: Column,
    forward: Column,
    outside: Column,
    tails: Tails,
}

impl Job for RowsJob<'_> {
    #[inline(always)]
    fn work(mut self) {
        let scenarios = self.grid.scenarios;
        let surface = Surface::new(&self.slices, Some(&self.grid));
        let dampen: Vec<f64> = self.grid.dampen_ppm.iter().map(|ppm| to_float(*ppm) / 1e6).collect();
        let nothing = [0.0; BLOCK];
        let mut entries =
            Entries { moneyness: nothing, variance: nothing, forward: nothing, outside: nothing, tails: Tails::new() };
        // A block holds whole rows where they fit, else a part of one row.
        let width = scenarios.min(BLOCK);
        let height = BLOCK / width;
        let count = self.options.strike_e8.len();
        for first in (0..count).step_by(height) {
            let last = count.min(first + height);
            for from in (0..scenarios).step_by(width) {
                let part = from..scenarios.min(from + width);
                self.load(&mut entries, &surface, first..last, part.clone());
                entries.tails.compute(&entries.moneyness, &entries.variance);
                for i in 0..BLOCK {
                    let is_dead = entries.variance[i] <= VARIANCE_FLOOR;
                    entries.outside[i] = if is_dead { 0.0 } else { entries.tails.price(i) };
                }
                for (place, instrument) in (first..last).enumerate() {
                    let block = place * part.len()..(place + 1) * part.len();
                    self.store(&entries, &dampen, instrument, part.clone(), block);
                }
            }
        }
    }
}

impl RowsJob<'_> {
    /// Fill a block with the entries of some instruments under some scenarios.
    #[inline(always)]
    fn load(&self, entries: &mut Entries, surface: &Surface, instruments: Range<usize>, part: Range<usize>) {
        let width = part.len();
        for (place, instrument) in instruments.enumerate() {
            let slice = to_index(self.options.slice_index[instrument]);
            let unshocked = surface.log_moneyness(slice, self.options.strike_e8[instrument]);
            let at = slice * surface.scenarios + part.start;
            // Slices of one length, which the compiler sees, so that it need check no index.
            let (log_shift, phi) = (&surface.log_shift[at..][..width], &surface.phi[at..][..width]);
            let (rho, level) = (&surface.rho[at..][..width], &surface.level[at..][..width]);
            let (vertex, round) = (&surface.vertex[at..][..width], &surface.width[at..][..width]);
            let half_variance = &surface.half_variance[at..][..width];
            let variance = &mut entries.variance[place * width..][..width];
            let moneyness = &mut entries.moneyness[place * width..][..width];
            entries.forward[place * width..][..width].copy_from_slice(&surface.forward[at..][..width]);
            for i in 0..width {
                let shifted = unshocked - log_shift[i];
                variance[i] = total_variance(shifted, phi[i], rho[i], level[i], vertex[i], round[i], half_variance[i]);
                moneyness[i] = shifted.abs();
            }
        }
    }

    /// Turn a block's prices of one instrument into its entries under some scenarios.
    #[inline(always)]
    fn store(&mut self, entries: &Entries, dampen: &[f64], instrument: usize, part: Range<usize>, block: Range<usize>) {
        let scenarios = self.grid.scenarios;
        let grid = to_index(self.slices.grid_index[to_index(self.options.slice_index[instrument])]);
        let strike = to_float(self.options.strike_e8[instrument]);
        let sign = sign_of(self.options.is_call[instrument]);
        let mark = to_float(self.marks_e8[instrument]);
        let lot = to_float(self.options.lot_e8[instrument]) / 1e10;
        let row = &mut self.rows[instrument * scenarios + part.start..instrument * scenarios + part.end];
        let dampen = &dampen[grid * scenarios + part.start..][..row.len()];
        let forward = &entries.forward[block.clone()][..row.len()];
        let outside = &entries.outside[block][..row.len()];
        for i in 0..row.len() {
            let value = outside[i] * min(forward[i], strike) + intrinsic(forward[i], strike, sign);
            row[i] = to_int((value - mark) * lot * dampen[i]);
        }
    }
}
