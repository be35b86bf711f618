"""Hashing and verification. Signing is not for a state machine: it lives with the clients and the node's ports.

Why: "valid" is not one predicate among Ed25519 libraries, and replicas that disagree on it fork. So there is one rule,
ZIP-215, in one pinned implementation; `verify_many` may ask one equation for a batch, and its verdicts are `verify`'s.
"""

from holdfast._kernels import is_acceptable_key, sha256, verify, verify_many

__all__ = ["is_acceptable_key", "sha256", "verify", "verify_many"]
