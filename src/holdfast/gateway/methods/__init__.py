"""Every method of the API, by name."""

from typing import Final

from holdfast.gateway.api import Method
from holdfast.gateway.methods import account, chain, dev, market, session, submission

METHODS: Final[dict[str, Method]] = {
    method.name: method
    for area in (market.METHODS, account.METHODS, submission.METHODS, chain.METHODS, session.METHODS, dev.METHODS)
    for method in area
}
