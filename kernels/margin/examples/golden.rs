//! Print the golden hashes of every instruction set of this machine, to be compared with `pricing/golden.py`.

use holdfast_pricing::Path;

fn main() {
    for path in Path::all() {
        println!("pricing {} {}", path.name(), holdfast_pricing::golden::hash(path));
        println!("margin {} {}", path.name(), holdfast_margin::golden::hash(path));
    }
}
