//! The compact sparse Merkle tree of the state, computed over pages that the caller keeps.
//!
//! Definition: a key's path is SHA256(key); a leaf is SHA256(0x00 || path || SHA256(value)); an empty subtree is 32
//! zero bytes; a subtree of exactly one leaf is that leaf's hash; any other is SHA256(0x01 || left || right). Which
//! levels are cached does not enter it.
//!
//! The cache: levels 1 to `depth` are cut into tiers of at most four levels, tiers into pages. A page holds the cells
//! of one subtree's levels in heap order, without its root, which lies in the page above. Below level `depth` come the
//! buckets: sorted entries of path || value hash. Nothing here changes a page; a plan returns new ones.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::hash::{sha256, Hash};

const EMPTY: Hash = [0; 32];
const TIER_LEVELS: u32 = 4;
const CELL_BYTES: usize = 33;
const ENTRY_BYTES: usize = 64;
const DEPTH_MAX: u32 = 20;
/// A batch of so many changes is hashed while the interpreter is left to others; below, handing it over costs more.
const APART_MIN: usize = 4_096;

/// What a subtree holds, and its hash.
#[derive(Clone, Copy)]
enum Cell {
    Empty,
    Leaf(Hash),
    Inner(Hash),
}

impl Cell {
    fn hash(self) -> Hash {
        match self {
            Cell::Empty => EMPTY,
            Cell::Leaf(hash) | Cell::Inner(hash) => hash,
        }
    }

    fn join(left: Cell, right: Cell) -> Cell {
        match (left, right) {
            (Cell::Empty, other @ (Cell::Empty | Cell::Leaf(_))) | (other @ Cell::Leaf(_), Cell::Empty) => other,
            _ => Cell::Inner(sha256(&[&[1], &left.hash(), &right.hash()])),
        }
    }

    fn read(page: &[u8], position: usize) -> PyResult<Cell> {
        let cell = page
            .get(position * CELL_BYTES..(position + 1) * CELL_BYTES)
            .ok_or_else(|| PyValueError::new_err("a page has the size of its tier"))?;
        let mut hash = EMPTY;
        hash.copy_from_slice(&cell[..32]);
        match cell[32] {
            0 => Ok(Cell::Empty),
            1 => Ok(Cell::Leaf(hash)),
            2 => Ok(Cell::Inner(hash)),
            _ => Err(PyValueError::new_err("a cell has a known kind")),
        }
    }

    fn write(self, page: &mut [u8], position: usize) {
        let cell = &mut page[position * CELL_BYTES..(position + 1) * CELL_BYTES];
        cell[..32].copy_from_slice(&self.hash());
        cell[32] = match self {
            Cell::Empty => 0,
            Cell::Leaf(_) => 1,
            Cell::Inner(_) => 2,
        };
    }
}

/// Bits `start..start + count` of a path, as a number.
fn path_bits(path: &[u8], start: u32, count: u32) -> usize {
    (start..start + count).fold(0, |value, level| value << 1 | usize::from(path_bit(path, level)))
}

fn path_bit(path: &[u8], level: u32) -> bool {
    path[(level / 8) as usize] >> (7 - level % 8) & 1 == 1
}

/// How many levels the tier below `level` spans.
fn tier_levels(level: u32, depth: u32) -> u32 {
    TIER_LEVELS.min(depth - level)
}

/// Pages of all tiers above the one that starts below `level`.
fn pages_above(level: u32) -> usize {
    (0..level / TIER_LEVELS).map(|tier| 1 << (TIER_LEVELS * tier)).sum()
}

/// Where a node lies in its page: `row` levels below the page's root, `offset` from the left.
fn heap_position(row: u32, offset: usize) -> usize {
    (1 << row) - 2 + offset
}

/// A new value hash at a path, or None where the path is cleared.
struct Change {
    path: Hash,
    value: Option<Hash>,
}

/// Do work that needs no interpreter, without it where the work is large.
fn apart<T: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> T + Send) -> T {
    if size < APART_MIN {
        work()
    } else {
        py.detach(work)
    }
}

fn read_changes(py: Python<'_>, changes: &Bound<'_, PyAny>) -> PyResult<Vec<Change>> {
    let mut rows: Vec<(Bound<'_, PyBytes>, Option<Bound<'_, PyBytes>>)> = Vec::new();
    for change in changes.try_iter()? {
        rows.push(change?.extract()?);
    }
    // The rows keep their bytes alive, and nobody changes bytes.
    let bytes: Vec<(&[u8], Option<&[u8]>)> =
        rows.iter().map(|(key, value)| (key.as_bytes(), value.as_ref().map(PyBytesMethods::as_bytes))).collect();
    let read = apart(py, bytes.len(), || {
        let mut read: Vec<Change> = bytes
            .iter()
            .map(|(key, value)| Change { path: sha256(&[key]), value: value.map(|value| sha256(&[value])) })
            .collect();
        read.sort_unstable_by_key(|change| change.path);
        read
    });
    if read.windows(2).any(|pair| pair[0].path == pair[1].path) {
        return Err(PyValueError::new_err("a key changes once in a batch"));
    }
    Ok(read)
}

/// The cell of a bucket's entries below `level`. Each call descends one of at most 256 levels.
fn bucket_cell(entries: &[u8], level: u32) -> Cell {
    match entries.len() / ENTRY_BYTES {
        0 => Cell::Empty,
        1 => Cell::Leaf(sha256(&[&[0], entries])),
        _ => {
            let (left, right) = split_entries(entries, level);
            Cell::join(bucket_cell(left, level + 1), bucket_cell(right, level + 1))
        }
    }
}

fn split_entries(entries: &[u8], level: u32) -> (&[u8], &[u8]) {
    let (rows, _) = entries.as_chunks::<ENTRY_BYTES>();
    let left = rows.partition_point(|row| !path_bit(row, level));
    entries.split_at(left * ENTRY_BYTES)
}

/// Merge sorted changes into sorted entries; also return by how much the number of entries grew.
fn merge_bucket(old: &[u8], changes: &[Change]) -> (Vec<u8>, isize) {
    let mut merged = Vec::with_capacity(old.len() + changes.len() * ENTRY_BYTES);
    let (rows, _) = old.as_chunks::<ENTRY_BYTES>();
    let mut next = 0;
    for change in changes {
        while next < rows.len() && rows[next][..32] < change.path[..] {
            merged.extend_from_slice(&rows[next]);
            next += 1;
        }
        if next < rows.len() && rows[next][..32] == change.path[..] {
            next += 1;
        }
        if let Some(value) = change.value {
            merged.extend_from_slice(&change.path);
            merged.extend_from_slice(&value);
        }
    }
    for row in &rows[next..] {
        merged.extend_from_slice(row);
    }
    let grown = (merged.len() / ENTRY_BYTES).cast_signed() - rows.len().cast_signed();
    (merged, grown)
}

/// The caller's pages and buckets.
struct Cache<'a, 'py> {
    pages: &'a Bound<'py, PyList>,
    buckets: &'a Bound<'py, PyList>,
    depth: u32,
}

impl<'py> Cache<'_, 'py> {
    fn page(&self, level: u32, index: usize) -> PyResult<(usize, Bound<'py, PyBytes>)> {
        let number = pages_above(level) + index;
        Ok((number, self.pages.get_item(number)?.cast_into()?))
    }

    fn bucket(&self, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(self.buckets.get_item(index)?.cast_into()?)
    }
}

/// One bucket under the changes that fall into it.
struct BucketPlan {
    index: usize,
    entries: Vec<u8>,
    grown: isize,
    cell: Cell,
}

/// Plan every bucket that a batch of sorted changes touches, in order.
fn plan_buckets(py: Python<'_>, cache: &Cache<'_, '_>, changes: &[Change]) -> PyResult<Vec<BucketPlan>> {
    let depth = cache.depth;
    let mut touched = Vec::new();
    let mut rest = changes;
    while let Some(first) = rest.first() {
        let index = path_bits(&first.path, 0, depth);
        let count = rest.partition_point(|change| path_bits(&change.path, 0, depth) == index);
        let (here, later) = rest.split_at(count);
        rest = later;
        touched.push((index, here, cache.bucket(index)?));
    }
    let bytes: Vec<(usize, &[Change], &[u8])> =
        touched.iter().map(|(index, here, old)| (*index, *here, old.as_bytes())).collect();
    Ok(apart(py, changes.len(), || {
        let plan = |(index, here, old): &(usize, &[Change], &[u8])| {
            let (entries, grown) = merge_bucket(old, here);
            let cell = bucket_cell(&entries, depth);
            BucketPlan { index: *index, entries, grown, cell }
        };
        bytes.iter().map(plan).collect()
    }))
}

type Rewritten = Vec<(usize, Py<PyBytes>)>;

/// What a batch of changes would rewrite.
struct Plan<'a, 'py> {
    py: Python<'py>,
    cache: Cache<'a, 'py>,
    planned: std::vec::IntoIter<BucketPlan>,
    pages: Rewritten,
    buckets: Rewritten,
    grown: isize,
}

impl Plan<'_, '_> {
    /// Compute the page below the node `index` of `level` under some changes, and return that node's new cell.
    fn rewrite_page(&mut self, level: u32, index: usize, changes: &[Change]) -> PyResult<Cell> {
        let rows = tier_levels(level, self.cache.depth);
        let (number, old) = self.cache.page(level, index)?;
        let mut page = old.as_bytes().to_vec();
        if page.len() != heap_position(rows + 1, 0) * CELL_BYTES {
            return Err(PyValueError::new_err("a page has the size of its tier"));
        }

        let mut touched = 0_u32;
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let slot = path_bits(&first.path, level, rows);
            let count = rest.partition_point(|change| path_bits(&change.path, level, rows) == slot);
            let (here, later) = rest.split_at(count);
            rest = later;
            let cell = self.rewrite_node(level + rows, index << rows | slot, here)?;
            cell.write(&mut page, heap_position(rows, slot));
            touched |= 1 << slot;
        }
        let root = join_rows(&mut page, rows, touched)?;
        self.pages.push((number, PyBytes::new(self.py, &page).unbind()));
        Ok(root)
    }

    fn rewrite_node(&mut self, level: u32, index: usize, changes: &[Change]) -> PyResult<Cell> {
        if level < self.cache.depth {
            return self.rewrite_page(level, index, changes);
        }
        let planned = self.planned.next().filter(|planned| planned.index == index);
        let bucket = planned.ok_or_else(|| PyValueError::new_err("every touched bucket is planned, in order"))?;
        self.grown += bucket.grown;
        self.buckets.push((index, PyBytes::new(self.py, &bucket.entries).unbind()));
        Ok(bucket.cell)
    }
}

/// Recompute the parents of the touched cells of a page's lowest row, up to the page's root.
fn join_rows(page: &mut [u8], rows: u32, mut touched: u32) -> PyResult<Cell> {
    for row in (0..rows).rev() {
        let below = touched;
        touched = 0;
        for offset in 0..1_usize << row {
            let pair = below >> (2 * offset) & 0b11;
            if pair == 0 {
                continue;
            }
            let left = Cell::read(page, heap_position(row + 1, 2 * offset))?;
            let right = Cell::read(page, heap_position(row + 1, 2 * offset + 1))?;
            let joined = Cell::join(left, right);
            if row == 0 {
                return Ok(joined);
            }
            joined.write(page, heap_position(row, offset));
            touched |= 1 << offset;
        }
    }
    Err(PyValueError::new_err("a page is rewritten for at least one change"))
}

fn check_depth(depth: u32) -> PyResult<()> {
    if (1..=DEPTH_MAX).contains(&depth) {
        Ok(())
    } else {
        Err(PyValueError::new_err("a tree's cache has 1 to 20 levels"))
    }
}

/// The bytes of the empty pages of a cache, in order of their numbers: (bytes of a page, how many) per tier.
#[pyfunction]
fn tree_shape(depth: u32) -> PyResult<Vec<(usize, usize)>> {
    check_depth(depth)?;
    let starts = (0..depth).step_by(TIER_LEVELS as usize);
    Ok(starts.map(|level| (heap_position(tier_levels(level, depth) + 1, 0) * CELL_BYTES, 1 << level)).collect())
}

/// A plan as Python unpacks it.
type Planned = (Py<PyBytes>, isize, Rewritten, Rewritten);

/// Plan a batch: (root, growth in keys, [(page number, page)], [(bucket number, bucket)]). Nothing is changed.
#[pyfunction]
fn tree_plan(
    py: Python<'_>,
    pages: &Bound<'_, PyList>,
    buckets: &Bound<'_, PyList>,
    depth: u32,
    root: &[u8],
    changes: &Bound<'_, PyAny>,
) -> PyResult<Planned> {
    check_depth(depth)?;
    let changes = read_changes(py, changes)?;
    if changes.is_empty() {
        return Ok((PyBytes::new(py, root).unbind(), 0, Vec::new(), Vec::new()));
    }
    let cache = Cache { pages, buckets, depth };
    let planned = plan_buckets(py, &cache, &changes)?.into_iter();
    let mut plan = Plan { py, cache, planned, pages: Vec::new(), buckets: Vec::new(), grown: 0 };
    let new_root = plan.rewrite_page(0, 0, &changes)?;
    Ok((PyBytes::new(py, &new_root.hash()).unbind(), plan.grown, plan.pages, plan.buckets))
}

/// Walks from the root towards a key, noting what lies beside the way.
struct Walk<'a, 'py> {
    cache: Cache<'a, 'py>,
    path: Hash,
    siblings: Vec<Hash>,
}

impl Walk<'_, '_> {
    /// Return the entry that ends the way: the key's own, the only other one of the subtree, or none.
    fn find(&mut self) -> PyResult<Option<Vec<u8>>> {
        let mut level = 0;
        while level < self.cache.depth {
            let rows = tier_levels(level, self.cache.depth);
            let (_, page) = self.cache.page(level, path_bits(&self.path, 0, level))?;
            for row in 1..=rows {
                let offset = path_bits(&self.path, level, row);
                let own = Cell::read(page.as_bytes(), heap_position(row, offset))?;
                let beside = Cell::read(page.as_bytes(), heap_position(row, offset ^ 1))?;
                if level + row == 1 && !matches!(Cell::join(own, beside), Cell::Inner(_)) {
                    return self.only_entry(0);
                }
                self.siblings.push(beside.hash());
                if !matches!(own, Cell::Inner(_)) {
                    return self.only_entry(level + row);
                }
            }
            level += rows;
        }
        self.find_in_bucket()
    }

    /// The entry of a subtree that has at most one.
    fn only_entry(&self, level: u32) -> PyResult<Option<Vec<u8>>> {
        let width = self.cache.depth - level;
        let first = path_bits(&self.path, 0, level) << width;
        for index in first..first + (1 << width) {
            let bucket = self.cache.bucket(index)?;
            if !bucket.as_bytes().is_empty() {
                return Ok(Some(bucket.as_bytes().to_vec()));
            }
        }
        Ok(None)
    }

    fn find_in_bucket(&mut self) -> PyResult<Option<Vec<u8>>> {
        let depth = self.cache.depth;
        let bucket = self.cache.bucket(path_bits(&self.path, 0, depth))?;
        let mut entries = bucket.as_bytes();
        let mut level = depth;
        while entries.len() > ENTRY_BYTES {
            let (left, right) = split_entries(entries, level);
            let (own, beside) = if path_bit(&self.path, level) { (right, left) } else { (left, right) };
            level += 1;
            self.siblings.push(bucket_cell(beside, level).hash());
            entries = own;
        }
        Ok((!entries.is_empty()).then(|| entries.to_vec()))
    }
}

/// A walk as Python unpacks it.
type Walked<'py> = (Vec<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>);

/// What proves a key's presence or absence: (siblings from the root down, the entry that the way ends in).
#[pyfunction]
fn tree_walk<'py>(
    py: Python<'py>,
    pages: &Bound<'py, PyList>,
    buckets: &Bound<'py, PyList>,
    depth: u32,
    key: &[u8],
) -> PyResult<Walked<'py>> {
    check_depth(depth)?;
    let mut walk = Walk { cache: Cache { pages, buckets, depth }, path: sha256(&[key]), siblings: Vec::new() };
    let entry = walk.find()?;
    let siblings = walk.siblings.iter().map(|hash| PyBytes::new(py, hash)).collect();
    Ok((siblings, entry.map(|entry| PyBytes::new(py, &entry))))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(tree_shape, module)?)?;
    module.add_function(wrap_pyfunction!(tree_plan, module)?)?;
    module.add_function(wrap_pyfunction!(tree_walk, module)?)
}
