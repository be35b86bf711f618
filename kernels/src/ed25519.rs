//! The one Ed25519 verifier (ZIP-215), the keys that we admit, and deterministic signing (RFC 8032).

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::batch::Verifier;
use ed25519_zebra::{Signature, SigningKey, VerificationKey, VerificationKeyBytes};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha512};

/// As many signatures as share one equation: more gain little, and one bad one costs all of them a second look.
const BATCH: usize = 128;

/// A key, a message and a signature, held without copying.
type Signed = (PyBackedBytes, PyBackedBytes, PyBackedBytes);

/// ZIP-215, one signature alone.
fn is_valid(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = <[u8; 64]>::try_from(signature) else {
        return false;
    };
    let Ok(key) = VerificationKey::try_from(public_key) else {
        return false;
    };
    key.verify(&Signature::from(signature), message).is_ok()
}

/// The coefficients of a batch: a stream of hashes of all that it holds.
///
/// Why no system randomness: nobody can choose a signature by coefficients that depend on it, and every replica asks
/// the same equation.
struct Coefficients {
    seed: [u8; 64],
    block: [u8; 64],
    used: usize,
    count: u64,
}

impl Coefficients {
    fn new(batch: &[&Signed]) -> Self {
        let mut hash = Sha512::new();
        for part in batch.iter().flat_map(|(key, message, signature)| [key, message, signature]) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self { seed: hash.finalize().into(), block: [0; 64], used: 64, count: 0 }
    }
}

impl RngCore for Coefficients {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, target: &mut [u8]) {
        for byte in target {
            if self.used == self.block.len() {
                self.block =
                    Sha512::new().chain_update(self.seed).chain_update(self.count.to_le_bytes()).finalize().into();
                self.count += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(target);
        Ok(())
    }
}

impl CryptoRng for Coefficients {}

/// Whether all of a batch hold, by one equation. ZIP-215 is made so that this and `is_valid` never disagree.
fn are_valid(batch: &[&Signed]) -> bool {
    let mut verifier = Verifier::new();
    for (key, message, signature) in batch {
        let (Ok(key), Ok(signature)) = (VerificationKeyBytes::try_from(&key[..]), <[u8; 64]>::try_from(&signature[..]))
        else {
            return false;
        };
        verifier.queue((key, Signature::from(signature), &message[..]));
    }
    verifier.verify(Coefficients::new(batch)).is_ok()
}

fn verify_batch(batch: &[&Signed]) -> Vec<bool> {
    if batch.len() > 1 && are_valid(batch) {
        return vec![true; batch.len()];
    }
    batch.iter().map(|(key, message, signature)| is_valid(key, message, signature)).collect()
}

/// One verdict for each, in the order that they came in.
///
/// They are judged in the order of their keys: in one equation all signatures of a key share its point.
fn verify_all(signed: &[Signed]) -> Vec<bool> {
    let mut places: Vec<usize> = (0..signed.len()).collect();
    places.sort_by(|one, other| signed[*one].0.cmp(&signed[*other].0));
    let mut verdicts = vec![false; signed.len()];
    for here in places.chunks(BATCH) {
        let batch: Vec<&Signed> = here.iter().map(|place| &signed[*place]).collect();
        for (place, verdict) in here.iter().zip(verify_batch(&batch)) {
            verdicts[*place] = verdict;
        }
    }
    verdicts
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
    py.detach(|| verify_all(&signed))
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
