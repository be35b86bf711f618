"""The deterministic exchange. `machine.py` is its table of contents; each module is a folder of at most eight files.

Nothing here knows a clock, randomness, a thread, a file or the network: what is not in (state, block) does not exist.
"""
