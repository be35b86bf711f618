//! Black-76 in fixed point, from the doubles that the kernel takes, each of which is an integer times a power of two.

use super::{density, divide, ln, normal, sqrt, times, BITS, LN_2};

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub forward: f64,
    pub strike: f64,
    pub variance: f64,
    pub years: f64,
    pub is_call: bool,
}

/// Price and Greeks freed of their units.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    /// The price over the larger of forward and strike.
    pub price: i128,
    pub delta: i128,
    /// The normal density at d1: gamma times forward times deviation.
    pub gamma: i128,
    /// The same: vega over forward and root of time.
    pub vega: i128,
    /// Theta over the forward, times time.
    pub theta: i128,
}

impl Terms {
    pub fn larger(&self) -> f64 {
        self.forward.max(self.strike)
    }

    /// The smaller of forward and strike over the larger.
    pub fn nearness(&self) -> i128 {
        ratio(self.forward.min(self.strike), self.larger())
    }

    pub fn is_outside(&self) -> bool {
        (self.strike >= self.forward) == self.is_call
    }

    pub fn deviation(&self) -> i128 {
        sqrt(ratio(self.variance, 1.0))
    }

    /// Black 1976, with d1 = ln(F/K)/sd + sd/2 and d2 = d1 - sd.
    pub fn compute(&self) -> Values {
        let deviation = self.deviation();
        let d1 = divide(ln_ratio(self.forward, self.strike), deviation) + deviation / 2;
        let d2 = d1 - deviation;
        let sign = if self.is_call { 1 } else { -1 };
        let (forward, strike) = (ratio(self.forward, self.larger()), ratio(self.strike, self.larger()));
        let near = density(d1);
        Values {
            price: sign * (times(forward, normal(sign * d1)) - times(strike, normal(sign * d2))),
            delta: sign * normal(sign * d1),
            gamma: near,
            vega: near,
            theta: -times(near, deviation) / 2,
        }
    }

    /// What the kernel computed, freed of its units without another rounding to a double.
    pub fn normalise(&self, [price, delta, gamma, vega, theta]: [f64; 5]) -> Values {
        let years = ratio(self.years, 1.0);
        Values {
            price: ratio(price, self.larger()),
            delta: ratio(delta, 1.0),
            gamma: times(product(gamma, self.forward), self.deviation()),
            vega: divide(ratio(vega, self.forward), sqrt(years)),
            theta: times(ratio(theta, self.forward), years),
        }
    }
}

/// A normal double as an integer of 53 bits times a power of two; zero as zero.
fn take_apart(value: f64) -> (i128, i32) {
    let bits = value.to_bits();
    let power = i32::try_from(bits >> 52 & 0x7ff).expect("eleven bits");
    if power == 0 {
        return (0, 0);
    }
    let size = i128::from(bits & ((1 << 52) - 1) | 1 << 52);
    (if value < 0.0 { -size } else { size }, power - 1075)
}

fn shift(value: i128, power: i32) -> i128 {
    if power <= 0 {
        return value / (1 << power.unsigned_abs().min(126));
    }
    let shifted = value << power;
    assert!(shifted >> power == value, "a number does not fit");
    shifted
}

/// `a / b` of doubles; b is not zero.
fn ratio(a: f64, b: f64) -> i128 {
    let ((a, a_power), (b, b_power)) = (take_apart(a), take_apart(b));
    shift(divide(a, b), a_power - b_power)
}

/// `a * b` of doubles.
fn product(a: f64, b: f64) -> i128 {
    let ((a, a_power), (b, b_power)) = (take_apart(a), take_apart(b));
    shift(a * b, a_power + b_power + BITS.cast_signed())
}

fn ln_ratio(a: f64, b: f64) -> i128 {
    let ((a, a_power), (b, b_power)) = (take_apart(a), take_apart(b));
    ln(divide(a, b)) + i128::from(a_power - b_power) * *LN_2
}
