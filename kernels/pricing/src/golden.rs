//! The pinned bits: the hash over one fixed set of inputs, drawn as `primitives/pricing/golden.py` draws them.

use sha2::{Digest, Sha256};

use crate::array::{MarksJob, RowsJob};
use crate::black::{BlackJob, PriceJob};
use crate::implied::ImpliedJob;
use crate::inputs::{Grid, Marks, Options, Slices};
use crate::maths::to_float;
use crate::path::Path;
use crate::surface::VolScaleJob;

const MINUTE_MS: i64 = 60_000;
const AVERAGING_MS: i64 = 30 * MINUTE_MS;
const YEAR_MS: i64 = 365 * 86_400_000;
const SLICES: usize = 32;
const LATE: usize = 8;
const INSTRUMENTS: usize = 256;
const SCENARIOS: usize = 32;
const OPTIONS: usize = 1024;

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

    fn floats(&mut self, count: usize, low: i64, high: i64, scale: f64) -> Vec<f64> {
        self.column(count, low, high).into_iter().map(|value| to_float(value) / scale).collect()
    }
}

/// The SHA-256, in hexadecimal, of what this path computes.
#[must_use]
pub fn hash(path: Path) -> String {
    let mut digest = Sha256::new();
    hash_integers(path, &mut digest);
    hash_floats(path, &mut digest);
    digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn hash_integers(path: Path, digest: &mut Sha256) {
    let mut draws = Draws::new(20_251_010);
    let early = SLICES - LATE;
    let mut remaining_ms = draws.column(early, AVERAGING_MS + MINUTE_MS, YEAR_MS);
    remaining_ms.extend(draws.column(LATE, 1, AVERAGING_MS));
    remaining_ms[SLICES - 1] = 0;
    let forward_e8 = draws.column(SLICES, 9_000_000_000_000, 11_000_000_000_000);
    let theta_e12: Vec<i64> = draws.column(SLICES, 0, 60).iter().zip(&remaining_ms).map(|(a, b)| a * b).collect();
    let rho_ppm = draws.column(SLICES, -700_000, 300_000);
    let eta_ppm = draws.column(SLICES, 200_000, 1_100_000);
    let fixed_e8 = [vec![0; early], draws.column(LATE, 1_000_000_000_000, 5_000_000_000_000)].concat();
    let variable_ppm = [vec![1_000_000; early], draws.column(LATE, 1, 900_000)].concat();
    let grid_index = draws.column(SLICES, 0, 1);
    let shift_ppm = draws.column(SLICES, -2_000_000, 2_000_000);
    let width_ppm = draws.column(SLICES, 200_000, 40_000_000);
    let slice_index = draws.column(INSTRUMENTS, 0, 31);
    let strike_e8 = draws.column(INSTRUMENTS, 5_000_000_000_000, 20_000_000_000_000);
    let is_call = draws.column(INSTRUMENTS, 0, 1);
    let lot_e8 = draws.column(INSTRUMENTS, 1_000_000, 100_000_000);
    let spot_ppm = draws.column(2 * SCENARIOS, -660_000, 900_000);
    let vol_ppm = draws.column(2 * SCENARIOS, -500_000, 500_000);
    let rho_shift_ppm = draws.column(2 * SCENARIOS, -100_000, 100_000);
    let dampen_ppm = draws.column(2 * SCENARIOS, 0, 1_000_000);

    let slices = Slices {
        forward_e8: &forward_e8,
        theta_e12: &theta_e12,
        rho_ppm: &rho_ppm,
        eta_ppm: &eta_ppm,
        fixed_e8: &fixed_e8,
        variable_ppm: &variable_ppm,
        remaining_ms: &remaining_ms,
        grid_index: &grid_index,
        shift_ppm: &shift_ppm,
        width_ppm: &width_ppm,
    };
    let options = Options { slice_index: &slice_index, strike_e8: &strike_e8, is_call: &is_call, lot_e8: &lot_e8 };
    let grid = Grid {
        spot_ppm: &spot_ppm,
        vol_ppm: &vol_ppm,
        rho_shift_ppm: &rho_shift_ppm,
        dampen_ppm: &dampen_ppm,
        scenarios: SCENARIOS,
    };
    let mut columns = vec![vec![0; INSTRUMENTS]; 6];
    let [mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8] = &mut columns[..] else { unreachable!() };
    let marks = Marks { mark_e8, iv_ppm, delta_ppm, gamma_e12, vega_e8, theta_e8 };
    path.run(MarksJob { slices, options, marks });
    let mut rows = vec![0; INSTRUMENTS * SCENARIOS];
    path.run(RowsJob { slices, options, grid, marks_e8: &columns[0], rows: &mut rows });
    let mut scale_ppm = vec![0; SLICES];
    path.run(VolScaleJob { remaining_ms: &remaining_ms, scale_ppm: &mut scale_ppm });
    for value in columns.iter().flatten().chain(&rows).chain(&scale_ppm) {
        digest.update(value.to_le_bytes());
    }
}

fn hash_floats(path: Path, digest: &mut Sha256) {
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
    let variance: Vec<f64> = deviation.iter().map(|deviation| deviation * deviation).collect();
    let is_call: Vec<u8> = draws.column(OPTIONS, 0, 1).iter().map(|one| u8::from(*one == 1)).collect();

    let mut is_valid = true;
    let mut columns = vec![vec![0.0; OPTIONS]; 5];
    let [price, delta, gamma, vega, theta] = &mut columns[..] else { unreachable!() };
    path.run(BlackJob {
        forward: &forward,
        strike: &strike,
        variance: &variance,
        years: &years,
        is_call: &is_call,
        price,
        delta,
        gamma,
        vega,
        theta,
        is_valid: &mut is_valid,
    });
    let mut implied = vec![0.0; OPTIONS];
    path.run(ImpliedJob {
        price: &columns[0],
        forward: &forward,
        strike: &strike,
        is_call: &is_call,
        deviation: &mut implied,
        is_valid: &mut is_valid,
    });
    let mut price = vec![0.0; OPTIONS];
    path.run(PriceJob {
        forward: &forward,
        strike: &strike,
        variance: &variance,
        is_call: &is_call,
        price: &mut price,
        is_valid: &mut is_valid,
    });
    assert!(is_valid, "the golden inputs lie inside the domain");
    for value in columns.iter().flatten().chain(&implied).chain(&price) {
        digest.update(value.to_le_bytes());
    }
}
