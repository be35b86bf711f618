//! The deviation sigma sqrt(T) that a price implies: a fixed number of Halley steps, without a data-dependent exit.
//!
//! Source: Manaster and Koehler 1982, for the start sqrt(2x), where the price's curvature in the deviation changes sign.
//! Below the price there Halley's step is taken on its logarithm, almost a multiple of 1/deviation^2; above, on itself.

use crate::black::{intrinsic, is_money, ratios, Tails};
use crate::blocks::{is_within, work_through, Column, Kernel, BLOCK};
use crate::maths::{log, max, min, ONE_OVER_SQRT_2PI};
use crate::path::Job;

const STEPS: usize = 7;
const SQRT_2PI: f64 = 2.506_628_274_631_000_2;
const SHARE_MIN: f64 = 1e-250;
const DEVIATION_MIN: f64 = 1e-6;
const DEVIATION_MAX: f64 = 40.0;
const STEP_DIVISOR_MIN: f64 = 0.5;
const OUTSIDE: f64 = -1.0;
const PRICE_MAX: f64 = 1e15;

/// Deviations of options, columns of one length; `is_valid` becomes false where an input lies outside the domain.
pub struct ImpliedJob<'a> {
    pub price: &'a [f64],
    pub forward: &'a [f64],
    pub strike: &'a [f64],
    pub is_call: &'a [u8],
    pub deviation: &'a mut [f64],
    pub is_valid: &'a mut bool,
}

/// A block of prices on their way to a deviation, which is that of `tails`. A share is an out-of-the-money price over
/// the smaller of forward and strike.
struct Search {
    ratio: Column,
    moneyness: Column,
    time_value: Column,
    share: Column,
    wanted: Column,
    log_wanted: Column,
    turn: Column,
    is_low: Column,
    value: Column,
    tails: Tails,
}

impl Search {
    const fn new() -> Self {
        let nothing = [0.0; BLOCK];
        Self {
            ratio: nothing,
            moneyness: nothing,
            time_value: nothing,
            share: nothing,
            wanted: nothing,
            log_wanted: nothing,
            turn: nothing,
            is_low: nothing,
            value: nothing,
            tails: Tails::new(),
        }
    }

    #[inline(always)]
    fn start(&mut self) {
        for i in 0..BLOCK {
            self.wanted[i] = min(max(self.share[i], SHARE_MIN), 1.0);
            self.turn[i] = (self.moneyness[i] * 2.0).sqrt();
            self.tails.deviation[i] = max(self.turn[i], DEVIATION_MIN);
        }
        for i in 0..BLOCK {
            self.log_wanted[i] = log(self.wanted[i]);
        }
        self.tails.compute_at_deviation(&self.moneyness);
        for i in 0..BLOCK {
            let is_low = self.wanted[i] < self.tails.price(i);
            let low = min(self.turn[i], self.moneyness[i] / max(self.log_wanted[i] * -2.0, 1e-3).sqrt());
            let high = max(self.turn[i], self.wanted[i] * SQRT_2PI);
            self.is_low[i] = if is_low { 1.0 } else { 0.0 };
            self.tails.deviation[i] = clamp(if is_low { low } else { high });
        }
    }

    #[inline(always)]
    fn step(&mut self) {
        self.tails.compute_at_deviation(&self.moneyness);
        for i in 0..BLOCK {
            self.value[i] = max(self.tails.price(i), SHARE_MIN);
        }
        for i in 0..BLOCK {
            let (value, deviation) = (self.value[i], self.tails.deviation[i]);
            let slope = self.tails.density[i] * ONE_OVER_SQRT_2PI;
            let distance = self.moneyness[i] / deviation;
            let bend = distance * distance / deviation - deviation * 0.25;
            let is_low = self.is_low[i] > 0.0;
            let gap = if is_low { value * (log(value) - self.log_wanted[i]) } else { value - self.wanted[i] };
            let bend = if is_low { bend - slope / value } else { bend };
            let step = gap / slope;
            self.tails.deviation[i] = clamp(deviation - step / max(1.0 - step * bend * 0.5, STEP_DIVISOR_MIN));
        }
    }
}

#[inline(always)]
fn clamp(deviation: f64) -> f64 {
    min(max(deviation, DEVIATION_MIN), DEVIATION_MAX)
}

impl Kernel<3, 1> for Search {
    #[inline(always)]
    fn block(&mut self, inputs: [&Column; 3], sign: &Column, [deviation]: [&mut Column; 1]) -> bool {
        let [price, forward, strike] = inputs;
        ratios(forward, strike, &mut self.ratio, &mut self.moneyness);
        for i in 0..BLOCK {
            self.time_value[i] = price[i] - intrinsic(forward[i], strike[i], sign[i]);
            self.share[i] = self.time_value[i] / min(forward[i], strike[i]);
        }
        self.start();
        for _ in 0..STEPS {
            self.step();
        }
        for i in 0..BLOCK {
            let found = if self.share[i] < SHARE_MIN { 0.0 } else { self.tails.deviation[i] };
            let is_outside = (self.time_value[i] < 0.0) | (self.share[i] >= 1.0);
            deviation[i] = if is_outside { OUTSIDE } else { found };
        }
        is_money(forward) & is_money(strike) & is_within(price, 0.0, PRICE_MAX)
    }
}

impl Job for ImpliedJob<'_> {
    #[inline(always)]
    fn work(self) {
        let inputs = [self.price, self.forward, self.strike];
        *self.is_valid &= work_through::<3, 1>(&mut Search::new(), inputs, self.is_call, [self.deviation]);
    }
}
