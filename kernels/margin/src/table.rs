//! The rows of the instruments, as wide as their numbers ask for.

use crate::lanes::{Lanes, Row, SCENARIOS};

/// A narrow copy costs a row as much as it saves over so many reads, with AVX-512; with AVX2 over a third of them.
const READS_MIN: usize = 32;

/// A row whose numbers all fit 32 bits: what it takes from the second cache, which is what reading random rows waits for,
/// is two lines instead of four. Word `j` holds number `j` in its lower half and number `j + 16` in its upper.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct NarrowRow(pub [i64; SCENARIOS / 2]);

impl NarrowRow {
    fn new(row: &Row) -> Option<NarrowRow> {
        let (lower, upper) = row.split_at(SCENARIOS / 2);
        let mut words = [0; SCENARIOS / 2];
        for ((word, lower), upper) in words.iter_mut().zip(lower).zip(upper) {
            *word = (lower & 0xffff_ffff) | upper << 32;
        }
        fit_32(row).then_some(NarrowRow(words))
    }
}

/// Whether all numbers fit 32 bits; without a branch, so that they are compared many at a time.
#[inline(always)]
fn fit_32(numbers: &[i64]) -> bool {
    numbers.iter().fold(0, |beyond, number| beyond | (number << 32 >> 32 ^ number)) == 0
}

/// Rows by place, with a narrow copy where that pays.
pub struct Table<'a> {
    rows: &'a [Row],
    narrow: Option<Vec<NarrowRow>>,
}

impl<'a> Table<'a> {
    /// A table of which so many rows will be read. It is copied once a call, for all of its threads.
    #[must_use]
    pub fn new(rows: &'a [Row], reads: usize) -> Table<'a> {
        let pays = reads / READS_MIN >= rows.len();
        Table { rows, narrow: pays.then(|| rows.iter().map(NarrowRow::new).collect()).flatten() }
    }

    /// The sums of lots times rows, modulo 2^64; the same from wide rows and from narrow ones.
    #[inline(always)]
    pub(crate) fn add_up<L: Lanes>(&self, lanes: L, places: &[i32], lots: &[i64]) -> Result<L::Sums, &'static str> {
        match &self.narrow {
            Some(rows) if fit_32(lots) => add_up(lanes, places, lots, rows),
            _ => add_up(lanes, places, lots, self.rows),
        }
    }
}

/// A row as a table holds it.
trait Stored {
    fn add_product<L: Lanes>(&self, lanes: L, sums: L::Sums, lots: i64) -> L::Sums;
}

impl Stored for Row {
    #[inline(always)]
    fn add_product<L: Lanes>(&self, lanes: L, sums: L::Sums, lots: i64) -> L::Sums {
        lanes.add_product(sums, self, lots)
    }
}

impl Stored for NarrowRow {
    #[inline(always)]
    fn add_product<L: Lanes>(&self, lanes: L, sums: L::Sums, lots: i64) -> L::Sums {
        lanes.add_narrow_product(sums, self, lots)
    }
}

#[inline(always)]
fn add_up<L: Lanes, R: Stored>(lanes: L, places: &[i32], lots: &[i64], rows: &[R]) -> Result<L::Sums, &'static str> {
    let mut sums = lanes.splat(0);
    for (place, lots) in places.iter().zip(lots) {
        let Some(row) = crate::get(rows, *place) else { return Err(crate::NO_PLACE) };
        sums = row.add_product(lanes, sums, *lots);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::{Row, Table, READS_MIN};

    const EDGES: Row = [i32::MIN as i64; 32];

    fn is_narrow(rows: &[Row], reads: usize) -> bool {
        Table::new(rows, reads).narrow.is_some()
    }

    #[test]
    fn table_is_narrow_where_every_number_fits_and_many_rows_are_read() {
        let mut rows = [EDGES, EDGES.map(|number| -1 - number)];
        assert!(is_narrow(&rows, 2 * READS_MIN));
        assert!(!is_narrow(&rows, 2 * READS_MIN - 1), "a copy pays after so many reads a row");
        rows[1][31] += 1;
        assert!(!is_narrow(&rows, 2 * READS_MIN), "2^31 does not fit");
        rows[1][31] = EDGES[0] - 1;
        assert!(!is_narrow(&rows, 2 * READS_MIN), "-2^31 - 1 does not fit");
    }
}
