"""How a rule of the reference says no, and how the reference says that it does not know a rule."""

from holdfast.primitives.reject import Code


class RefusedError(Exception):
    """A command, or a part of one, that the rules refuse with a code."""

    def __init__(self, code: Code) -> None:
        """Keep the code, which is all of a refusal that is hashed."""
        super().__init__(code.name)
        self.code = code


class NotCoveredError(Exception):
    """Something that this engine has no rule for. It never passes silently: a comparison ends with it."""

    def __init__(self, what: str) -> None:
        """Say what is not covered."""
        super().__init__(f"not covered: {what}")


def refuse_if(holds: bool, code: Code) -> None:  # noqa: FBT001 -- a condition is what this is about
    """Refuse with a code where a condition holds."""
    if holds:
        raise RefusedError(code)
