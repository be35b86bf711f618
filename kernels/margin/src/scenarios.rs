//! The listed scenarios, one row per universe each, and the worst loss over them.

use std::collections::BTreeSet;

use crate::accounts::{Stress, UNIVERSES};
use crate::lanes::{Lanes, Row, SCENARIOS};

const PPM: i64 = 1_000_000;
const MANY_MIN: usize = 8;
type Triple = [u8; UNIVERSES];

/// The lists, cut so that whole vectors are compared at once: where the joint list holds every row of one universe with
/// two fixed rows of the others, or every row with itself, 32 of its scenarios are one sum of vectors.
pub struct Scenarios {
    has_diagonal: bool,
    /// A universe, all of whose rows are listed with the rows of the others given here.
    axes: Vec<(usize, Triple)>,
    joint: List,
    opposed: List,
    cross_weight_ppm: i64,
}

/// Scenarios with nothing in common: 32 at a time where they are many, one by one where they are few.
struct List {
    /// Per universe the rows of 32 scenarios; where fewer are left, the last is repeated.
    many: Vec<[Row; UNIVERSES]>,
    few: Vec<Triple>,
}

impl List {
    fn new(triples: Vec<Triple>) -> List {
        if triples.len() < MANY_MIN {
            return List { many: Vec::new(), few: triples };
        }
        let chunks = triples.chunks(SCENARIOS).map(|chunk| {
            let mut picks = [[0; SCENARIOS]; UNIVERSES];
            for (universe, picks) in picks.iter_mut().enumerate() {
                for (k, pick) in picks.iter_mut().enumerate() {
                    *pick = i64::from(chunk[k.min(chunk.len() - 1)][universe]);
                }
            }
            picks
        });
        List { many: chunks.collect(), few: Vec::new() }
    }

    #[inline(always)]
    fn least<L: Lanes>(&self, lanes: L, stress: &Stress) -> i64 {
        let mut least = i64::MAX;
        for [first, second, third] in &self.many {
            let [one, two, three, _] = &stress.0;
            let sums = lanes.add(lanes.pick(one, first), lanes.pick(two, second));
            least = least.min(lanes.least(lanes.add(sums, lanes.pick(three, third))));
        }
        for triple in &self.few {
            least = least.min(add_rows(stress, *triple));
        }
        least
    }
}

impl Scenarios {
    /// Refuses: an empty list, a row number that is none, a weight above the whole.
    pub fn new(joint: &[i64], opposed: &[i64], cross_weight_ppm: i64) -> Result<Scenarios, &'static str> {
        let joint = parse(joint).ok_or("joint: takes one scenario or more, of row numbers from 0 to 31")?;
        let opposed = parse(opposed).ok_or("opposed: takes one scenario or more, of row numbers from 0 to 31")?;
        if !(0..=PPM).contains(&cross_weight_ppm) {
            return Err("cross_weight_ppm: is from 0 to 1000000");
        }
        let listed: BTreeSet<Triple> = joint.into_iter().collect();
        let has_diagonal = rows().all(|row| listed.contains(&[row; UNIVERSES]));
        let axes = list_axes(&listed);
        let is_alone = |triple: &Triple| {
            let on_diagonal = has_diagonal && triple[0] == triple[1] && triple[1] == triple[2];
            !on_diagonal && !axes.iter().any(|(universe, fixed)| set(*triple, *universe, 0) == *fixed)
        };
        let joint = List::new(listed.iter().filter(|triple| is_alone(triple)).copied().collect());
        let opposed = List::new(opposed);
        Ok(Scenarios { has_diagonal, axes, joint, opposed, cross_weight_ppm })
    }

    /// `max(0, -min(least joint sum, floor(least opposed sum * weight)))`.
    #[inline(always)]
    pub fn worst_loss<L: Lanes>(&self, lanes: L, stress: &Stress) -> i64 {
        let [first, second, third, _] = &stress.0;
        let mut worst = lanes.splat(i64::MAX);
        if self.has_diagonal {
            worst = lanes.add(lanes.add(lanes.load(first), lanes.load(second)), lanes.load(third));
        }
        for (universe, fixed) in &self.axes {
            let moving = &stress.0[universe & 3];
            let at_rest = add_rows(stress, *fixed).wrapping_sub(moving[0]);
            worst = lanes.min(worst, lanes.add(lanes.load(moving), lanes.splat(at_rest)));
        }
        let joint = self.joint.least(lanes, stress).min(lanes.least(worst));
        let opposed = self.opposed.least(lanes, stress);
        0.max(joint.min(share_floor(opposed, self.cross_weight_ppm)).wrapping_neg())
    }
}

/// The axes whose 32 scenarios are all listed; the moving universe's row is given as 0.
fn list_axes(listed: &BTreeSet<Triple>) -> Vec<(usize, Triple)> {
    let mut axes = Vec::new();
    for universe in 0..UNIVERSES {
        for triple in listed.iter().filter(|triple| triple[universe] == 0) {
            if rows().all(|row| listed.contains(&set(*triple, universe, row))) {
                axes.push((universe, *triple));
            }
        }
    }
    axes
}

fn rows() -> impl Iterator<Item = u8> {
    (0u8..).take(SCENARIOS)
}

fn set(mut triple: Triple, universe: usize, row: u8) -> Triple {
    triple[universe] = row;
    triple
}

fn parse(numbers: &[i64]) -> Option<Vec<Triple>> {
    let (triples, _) = numbers.as_chunks::<UNIVERSES>();
    let mut parsed = Vec::with_capacity(triples.len());
    for triple in triples {
        let mut rows = [0; UNIVERSES];
        for (row, number) in rows.iter_mut().zip(triple) {
            *row = u8::try_from(*number).ok().filter(|row| usize::from(*row) < SCENARIOS)?;
        }
        parsed.push(rows);
    }
    Some(parsed).filter(|parsed| !parsed.is_empty())
}

#[inline(always)]
fn add_rows(stress: &Stress, triple: Triple) -> i64 {
    let [first, second, third] = triple.map(|row| usize::from(row) % SCENARIOS);
    stress.0[0][first].wrapping_add(stress.0[1][second]).wrapping_add(stress.0[2][third])
}

/// A share of a value, rounded down; taken apart so that no product passes 64 bits.
#[inline(always)]
fn share_floor(value: i64, share_ppm: i64) -> i64 {
    let (whole, part) = (value.div_euclid(PPM), value.rem_euclid(PPM));
    whole.wrapping_mul(share_ppm).wrapping_add((part * share_ppm) / PPM)
}
