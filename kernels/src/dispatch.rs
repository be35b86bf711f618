//! Which instructions a kernel runs with. Every path gives the same numbers; they differ in speed alone.

use holdfast_pricing::Path;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The path that a caller named, or the widest of this machine where it named none.
pub fn choose(name: Option<&str>) -> PyResult<Path> {
    let paths = Path::all();
    let Some(name) = name else { return Ok(paths[0]) };
    Path::named(name).ok_or_else(|| {
        let names: Vec<_> = paths.into_iter().map(Path::name).collect();
        PyValueError::new_err(format!("path: this machine has no {name}; it has {}", names.join(", ")))
    })
}

/// The names of the paths of this machine, the widest first.
#[pyfunction]
fn list_paths() -> Vec<&'static str> {
    Path::all().into_iter().map(Path::name).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(list_paths, module)?)
}
