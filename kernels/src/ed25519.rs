//! The one Ed25519 verifier (ZIP-215), the keys that we admit, and deterministic signing (RFC 8032).

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::{Signature, SigningKey, VerificationKey};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// A key, a message and a signature, held without copying.
type Signed = (PyBackedBytes, PyBackedBytes, PyBackedBytes);

/// ZIP-215, one signature at a time. There is no batch equation to disagree with.
fn is_valid(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = <[u8; 64]>::try_from(signature) else {
        return false;
    };
    let Ok(key) = VerificationKey::try_from(public_key) else {
        return false;
    };
    key.verify(&Signature::from(signature), message).is_ok()
}

fn signing_key(seed: &[u8]) -> PyResult<SigningKey> {
    SigningKey::try_from(seed).map_err(|_| PyValueError::new_err("a seed has 32 bytes"))
}

#[pyfunction]
fn public_key<'py>(py: Python<'py>, seed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let key = <[u8; 32]>::from(signing_key(seed)?.verification_key());
    Ok(PyBytes::new(py, &key))
}

#[pyfunction]
fn sign<'py>(py: Python<'py>, seed: &[u8], message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let signature = signing_key(seed)?.sign(message).to_bytes();
    Ok(PyBytes::new(py, &signature))
}

#[pyfunction]
fn verify(py: Python<'_>, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    py.detach(|| is_valid(public_key, message, signature))
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // the binding hands over an owned list
fn verify_many(py: Python<'_>, signed: Vec<Signed>) -> Vec<bool> {
    py.detach(|| signed.iter().map(|(key, message, signature)| is_valid(key, message, signature)).collect())
}

/// Canonical encoding of a point that is not of small order.
#[pyfunction]
fn is_acceptable_key(public_key: &[u8]) -> bool {
    let Ok(encoded) = CompressedEdwardsY::from_slice(public_key) else {
        return false;
    };
    let Some(point) = encoded.decompress() else {
        return false;
    };
    point.compress() == encoded && !point.is_small_order()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(public_key, module)?)?;
    module.add_function(wrap_pyfunction!(sign, module)?)?;
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(verify_many, module)?)?;
    module.add_function(wrap_pyfunction!(is_acceptable_key, module)?)
}
