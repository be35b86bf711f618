"""Portfolio: who holds how much of what, and at which cost.

A position is signed lots and the signed cost they were entered at, in atoms. Options settle their premium in cash at
once, so their cost is a record for people and for the withdrawable amount; a future's profit stays in its cost until it
is realised against the instrument's clearing pot. Longs equal shorts per instrument, always.
"""
