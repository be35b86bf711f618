//! Columns of doubles, worked through in blocks that stay in the first cache.
//!
//! A block is an array of fixed length, so that the compiler checks no index and leaves no remainder: each short loop
//! over it becomes vector instructions alone. The rest of a column is worked on in a block of its own, filled up.

pub const BLOCK: usize = 256;
pub type Column = [f64; BLOCK];

/// Any option will do to fill up a block.
const FILLER: f64 = 1.0;

/// What is done with a block of options; `sign` is +1 for a call, -1 for a put.
pub trait Kernel<const INPUTS: usize, const OUTPUTS: usize> {
    /// Fill the outputs, and tell whether every input lay inside the domain.
    fn block(&mut self, inputs: [&Column; INPUTS], sign: &Column, outputs: [&mut Column; OUTPUTS]) -> bool;
}

/// Work through columns of one length, and tell whether every input lay inside the domain.
#[inline(always)]
pub fn work_through<const INPUTS: usize, const OUTPUTS: usize>(
    kernel: &mut impl Kernel<INPUTS, OUTPUTS>,
    inputs: [&[f64]; INPUTS],
    is_call: &[u8],
    mut outputs: [&mut [f64]; OUTPUTS],
) -> bool {
    let whole = is_call.len() - is_call.len() % BLOCK;
    let mut is_valid = true;
    let mut sign = [0.0; BLOCK];
    for start in (0..whole).step_by(BLOCK) {
        signs(&is_call[start..start + BLOCK], &mut sign);
        let read = inputs.each_ref().map(|column| block_at(column, start));
        let written = outputs.each_mut().map(|column| block_at_mut(column, start));
        is_valid &= kernel.block(read, &sign, written);
    }
    if whole < is_call.len() {
        let mut read = [[FILLER; BLOCK]; INPUTS];
        let mut written = [[0.0; BLOCK]; OUTPUTS];
        for (block, column) in read.iter_mut().zip(inputs) {
            block[..column.len() - whole].copy_from_slice(&column[whole..]);
        }
        signs(&is_call[whole..], &mut sign);
        is_valid &= kernel.block(read.each_ref(), &sign, written.each_mut());
        for (block, column) in written.iter().zip(outputs) {
            let rest = column.len() - whole;
            column[whole..].copy_from_slice(&block[..rest]);
        }
    }
    is_valid
}

/// Whether every value lies within bounds; a NaN does not.
#[inline(always)]
pub fn is_within(block: &Column, low: f64, high: f64) -> bool {
    let mut outside = 0_u64;
    for value in block {
        outside |= u64::from(!((*value >= low) & (*value <= high)));
    }
    outside == 0
}

#[inline(always)]
fn block_at(column: &[f64], start: usize) -> &Column {
    column[start..].first_chunk().expect("columns have one length")
}

#[inline(always)]
fn block_at_mut(column: &mut [f64], start: usize) -> &mut Column {
    column[start..].first_chunk_mut().expect("columns have one length")
}

#[inline(always)]
fn signs(is_call: &[u8], sign: &mut Column) {
    for (sign, is_call) in sign.iter_mut().zip(is_call) {
        *sign = if *is_call == 0 { -1.0 } else { 1.0 };
    }
}
