//! Sums of lots times rows: of whole accounts, and of single fills.

use crate::lanes::{Kernel, Lanes, Row, SCENARIOS};
use crate::table::Table;
use crate::{get, position, Done, Positions, NO_PLACE};

const NO_ACCOUNT: &str = "accounts: each is a row number of sums";
/// How many fills before its use an account's sums, which lie in memory, are asked for.
const FILLS_AHEAD: usize = 24;

/// What is kept of an account's sums.
pub enum Kept<'a> {
    Sums(&'a mut [Row]),
    Worst(&'a mut [i64]),
}

/// The sums of the accounts `first..` that the output has room for.
pub struct Sums<'a> {
    pub first: usize,
    pub positions: Positions<'a>,
    pub table: &'a Table<'a>,
    pub out: Kept<'a>,
}

impl Kernel for Sums<'_> {
    type Output = Done;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Done {
        let Sums { first, positions, table, out } = self;
        match out {
            Kept::Sums(out) => {
                for (index, kept) in out.iter_mut().enumerate() {
                    let (places, lots) = positions.of(first + index)?;
                    lanes.store(table.add_up(lanes, places, lots)?, kept);
                }
            }
            Kept::Worst(out) => {
                for (index, kept) in out.iter_mut().enumerate() {
                    let (places, lots) = positions.of(first + index)?;
                    *kept = lanes.least(table.add_up(lanes, places, lots)?);
                }
            }
        }
        Ok(())
    }
}

/// Fills, each added to its account's kept sums.
pub struct Fills<'a> {
    pub sums: &'a mut [Row],
    pub accounts: &'a [i64],
    pub places: &'a [i32],
    pub lots: &'a [i64],
    pub rows: &'a [Row],
    pub out: &'a mut [i64],
}

impl Kernel for Fills<'_> {
    type Output = Done;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Done {
        let Fills { sums, accounts, places, lots, rows, out } = self;
        // All or nothing: whatever is refused is refused before the first sum changes.
        if !accounts.iter().all(|account| position(*account, sums.len()).is_some()) {
            return Err(NO_ACCOUNT);
        }
        if !places.iter().all(|place| get(rows, *place).is_some()) {
            return Err(NO_PLACE);
        }
        let fills = accounts.iter().zip(places).zip(lots).zip(out);
        for (k, (((account, place), lots), out)) in fills.enumerate() {
            if let Some(next) = accounts.get(k + FILLS_AHEAD).and_then(|next| position(*next, sums.len())) {
                lanes.prefetch(&sums[next]);
            }
            let account = position(*account, sums.len()).ok_or(NO_ACCOUNT)?;
            let kept = &mut sums[account];
            let row = get(rows, *place).ok_or(NO_PLACE)?;
            let sum = lanes.add_product(lanes.load(kept), row, *lots);
            lanes.store(sum, kept);
            *out = lanes.least(sum);
        }
        Ok(())
    }
}

/// Nothing but reads of rows, in the order given.
pub struct Reads<'a> {
    pub rows: &'a [Row],
    pub order: &'a [i32],
}

impl Kernel for Reads<'_> {
    type Output = Result<i64, &'static str>;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Self::Output {
        let mut sums = lanes.splat(0);
        for place in self.order {
            let Some(row) = get(self.rows, *place) else { return Err(NO_PLACE) };
            sums = lanes.add(sums, lanes.load(row));
        }
        let mut folded = [0; SCENARIOS];
        lanes.store(sums, &mut folded);
        Ok(folded.into_iter().fold(0, i64::wrapping_add))
    }
}
