"""Custody: money in, money out, money between a family's accounts.

The custodian's key credits what has arrived in the vault; an owner takes out what is withdrawable. This module joins
ledger, collateral and margin; it decides nothing about what a withdrawal becomes outside.
"""
