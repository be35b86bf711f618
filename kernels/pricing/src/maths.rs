//! exp, log and the normal tail, each a fixed sequence of + - * / and bit moves without a branch.
//!
//! Everything is `inline(always)`: the loops that call these are compiled once per instruction set, and vectorised there.

#![allow(clippy::unreadable_literal)] // the digits stand as in the NumPy twin, to be compared

const LOG2_E: f64 = std::f64::consts::LOG2_E;
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5 x 2^52: adding it rounds half to even into the low bits, on machines without a rounding instruction too.
const ROUND: f64 = 6_755_399_441_055_744.0;
const BITS_OF_SQRT_HALF: u64 = 4_604_544_271_217_802_189;
const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: u64 = 1023;

const TWO_52: f64 = 4_503_599_627_370_496.0;
const BIT_52: u64 = 1 << 52;

pub const EXP_MIN: f64 = -600.0;
const TAIL_MAX: f64 = 38.0;
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
pub const ONE_OVER_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

// The coefficients, highest power first, are those of the NumPy twin, `primitives/pricing/maths.py`.
#[rustfmt::skip]
const EXP_POLYNOMIAL: [f64; 13] = [
    2.092158893897149e-09, 2.511488209588034e-08, 2.7557251877225084e-07, 2.755722492065214e-06,
    2.480158735013993e-05, 0.00019841269909257902, 0.0013888888888871874, 0.008333333333309509, 0.04166666666666669,
    0.16666666666666702, 0.5, 1.0, 1.0,
];
#[rustfmt::skip]
const LOG_POLYNOMIAL: [f64; 8] = [
    0.13086767009948175, 0.13268759668560612, 0.15386240205813478, 0.18181795630884753, 0.2222222239180047,
    0.2857142857080323, 0.4000000000000088, 0.6666666666666666,
];
#[rustfmt::skip]
const TAIL_POLYNOMIAL: [f64; 23] = [
    8.779266818961249e-10, 1.0359705698609414e-08, 2.1705727754376567e-08, -4.9655106835280455e-08,
    -2.1064498825211668e-07, 5.892422775346397e-08, 1.180081061695122e-06, 5.97612643846105e-07,
    -5.877500446164988e-06, -6.0313761400603806e-06, 3.155386069067847e-05, 3.786717268371451e-05,
    -0.00020435393530119318, -0.00014330530487162776, 0.0015769783679330407, -0.0012100600884318452,
    -0.01051231924778643, 0.04436429044437158, -0.09526047896290155, 0.1289081354447444, -0.09637998589040539,
    -0.023009233104595305, 0.8496957717177204,
];

/// The larger; unlike `f64::max` one instruction, since no NaN arises.
#[inline(always)]
pub fn max(a: f64, b: f64) -> f64 {
    if a > b {
        a
    } else {
        b
    }
}

#[inline(always)]
pub fn min(a: f64, b: f64) -> f64 {
    if a < b {
        a
    } else {
        b
    }
}

/// The polynomial of every STEP-th coefficient from the `first`.
#[inline(always)]
fn horner<const N: usize, const STEP: usize>(coefficients: &[f64; N], first: usize, x: f64) -> f64 {
    let mut value = coefficients[first];
    let mut i = first + STEP;
    while i < N {
        value = value * x + coefficients[i];
        i += STEP;
    }
    value
}

/// e^x for -600 <= x <= 600.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let shifted = x * LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = (x - power * LN2_HIGH) - power * LN2_LOW;
    let square = rest * rest;
    let scale = f64::from_bits((shifted.to_bits() << MANTISSA_BITS).wrapping_add(EXPONENT_BIAS << MANTISSA_BITS));
    (horner::<13, 2>(&EXP_POLYNOMIAL, 1, square) * rest + horner::<13, 2>(&EXP_POLYNOMIAL, 0, square)) * scale
}

/// ln(x) for positive normal x.
#[inline(always)]
pub fn log(x: f64) -> f64 {
    let bits = x.to_bits();
    // Biased, so that the shift may be the unsigned one, which every instruction set has.
    let biased = bits.wrapping_sub(BITS_OF_SQRT_HALF).wrapping_add(EXPONENT_BIAS << MANTISSA_BITS) >> MANTISSA_BITS;
    let exponent = biased.wrapping_sub(EXPONENT_BIAS);
    let fraction = f64::from_bits(bits.wrapping_sub(exponent << MANTISSA_BITS)) - 1.0;
    let scale = f64::from_bits(exponent.wrapping_add(ROUND.to_bits())) - ROUND;
    let s = fraction / (2.0 + fraction);
    let z = s * s;
    let series = z * horner::<8, 1>(&LOG_POLYNOMIAL, 0, z);
    let half_square = 0.5 * fraction * fraction;
    scale * LN2_HIGH - ((half_square - (s * (half_square + series) + scale * LN2_LOW)) - fraction)
}

/// The normal tail beyond a distance >= 0, over e^(-distance^2/2).
///
/// The polynomial is read out in four strands of every fourth power: four short chains of dependent operations where
/// Horner's order has one long one, which no processor can hide.
#[inline(always)]
pub fn mills(distance: f64) -> f64 {
    let capped = min(distance, TAIL_MAX);
    let t = (capped - 4.0) / (capped + 4.0);
    let square = t * t;
    let fourth = square * square;
    let high = horner::<23, 4>(&TAIL_POLYNOMIAL, 3, fourth) * t + horner::<23, 4>(&TAIL_POLYNOMIAL, 0, fourth);
    let low = horner::<23, 4>(&TAIL_POLYNOMIAL, 1, fourth) * t + horner::<23, 4>(&TAIL_POLYNOMIAL, 2, fourth);
    (high * square + low) / (capped * 2.0 + 1.0)
}

/// The nearest integer, half to even, of a value clamped to the integers that a double holds.
///
/// By bits: conversion instructions are slow or missing, and Rust's cast tests for what cannot happen here.
#[inline(always)]
pub fn to_int(value: f64) -> i64 {
    let size = min(value.abs(), EXACT_MAX);
    // Adding 2^52 rounds the fraction away and leaves the integer in the low bits; from there on there is no fraction.
    let shifted = if size < TWO_52 { size + TWO_52 } else { size };
    let whole = if size < TWO_52 { 0 } else { BIT_52 };
    let magnitude = shifted.to_bits().wrapping_sub(TWO_52.to_bits()).wrapping_add(whole).cast_signed();
    let negative = value.to_bits().cast_signed() >> 63;
    (magnitude ^ negative).wrapping_sub(negative)
}

/// An integer below 2^53 as a double.
#[inline(always)]
#[allow(clippy::cast_precision_loss)] // exact: the inputs are checked to lie below 2^53
pub fn to_float(value: i64) -> f64 {
    value as f64
}
