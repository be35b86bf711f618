//! The deviation sigma sqrt(T) that a price implies: a fixed number of Halley steps, without a data-dependent exit.
//!
//! Source: Manaster and Koehler 1982, for the start sqrt(2x), where the price's curvature in the deviation changes sign.
//! Below the price there Halley's step is taken on its logarithm, almost a multiple of 1/deviation^2; above, on itself.

use crate::black::{block_of, intrinsic, is_value, is_within, ratios, signs, store, Column, Tails, BLOCK};
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

/// A block of prices on their way to a deviation; `share` is of the smaller of forward and strike.
struct Search {
    moneyness: Column,
    share: Column,
    log_share: Column,
    is_low: Column,
    deviation: Column,
    value: Column,
    tails: Tails,
}

impl Search {
    #[inline(always)]
    fn start(&mut self) {
        let mut turn = [0.0; BLOCK];
        for i in 0..BLOCK {
            self.share[i] = min(max(self.share[i], SHARE_MIN), 1.0);
            turn[i] = (self.moneyness[i] * 2.0).sqrt();
            self.deviation[i] = max(turn[i], DEVIATION_MIN);
        }
        for i in 0..BLOCK {
            self.log_share[i] = log(self.share[i]);
        }
        self.tails.compute(&self.moneyness, &self.deviation);
        for i in 0..BLOCK {
            let is_low = self.share[i] < self.tails.price(i);
            let low = min(turn[i], self.moneyness[i] / max(self.log_share[i] * -2.0, 1e-3).sqrt());
            let high = max(turn[i], self.share[i] * SQRT_2PI);
            self.is_low[i] = if is_low { 1.0 } else { 0.0 };
            self.deviation[i] = clamp(if is_low { low } else { high });
        }
    }

    #[inline(always)]
    fn step(&mut self) {
        self.tails.compute(&self.moneyness, &self.deviation);
        for i in 0..BLOCK {
            self.value[i] = max(self.tails.price(i), SHARE_MIN);
        }
        for i in 0..BLOCK {
            let (value, deviation) = (self.value[i], self.deviation[i]);
            let slope = self.tails.density[i] * ONE_OVER_SQRT_2PI;
            let distance = self.moneyness[i] / deviation;
            let bend = distance * distance / deviation - deviation * 0.25;
            let is_low = self.is_low[i] > 0.0;
            let gap = if is_low { value * (log(value) - self.log_share[i]) } else { value - self.share[i] };
            let bend = if is_low { bend - slope / value } else { bend };
            let step = gap / slope;
            self.deviation[i] = clamp(deviation - step / max(1.0 - step * bend * 0.5, STEP_DIVISOR_MIN));
        }
    }
}

#[inline(always)]
fn clamp(deviation: f64) -> f64 {
    min(max(deviation, DEVIATION_MIN), DEVIATION_MAX)
}

impl Job for ImpliedJob<'_> {
    #[inline(always)]
    fn work(self) {
        let nothing = [0.0; BLOCK];
        let (mut room_0, mut room_1, mut room_2) = (nothing, nothing, nothing);
        let (mut sign, mut ratio, mut time_value, mut quotient) = (nothing, nothing, nothing, nothing);
        let mut search = Search {
            moneyness: nothing,
            share: nothing,
            log_share: nothing,
            is_low: nothing,
            deviation: nothing,
            value: nothing,
            tails: Tails::new(),
        };
        for start in (0..self.price.len()).step_by(BLOCK) {
            let price = block_of(self.price, start, 0.0, &mut room_0);
            let forward = block_of(self.forward, start, 1.0, &mut room_1);
            let strike = block_of(self.strike, start, 1.0, &mut room_2);
            signs(self.is_call, start, &mut sign);
            *self.is_valid &= is_value(forward) & is_value(strike) & is_within(price, 0.0, PRICE_MAX);
            ratios(forward, strike, &mut ratio, &mut search.moneyness);
            for i in 0..BLOCK {
                time_value[i] = price[i] - intrinsic(forward[i], strike[i], sign[i]);
                quotient[i] = time_value[i] / min(forward[i], strike[i]);
                search.share[i] = quotient[i];
            }
            search.start();
            for _ in 0..STEPS {
                search.step();
            }
            for i in 0..BLOCK {
                let found = if quotient[i] < SHARE_MIN { 0.0 } else { search.deviation[i] };
                let is_outside = (time_value[i] < 0.0) | (quotient[i] >= 1.0);
                search.value[i] = if is_outside { OUTSIDE } else { found };
            }
            store(self.deviation, start, &search.value);
        }
    }
}
