//! Print the golden hash of every instruction set of this machine, to be compared with `pricing/golden.py`.

use holdfast_pricing::{golden, Path};

fn main() {
    for path in Path::all() {
        println!("{} {}", path.name(), golden::hash(path));
    }
}
