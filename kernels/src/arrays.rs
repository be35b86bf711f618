//! Arrays of Python's buffer protocol as slices, checked for type, shape and overlap.
#![allow(unsafe_code, reason = "a buffer is a bare pointer; here alone it becomes a slice, after the checks")]

use std::any::type_name;
use std::ops::Range;

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A length that is not told beforehand.
pub const ANY: usize = usize::MAX;

/// A C-contiguous array that stays where it is while this is held.
pub struct Held<T: Element> {
    name: &'static str,
    buffer: PyBuffer<T>,
}

/// Hold an array. Refuses: another element type, gaps between elements.
pub fn hold<T: Element>(object: &Bound<'_, PyAny>, name: &'static str) -> PyResult<Held<T>> {
    let refuse = || {
        let kind = match type_name::<T>() {
            "f64" => "float64",
            "i64" => "int64",
            "i32" => "int32",
            other => other,
        };
        PyValueError::new_err(format!("{name}: takes a C-contiguous array of {kind}; np.ascontiguousarray copies"))
    };
    let buffer = PyBuffer::<T>::get(object).map_err(|_| refuse())?;
    if buffer.is_c_contiguous() {
        Ok(Held { name, buffer })
    } else {
        Err(refuse())
    }
}

/// Hold a table's columns. Refuses: another number of them, and what `hold` refuses.
pub fn hold_columns<T: Element, const N: usize>(
    objects: &[Bound<'_, PyAny>],
    name: &'static str,
) -> PyResult<[Held<T>; N]> {
    let held = objects.iter().map(|object| hold(object, name)).collect::<PyResult<Vec<_>>>()?;
    let found = held.len();
    held.try_into().map_err(|_| PyValueError::new_err(format!("{name}: {found} columns are given where {N} belong")))
}

/// The memory that one call reads and writes. What is written overlaps nothing else, so that slices may be made of it.
#[derive(Default)]
pub struct Views {
    read: Vec<Range<usize>>,
    written: Vec<Range<usize>>,
}

impl Views {
    /// The elements of an array of this shape. No thread may write to it until the call returns.
    pub fn read<'a, T: Element>(&mut self, held: &'a Held<T>, shape: &[usize]) -> PyResult<&'a [T]> {
        let range = held.check(shape)?;
        held.check_apart(&range, &self.written)?;
        self.read.push(range);
        // SAFETY: the buffer is held, contiguous and of this type, and nothing of it was handed out for writing.
        Ok(unsafe { std::slice::from_raw_parts(held.pointer(), held.buffer.item_count()) })
    }

    /// The elements of a writable array of this shape. No other thread may touch it until the call returns.
    pub fn write<'a, T: Element>(&mut self, held: &'a mut Held<T>, shape: &[usize]) -> PyResult<&'a mut [T]> {
        let range = held.check(shape)?;
        if held.buffer.readonly() {
            return Err(held.refuse("is written to, so it must be writable"));
        }
        held.check_apart(&range, &self.written)?;
        held.check_apart(&range, &self.read)?;
        self.written.push(range);
        // SAFETY: the buffer is held, contiguous, writable and of this type, and nothing else of it was handed out.
        Ok(unsafe { std::slice::from_raw_parts_mut(held.pointer(), held.buffer.item_count()) })
    }
}

impl Views {
    /// A table's columns, all of one shape.
    pub fn read_columns<'a, T: Element, const N: usize>(
        &mut self,
        held: &'a [Held<T>; N],
        shape: &[usize],
    ) -> PyResult<[&'a [T]; N]> {
        let mut columns = [&[][..]; N];
        for (column, held) in columns.iter_mut().zip(held) {
            *column = self.read(held, shape)?;
        }
        Ok(columns)
    }

    /// As `read_columns`, for writing.
    pub fn write_columns<'a, T: Element, const N: usize>(
        &mut self,
        held: &'a mut [Held<T>; N],
        shape: &[usize],
    ) -> PyResult<[&'a mut [T]; N]> {
        let mut columns = std::array::from_fn(|_| Default::default());
        for (column, held) in columns.iter_mut().zip(held) {
            *column = self.write(held, shape)?;
        }
        Ok(columns)
    }
}

impl<T: Element> Held<T> {
    /// The number of elements.
    pub fn count(&self) -> usize {
        self.buffer.item_count()
    }

    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    pub fn refuse(&self, why: &str) -> PyErr {
        PyValueError::new_err(format!("{}: {why}", self.name))
    }

    /// An empty array may have no address; a slice must.
    fn pointer(&self) -> *mut T {
        let empty = self.buffer.item_count() == 0;
        if empty {
            std::ptr::NonNull::dangling().as_ptr()
        } else {
            self.buffer.buf_ptr().cast()
        }
    }

    fn check(&self, shape: &[usize]) -> PyResult<Range<usize>> {
        let found = self.buffer.shape();
        let fits =
            found.len() == shape.len() && found.iter().zip(shape).all(|(has, takes)| *takes == ANY || has == takes);
        if !fits {
            let takes: Vec<String> =
                shape.iter().map(|n| if *n == ANY { "any".to_owned() } else { n.to_string() }).collect();
            return Err(self.refuse(&format!("takes the shape [{}], not {found:?}", takes.join(", "))));
        }
        let first = self.buffer.buf_ptr().addr();
        Ok(first..first + self.buffer.len_bytes())
    }

    fn check_apart(&self, range: &Range<usize>, others: &[Range<usize>]) -> PyResult<()> {
        if others.iter().any(|other| range.start < other.end && other.start < range.end) {
            return Err(self.refuse("overlaps another array of the call, of which one is written to"));
        }
        Ok(())
    }
}
