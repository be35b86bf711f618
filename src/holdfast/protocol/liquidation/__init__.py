"""Liquidation: accounts under maintenance are made whole, sold or closed, and losses find their place.

Queue -> hedge -> Dutch auction of slices -> backstop account -> closing at mark -> waterfall (the account's coins, the
insurance fund, a minimal haircut on today's winners). Every liquidation ends, with nobody bidding too; but where coins
are left beside a debt and the fund has no cash to buy them, it waits for the fund's next fees. Nothing here raises on
what a user holds, and no step pays what its payer does not have.
"""
