"""The bench: every figure a ratio against a peer or a limit taken in the same run."""
