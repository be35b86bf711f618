//! Margin's exact sums over positions: lots times scenario rows, of all accounts or of one fill.
//!
//! Positions lie account by account: those of account `a` are `starts[a]..starts[a + 1]` of `places` (the instrument's
//! row number) and `lots`. Rows are 32 changes of a lot's value in atoms. Sums wrap at 64 bits and therefore depend on
//! no order, thread or path; they are the true sums as long as |row| <= 2^36 and an account's |lots| add up to at most
//! 2^26, which the exchange upholds. Rows are read fastest where they begin at multiples of 64 bytes.

mod accounts;
pub mod golden;
mod lanes;
mod orders;
mod scenarios;
mod sums;
mod table;

pub use accounts::{AccountStress, Accounts, Added, Instruments, FIGURES, UNIVERSES};
pub use lanes::{run, Kernel, Lanes, Row, SCENARIOS};
pub use orders::Orders;
pub use scenarios::Scenarios;
pub use sums::{Fills, Kept, Reads, Sums};
pub use table::{NarrowRow, Table};

/// A kernel's result. Refuses: with the name of the field and what it must be.
pub type Done = Result<(), &'static str>;

const NO_PLACE: &str = "places: each is a row number of rows";

/// Positions, account by account.
#[derive(Clone, Copy)]
pub struct Positions<'a> {
    pub starts: &'a [i64],
    pub places: &'a [i32],
    pub lots: &'a [i64],
}

impl<'a> Positions<'a> {
    /// The places and lots of an account. Refuses: starts that do not ascend or that pass the positions.
    #[inline(always)]
    fn of(&self, account: usize) -> Result<(&'a [i32], &'a [i64]), &'static str> {
        let span = || {
            let from = usize::try_from(self.starts[account]).ok()?;
            let to = usize::try_from(self.starts[account + 1]).ok()?;
            Some((self.places.get(from..to)?, self.lots.get(from..to)?))
        };
        span().ok_or("starts: ascend from 0 to the number of positions")
    }
}

/// The item of a place; a negative one is none, like one past the end.
#[inline]
#[allow(clippy::cast_sign_loss, reason = "what is negative becomes greater than any length")]
fn get<T>(items: &[T], place: i32) -> Option<&T> {
    items.get(place as usize)
}

/// A number as the position of one of `end` items.
#[inline]
fn position(number: i64, end: usize) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number < end)
}
