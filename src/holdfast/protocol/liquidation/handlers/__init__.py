"""The transitions of liquidation."""

from holdfast.protocol.liquidation.handlers.auction import bid
from holdfast.protocol.liquidation.handlers.queue import enqueue, list_unhealthy, sweep

__all__ = ["bid", "enqueue", "list_unhealthy", "sweep"]
