//! Open orders, each counted where filling it at its limit loses.

use crate::lanes::{Kernel, Lanes, Row, SCENARIOS};
use crate::{get, position, Done, NO_PLACE};

/// Orders, and the cells that they are added to: `min(0, (row + edge) * lots)` each, number by number.
///
/// An edge is what a lot is worth over what the limit asks for it; lots are negative for an ask. The sums are the true
/// ones as long as |row + edge| <= 2^37, an order has at most 2^24 |lots| and a cell at most 2^26.
pub struct Orders<'a> {
    pub places: &'a [i32],
    pub edges: &'a [i64],
    pub lots: &'a [i64],
    pub cells: &'a [i64],
    pub rows: &'a [Row],
    pub out: &'a mut [Row],
}

impl Kernel for Orders<'_> {
    type Output = Done;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Done {
        let Orders { places, edges, lots, cells, rows, out } = self;
        out.fill([0; SCENARIOS]);
        let zero = lanes.splat(0);
        for (((place, edge), lots), cell) in places.iter().zip(edges).zip(lots).zip(cells) {
            let Some(row) = get(rows, *place) else { return Err(NO_PLACE) };
            let cell = position(*cell, out.len()).ok_or("cells: each is a row number of out")?;
            let mut gain = [0; SCENARIOS];
            lanes.store(lanes.add(lanes.load(row), lanes.splat(*edge)), &mut gain);
            let loss = lanes.min(zero, lanes.add_product(zero, &gain, *lots));
            let sums = &mut out[cell];
            lanes.store(lanes.add(lanes.load(sums), loss), sums);
        }
        Ok(())
    }
}
