"""Accounts: who may act for which account, and which nonces are used up.

A main account belongs to an owner key; subaccounts share it and are margined apart. A session key acts within scopes
until it expires. Every key has its own nonce window, 64 wide, per account. This module knows no money.
"""
