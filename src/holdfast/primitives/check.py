"""Checks that stay on in production: a claim of ours that fails stops the replica."""


class BrokenInvariantError(Exception):
    """A promise of the program does not hold. Nobody catches it below the shell: a halt beats a divergence."""


def ensure(condition: bool, claim: str) -> None:
    """Halt unless a claim that we can prove holds."""
    if not condition:
        raise BrokenInvariantError(claim)
