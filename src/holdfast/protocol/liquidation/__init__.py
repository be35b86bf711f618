"""Liquidation: accounts under maintenance are made whole, sold or closed, and losses find their place.

Queue -> hedge -> Dutch auction of slices -> backstop account -> closing at mark -> waterfall (the account's coins, the
insurance fund, a minimal haircut on today's winners). Every liquidation ends, with nobody bidding too; nothing here
raises on what a user holds, and no step pays what its payer does not have.
"""
