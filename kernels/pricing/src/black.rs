//! Black-76 on blocks of options: price, delta, gamma, vega, theta.
//!
//! Always the out-of-the-money side, over the smaller of forward and strike. With x = |ln(K/F)|, sd the deviation and
//! h = sd/2 - x/sd it is N(h) - e^x N(h - sd), and the two normal densities differ by that same e^x: one exponential
//! serves both tails, calls and puts, and all five outputs. Parity adds the intrinsic value, so that no digits cancel.

use crate::blocks::{is_within, work_through, Column, Kernel, BLOCK};
use crate::maths::{exp, log, max, mills, min, EXP_MIN, ONE_OVER_SQRT_2PI};
use crate::path::Job;

/// Below this total variance an option is worth its intrinsic value; no admissible live slice comes near it.
pub const VARIANCE_FLOOR: f64 = 1e-24;

// What the functions over doubles take: inside it no operation overflows, underflows or is invalid.
const MONEY_MIN: f64 = 1e-12;
const MONEY_MAX: f64 = 1e15;
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

    /// Fill in from x = |ln(strike / forward)| and total variances.
    #[inline(always)]
    pub fn compute(&mut self, moneyness: &Column, variance: &Column) {
        for i in 0..BLOCK {
            self.deviation[i] = max(variance[i], VARIANCE_FLOOR).sqrt();
        }
        self.compute_at_deviation(moneyness);
    }

    /// Fill in what follows from the deviations, which are set.
    #[inline(always)]
    pub fn compute_at_deviation(&mut self, moneyness: &Column) {
        for i in 0..BLOCK {
            let (half, distance) = (self.deviation[i] * 0.5, moneyness[i] / self.deviation[i]);
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
    let gamma = weight / (forward * forward * deviation);
    (chance * sign, gamma, weight * years.sqrt(), weight * deviation * -0.5 / years)
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

/// Whether forwards or strikes lie inside the domain.
#[inline(always)]
pub fn is_money(block: &Column) -> bool {
    is_within(block, MONEY_MIN, MONEY_MAX)
}

/// Price and Greeks of options, columns of one length. `is_valid` becomes false where an input lies outside the domain;
/// the outputs then mean nothing.
pub struct BlackJob<'a> {
    pub forward: &'a [f64],
    pub strike: &'a [f64],
    pub variance: &'a [f64],
    pub years: &'a [f64],
    pub is_call: &'a [u8],
    pub price: &'a mut [f64],
    pub delta: &'a mut [f64],
    pub gamma: &'a mut [f64],
    pub vega: &'a mut [f64],
    pub theta: &'a mut [f64],
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

struct Black {
    ratio: Column,
    moneyness: Column,
    tails: Tails,
}

impl Black {
    const fn new() -> Self {
        Self { ratio: [0.0; BLOCK], moneyness: [0.0; BLOCK], tails: Tails::new() }
    }

    #[inline(always)]
    fn price(&mut self, [forward, strike, variance]: [&Column; 3], sign: &Column, prices: &mut Column) -> bool {
        ratios(forward, strike, &mut self.ratio, &mut self.moneyness);
        self.tails.compute(&self.moneyness, variance);
        for i in 0..BLOCK {
            prices[i] = price(&self.tails, i, forward[i], strike[i], variance[i], sign[i]);
        }
        is_money(forward) & is_money(strike) & is_within(variance, 0.0, VARIANCE_MAX)
    }
}

impl Kernel<3, 1> for Black {
    #[inline(always)]
    fn block(&mut self, inputs: [&Column; 3], sign: &Column, [prices]: [&mut Column; 1]) -> bool {
        self.price(inputs, sign, prices)
    }
}

impl Kernel<4, 5> for Black {
    #[inline(always)]
    fn block(&mut self, inputs: [&Column; 4], sign: &Column, outputs: [&mut Column; 5]) -> bool {
        let [forward, strike, variance, years] = inputs;
        let [prices, deltas, gammas, vegas, thetas] = outputs;
        let is_valid = self.price([forward, strike, variance], sign, prices);
        for i in 0..BLOCK {
            let terms = (forward[i], strike[i], variance[i], years[i]);
            (deltas[i], gammas[i], vegas[i], thetas[i]) = greeks(&self.tails, i, terms, self.ratio[i], sign[i]);
        }
        is_valid & is_within(years, YEARS_MIN, YEARS_MAX)
    }
}

impl Job for BlackJob<'_> {
    #[inline(always)]
    fn work(self) {
        let inputs = [self.forward, self.strike, self.variance, self.years];
        let outputs = [self.price, self.delta, self.gamma, self.vega, self.theta];
        *self.is_valid &= work_through::<4, 5>(&mut Black::new(), inputs, self.is_call, outputs);
    }
}

impl Job for PriceJob<'_> {
    #[inline(always)]
    fn work(self) {
        let inputs = [self.forward, self.strike, self.variance];
        *self.is_valid &= work_through::<3, 1>(&mut Black::new(), inputs, self.is_call, [self.price]);
    }
}
