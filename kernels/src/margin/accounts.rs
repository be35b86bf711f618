//! What the exchange's margin asks of every account's positions, in one pass over them.
#![allow(clippy::inline_always, reason = "only what is inlined into a path's entry is compiled for that path")]

use super::lanes::{Kernel, Lanes, Row, SCENARIOS};
use super::scenarios::Scenarios;
use super::{get, position};

pub const UNIVERSES: usize = 3;
/// Value, short, gross and futures' lots per universe, worst losses without and with open orders.
pub const FIGURES: usize = 12;
/// Three counts in 64 bits, one a universe: where its field begins, and how far it reaches.
const FIELDS: [u32; UNIVERSES] = [0, 21, 42];

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "21 bits are left")]
fn field(counts: u64, shift: u32) -> usize {
    (counts >> shift & 0x1f_ffff) as usize
}

/// An account's vectors, one per universe; the fourth is there so that a masked index needs no check.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Stress(pub [Row; 4]);

/// What one lot of an instrument counts for besides its row.
#[derive(Clone, Copy)]
struct Line {
    value: i64,
    /// All ones for a future, 0 for an option.
    future: i64,
    /// The universe's field in `Sorted::ends`.
    shift: u32,
    /// Where an option's lots are netted with those of the other side of its strike.
    slot: u32,
}

/// The instruments, by place.
pub struct Instruments<'a> {
    pub rows: &'a [Row],
    lines: Vec<Line>,
    slots: usize,
}

impl<'a> Instruments<'a> {
    /// Refuses: a universe, a kind or a group out of its range.
    pub fn new(
        rows: &'a [Row],
        values: &[i64],
        universes: &[i64],
        is_future: &[i64],
        groups: &[i64],
    ) -> Result<Instruments<'a>, &'static str> {
        let count = rows.len();
        let mut lines = Vec::with_capacity(count);
        // Slots are numbered as they are met, so that few cache lines hold them; slot 0 is where futures net nothing.
        let mut slots = vec![vec![0; count]; UNIVERSES];
        let mut used = 0;
        for (((value, universe), is_future), group) in values.iter().zip(universes).zip(is_future).zip(groups) {
            let universe = position(*universe, UNIVERSES).ok_or("universes: each is 0, 1 or 2")?;
            let is_future = position(*is_future, 2).ok_or("is_future: each is 0 or 1")?;
            let slot = if is_future == 1 {
                0
            } else {
                let group = position(*group, count).ok_or("groups: an option's is from 0 to the instruments less 1")?;
                let slot = &mut slots[universe][group];
                if *slot == 0 {
                    used += 1;
                    *slot = used;
                }
                *slot
            };
            lines.push(Line { value: *value, future: -[0, 1][is_future], shift: FIELDS[universe], slot });
        }
        Ok(Instruments { rows, lines, slots: used as usize + 1 })
    }
}

/// Vectors that only some accounts have, and which account has which (-1: none).
#[derive(Clone, Copy)]
pub struct Added<'a> {
    pub of: &'a [i64],
    pub vectors: &'a [[Row; UNIVERSES]],
    pub refusal: &'static str,
}

impl<'a> Added<'a> {
    #[inline(always)]
    fn get(&self, account: usize) -> Result<Option<&'a [Row; UNIVERSES]>, &'static str> {
        match self.of[account] {
            -1 => Ok(None),
            index => {
                let found = usize::try_from(index).ok().and_then(|index| self.vectors.get(index));
                found.map(Some).ok_or(self.refusal)
            }
        }
    }
}

/// The figures of the accounts `first..` that the output has room for.
pub struct Accounts<'a> {
    pub first: usize,
    pub starts: &'a [i64],
    pub places: &'a [i32],
    pub lots: &'a [i64],
    pub instruments: &'a Instruments<'a>,
    pub scenarios: &'a Scenarios,
    pub extras: Added<'a>,
    pub orders: Added<'a>,
    pub out: [&'a mut [i64]; FIGURES],
}

/// A position, as the pass that sorts leaves it to the pass that sums.
#[derive(Clone, Copy)]
struct Entry<'a> {
    row: &'a Row,
    line: &'a Line,
    lots: i64,
}

/// One account's positions by universe, and its options' net lots by slot. Which universe a position is of cannot be
/// foretold, so the sorting has no branch; thereafter each universe's sums stay in registers.
struct Sorted<'a> {
    entries: Vec<Entry<'a>>,
    room: usize,
    nets: Vec<i64>,
}

impl Kernel for Accounts<'_> {
    type Output = Result<(), &'static str>;

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) -> Self::Output {
        let mut sorted = self.make_room()?;
        let mut stress = Stress([[0; SCENARIOS]; 4]);
        for index in 0..self.out[0].len() {
            let account = self.first + index;
            let ends = self.sort(lanes, account, &mut sorted)?;
            self.add_up(lanes, index, ends, &mut sorted, &mut stress);
            self.write_losses(lanes, account, index, &mut stress)?;
        }
        Ok(())
    }
}

impl<'a> Accounts<'a> {
    fn make_room(&self) -> Result<Sorted<'a>, &'static str> {
        let count = self.out[0].len();
        let mut room = 1;
        for account in self.first..self.first + count {
            let (first, end) = super::span(self.starts, account, self.places.len())?;
            room = room.max(end - first);
        }
        if UNIVERSES * room > field(u64::MAX, 0) {
            return Err("starts: an account has at most 699050 positions");
        }
        let none = Entry { row: &[0; SCENARIOS], line: &Line { value: 0, future: 0, shift: 0, slot: 0 }, lots: 0 };
        let entries = vec![none; UNIVERSES * room];
        Ok(Sorted { entries, room, nets: vec![0; self.instruments.slots] })
    }

    /// Write an account's positions by universe and net its options; return where each universe's end.
    #[inline(always)]
    fn sort<L: Lanes>(&self, lanes: L, account: usize, sorted: &mut Sorted<'a>) -> Result<u64, &'static str> {
        let (first, end) = super::span(self.starts, account, self.places.len())?;
        let Instruments { rows, lines, .. } = self.instruments;
        let (entries, nets) = (sorted.entries.as_mut_slice(), sorted.nets.as_mut_slice());
        let room = sorted.room as u64;
        let mut ends = room << FIELDS[1] | (2 * room) << FIELDS[2];
        for (place, lots) in self.places[first..end].iter().zip(&self.lots[first..end]) {
            let (Some(row), Some(line)) = (get(rows, *place), get(lines, *place)) else {
                return Err(super::NO_PLACE);
            };
            lanes.prefetch(row);
            entries[field(ends, line.shift)] = Entry { row, line, lots: *lots };
            ends = ends.wrapping_add(1 << line.shift);
            let net = &mut nets[line.slot as usize];
            *net = net.wrapping_add(lots & !line.future);
        }
        Ok(ends)
    }

    #[inline(always)]
    fn add_up<L: Lanes>(&mut self, lanes: L, index: usize, ends: u64, sorted: &mut Sorted<'a>, stress: &mut Stress) {
        let mut value = 0i64;
        for (universe, shift) in FIELDS.into_iter().enumerate() {
            let end = field(ends, shift);
            let mut sums = lanes.splat(0);
            let (mut gross, mut future, mut short) = (0i64, 0i64, 0i64);
            for Entry { row, line, lots } in &sorted.entries[universe * sorted.room..end] {
                sums = lanes.add_product(sums, row, *lots);
                value = value.wrapping_add(line.value.wrapping_mul(*lots));
                let size = lots.wrapping_abs();
                gross = gross.wrapping_add(size);
                future = future.wrapping_add(size & line.future);
                // A net is counted where it is first met, and found zero afterwards, by the next account too.
                let net = std::mem::take(&mut sorted.nets[line.slot as usize]);
                short = short.wrapping_add(short_of(net));
            }
            lanes.store(sums, &mut stress.0[universe]);
            self.out[1 + universe][index] = short;
            self.out[4 + universe][index] = gross;
            self.out[7 + universe][index] = future;
        }
        self.out[0][index] = value;
    }

    #[inline(always)]
    fn write_losses<L: Lanes>(
        &mut self,
        lanes: L,
        account: usize,
        index: usize,
        stress: &mut Stress,
    ) -> Result<(), &'static str> {
        if let Some(extra) = self.extras.get(account)? {
            add_vectors(lanes, stress, extra);
        }
        let maintenance = self.scenarios.worst_loss(lanes, stress);
        self.out[10][index] = maintenance;
        self.out[11][index] = match self.orders.get(account)? {
            Some(orders) => {
                add_vectors(lanes, stress, orders);
                self.scenarios.worst_loss(lanes, stress)
            }
            None => maintenance,
        };
        Ok(())
    }
}

/// `max(0, -lots)` without a branch: which way a position goes cannot be foretold.
#[inline(always)]
fn short_of(lots: i64) -> i64 {
    lots.wrapping_neg() & (lots >> 63)
}

#[inline(always)]
fn add_vectors<L: Lanes>(lanes: L, stress: &mut Stress, vectors: &[Row; UNIVERSES]) {
    for (sums, vector) in stress.0.iter_mut().zip(vectors) {
        lanes.store(lanes.add(lanes.load(sums), lanes.load(vector)), sums);
    }
}

/// The vectors of one account's positions.
pub struct AccountStress<'a> {
    pub places: &'a [i32],
    pub lots: &'a [i64],
    pub rows: &'a [Row],
    pub universes: &'a [i64],
    pub out: &'a mut [Row],
}

impl Kernel for AccountStress<'_> {
    type Output = Result<(), &'static str>;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Self::Output {
        self.out.fill([0; SCENARIOS]);
        for (place, lots) in self.places.iter().zip(self.lots) {
            let (Some(row), Some(universe)) = (get(self.rows, *place), get(self.universes, *place)) else {
                return Err(super::NO_PLACE);
            };
            let universe = position(*universe, UNIVERSES).ok_or("universes: each is 0, 1 or 2")?;
            let sums = &mut self.out[universe];
            lanes.store(lanes.add_product(lanes.load(sums), row, *lots), sums);
        }
        Ok(())
    }
}
