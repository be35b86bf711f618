"""The ledger: the only writer of money.

Balances per (account, asset) in atoms, the vault's totals per asset, and the dust that roundings have left in the
insurance fund. Its promise: the balances of an asset add up to what was deposited less what was withdrawn, exactly.
"""
