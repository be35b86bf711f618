"""The first state: who validates, who has what, and every parameter at its default unless genesis says otherwise."""

from holdfast.lab.reference import accounts, ranges
from holdfast.lab.reference.world import BACKSTOP, INSURANCE_FUND, UNDERLYINGS, USDC, World
from holdfast.primitives.crypto import sha256
from holdfast.protocol.accounts.state import Account
from holdfast.protocol.chain import Chain, Clock
from holdfast.protocol.collateral.params import DEFAULTS
from holdfast.protocol.custody.params import CustodyParams
from holdfast.protocol.genesis import DECODER
from holdfast.protocol.instruments.params import DEFAULT_SPECS
from holdfast.protocol.settlement.params import SettlementParams


def build(world: World, genesis_bytes: bytes) -> None:
    """Write the first state into an empty world."""
    genesis = DECODER.decode(genesis_bytes)
    world.chain[0] = Chain(genesis.chain_id, sha256(genesis_bytes))
    # The first block may carry the genesis time itself.
    world.clock[0] = Clock(0, max(0, genesis.time_ms - 1))
    world.validators = dict(enumerate(genesis.validators))
    world.collateral = dict(DEFAULTS)
    world.contract_specs = {underlying: DEFAULT_SPECS[underlying] for underlying in UNDERLYINGS}
    world.settlement_params[0] = SettlementParams()
    world.custody_params[0] = CustodyParams(genesis.custodian_key)
    world.trading_params[0] = genesis.trading_params
    world.margin_params[0] = genesis.margin_params
    world.liquidation_params[0] = genesis.liquidation_params
    world.instrument_params[0] = genesis.instrument_params
    world.oracle_params[0] = genesis.oracle_params
    ranges.begin(world, genesis)
    for account_id, amount in ((INSURANCE_FUND, genesis.insurance_atoms), (BACKSTOP, genesis.backstop_atoms)):
        world.accounts[account_id] = Account(bytes(32), 0, 0, 0)
        if amount:
            world.put_in(account_id, USDC, amount)
    for account in genesis.accounts:
        opened_id = accounts.open_main(world, account.owner_key)
        for asset_id, amount in account.deposits:
            world.put_in(opened_id, asset_id, amount)
