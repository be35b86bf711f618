//! A scan of one message before it is parsed: canonical headers, allowed kinds, bounded depth and width.
//!
//! The scan keeps its own stack of fixed size, so its verdict does not depend on the caller's depth.

use pyo3::prelude::*;

/// Why a message is refused. The numbers are shared with `holdfast.primitives.codec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Truncated = 1,
    Trailing = 2,
    NotMinimal = 3,
    KindNotAllowed = 4,
    TooDeep = 5,
    TooManyItems = 6,
    NotPrintableAscii = 7,
}

/// No message of ours nests deeper, whatever the caller asks for.
const DEPTH_CEILING: usize = 64;

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, width: usize) -> Result<u64, Fault> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Read a length whose shorter forms end below `least`.
    fn length(&mut self, width: usize, least: u64) -> Result<usize, Fault> {
        let value = self.unsigned(width)?;
        if value < least {
            return Err(Fault::NotMinimal);
        }
        usize::try_from(value).map_err(|_| Fault::Truncated)
    }

    fn text(&mut self, count: usize) -> Result<(), Fault> {
        let printable = self.take(count)?.iter().all(|byte| (0x20..0x7f).contains(byte));
        if printable {
            Ok(())
        } else {
            Err(Fault::NotPrintableAscii)
        }
    }

    fn bytes(&mut self, count: usize) -> Result<(), Fault> {
        self.take(count).map(|_| ())
    }

    fn integer(&mut self, width: usize, least: u64) -> Result<(), Fault> {
        if self.unsigned(width)? < least {
            Err(Fault::NotMinimal)
        } else {
            Ok(())
        }
    }

    /// A signed form is minimal only for a negative value below what the next shorter form holds.
    fn negative(&mut self, width: usize, above_least: i64) -> Result<(), Fault> {
        let unused_bits = 64 - 8 * width;
        let value = (self.unsigned(width)? << unused_bits).cast_signed() >> unused_bits;
        if value < above_least {
            Ok(())
        } else {
            Err(Fault::NotMinimal)
        }
    }

    /// Read one value's header, and its body unless it is an array; return how many items an array holds.
    fn value(&mut self) -> Result<Option<usize>, Fault> {
        let kind = self.unsigned(1)?;
        match kind {
            0x90..=0x9f => return Ok(Some(usize::from((kind & 0x0f) as u8))),
            0xdc => return self.length(2, 16).map(Some),
            0xdd => return self.length(4, 1 << 16).map(Some),
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => {}
            0xcc => self.integer(1, 1 << 7)?,
            0xcd => self.integer(2, 1 << 8)?,
            0xce => self.integer(4, 1 << 16)?,
            0xcf => self.integer(8, 1 << 32)?,
            0xd0 => self.negative(1, -(1 << 5))?,
            0xd1 => self.negative(2, -(1 << 7))?,
            0xd2 => self.negative(4, -(1 << 15))?,
            0xd3 => self.negative(8, -(1 << 31))?,
            0xa0..=0xbf => self.text(usize::from((kind & 0x1f) as u8))?,
            0xd9 => self.length(1, 32).and_then(|count| self.text(count))?,
            0xda => self.length(2, 1 << 8).and_then(|count| self.text(count))?,
            0xdb => self.length(4, 1 << 16).and_then(|count| self.text(count))?,
            0xc4 => self.length(1, 0).and_then(|count| self.bytes(count))?,
            0xc5 => self.length(2, 1 << 8).and_then(|count| self.bytes(count))?,
            0xc6 => self.length(4, 1 << 16).and_then(|count| self.bytes(count))?,
            _ => return Err(Fault::KindNotAllowed),
        }
        Ok(None)
    }
}

fn scan(data: &[u8], depth_max: usize, items_max: usize) -> Result<(), Fault> {
    let mut reader = Reader { rest: data };
    let mut open = [0_usize; DEPTH_CEILING];
    let mut depth = 0;
    let mut items_left = items_max;
    loop {
        items_left = items_left.checked_sub(1).ok_or(Fault::TooManyItems)?;
        if let Some(count) = reader.value()? {
            if depth == depth_max.min(DEPTH_CEILING) {
                return Err(Fault::TooDeep);
            }
            if count > items_left {
                return Err(Fault::TooManyItems);
            }
            open[depth] = count;
            depth += 1;
        }
        while depth > 0 && open[depth - 1] == 0 {
            depth -= 1;
        }
        if depth == 0 {
            break;
        }
        open[depth - 1] -= 1;
    }
    if reader.rest.is_empty() {
        Ok(())
    } else {
        Err(Fault::Trailing)
    }
}

#[pyfunction]
fn scan_msgpack(data: &[u8], max_depth: usize, max_items: usize) -> Option<u8> {
    scan(data, max_depth, max_items).err().map(|fault| fault as u8)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(scan_msgpack, module)?)
}
