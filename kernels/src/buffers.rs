//! Arrays of `NumPy` as slices, without a copy. The only `unsafe` of this crate.
//!
//! A kernel works with the interpreter released, so nothing here can keep another thread from writing to an array
//! meanwhile; as with those of `NumPy`, that is the caller's promise. What can be checked is checked: the element
//! type and alignment (by `PyBuffer`), contiguity, and that what is written overlaps nothing else that is handed over.

use std::ops::Range;

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The memory that one call has claimed so far.
#[derive(Default)]
pub struct Claims {
    read: Vec<Range<usize>>,
    written: Vec<Range<usize>>,
}

impl Claims {
    /// The elements of an array, for reading.
    #[allow(unsafe_code)] // contiguous, aligned, of this type, held by `buffer`, and apart from all that is written
    pub fn read<'a, T: Element>(&mut self, buffer: &'a PyBuffer<T>) -> PyResult<&'a [T]> {
        let span = span_of(buffer)?;
        check_apart(&span, &self.written)?;
        self.read.push(span);
        if buffer.item_count() == 0 {
            return Ok(&[]);
        }
        Ok(unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.item_count()) })
    }

    /// The elements of an array, for writing.
    #[allow(unsafe_code)] // as above, writable, and apart from all that is claimed
    pub fn write<'a, T: Element>(&mut self, buffer: &'a mut PyBuffer<T>) -> PyResult<&'a mut [T]> {
        let span = span_of(buffer)?;
        if buffer.readonly() {
            return Err(PyValueError::new_err("an array to be written is read-only; give a writable one"));
        }
        check_apart(&span, &self.read)?;
        check_apart(&span, &self.written)?;
        self.written.push(span);
        if buffer.item_count() == 0 {
            return Ok(&mut []);
        }
        Ok(unsafe { std::slice::from_raw_parts_mut(buffer.buf_ptr().cast(), buffer.item_count()) })
    }

    /// A table's columns, all of one length.
    pub fn read_columns<'a, T: Element, const N: usize>(
        &mut self,
        buffers: &'a [PyBuffer<T>],
    ) -> PyResult<[&'a [T]; N]> {
        let columns = buffers.iter().map(|buffer| self.read(buffer)).collect::<PyResult<Vec<_>>>()?;
        one_length(columns, |column| column.len())
    }

    /// As `read_columns`, for writing.
    pub fn write_columns<'a, T: Element, const N: usize>(
        &mut self,
        buffers: &'a mut [PyBuffer<T>],
    ) -> PyResult<[&'a mut [T]; N]> {
        let columns = buffers.iter_mut().map(|buffer| self.write(buffer)).collect::<PyResult<Vec<_>>>()?;
        one_length(columns, |column| column.len())
    }
}

/// Refuse lengths that differ from what a call's other arrays have.
pub fn check_length(name: &str, found: usize, expected: usize) -> PyResult<()> {
    if found == expected {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{name} has {found} elements where {expected} belong")))
}

fn one_length<C, const N: usize>(columns: Vec<C>, length: impl Fn(&C) -> usize) -> PyResult<[C; N]> {
    let found = columns.len();
    let columns: [C; N] =
        columns.try_into().map_err(|_| PyValueError::new_err(format!("{found} columns are given where {N} belong")))?;
    for column in &columns {
        check_length("a column", length(column), length(&columns[0]))?;
    }
    Ok(columns)
}

fn span_of<T: Element>(buffer: &PyBuffer<T>) -> PyResult<Range<usize>> {
    if !buffer.is_c_contiguous() {
        return Err(PyValueError::new_err("an array is not contiguous; copy it with np.ascontiguousarray"));
    }
    let start = buffer.buf_ptr() as usize;
    Ok(start..start + buffer.len_bytes())
}

fn check_apart(span: &Range<usize>, others: &[Range<usize>]) -> PyResult<()> {
    if others.iter().any(|other| span.start < other.end && other.start < span.end) {
        return Err(PyValueError::new_err("an array to be written overlaps another; give it memory of its own"));
    }
    Ok(())
}
