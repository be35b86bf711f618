"""A second exchange, written to be read: the same rules on plain dicts, Fractions and ints, slow and without shortcuts.

It takes genesis bytes and decided blocks, and says what every row of the state must be. It was written from the design,
the documents and the promises of the product's docstrings, and keeps nothing between two questions: a book is all
resting orders sorted anew, an account's margin is added up from its positions, coins and orders each time it is asked
for, an average is made of its minutes, the root is hashed from all rows by recursion. So a slip in the product's
incremental sums, indices, caches or tree is a difference here.

**Shared with the product**, on purpose, and therefore not checked by a comparison:

- the records, codecs and table declarations: they are the format that both must write;
- the defaults in the `params` records, which `docs/parameters.md` is tested against;
- `primitives.crypto`: SHA-256 of transactions and genesis, ZIP-215 verification, and which keys are acceptable;
- the last digit of a price. Marks, Greeks and scenario rows are computed here from the formulas with `math`; they may
  differ from the pricing kernel's integers by one unit of rounding, and then the kernel's integer is taken. The bits of
  the kernel are pinned by a golden hash. A difference of more than a unit is an error that names instrument and row.

It imports no handlers, rules or machine of the protocol; an import contract and a test hold it to that. A command, a
table or a field that it does not know raises `NotCoveredError`, which says "not covered" and what.
"""

from holdfast.lab.reference.engine import ReferenceExchange, Result
from holdfast.lab.reference.refusals import NotCoveredError

__all__ = ["NotCoveredError", "ReferenceExchange", "Result"]
