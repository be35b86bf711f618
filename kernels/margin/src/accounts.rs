//! What the exchange's margin asks of every account's positions, in one pass over them.

use crate::lanes::{Kernel, Lanes, Row, SCENARIOS};
use crate::scenarios::Scenarios;
use crate::{get, position, Done, Positions, NO_PLACE};

pub const UNIVERSES: usize = 3;
/// Value, short, gross and futures' lots per universe, worst losses without and with open orders.
pub const FIGURES: usize = 12;
/// Three counts in 64 bits, one a universe: where its field begins, and how far it reaches.
const FIELDS: [u8; UNIVERSES] = [0, 21, 42];

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "21 bits are left")]
fn field(counts: u64, shift: u8) -> usize {
    (counts.wrapping_shr(shift.into()) & 0x1f_ffff) as usize
}

/// An account's vectors, one per universe; the fourth is there so that a masked index needs no check.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Stress(pub [Row; 4]);

/// An instrument: what one lot of it counts for, and where its positions are put together with others.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// Never narrow: a page of a thousand accounts does not make up for the copy, and reading is the lesser part here.
    row: &'a Row,
    value: i64,
    /// Where an option's lots are netted with those of the other side of its strike; all futures share one slot.
    slot: u32,
    /// The universe's field of the counts, and one in it.
    shift: u8,
    one: u64,
    is_future: bool,
}

/// The instruments, by place.
pub struct Instruments<'a> {
    lines: Vec<Line<'a>>,
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
        // Slots are numbered as they are met, so that few cache lines hold them; slot 0 is the futures'.
        let mut slots = vec![vec![0; count]; UNIVERSES];
        let mut used = 0;
        let columns = rows.iter().zip(values).zip(universes).zip(is_future).zip(groups);
        for ((((row, value), universe), is_future), group) in columns {
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
            let shift = FIELDS[universe];
            lines.push(Line { row, value: *value, slot, shift, one: 1 << shift, is_future: is_future == 1 });
        }
        Ok(Instruments { lines, slots: used as usize + 1 })
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
    pub positions: Positions<'a>,
    pub instruments: &'a Instruments<'a>,
    pub scenarios: &'a Scenarios,
    pub extras: Added<'a>,
    pub orders: Added<'a>,
    pub out: [&'a mut [i64]; FIGURES],
}

/// A position, as the pass that sorts leaves it to the pass that sums.
#[derive(Clone, Copy)]
struct Entry<'a> {
    line: &'a Line<'a>,
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
    type Output = Done;

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) -> Done {
        let mut sorted = self.make_room()?;
        let mut stress = Stress([[0; SCENARIOS]; 4]);
        for index in 0..self.out[0].len() {
            let account = self.first + index;
            let ends = self.sort(account, &mut sorted)?;
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
            room = room.max(self.positions.of(account)?.0.len());
        }
        if UNIVERSES * room > field(u64::MAX, 0) {
            return Err("starts: an account has at most 699050 positions");
        }
        let none = const { &Line { row: &[0; SCENARIOS], value: 0, slot: 0, shift: 0, one: 0, is_future: false } };
        let entries = vec![Entry { line: none, lots: 0 }; UNIVERSES * room];
        Ok(Sorted { entries, room, nets: vec![0; self.instruments.slots] })
    }

    /// Write an account's positions by universe and net its options; return where each universe's end.
    #[inline(always)]
    fn sort(&self, account: usize, sorted: &mut Sorted<'a>) -> Result<u64, &'static str> {
        let (places, lots) = self.positions.of(account)?;
        let (lines, room) = (self.instruments.lines.as_slice(), sorted.room as u64);
        let (entries, nets) = (sorted.entries.as_mut_slice(), sorted.nets.as_mut_slice());
        let mut ends = room << FIELDS[1] | (2 * room) << FIELDS[2];
        for (place, lots) in places.iter().zip(lots) {
            let Some(line) = get(lines, *place) else { return Err(NO_PLACE) };
            entries[field(ends, line.shift)] = Entry { line, lots: *lots };
            ends = ends.wrapping_add(line.one);
            let net = &mut nets[line.slot as usize];
            *net = net.wrapping_add(*lots);
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
            for Entry { line, lots } in &sorted.entries[universe * sorted.room..end] {
                sums = lanes.add_product(sums, line.row, *lots);
                value = value.wrapping_add(line.value.wrapping_mul(*lots));
                let size = lots.wrapping_abs();
                gross = gross.wrapping_add(size);
                let is_future = -i64::from(line.is_future);
                future = future.wrapping_add(size & is_future);
                // A net is counted where it is first met, and found zero afterwards, by the next account too.
                let net = std::mem::take(&mut sorted.nets[line.slot as usize]);
                short = short.wrapping_add(short_of(net) & !is_future);
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
    type Output = Done;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Done {
        self.out.fill([0; SCENARIOS]);
        for (place, lots) in self.places.iter().zip(self.lots) {
            let (Some(row), Some(universe)) = (get(self.rows, *place), get(self.universes, *place)) else {
                return Err(NO_PLACE);
            };
            let universe = position(*universe, UNIVERSES).ok_or("universes: each is 0, 1 or 2")?;
            let sums = &mut self.out[universe];
            lanes.store(lanes.add_product(lanes.load(sums), row, *lots), sums);
        }
        Ok(())
    }
}
