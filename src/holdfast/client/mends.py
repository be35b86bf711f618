"""What to do about a refusal: one clause for each of the exchange's codes, for people."""

from typing import Final

from holdfast.primitives.reject import Code

# Refusals for want of a right: the key, not the command, has to change.
RIGHTS: Final[frozenset[int]] = frozenset(
    {Code.BAD_SIGNATURE, Code.SIGNER_UNKNOWN, Code.SESSION_EXPIRED, Code.SCOPE_MISSING, Code.NOT_OWNER}
)

MENDS: Final[dict[int, str]] = {
    Code.BAD_ENCODING: "use a client of the node's version",
    Code.TX_TOO_LARGE: "split the command",
    Code.BAD_SIGNATURE: "sign for this chain with this account's key; a restarted devnet is another chain",
    Code.NONCE_USED: "send it again, it then gets a fresh nonce",
    Code.NONCE_TOO_OLD: "send it again, it then gets a fresh nonce",
    Code.NONCE_TOO_FAR: "send it again, it then gets a fresh nonce",
    Code.ACCOUNT_UNKNOWN: "open the account with a first deposit",
    Code.SIGNER_UNKNOWN: "sign with the owner's key, or let the owner grant this one a session",
    Code.SESSION_EXPIRED: "let the owner grant the session anew",
    Code.SCOPE_MISSING: "let the owner grant the session this scope too",
    Code.MEMPOOL_FULL: "try again soon",
    Code.UNSUPPORTED_HERE: "send this command by itself",
    Code.KEY_NOT_ACCEPTABLE: "make another key",
    Code.KEY_IN_USE: "choose a key that owns no account yet",
    Code.SESSIONS_FULL: "revoke a session first",
    Code.SESSION_MISSING: "look at the sessions with: holdfast query account",
    Code.SESSION_EXPIRY_INVALID: "let it end between now and 90 days from now",
    Code.SUBACCOUNTS_FULL: "use one of the subaccounts that there are",
    Code.NOT_OWNER: "only the main account's owner key may do this",
    Code.SCOPES_INVALID: "choose of trade, cancel, transfer, liquidate",
    Code.NOT_CUSTODIAN: "deposits are signed by the exchange's custodian",
    Code.ASSET_UNKNOWN: "choose one of USDC, BTC, ETH, USDT",
    Code.AMOUNT_NOT_POSITIVE: "give an amount above zero",
    Code.AMOUNT_TOO_LARGE: "give a smaller amount",
    Code.BALANCE_SHORT: "deposit more of the asset, or take less",
    Code.WITHDRAWABLE_SHORT: "take less, or close positions and orders first",
    Code.VAULT_SHORT: "the vault holds less than this; take less",
    Code.COLLATERAL_CAP: "the exchange takes no more of this asset now; use another",
    Code.TRANSFER_TO_SELF: "name another account",
    Code.TRANSFER_NOT_FAMILY: "name an account of the same owner",
    Code.INSTRUMENT_UNKNOWN: "list what there is with: holdfast query chain",
    Code.INSTRUMENT_EXPIRED: "choose a later expiry: holdfast query chain",
    Code.INSTRUMENT_HALTED: "wait until it is resumed, or cancel only",
    Code.ORACLE_FORBIDS_RISK: "prices are not sure now; reduce or cancel, or try again soon",
    Code.ORACLE_FORBIDS_ACTION: "prices are not sure now; try again soon",
    Code.NO_MARK: "it has no price yet; try again in a few blocks",
    Code.USDC_DEPEGGED: "no new risk while USDC is off its peg; reduce or cancel",
    Code.SIZE_NOT_POSITIVE: "give an amount above zero",
    Code.SIZE_TOO_LARGE: "split the order",
    Code.PRICE_NOT_POSITIVE: "give a price above zero",
    Code.PRICE_TOO_LARGE: "give a lower price",
    Code.NOTIONAL_TOO_SMALL: "trade a larger amount",
    Code.ORDERS_FULL: "cancel some orders first",
    Code.POSITIONS_FULL: "close a position first, or use a subaccount",
    Code.BOOK_FULL: "this side of the book is full; try again later",
    Code.POST_ONLY_WOULD_CROSS: "choose a price that meets nobody, or leave post-only out",
    Code.REDUCE_ONLY_WOULD_INCREASE: "there is no position that this would reduce; leave reduce-only out",
    Code.FOK_NOT_FILLED: "the book does not hold so much at this price; trade less, or let it rest",
    Code.ORDER_UNKNOWN: "it is filled or cancelled, or never was: holdfast query order ORDER_ID",
    Code.ORDER_NOT_YOURS: "name an order of this account: holdfast query orders",
    Code.ORDER_FLAGS_CONFLICT: "leave one of the flags out",
    Code.AMEND_NO_CHANGE: "give another price or amount",
    Code.PROTECTION_INVALID: "give a window of at most an hour, or zero lots to remove it",
    Code.QUOTE_NOT_PROTECTED: "set a protection first, or wait until its window is over",
    Code.NO_LIQUIDITY: "nobody trades near the mark; give a price and let the order rest",
    Code.MARGIN_INITIAL_SHORT: "deposit more, trade less, or close something first",
    Code.CASH_SHORT: "deposit USDC, or trade less",
    Code.LOTS_TOO_MANY: "trade less, or use a subaccount",
    Code.ACCOUNT_IN_LIQUIDATION: "deposit so that margin is met, or wait for the end of the liquidation",
    Code.AUCTION_UNKNOWN: "it is over",
    Code.AUCTION_FROZEN: "its clock stands until prices are fresh; try again soon",
    Code.AUCTION_INCENTIVE_LOW: "it does not give this much yet; ask for less, or wait",
    Code.FRACTION_INVALID: "bid for a part above nothing and up to the whole",
    Code.BIDDER_IS_SELLER: "bid from another account",
}


def mend_of(code: int) -> str:
    """Return what to do about a refusal; empty for a code that is none of the exchange's."""
    return MENDS.get(code, "")
