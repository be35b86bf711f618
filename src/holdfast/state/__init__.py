"""Keyed tables, copy-on-write drafts, the state root and its proofs, snapshots."""
