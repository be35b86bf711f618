//! Black-76 on blocks of options: price, delta, gamma, vega, theta.
//!
//! Always the out-of-the-money side, over the smaller of forward and strike. With x = |ln(K/F)|, sd the deviation and
//! h = sd/2 - x/sd it is N(h) - e^x N(h - sd), and the two normal densities differ by that same e^x: one exponential
//! serves both tails, calls and puts, and all five outputs. Parity adds the intrinsic value, so that no digits cancel.
//!
//! A block passes through short loops, each of which the compiler vectorises; what they hand on stays in the first
//! cache.

use crate::maths::{exp, log, max, mills, min, EXP_MIN, ONE_OVER_SQRT_2PI};
use crate::path::Job;

pub const BLOCK: usize = 256;
pub type Column = [f64; BLOCK];

/// Below this total variance an option is worth its intrinsic value; no admissible live slice comes near it.
pub const VARIANCE_FLOOR: f64 = 1e-24;

// What the functions over doubles take: inside it no operation overflows, underflows or is invalid.
const VALUE_MIN: f64 = 1e-12;
const VALUE_MAX: f64 = 1e15;
const VARIANCE_MAX: f64 = 100.0;
const YEARS_MIN: f64 = 1e-12;
const YEARS_MAX: f64 = 1000.0;

/// What price and Greeks share: both normal tails over their common density, of a block of options.
pub struct Tails {
    pub deviation: Column,
    pub upper: Column,
    pub near: Column,
    pub far: Column,
    pub density: Column,
}

impl Tails {
    pub const fn new() -> Self {
        let nothing = [0.0; BLOCK];
        Self { deviation: nothing, upper: nothing, near: nothing, far: nothing, density: nothing }
    }

    /// Fill in from x = |ln(strike / forward)| and deviations.
    #[inline(always)]
    pub fn compute(&mut self, moneyness: &Column, deviation: &Column) {
        for i in 0..BLOCK {
            let (half, distance) = (deviation[i] * 0.5, moneyness[i] / deviation[i]);
            self.deviation[i] = deviation[i];
            self.upper[i] = half - distance;
            self.far[i] = half + distance;
        }
        for i in 0..BLOCK {
            self.density[i] = exp(max(self.upper[i] * self.upper[i] * -0.5, EXP_MIN));
        }
        for i in 0..BLOCK {
            self.near[i] = mills(self.upper[i].abs());
        }
        for i in 0..BLOCK {
            self.far[i] = mills(self.far[i]);
        }
    }

    /// The out-of-the-money price over the smaller of forward and strike.
    #[inline(always)]
    pub fn price(&self, i: usize) -> f64 {
        let inside = (self.near[i].copysign(self.upper[i]) + self.far[i]) * self.density[i];
        max(if self.upper[i] >= 0.0 { 1.0 } else { 0.0 } - inside, 0.0)
    }
}

#[inline(always)]
pub fn deviations(variance: &Column, deviation: &mut Column) {
    for i in 0..BLOCK {
        deviation[i] = max(variance[i], VARIANCE_FLOOR).sqrt();
    }
}

/// What an option is worth inside: the difference where it is in the money, else nothing.
#[inline(always)]
pub fn intrinsic(forward: f64, strike: f64, sign: f64) -> f64 {
    let inside = (forward - strike) * sign;
    if inside > 0.0 {
        inside
    } else {
        0.0
    }
}

/// The price of one option of a block.
#[inline(always)]
pub fn price(tails: &Tails, i: usize, forward: f64, strike: f64, variance: f64, sign: f64) -> f64 {
    let outside = if variance <= VARIANCE_FLOOR { 0.0 } else { tails.price(i) };
    outside * min(forward, strike) + intrinsic(forward, strike, sign)
}

/// Delta, gamma, vega for a volatility of one, theta for a year, of one option of a block.
#[inline(always)]
pub fn greeks(
    tails: &Tails,
    i: usize,
    (forward, strike, variance, years): (f64, f64, f64, f64),
    ratio: f64,
    sign: f64,
) -> (f64, f64, f64, f64) {
    let deviation = tails.deviation[i];
    let is_above = strike >= forward;
    let tail = tails.density[i] * if is_above { tails.near[i] } else { tails.far[i] * ratio };
    let is_likely = !is_above | (tails.upper[i] >= 0.0);
    let likely = if is_likely { 1.0 } else { -1.0 };
    let chance = if likely * sign > 0.0 { 1.0 - tail } else { tail };
    // The forward times its density; the same for strike and forward.
    let weight = min(forward, strike) * tails.density[i] * ONE_OVER_SQRT_2PI;
    let weight = if variance <= VARIANCE_FLOOR { 0.0 } else { weight };
    (chance * sign, weight / (forward * forward * deviation), weight * years.sqrt(), weight * deviation * -0.5 / years)
}

/// Options as columns of one length.
#[derive(Clone, Copy)]
pub struct Black<'a> {
    pub forward: &'a [f64],
    pub strike: &'a [f64],
    pub variance: &'a [f64],
    pub years: &'a [f64],
    pub is_call: &'a [u8],
}

/// Where the values go, columns of that same length.
pub struct Values<'a> {
    pub price: &'a mut [f64],
    pub delta: &'a mut [f64],
    pub gamma: &'a mut [f64],
    pub vega: &'a mut [f64],
    pub theta: &'a mut [f64],
}

/// Price and Greeks. `is_valid` becomes false where an input lies outside the domain; the values then mean nothing.
pub struct BlackJob<'a> {
    pub options: Black<'a>,
    pub values: Values<'a>,
    pub is_valid: &'a mut bool,
}

/// The price alone, which needs no years.
pub struct PriceJob<'a> {
    pub forward: &'a [f64],
    pub strike: &'a [f64],
    pub variance: &'a [f64],
    pub is_call: &'a [u8],
    pub price: &'a mut [f64],
    pub is_valid: &'a mut bool,
}

/// A block of a column: the column itself, or at its end a copy filled up with `filler`.
#[inline(always)]
pub fn block_of<'a>(column: &'a [f64], start: usize, filler: f64, room: &'a mut Column) -> &'a Column {
    if let Some(block) = column[start..].first_chunk::<BLOCK>() {
        return block;
    }
    let rest = &column[start..];
    room.fill(filler);
    room[..rest.len()].copy_from_slice(rest);
    room
}

/// +1 for a call, -1 for a put, of a block.
#[inline(always)]
pub fn signs(is_call: &[u8], start: usize, sign: &mut Column) {
    let mut calls = [0_u8; BLOCK];
    let count = min_usize(is_call.len() - start, BLOCK);
    calls[..count].copy_from_slice(&is_call[start..start + count]);
    for i in 0..BLOCK {
        sign[i] = if calls[i] == 0 { -1.0 } else { 1.0 };
    }
}

#[inline(always)]
pub fn store(column: &mut [f64], start: usize, block: &Column) {
    let count = min_usize(column.len() - start, BLOCK);
    column[start..start + count].copy_from_slice(&block[..count]);
}

#[inline(always)]
pub fn min_usize(a: usize, b: usize) -> usize {
    if a < b {
        a
    } else {
        b
    }
}

#[inline(always)]
pub fn is_within(block: &Column, low: f64, high: f64) -> bool {
    let mut outside = 0_u64;
    for value in block {
        outside |= u64::from(!((*value >= low) & (*value <= high)));
    }
    outside == 0
}

#[inline(always)]
pub fn is_value(block: &Column) -> bool {
    is_within(block, VALUE_MIN, VALUE_MAX)
}

/// The smaller of forward and strike over the larger, and -ln of it.
#[inline(always)]
pub fn ratios(forward: &Column, strike: &Column, ratio: &mut Column, moneyness: &mut Column) {
    for i in 0..BLOCK {
        ratio[i] = min(forward[i], strike[i]) / max(forward[i], strike[i]);
    }
    for i in 0..BLOCK {
        moneyness[i] = -log(ratio[i]);
    }
}

impl Job for BlackJob<'_> {
    #[inline(always)]
    fn work(self) {
        let (options, values) = (self.options, self.values);
        let (mut room_0, mut room_1, mut room_2, mut room_3) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        let mut tails = Tails::new();
        let (mut ratio, mut moneyness, mut deviation) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        let mut out = [[0.0; BLOCK]; 5];
        let mut sign = [0.0; BLOCK];
        let mut start = 0;
        while start < options.forward.len() {
            let forward = block_of(options.forward, start, 1.0, &mut room_0);
            let strike = block_of(options.strike, start, 1.0, &mut room_1);
            let variance = block_of(options.variance, start, 1.0, &mut room_2);
            let years = block_of(options.years, start, 1.0, &mut room_3);
            signs(options.is_call, start, &mut sign);
            *self.is_valid &= is_value(forward)
                & is_value(strike)
                & is_within(variance, 0.0, VARIANCE_MAX)
                & is_within(years, YEARS_MIN, YEARS_MAX);
            ratios(forward, strike, &mut ratio, &mut moneyness);
            deviations(variance, &mut deviation);
            tails.compute(&moneyness, &deviation);
            for i in 0..BLOCK {
                out[0][i] = price(&tails, i, forward[i], strike[i], variance[i], sign[i]);
            }
            for i in 0..BLOCK {
                let terms = (forward[i], strike[i], variance[i], years[i]);
                (out[1][i], out[2][i], out[3][i], out[4][i]) = greeks(&tails, i, terms, ratio[i], sign[i]);
            }
            store(values.price, start, &out[0]);
            store(values.delta, start, &out[1]);
            store(values.gamma, start, &out[2]);
            store(values.vega, start, &out[3]);
            store(values.theta, start, &out[4]);
            start += BLOCK;
        }
    }
}

impl Job for PriceJob<'_> {
    #[inline(always)]
    fn work(self) {
        let (mut room_0, mut room_1, mut room_2) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        let mut tails = Tails::new();
        let (mut ratio, mut moneyness, mut deviation) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        let mut out = [0.0; BLOCK];
        let mut sign = [0.0; BLOCK];
        let mut start = 0;
        while start < self.forward.len() {
            let forward = block_of(self.forward, start, 1.0, &mut room_0);
            let strike = block_of(self.strike, start, 1.0, &mut room_1);
            let variance = block_of(self.variance, start, 1.0, &mut room_2);
            signs(self.is_call, start, &mut sign);
            *self.is_valid &= is_value(forward) & is_value(strike) & is_within(variance, 0.0, VARIANCE_MAX);
            ratios(forward, strike, &mut ratio, &mut moneyness);
            deviations(variance, &mut deviation);
            tails.compute(&moneyness, &deviation);
            for i in 0..BLOCK {
                out[i] = price(&tails, i, forward[i], strike[i], variance[i], sign[i]);
            }
            store(self.price, start, &out);
            start += BLOCK;
        }
    }
}
