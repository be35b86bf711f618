//! Numbers in fixed point, an i128 of 96 fraction bits, and exp, ln, square root and the normal distribution by their
//! series: integers alone, from first principles, to hold the doubles against.
//!
//! Products and quotients round toward zero, each by less than 2^-96. No function below makes more of it than 2^-80, which
//! is 8e-25: where the series of the distribution ends, at `FAR`, some 100 roundings have grown a hundredfold, and beyond
//! it nothing grows. What does not fit panics.

pub mod black;

use std::sync::LazyLock;

pub const BITS: u32 = 96;
pub const ONE: i128 = 1 << BITS;

/// From here on the series of the distribution, whose terms grow, gives way to the continued fraction.
pub const FAR: i128 = 3 * ONE;
/// The density beyond is less than 2^-96.
const NOWHERE: i128 = 12 * ONE;
/// Its depth; the further out, the less would do.
const FRACTIONS: i128 = 100;

static LN_2: LazyLock<i128> = LazyLock::new(|| ln(2 * ONE));
static ROOT_OF_TWO_PI: LazyLock<i128> = LazyLock::new(|| sqrt(2 * pi()));

pub fn times(a: i128, b: i128) -> i128 {
    let (high, low) = multiply(a.unsigned_abs(), b.unsigned_abs());
    assert!(high >> (BITS - 1) == 0, "a product does not fit");
    with_sign(high << (128 - BITS) | low >> BITS, a ^ b)
}

/// The upper and lower 128 bits of a product, by halves.
fn multiply(a: u128, b: u128) -> (u128, u128) {
    const HALF: u128 = (1 << 64) - 1;
    let (a_high, a_low, b_high, b_low) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let low = a_low * b_low;
    let one = a_high * b_low + (low >> 64);
    let two = a_low * b_high + (one & HALF);
    (a_high * b_high + (one >> 64) + (two >> 64), two << 64 | low & HALF)
}

/// By long division, a bit at a time.
pub fn divide(a: i128, b: i128) -> i128 {
    let (size, divisor) = (a.unsigned_abs(), b.unsigned_abs());
    let (mut quotient, mut rest) = (size / divisor, size % divisor);
    assert!(quotient >> (127 - BITS) == 0, "a quotient does not fit");
    for _ in 0..BITS {
        (quotient, rest) = (quotient << 1, rest << 1);
        if rest >= divisor {
            (quotient, rest) = (quotient | 1, rest - divisor);
        }
    }
    with_sign(quotient, a ^ b)
}

fn with_sign(size: u128, sign: i128) -> i128 {
    let size = i128::try_from(size).expect("a result fits");
    if sign < 0 {
        -size
    } else {
        size
    }
}

/// The square root of a positive number: Newton's steps from above, as long as they fall.
pub fn sqrt(x: i128) -> i128 {
    let mut root = 1 << (u32::midpoint(x.ilog2(), BITS) + 1);
    loop {
        let next = i128::midpoint(root, divide(x, root));
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// e^x of x <= 0: Taylor's series after whole powers of 2.
pub fn exp(x: i128) -> i128 {
    let halvings = -x / *LN_2;
    let rest = x + halvings * *LN_2;
    let (mut total, mut term, mut n) = (0, ONE, 0);
    while term != 0 {
        total += term;
        n += 1;
        term = times(term, rest) / n;
    }
    if halvings < 127 {
        total >> halvings
    } else {
        0
    }
}

/// ln x of 1/2 <= x <= 2, as 2 atanh((x - 1) / (x + 1)).
pub fn ln(x: i128) -> i128 {
    let s = divide(x - ONE, x + ONE);
    let square = times(s, s);
    let (mut total, mut term, mut n) = (0, s, 1);
    while term != 0 {
        total += term / n;
        term = times(term, square);
        n += 2;
    }
    2 * total
}

/// By Machin's formula.
pub fn pi() -> i128 {
    4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
}

fn arctan_of_inverse(x: i128) -> i128 {
    let (mut total, mut term, mut n) = (0, ONE / x, 1);
    while term != 0 {
        total += if n % 4 == 1 { term / n } else { -term / n };
        term /= x * x;
        n += 2;
    }
    total
}

/// The normal density.
pub fn density(x: i128) -> i128 {
    if x.abs() > NOWHERE {
        return 0;
    }
    divide(exp(-times(x, x) / 2), *ROOT_OF_TWO_PI)
}

/// The chance that a normal variable is at most x.
pub fn normal(x: i128) -> i128 {
    let distance = x.abs();
    let tail = match distance {
        NOWHERE.. => 0,
        FAR.. => times(density(distance), mills_far(distance)),
        _ => ONE / 2 - times(density(distance), inside(distance)),
    };
    if x < 0 {
        tail
    } else {
        ONE - tail
    }
}

/// The chance between 0 and x over the density: x + x^3/3 + x^5/(3 5) + ... (Marsaglia 2004).
pub fn inside(x: i128) -> i128 {
    let square = times(x, x);
    let (mut total, mut term, mut n) = (0, x, 1);
    while term != 0 {
        total += term;
        n += 2;
        term = times(term, square) / n;
    }
    total
}

/// The chance beyond x over the density: 1/(x + 1/(x + 2/(x + 3/...))) (Laplace).
pub fn mills_far(x: i128) -> i128 {
    let below = (1..=FRACTIONS).rev().fold(x, |below, k| x + divide(k * ONE, below));
    divide(ONE, below)
}
