"""The risk bench: each kernel and each step of the risk engine beside a peer or a physical limit, in one run.

rows       what is measured: names, limits, the functions that set a row up
duel       a figure and its peer's, turn by turn in one process, their results compared first
child      one row in a process of its own, pinned, so that its peak memory is its own
run        all rows, one child after the other
told       the table, the JSON, the page with its plot
peers      QuantLib, py_vollib, scipy and a C compiler, installed for the bench alone
"""
