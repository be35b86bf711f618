"""What a devnet's operator may do: faults, time, prices, deposits. A real network has none of it."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from holdfast.gateway import params
from holdfast.gateway.answers import Result
from holdfast.gateway.api import Call, Method, act
from holdfast.gateway.backend import DevControls, Json
from holdfast.gateway.errors import ApiCode, ApiError, bad_param
from holdfast.primitives.units import SECOND_MS
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES

T = TypeVar("T")


async def _control(call: Call, what: Callable[[DevControls], T]) -> T:
    """Do something with the controls, beside the event loop, for some of it takes a while."""
    controls = call.api.dev
    if controls is None:
        raise ApiError(ApiCode.FORBIDDEN, "NOT_A_DEVNET", "this is no devnet: dev/ methods are off")
    if call.caller.is_foreign_page:
        # Whatever page a browser shows may call this address; none but ours may break the devnet.
        raise ApiError(ApiCode.FORBIDDEN, "FOREIGN_PAGE", "dev/ methods are not for pages of other sites")
    try:
        return await asyncio.to_thread(what, controls)
    except ValueError as error:
        raise ApiError(ApiCode.INVALID_PARAMS, "DEV_REFUSED", str(error)) from None


async def fault(call: Call, given: params.Fault) -> Json:
    """Inject a fault, written as for `holdfast replay`."""
    return await _control(call, lambda controls: controls.fault(given.spec))


async def heal(call: Call, given: params.Heal) -> Json:
    """End one fault, or all that are on."""
    return await _control(call, lambda controls: controls.heal(given.number))


async def advance(call: Call, given: params.Advance) -> Json:
    """Make blocks a minute apart until a time, or until so much time has passed."""
    if (given.to_ms is None) == (given.by_ms is None):
        raise bad_param("by_ms", "give to_ms or by_ms, one of them")
    by_ms = given.by_ms if given.to_ms is None else given.to_ms - call.api.backend.now_ms()
    if by_ms is None or by_ms <= 0:
        raise bad_param("to_ms", "this time has passed already; time never goes back")
    return await _control(call, lambda controls: controls.advance(by_ms))


async def price(call: Call, given: params.Price) -> Json:
    """Move a price at the venues, by a factor or to a level."""
    if (given.factor is None) == (given.price is None):
        raise bad_param("factor", "give factor or price, one of them")
    return await _control(
        call, lambda controls: controls.price(given.asset.upper(), factor=given.factor, price=given.price)
    )


async def deposit(call: Call, given: params.DevDeposit) -> Result:
    """Credit an owner's account: the devnet's custodian signs; the first deposit opens the account."""
    asset = given.asset.upper()
    if asset not in ASSET_NAMES:
        raise bad_param("asset", f"there is no such asset; there are {', '.join(ASSET_NAMES)}")
    asset_id = ASSET_NAMES.index(asset)
    if given.amount_atoms is None and given.amount is None:
        raise bad_param("amount", "give amount, or amount_atoms")
    atoms = given.amount_atoms or round((given.amount or 0) * ASSET_ATOMS[asset_id])
    if atoms <= 0:
        raise bad_param("amount", "this is less than the smallest unit")
    owner = bytes.fromhex(given.owner_key)
    tx = await _control(call, lambda controls: controls.deposit(owner, asset_id, atoms))
    return await call.api.submitter.submit(tx, waits=given.wait == "committed", timeout_s=given.timeout_ms / SECOND_MS)


async def status(call: Call, _given: params.Nothing) -> Json:
    """Return which faults are on."""
    return await _control(call, lambda controls: controls.status())


METHODS: Final[tuple[Method, ...]] = (
    act("dev/fault", params.Fault, fault),
    act("dev/heal", params.Heal, heal),
    act("dev/advance", params.Advance, advance),
    act("dev/price", params.Price, price),
    act("dev/deposit", params.DevDeposit, deposit),
    act("dev/status", params.Nothing, status),
)
