"""Integers with units, checks, refusals, canonical bytes, hashing and verification."""
