"""Tendermint (arXiv 1807.04938) as a pure step function, with its records, quorums and proofs.

Nothing here knows a clock, a network, a disk or a key: signatures are verified, never made. The shell in `node/`
performs the effects that `step` returns.

    limits      every size and count that a peer may reach
    messages    votes, proposals, blocks, commits: records, canonical bytes, sign bytes, hashes
    validators  the weighted set, its quorum tests, who proposes
    votes       the votes of one height: tallies, and conflicting votes found
    events      what goes into the step function and what comes out
    step        the transition function, rule by rule of the paper
    commit      verification of commits and equivocation proofs; block time
"""
