//! The pinned bits: the hash over one fixed set of inputs, drawn as `primitives/pricing/golden.py` draws them.

use sha2::{Digest, Sha256};

use crate::array::{MarksJob, RowsJob};
use crate::black::{BlackJob, PriceJob};
use crate::implied::ImpliedJob;
use crate::inputs::{to_index, Grid, Marks, Options, Slices};
use crate::maths::to_float;
use crate::path::Path;
use crate::surface::VolScaleJob;

const MINUTE_MS: i64 = 60_000;
const AVERAGING_MS: i64 = 30 * MINUTE_MS;
const DAY_MS: i64 = 86_400_000;
const YEAR_MS: i64 = 365 * DAY_MS;
const SLICES: usize = 32;
const LATE: usize = 8;
const INSTRUMENTS: usize = 256;
const SCENARIOS: usize = 32;
const OPTIONS: usize = 1024;
const EDGE_SLICES: usize = 64;
const EDGE_INSTRUMENTS: usize = 300;
const EDGE_OPTIONS: usize = 400;
const EXACT_MAX: i64 = (1 << 53) - 1;
const FEW: usize = 4;
/// More scenarios than a block holds.
const LONG: usize = 300;
/// No divisor of a block's length, so that its parts differ.
const PERIOD: usize = 60;

const FORWARDS: [f64; 4] = [1.0, 1e-12, 1e15, 65_536.0];
#[allow(clippy::unreadable_literal, clippy::approx_constant, reason = "the digits stand as in the NumPy twin")]
#[rustfmt::skip]
const RATIOS: [f64; 13] = [
    1.0, 2.0, 0.5, 1.0000000001, 0.999, 1.5, 30.0, 1e-6, 1e15, 1e-15,
    0.7071067811865466, 0.7071067811865476, 0.707106781186548,
];
#[allow(clippy::unreadable_literal, reason = "the digits stand as in the NumPy twin")]
const VARIANCES: [f64; 12] =
    [0.0, 1e-300, 5e-25, 1e-24, 2e-24, 1e-14, 1e-6, 0.01, 1.3862943611198906, 2.0, 60.0, 100.0];
const YEARS: [f64; 4] = [1e-12, 0.001, 1.0, 1000.0];
#[allow(clippy::unreadable_literal, reason = "the digits stand as in the NumPy twin")]
const SHARES: [f64; 13] =
    [0.0, 3e-251, 1e-250, 3e-250, 1e-200, 1e-30, 1e-7, 1e-6, 0.1, 0.9, 0.9999999999999999, 1.0, 1.5];

/// A linear congruential generator (Knuth's multiplier), the same in every language.
pub struct Draws(u64);

impl Draws {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number between bounds, both included, that lie less than 2^53 apart.
    ///
    /// # Panics
    ///
    /// Where the bounds are the wrong way round.
    pub fn one(&mut self, low: i64, high: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = u64::try_from(high - low + 1).expect("low <= high");
        low + i64::try_from((self.0 >> 11) % span).expect("a span is below 2^63")
    }

    pub fn column(&mut self, count: usize, low: i64, high: i64) -> Vec<i64> {
        (0..count).map(|_| self.one(low, high)).collect()
    }

    /// Numbers of which half are edges and half drawn between the first edge and the second.
    ///
    /// # Panics
    ///
    /// Where there are fewer than two edges.
    pub fn edged(&mut self, count: usize, edges: &[i64]) -> Vec<i64> {
        let between = self.column(count, edges[0], edges[1]);
        let choices = self.indices(count, 2 * edges.len());
        choices.into_iter().zip(between).map(|(choice, between)| *edges.get(choice).unwrap_or(&between)).collect()
    }

    fn pick(&mut self, count: usize, values: &[f64]) -> Vec<f64> {
        self.indices(count, values.len()).into_iter().map(|index| values[index]).collect()
    }

    fn flags(&mut self, count: usize) -> Vec<u8> {
        self.column(count, 0, 1).iter().map(|one| u8::from(*one == 1)).collect()
    }

    fn indices(&mut self, count: usize, end: usize) -> Vec<usize> {
        let last = i64::try_from(end).expect("lists are short") - 1;
        self.column(count, 0, last).into_iter().map(to_index).collect()
    }

    fn floats(&mut self, count: usize, low: i64, high: i64, scale: f64) -> Vec<f64> {
        self.column(count, low, high).into_iter().map(|value| to_float(value) / scale).collect()
    }
}

/// The SHA-256, in hexadecimal, of what this path computes.
#[must_use]
pub fn hash(path: Path) -> String {
    let mut digest = Sha256::new();
    let edges = Market::at_edges();
    for market in [&Market::drawn(), &edges, &edges.few_under_many_scenarios()] {
        market.hash(path, &mut digest);
    }
    Chain::new().hash(path, &mut digest);
    digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Columns of slices, options and two grids, in the order in which they are named in `inputs`.
struct Market {
    slices: [Vec<i64>; 10],
    options: [Vec<i64>; 4],
    grid: [Vec<i64>; 4],
}

impl Market {
    fn drawn() -> Self {
        let mut draws = Draws::new(20_251_010);
        let early = SLICES - LATE;
        let mut remaining_ms = draws.column(early, AVERAGING_MS + MINUTE_MS, YEAR_MS);
        remaining_ms.extend(draws.column(LATE, 1, AVERAGING_MS));
        remaining_ms[SLICES - 1] = 0;
        let forward_e8 = draws.column(SLICES, 9_000_000_000_000, 11_000_000_000_000);
        let theta_e12 = draws.column(SLICES, 0, 60).iter().zip(&remaining_ms).map(|(a, b)| a * b).collect();
        let rho_ppm = draws.column(SLICES, -700_000, 300_000);
        let eta_ppm = draws.column(SLICES, 200_000, 1_100_000);
        let fixed_e8 = [vec![0; early], draws.column(LATE, 1_000_000_000_000, 5_000_000_000_000)].concat();
        let variable_ppm = [vec![1_000_000; early], draws.column(LATE, 1, 900_000)].concat();
        let grid_index = draws.column(SLICES, 0, 1);
        let shift_ppm = draws.column(SLICES, -2_000_000, 2_000_000);
        let width_ppm = draws.column(SLICES, 200_000, 40_000_000);
        let options = [
            draws.column(INSTRUMENTS, 0, 31),
            draws.column(INSTRUMENTS, 5_000_000_000_000, 20_000_000_000_000),
            draws.column(INSTRUMENTS, 0, 1),
            draws.column(INSTRUMENTS, 1_000_000, 100_000_000),
        ];
        let grid = [(-660_000, 900_000), (-500_000, 500_000), (-100_000, 100_000), (0, 1_000_000)];
        let grid = grid.map(|(low, high)| draws.column(2 * SCENARIOS, low, high));
        let slices = [
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
        ];
        Self { slices, options, grid }
    }

    /// The ends of the domain, and between them; half of the slices is quiet.
    fn at_edges() -> Self {
        let mut draws = Draws::new(20_251_012);
        let quiet = EDGE_SLICES / 2;
        let mut variable_ppm = draws.edged(EDGE_SLICES, &[0, 1_000_000, 1]);
        variable_ppm[..quiet].fill(1_000_000);
        let mut fixed_e8 = draws.edged(EDGE_SLICES, &[0, EXACT_MAX, 10_000_000_000_000]);
        fixed_e8[..quiet].fill(0);
        for (fixed_e8, variable_ppm) in fixed_e8.iter_mut().zip(&variable_ppm) {
            *fixed_e8 = (*fixed_e8).max(i64::from(*variable_ppm == 0));
        }
        let late = [AVERAGING_MS, AVERAGING_MS + 1, 30 * DAY_MS - MINUTE_MS, 30 * DAY_MS + MINUTE_MS];
        let slices = [
            draws.edged(EDGE_SLICES, &[1, EXACT_MAX, 10_000_000_000_000, 1 << 52]),
            draws.edged(EDGE_SLICES, &[0, 100_000_000_000_000, 1, 1_000_000, 1_000_000_000, 100_000_000_000]),
            draws.edged(EDGE_SLICES, &[-999_999, 999_999, 0]),
            draws.edged(EDGE_SLICES, &[1, 4_000_000, 2_000_000, 3_000_001]),
            fixed_e8,
            variable_ppm,
            draws.edged(EDGE_SLICES, &[&[-1_000_000_000, 10 * YEAR_MS, 0, 1][..], &late].concat()),
            draws.column(EDGE_SLICES, 0, 1),
            draws.edged(EDGE_SLICES, &[-8_000_000, 8_000_000, 0]),
            draws.edged(EDGE_SLICES, &[1, 64_000_000, 1_000_000]),
        ];
        let slice_index = draws.indices(EDGE_INSTRUMENTS, EDGE_SLICES);
        let mut strike_e8 = draws.edged(EDGE_INSTRUMENTS, &[0, EXACT_MAX, 1, 2, 10_000_000_000_000]);
        let near = draws.edged(EDGE_INSTRUMENTS, &[-10_000_000, 10_000_000, 0, -1, 1]);
        let ratio = draws.column(EDGE_INSTRUMENTS, 500, 2000);
        for (i, (strike, slice)) in strike_e8.iter_mut().zip(&slice_index).enumerate() {
            let [forward, fixed, variable] = [0, 4, 5].map(|column: usize| slices[column][*slice]);
            let (whole, rest) = (forward / 1_000_000, forward % 1_000_000);
            let base = fixed + whole * variable + rest * variable / 1_000_000;
            let chosen = [*strike, base + near[i], base / 1000 * ratio[i]][i % 3];
            *strike = chosen.clamp(0, EXACT_MAX);
        }
        let options = [
            slice_index.iter().map(|index| i64::try_from(*index).expect("slices are few")).collect(),
            strike_e8,
            draws.column(EDGE_INSTRUMENTS, 0, 1),
            draws.edged(EDGE_INSTRUMENTS, &[1, 1_000_000_000_000, 5_000_000_000, 1_000_000]),
        ];
        let grid = [
            draws.edged(2 * SCENARIOS, &[-999_999, 10_000_000, 0, 1_000_000]),
            draws.edged(2 * SCENARIOS, &[-10_000_000, 10_000_000, 0]),
            draws.edged(2 * SCENARIOS, &[-2_000_000, 2_000_000, 0]),
            draws.edged(2 * SCENARIOS, &[0, 1_000_000, 500_000]),
        ];
        Self { slices, options, grid }
    }

    fn few_under_many_scenarios(&self) -> Self {
        let mut options = self.options.each_ref().map(|column| column[..FEW].to_vec());
        options[0] = (0..).take(FEW).collect();
        Self {
            slices: self.slices.each_ref().map(|column| column[..FEW].to_vec()),
            options,
            grid: self.grid.each_ref().map(|column| column[..PERIOD].iter().copied().cycle().take(2 * LONG).collect()),
        }
    }

    fn hash(&self, path: Path, digest: &mut Sha256) {
        let [forward_e8, theta_e12, rho_ppm, eta_ppm, fixed_e8, variable_ppm, remaining_ms, grid_index, shift_ppm, width_ppm] =
            self.slices.each_ref().map(Vec::as_slice);
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
        let [slice_index, strike_e8, is_call, lot_e8] = self.options.each_ref().map(Vec::as_slice);
        let options = Options { slice_index, strike_e8, is_call, lot_e8 };
        let [spot_ppm, vol_ppm, rho_shift_ppm, dampen_ppm] = self.grid.each_ref().map(Vec::as_slice);
        let (scenarios, count) = (spot_ppm.len() / 2, strike_e8.len());
        let grid = Grid { spot_ppm, vol_ppm, rho_shift_ppm, dampen_ppm, scenarios };
        let mut columns = vec![vec![0; count]; 6];
        let [mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8] = &mut columns[..] else { unreachable!() };
        let marks = Marks { mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8 };
        path.run(MarksJob { slices, options, marks });
        let mut rows = vec![0; count * scenarios];
        path.run(RowsJob { slices, options, grid, marks_e8: &columns[0], rows: &mut rows });
        let mut scale_ppm = vec![0; remaining_ms.len()];
        path.run(VolScaleJob { remaining_ms, scale_ppm: &mut scale_ppm });
        for value in columns.iter().flatten().chain(&rows).chain(&scale_ppm) {
            digest.update(value.to_le_bytes());
        }
    }
}

/// Columns of options in doubles: those drawn, then those at the edges.
struct Chain {
    forward: Vec<f64>,
    strike: Vec<f64>,
    variance: Vec<f64>,
    years: Vec<f64>,
    is_call: Vec<u8>,
}

impl Chain {
    fn new() -> Self {
        let mut chain = Self::drawn();
        let mut draws = Draws::new(20_251_013);
        let forward = draws.pick(EDGE_OPTIONS, &FORWARDS);
        let ratio = draws.pick(EDGE_OPTIONS, &RATIOS);
        chain.strike.extend(forward.iter().zip(ratio).map(|(forward, ratio)| (forward * ratio).clamp(1e-12, 1e15)));
        chain.forward.extend(forward);
        chain.variance.extend(draws.pick(EDGE_OPTIONS, &VARIANCES));
        chain.years.extend(draws.pick(EDGE_OPTIONS, &YEARS));
        chain.is_call.extend(draws.flags(EDGE_OPTIONS));
        chain
    }

    fn drawn() -> Self {
        let mut draws = Draws::new(20_251_011);
        let forward = draws.floats(OPTIONS, 1_000_000, 100_000_000_000, 1e6);
        let moves = draws.column(OPTIONS, 500_000, 2_000_000);
        let mut strike: Vec<f64> = forward.iter().zip(moves).map(|(f, ppm)| f * to_float(ppm) / 1e6).collect();
        for (i, far) in draws.floats(OPTIONS / 8, 1, 1_000_000, 1.0).into_iter().enumerate() {
            strike[8 * i] = forward[8 * i] * far * (1.0 / 1024.0);
        }
        let mut deviation = draws.floats(OPTIONS, 0, 2_000_000, 1e6);
        for i in (0..OPTIONS).step_by(64) {
            strike[i + 1] = forward[i + 1];
            deviation[i + 2] = 0.0;
        }
        let years = draws.floats(OPTIONS, 1, 10_000_000, 1e6);
        let variance = deviation.iter().map(|deviation| deviation * deviation).collect();
        Self { forward, strike, variance, years, is_call: draws.flags(OPTIONS) }
    }

    /// Prices to find deviations of: those computed, and at every second edge a share of the smaller of forward and strike.
    fn list_asked(&self, price: &[f64]) -> Vec<f64> {
        let mut asked: Vec<f64> = price.iter().map(|price| price.min(1e15)).collect();
        let shares = Draws::new(20_251_014).pick(EDGE_OPTIONS / 2, &SHARES);
        for (i, share) in (OPTIONS + 1..).step_by(2).zip(shares) {
            asked[i] = (share * self.forward[i].min(self.strike[i])).min(1e15);
        }
        asked
    }

    fn hash(&self, path: Path, digest: &mut Sha256) {
        let Self { forward, strike, variance, years, is_call } = self;
        let count = is_call.len();
        let mut is_valid = true;
        let mut columns = vec![vec![0.0; count]; 5];
        let [price, delta, gamma, vega, theta] = &mut columns[..] else { unreachable!() };
        path.run(BlackJob {
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
        });
        let (mut implied, asked) = (vec![0.0; count], self.list_asked(&columns[0]));
        let deviation = &mut implied[..];
        path.run(ImpliedJob { price: &asked, forward, strike, is_call, deviation, is_valid: &mut is_valid });
        let mut alone = vec![0.0; count];
        path.run(PriceJob { forward, strike, variance, is_call, price: &mut alone, is_valid: &mut is_valid });
        assert!(is_valid, "the golden inputs lie inside the domain");
        for value in columns.iter().flatten().chain(&implied).chain(&alone) {
            digest.update(value.to_le_bytes());
        }
    }
}
