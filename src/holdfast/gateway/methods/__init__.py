"""Every method of the API, by name."""

from typing import Final

from holdfast.gateway.api import Method
from holdfast.gateway.methods import account, chain, dev, market, session, submission
from holdfast.gateway.openrpc import make_discover

_AREAS: Final = (
    market.METHODS,
    account.METHODS,
    submission.METHODS,
    chain.METHODS,
    session.METHODS,
    dev.METHODS,
)
_LISTED: Final = tuple(method for area in _AREAS for method in area)

METHODS: Final[dict[str, Method]] = {method.name: method for method in (*_LISTED, make_discover(_LISTED))}
