//! Kernels of the exchange: pure functions over bytes and integers. They hold no state and read no clock.
//!
//! Python keeps the state and owns every decision; a kernel is handed what it needs and returns what it computed.

mod arrays;
mod dispatch;
mod ed25519;
mod hash;
mod margin;
mod msgpack;
mod pricing;
mod shares;
mod tree;

use pyo3::prelude::*;

#[pymodule]
fn _kernels(module: &Bound<'_, PyModule>) -> PyResult<()> {
    dispatch::register(module)?;
    ed25519::register(module)?;
    hash::register(module)?;
    margin::register(module)?;
    msgpack::register(module)?;
    pricing::register(module)?;
    shares::register(module)?;
    tree::register(module)
}
