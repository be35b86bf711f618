"""What this engine knows of parameters and commands: a field that is new to it is not covered."""

from typing import Final

from holdfast.lab.reference.refusals import NotCoveredError
from holdfast.primitives.codec import Record
from holdfast.protocol.accounts import messages as account_messages
from holdfast.protocol.collateral.params import CollateralAsset
from holdfast.protocol.custody import messages as custody_messages
from holdfast.protocol.custody.params import CustodyParams
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.instruments.params import ContractSpec, InstrumentParams
from holdfast.protocol.liquidation.messages import BidAuction
from holdfast.protocol.liquidation.params import LiquidationParams
from holdfast.protocol.margin.params import MarginParams
from holdfast.protocol.messages import Bundle, Envelope
from holdfast.protocol.oracle.params import OracleParams
from holdfast.protocol.ranges.params import RangeHistory, RangeLimits, RangeParams
from holdfast.protocol.settlement.params import SettlementParams
from holdfast.protocol.surface.params import ScenarioGrid
from holdfast.protocol.trading import messages as trading_messages
from holdfast.protocol.trading.params import TradingParams

KNOWN: Final[dict[type[Record], str]] = {
    Genesis: "chain_id time_ms validators custodian_key accounts insurance_atoms backstop_atoms trading_params "
    "margin_params liquidation_params instrument_params oracle_params range_params range_limits range_history",
    CollateralAsset: "haircut_ppm cap_atoms account_cap_usd",
    CustodyParams: "custodian_key object_deposit_atoms",
    ContractSpec: "lot_e8 tick_e8 daily_step_e8 weekly_step_e8 monthly_step_e8 quarterly_step_e8",
    InstrumentParams: "dailies weeklies monthlies quarterlies strikes_each_side lead_ms listings_per_block",
    LiquidationParams: "auction_steps incentive_first_ppm incentive_last_ppm fee_ppm hedge_band_ppm fund_cap_ppm "
    "fund_incentive_ppm ends_per_block",
    MarginParams: "loss_im_ppm loss_mm_ppm short_im_ppm short_mm_ppm basis_im_ppm basis_mm_ppm concentration_lots "
    "concentration_im_ppm concentration_mm_ppm confidence_im_ppm degraded_confidence_ppm depeg_e8 depeg_im_ppm "
    "cross_weight_ppm buffer_ppm",
    OracleParams: "feeds sources_min report_age_ms_max velocity_floor_ppm velocity_sigmas confirm_ms confirm_blocks "
    "agree_floor_ppm suspect_ms suspect_blocks degraded_blocks stale_ms stale_blocks variance_tau_ms "
    "variance_start_e18 variance_max_e18",
    RangeParams: "is_adaptive epoch_ms decay_ppm history_epochs quantile_ppm tail_start_ppm horizon_epochs "
    "model_weight_ppm buffer_ppm step_up_ppm step_down_ppm announce_epochs lag_ppm emergency_ppm correlation_start_ppm "
    "correlation_doubt_ppm weight_min_ppm weight_max_ppm interest_scale_ppm",
    RangeLimits: "underlying start_ppm floor_ppm ceiling_ppm stress_ppm variance_start_e18 interest_lower_usd "
    "interest_upper_usd",
    RangeHistory: "underlying returns_e9",
    SettlementParams: "minutes_min slide_minutes_max delivery_ppm delivery_cap_ppm insurance_share_ppm steps_per_block",
    ScenarioGrid: "spot_ppm vol_ppm rho_shift_ppm dampen_ppm",
    TradingParams: "maker_ppm taker_ppm option_cap_ppm insurance_share_ppm market_band_ppm market_premium_ppm "
    "market_floor_ppm min_notional_atoms protection_window_ms_max",
    Envelope: "account_id signer nonce command",
    Bundle: "actions",
    BidAuction: "account_id fraction_ppm incentive_min_ppm",
    account_messages.CreateSubaccount: "",
    account_messages.GrantSession: "key scopes expires_ms",
    account_messages.RevokeSession: "key",
    account_messages.RotateOwner: "key",
    custody_messages.Deposit: "owner_key asset_id amount_atoms",
    custody_messages.Withdraw: "asset_id amount_atoms",
    custody_messages.Transfer: "to_account_id asset_id amount_atoms",
    trading_messages.PlaceOrder: "instrument_id side price_ticks lots time_in_force post_only reduce_only self_trade "
    "client_id",
    trading_messages.AmendOrder: "order_id price_ticks lots",
    trading_messages.CancelOrder: "order_id",
    trading_messages.CancelAll: "instrument_id",
    trading_messages.Quote: "instrument_id bid_ticks bid_lots ask_ticks ask_lots",
    trading_messages.MassQuote: "underlying quotes",
    trading_messages.SetProtection: "underlying limit_lots window_ms",
}


def check_known() -> None:
    """Refuse to begin where a record has a field that no rule here reads. Raises NotCoveredError."""
    for record, names in KNOWN.items():
        unknown = [name for name in record.__struct_fields__ if name not in names.split()]
        if unknown:
            raise NotCoveredError(f"field {unknown[0]} of {record.__name__}")
