"""The API's own description, made from the table of methods: OpenRPC 1.3."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

import msgspec

from holdfast.gateway import params
from holdfast.gateway.api import Call, Method, act
from holdfast.gateway.objects import Shown

NAME: Final = "rpc.discover"


def describe(methods: Iterable[Method]) -> Shown:
    """Return the description of methods."""
    return {
        "openrpc": "1.3.2",
        "info": {"title": "Holdfast", "version": version("holdfast"), "license": {"name": "Apache-2.0"}},
        "methods": [_describe(method) for method in methods],
    }


def _describe(method: Method) -> Shown:
    schema = msgspec.json.schema_components([method.params])[1][method.params.__name__]
    required = frozenset(schema.get("required", ()))
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": [
            {"name": name, "required": name in required, "schema": about}
            for name, about in sorted(schema.get("properties", {}).items())
        ],
        "result": {"name": "result", "schema": {}},
    }


def make_discover(methods: Iterable[Method]) -> Method:
    """Return the method that gives the description of others, and of itself."""
    listed = list(methods)

    async def discover(_call: Call, _given: params.Nothing) -> Shown:
        """Return every method, with what it takes."""
        return described

    method = act(NAME, params.Nothing, discover)
    described = describe([*listed, method])
    return method
