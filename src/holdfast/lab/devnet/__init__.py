"""`holdfast up`: a whole exchange on one machine, with a market in it, real clocks, threads and disks.

settings   what was asked for
chain      the validators: a data directory opened or made, a genesis, a cluster
drive      the market's threads: what the traders send
controls   what an operator may do to a running devnet: faults, prices, time, deposits
run        all of it together, from start to stop
"""
