"""The trader's door: Deribit-shaped JSON-RPC over HTTP and WebSocket, an index of what was committed, metrics, health.

It owns no truth: what it answers is read from one committed state or from the decided blocks, and what it stores can be
deleted. It never signs, and it knows of validators only what `backend.Backend` tells.
"""

from holdfast.gateway.server import Gateway, serve

__all__ = ["Gateway", "serve"]
