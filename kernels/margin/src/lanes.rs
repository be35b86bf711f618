//! Arithmetic on rows of 32 integers of 64 bits, in the registers of each path. Everything wraps; nothing rounds.

#[cfg(not(target_arch = "x86_64"))]
use holdfast_pricing::Path;

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::table::NarrowRow;

pub const SCENARIOS: usize = 32;
/// One number per scenario.
pub type Row = [i64; SCENARIOS];

/// The operations of one path.
pub trait Lanes: Copy {
    type Sums: Copy;
    fn splat(self, value: i64) -> Self::Sums;
    fn load(self, row: &Row) -> Self::Sums;
    fn store(self, sums: Self::Sums, row: &mut Row);
    fn add(self, left: Self::Sums, right: Self::Sums) -> Self::Sums;
    fn min(self, left: Self::Sums, right: Self::Sums) -> Self::Sums;
    /// `sums + row * lots`, modulo 2^64.
    fn add_product(self, sums: Self::Sums, row: &Row, lots: i64) -> Self::Sums;
    /// The same of a narrow row and lots that fit 32 bits.
    fn add_narrow_product(self, sums: Self::Sums, row: &NarrowRow, lots: i64) -> Self::Sums;
    /// The numbers of a row at 32 places in it.
    fn pick(self, row: &Row, places: &Row) -> Self::Sums;
    /// The least of the 32.
    fn least(self, sums: Self::Sums) -> i64;
    /// Ask for a row that will be read soon.
    fn prefetch(self, row: &Row);
}

/// A computation that is compiled once for every path.
pub trait Kernel {
    type Output;
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Run a kernel on a path that this processor has.
#[cfg(target_arch = "x86_64")]
pub use x86::run;

/// Run a kernel on a path that this processor has.
#[cfg(not(target_arch = "x86_64"))]
pub fn run<K: Kernel>(_: Path, kernel: K) -> K::Output {
    kernel.run(Portable)
}

#[derive(Clone, Copy)]
struct Portable;

impl Lanes for Portable {
    type Sums = Row;

    #[inline(always)]
    fn splat(self, value: i64) -> Row {
        [value; SCENARIOS]
    }

    #[inline(always)]
    fn load(self, row: &Row) -> Row {
        *row
    }

    #[inline(always)]
    fn store(self, sums: Row, row: &mut Row) {
        *row = sums;
    }

    #[inline(always)]
    fn add(self, mut left: Row, right: Row) -> Row {
        for (left, right) in left.iter_mut().zip(right) {
            *left = left.wrapping_add(right);
        }
        left
    }

    #[inline(always)]
    fn min(self, mut left: Row, right: Row) -> Row {
        for (left, right) in left.iter_mut().zip(right) {
            *left = right.min(*left);
        }
        left
    }

    #[inline(always)]
    fn add_product(self, mut sums: Row, row: &Row, lots: i64) -> Row {
        for (sum, part) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(part.wrapping_mul(lots));
        }
        sums
    }

    #[inline(always)]
    fn add_narrow_product(self, mut sums: Row, row: &NarrowRow, lots: i64) -> Row {
        let (lower, upper) = sums.split_at_mut(SCENARIOS / 2);
        for ((word, low), high) in row.0.iter().zip(lower).zip(upper) {
            *low = low.wrapping_add((word << 32 >> 32).wrapping_mul(lots));
            *high = high.wrapping_add((word >> 32).wrapping_mul(lots));
        }
        sums
    }

    #[inline(always)]
    fn pick(self, row: &Row, places: &Row) -> Row {
        pick(row, places)
    }

    #[inline(always)]
    fn least(self, sums: Row) -> i64 {
        sums.into_iter().fold(i64::MAX, i64::min)
    }

    #[inline(always)]
    fn prefetch(self, _: &Row) {}
}

#[inline(always)]
fn pick(row: &Row, places: &Row) -> Row {
    let mut picked = [0; SCENARIOS];
    for (picked, place) in picked.iter_mut().zip(places) {
        *picked = usize::try_from(*place).map_or(0, |place| row[place % SCENARIOS]);
    }
    picked
}
