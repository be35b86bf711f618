"""Names of what the protocol numbers, for whoever shows it to people."""

from typing import Final

from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.trading.messages import Cancelled

ASSETS: Final = ASSET_NAMES
CANCEL_REASONS: Final = {int(reason): reason.name.lower().replace("_", " ") for reason in Cancelled}
