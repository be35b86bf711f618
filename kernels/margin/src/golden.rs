//! The pinned integers: the hash over one fixed book, drawn as `tests/primitives/test_margin_golden.py` draws it.

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "all counts are small")]

use holdfast_pricing::golden::Draws;
use holdfast_pricing::Path;
use sha2::{Digest, Sha256};

use crate::{
    run, AccountStress, Accounts, Added, Done, Fills, Instruments, Kept, Orders, Positions, Reads, Row, Scenarios,
    Sums, Table, FIGURES, SCENARIOS, UNIVERSES,
};

const INSTRUMENTS: usize = 32;
const ACCOUNTS: usize = 128;
/// The accounts are worked on in two parts, as two threads do.
const PAGE: usize = ACCOUNTS / 2;
const PAGES: [usize; 2] = [0, PAGE];
const POSITIONS_EACH: i64 = 24;
const FILLS: usize = 256;
const VECTORS: usize = 8;
const JOINT: usize = 40;
const OPPOSED: usize = 24;
const CROSS_WEIGHT_PPM: i64 = 450_001;
const FUTURE_EVERY: usize = 8;
/// Lots that need more than 32 bits, and those that just do.
const HUGE_EVERY: usize = 64;
const HUGE_LOTS: [i64; 4] = [-(1 << 50), 1 << 50, 1 << 31, -(1 << 31) - 1];

/// The SHA-256, in hexadecimal, of what this path computes.
///
/// # Panics
///
/// Where a kernel refuses the book, which lies inside all bounds.
#[must_use]
pub fn hash(path: Path) -> String {
    let mut world = World { path, draws: Draws::new(20_251_012), digest: Sha256::new() };
    world.hash_all().expect("the book lies inside all bounds");
    world.digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

struct World {
    path: Path,
    draws: Draws,
    digest: Sha256,
}

impl World {
    fn hash_all(&mut self) -> Done {
        let sizes = self.draws.column(ACCOUNTS, 0, POSITIONS_EACH);
        let mut starts = vec![0];
        starts.extend(sizes.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        }));
        let count = usize::try_from(starts[ACCOUNTS]).expect("sizes are not negative");
        let places = self.places(count);
        let lots = self.draws.column(count, -(1 << 21), 1 << 21);
        let narrow = self.rows(INSTRUMENTS, 31);
        let hardly_wide = self.rows(INSTRUMENTS, 32);
        let wide = self.rows(INSTRUMENTS, 36);
        let positions = Positions { starts: &starts, places: &places, lots: &lots };
        self.hash_figures(positions, &wide)?;
        let mut huge = lots.clone();
        let drawn = self.draws.edged(count.div_ceil(HUGE_EVERY), &HUGE_LOTS);
        for (lots, drawn) in huge.iter_mut().step_by(HUGE_EVERY).zip(drawn) {
            *lots = drawn;
        }
        let positions = Positions { lots: &huge, ..positions };
        self.hash_sums(positions, &wide)?;
        self.hash_sums(positions, &hardly_wide)?;
        self.hash_sums(positions, &narrow)?;
        let read = run(self.path, Reads { rows: &wide, order: positions.places })?;
        self.update(&[read]);
        self.hash_orders(&wide)
    }

    fn places(&mut self, count: usize) -> Vec<i32> {
        let drawn = self.draws.column(count, 0, INSTRUMENTS as i64 - 1);
        drawn.into_iter().map(|place| place as i32).collect()
    }

    /// Every second row is never negative, so that some account's least sum is positive.
    fn rows(&mut self, count: usize, bits: u32) -> Vec<Row> {
        let drawn = self.draws.column(count * SCENARIOS, -(1 << bits), (1 << bits) - 1);
        let mut rows: Vec<Row> = drawn.as_chunks().0.to_vec();
        for number in rows.iter_mut().step_by(2).flatten() {
            *number ^= *number >> 63;
        }
        rows
    }

    /// The sums of all accounts and the least of each, and both again after fills.
    fn hash_sums(&mut self, positions: Positions, rows: &[Row]) -> Done {
        let table = &Table::new(rows, positions.places.len());
        let mut sums = vec![[0; SCENARIOS]; ACCOUNTS];
        let mut worst = vec![0; ACCOUNTS];
        for (first, (sums, worst)) in PAGES.into_iter().zip(sums.chunks_mut(PAGE).zip(worst.chunks_mut(PAGE))) {
            run(self.path, Sums { first, positions, table, out: Kept::Sums(sums) })?;
            run(self.path, Sums { first, positions, table, out: Kept::Worst(worst) })?;
        }
        self.update(sums.as_flattened());
        self.update(&worst);
        let accounts = self.draws.column(FILLS, 0, ACCOUNTS as i64 - 1);
        let (places, lots) = (self.places(FILLS), self.draws.column(FILLS, -(1 << 21), 1 << 21));
        let mut worst = vec![0; FILLS];
        let fills = Fills { sums: &mut sums, accounts: &accounts, places: &places, lots: &lots, rows, out: &mut worst };
        run(self.path, fills)?;
        self.update(&worst);
        self.update(sums.as_flattened());
        Ok(())
    }

    /// What open orders lose, in cells of which some have several orders, some none.
    fn hash_orders(&mut self, rows: &[Row]) -> Done {
        let (places, edges) = (self.places(FILLS), self.draws.column(FILLS, -(1 << 36), 1 << 36));
        let (lots, cells) =
            (self.draws.column(FILLS, -(1 << 24), 1 << 24), self.draws.column(FILLS, 0, FILLS as i64 - 1));
        let mut sums = vec![[1; SCENARIOS]; FILLS];
        let (places, edges, lots, cells) = (&places, &edges, &lots, &cells);
        run(self.path, Orders { places, edges, lots, cells, rows, out: &mut sums })?;
        self.update(sums.as_flattened());
        Ok(())
    }

    /// The figures of all accounts, and the vectors of the first positions, as if they were one account's.
    fn hash_figures(&mut self, positions: Positions, rows: &[Row]) -> Done {
        let values = self.draws.column(INSTRUMENTS, 0, 1 << 30);
        let universes = self.draws.column(INSTRUMENTS, 0, 2);
        let mut groups = self.draws.column(INSTRUMENTS, 0, INSTRUMENTS as i64 / 4);
        let mut is_future = vec![0; INSTRUMENTS];
        for future in (0..INSTRUMENTS).step_by(FUTURE_EVERY) {
            (is_future[future], groups[future]) = (1, -1);
        }
        let instruments = &Instruments::new(rows, &values, &universes, &is_future, &groups)?;
        let scenarios = [self.scenarios()?, self.few_scenarios()?];
        let extra_of = self.draws.column(ACCOUNTS, -1, VECTORS as i64 - 1);
        let order_of = self.draws.column(ACCOUNTS, -1, VECTORS as i64 - 1);
        let (extras, orders) = (self.rows(VECTORS * UNIVERSES, 50), self.rows(VECTORS * UNIVERSES, 50));
        let (extras, orders) = (list_added(&extra_of, &extras), list_added(&order_of, &orders));
        for scenarios in &scenarios {
            let mut figures = vec![0; FIGURES * ACCOUNTS];
            for (page, first) in PAGES.into_iter().enumerate() {
                let mut parts = figures.chunks_mut(PAGE).skip(page).step_by(PAGES.len());
                let out = std::array::from_fn(|_| parts.next().unwrap_or_default());
                run(self.path, Accounts { first, positions, instruments, scenarios, extras, orders, out })?;
            }
            self.update(&figures);
        }
        let mut stress = [[1; SCENARIOS]; UNIVERSES];
        let (places, lots) = (&positions.places[..INSTRUMENTS], &positions.lots[..INSTRUMENTS]);
        run(self.path, AccountStress { places, lots, rows, universes: &universes, out: &mut stress })?;
        self.update(stress.as_flattened());
        Ok(())
    }

    /// The diagonal, every row of each universe against two fixed ones, and triples with nothing in common.
    fn scenarios(&mut self) -> Result<Scenarios, &'static str> {
        let mut joint = self.draws.column(JOINT * UNIVERSES, 0, SCENARIOS as i64 - 1);
        for row in 0..SCENARIOS as i64 {
            joint.extend([row, row, row, row, 4, 9, 13, row, 9, 13, 4, row]);
        }
        let opposed = self.draws.column(OPPOSED * UNIVERSES, 0, SCENARIOS as i64 - 1);
        Scenarios::new(&joint, &opposed, CROSS_WEIGHT_PPM)
    }

    /// So few that they are added up one by one, some accounts lose in none, and others most in an opposed one.
    fn few_scenarios(&mut self) -> Result<Scenarios, &'static str> {
        let mut triples = |count| self.draws.column(count * UNIVERSES, 0, SCENARIOS as i64 - 1);
        Scenarios::new(&triples(1), &triples(2), CROSS_WEIGHT_PPM)
    }

    fn update(&mut self, numbers: &[i64]) {
        for number in numbers {
            self.digest.update(number.to_le_bytes());
        }
    }
}

fn list_added<'a>(of: &'a [i64], vectors: &'a [Row]) -> Added<'a> {
    Added { of, vectors: vectors.as_chunks().0, refusal: "each account's vectors are none or one of those drawn" }
}
