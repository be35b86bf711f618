"""The bench: every figure is a ratio against a peer or a limit that was taken in the same run.

`figures.py` says what is measured and what the goals are, `paths.py` runs the exchange's paths, `verifier.py` and
`bare_book.py` are the limit and the peer, `flow.py` makes the orders that all of them are given.
"""
