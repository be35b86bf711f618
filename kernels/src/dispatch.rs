//! Which instructions a kernel runs with. Every path gives the same numbers; they differ in speed alone.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A set of instructions that kernels are compiled for, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Avx512,
    Avx2,
    Portable,
}

const PATHS: [(Path, &str); 3] = [(Path::Avx512, "avx512"), (Path::Avx2, "avx2"), (Path::Portable, "portable")];

impl Path {
    /// Whether this processor can run it.
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        match self {
            Path::Avx512 => has_avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"),
            Path::Avx2 => has_avx2,
            Path::Portable => true,
        }
    }

    /// Whether this processor can run it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_available(self) -> bool {
        self == Path::Portable
    }

    /// The path that a caller named, or the widest where it named none.
    pub fn choose(name: Option<&str>) -> PyResult<Path> {
        let Some(name) = name else { return Ok(detect()) };
        let known = PATHS.iter().find(|(_, known)| *known == name);
        match known {
            Some((path, _)) if path.is_available() => Ok(*path),
            Some(_) => Err(PyValueError::new_err(format!("path: this processor cannot run {name}"))),
            None => Err(PyValueError::new_err(format!("path: {name} is none of avx512, avx2, portable"))),
        }
    }
}

/// The widest path that this processor can run.
pub fn detect() -> Path {
    PATHS.iter().map(|(path, _)| *path).find(|path| path.is_available()).unwrap_or(Path::Portable)
}

/// The names of the paths that this processor can run; a kernel takes the first unless it is told another.
#[pyfunction]
fn list_paths() -> Vec<&'static str> {
    PATHS.iter().filter(|(path, _)| path.is_available()).map(|(_, name)| *name).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(list_paths, module)?)
}
