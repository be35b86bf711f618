//! Consensus pricing: Black-76 on SVI smiles, and as a library over doubles.
//!
//! Every result is a fixed sequence of IEEE-754 operations + - * / sqrt, comparisons, minimum, maximum, copysign and
//! integer bit moves. rustc never contracts or reorders them, so every machine and instruction set computes the same
//! bits, which are those of the `NumPy` reference, `primitives/pricing`.

mod array;
mod black;
mod blocks;
pub mod golden;
mod implied;
mod inputs;
mod maths;
mod path;
mod surface;

pub use array::{MarksJob, RowsJob};
pub use black::{BlackJob, PriceJob};
pub use implied::ImpliedJob;
pub use inputs::{Grid, Marks, Options, Slices};
pub use path::{Job, Path, Set};
pub use surface::VolScaleJob;
