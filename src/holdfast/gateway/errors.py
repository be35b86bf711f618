"""Refusals of the API: Deribit's number for clients that map it, our own name for people, and whether to try again."""

from enum import IntEnum
from typing import Final

from holdfast.primitives.reject import Code


class ApiCode(IntEnum):
    """The numbers of errors, as Deribit and JSON-RPC give them."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    ORDER_NOT_FOUND = 10004
    PRICE_TOO_LOW = 10005
    PRICE_TOO_HIGH = 10007
    NOT_ENOUGH_FUNDS = 10009
    PRICE_NOT_ALLOWED = 10011
    BOOK_CLOSED = 10012
    INVALID_AMOUNT = 10021
    TOO_MANY_REQUESTS = 10028
    NOT_OWNER = 10029
    RETRY = 10040
    SETTLEMENT_IN_PROGRESS = 10041
    MAX_OPEN_ORDERS = 10045
    BAD_REQUEST = 11050
    BAD_ARGUMENTS = 11029
    POST_ONLY_REJECT = 11054
    SYSTEM_MAINTENANCE = 11051
    INVALID_CREDENTIALS = 13004
    UNAUTHORIZED = 13009
    NOT_FOUND = 13020
    FORBIDDEN = 13021


class ServeError(Exception):
    """The gateway cannot serve; the message is one line that names what is in the way and the mend."""


class ApiError(Exception):
    """A request that ends in an error."""

    def __init__(
        self, code: ApiCode, reason: str, message: str, *, param: str = "", retryable: bool = False, **data: object
    ) -> None:
        """Keep the number, our name, one line for people, the parameter that is to blame, and further data."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.param = param
        self.retryable = retryable
        self.data = data

    def as_json(self) -> dict[str, object]:
        """Return the error as an answer carries it."""
        data: dict[str, object] = {"reason": self.reason, "retryable": self.retryable, **self.data}
        if self.param:
            data["param"] = self.param
        return {"code": int(self.code), "message": self.message, "data": data}


def bad_param(param: str, words: str) -> ApiError:
    """Return the refusal of one parameter."""
    return ApiError(ApiCode.INVALID_PARAMS, "PARAM_INVALID", f"{param}: {words}", param=param)


def not_found(param: str, words: str) -> ApiError:
    """Return the refusal of a name that stands for nothing."""
    return ApiError(ApiCode.NOT_FOUND, "NOT_FOUND", words, param=param)


def too_many(reason: str, words: str) -> ApiError:
    """Return the refusal of a request that was not taken because there are too many; it may be sent again."""
    return ApiError(ApiCode.TOO_MANY_REQUESTS, reason, words, retryable=True)


# What may hold later without any change to the command itself.
RETRYABLE: Final = frozenset(
    (Code.MEMPOOL_FULL, Code.ORACLE_FORBIDS_RISK, Code.ORACLE_FORBIDS_ACTION, Code.NO_MARK, Code.USDC_DEPEGGED)
)

# The exchange's code -> the number that Deribit's clients know for it. Total: a test holds every code against it.
API_CODES: Final = {
    Code.BAD_ENCODING: ApiCode.BAD_REQUEST,
    Code.TX_TOO_LARGE: ApiCode.BAD_REQUEST,
    Code.BAD_SIGNATURE: ApiCode.INVALID_CREDENTIALS,
    Code.NONCE_USED: ApiCode.BAD_ARGUMENTS,
    Code.NONCE_TOO_OLD: ApiCode.BAD_ARGUMENTS,
    Code.NONCE_TOO_FAR: ApiCode.BAD_ARGUMENTS,
    Code.ACCOUNT_UNKNOWN: ApiCode.INVALID_CREDENTIALS,
    Code.SIGNER_UNKNOWN: ApiCode.INVALID_CREDENTIALS,
    Code.SESSION_EXPIRED: ApiCode.UNAUTHORIZED,
    Code.SCOPE_MISSING: ApiCode.FORBIDDEN,
    Code.MEMPOOL_FULL: ApiCode.TOO_MANY_REQUESTS,
    Code.UNSUPPORTED_HERE: ApiCode.BAD_REQUEST,
    Code.KEY_NOT_ACCEPTABLE: ApiCode.BAD_ARGUMENTS,
    Code.KEY_IN_USE: ApiCode.BAD_ARGUMENTS,
    Code.SESSIONS_FULL: ApiCode.BAD_ARGUMENTS,
    Code.SESSION_MISSING: ApiCode.NOT_FOUND,
    Code.SESSION_EXPIRY_INVALID: ApiCode.BAD_ARGUMENTS,
    Code.SUBACCOUNTS_FULL: ApiCode.BAD_ARGUMENTS,
    Code.NOT_OWNER: ApiCode.NOT_OWNER,
    Code.SCOPES_INVALID: ApiCode.BAD_ARGUMENTS,
    Code.NOT_CUSTODIAN: ApiCode.FORBIDDEN,
    Code.ASSET_UNKNOWN: ApiCode.NOT_FOUND,
    Code.AMOUNT_NOT_POSITIVE: ApiCode.INVALID_AMOUNT,
    Code.AMOUNT_TOO_LARGE: ApiCode.INVALID_AMOUNT,
    Code.BALANCE_SHORT: ApiCode.NOT_ENOUGH_FUNDS,
    Code.WITHDRAWABLE_SHORT: ApiCode.NOT_ENOUGH_FUNDS,
    Code.VAULT_SHORT: ApiCode.NOT_ENOUGH_FUNDS,
    Code.COLLATERAL_CAP: ApiCode.INVALID_AMOUNT,
    Code.TRANSFER_TO_SELF: ApiCode.BAD_ARGUMENTS,
    Code.TRANSFER_NOT_FAMILY: ApiCode.FORBIDDEN,
    Code.INSTRUMENT_UNKNOWN: ApiCode.NOT_FOUND,
    Code.INSTRUMENT_EXPIRED: ApiCode.BOOK_CLOSED,
    Code.INSTRUMENT_HALTED: ApiCode.BOOK_CLOSED,
    Code.ORACLE_FORBIDS_RISK: ApiCode.SYSTEM_MAINTENANCE,
    Code.ORACLE_FORBIDS_ACTION: ApiCode.SYSTEM_MAINTENANCE,
    Code.NO_MARK: ApiCode.SYSTEM_MAINTENANCE,
    Code.USDC_DEPEGGED: ApiCode.SYSTEM_MAINTENANCE,
    Code.SIZE_NOT_POSITIVE: ApiCode.INVALID_AMOUNT,
    Code.SIZE_TOO_LARGE: ApiCode.INVALID_AMOUNT,
    Code.PRICE_NOT_POSITIVE: ApiCode.PRICE_TOO_LOW,
    Code.PRICE_TOO_LARGE: ApiCode.PRICE_TOO_HIGH,
    Code.NOTIONAL_TOO_SMALL: ApiCode.INVALID_AMOUNT,
    Code.ORDERS_FULL: ApiCode.MAX_OPEN_ORDERS,
    Code.POSITIONS_FULL: ApiCode.BAD_ARGUMENTS,
    Code.BOOK_FULL: ApiCode.MAX_OPEN_ORDERS,
    Code.POST_ONLY_WOULD_CROSS: ApiCode.POST_ONLY_REJECT,
    Code.REDUCE_ONLY_WOULD_INCREASE: ApiCode.BAD_ARGUMENTS,
    Code.FOK_NOT_FILLED: ApiCode.BAD_ARGUMENTS,
    Code.ORDER_UNKNOWN: ApiCode.ORDER_NOT_FOUND,
    Code.ORDER_NOT_YOURS: ApiCode.NOT_OWNER,
    Code.ORDER_FLAGS_CONFLICT: ApiCode.BAD_ARGUMENTS,
    Code.AMEND_NO_CHANGE: ApiCode.BAD_ARGUMENTS,
    Code.PROTECTION_INVALID: ApiCode.BAD_ARGUMENTS,
    Code.QUOTE_NOT_PROTECTED: ApiCode.BAD_ARGUMENTS,
    Code.NO_LIQUIDITY: ApiCode.PRICE_NOT_ALLOWED,
    Code.MARGIN_INITIAL_SHORT: ApiCode.NOT_ENOUGH_FUNDS,
    Code.CASH_SHORT: ApiCode.NOT_ENOUGH_FUNDS,
    Code.LOTS_TOO_MANY: ApiCode.INVALID_AMOUNT,
    Code.ACCOUNT_IN_LIQUIDATION: ApiCode.NOT_ENOUGH_FUNDS,
    Code.AUCTION_UNKNOWN: ApiCode.NOT_FOUND,
    Code.AUCTION_FROZEN: ApiCode.SYSTEM_MAINTENANCE,
    Code.AUCTION_INCENTIVE_LOW: ApiCode.PRICE_NOT_ALLOWED,
    Code.FRACTION_INVALID: ApiCode.INVALID_AMOUNT,
    Code.BIDDER_IS_SELLER: ApiCode.BAD_ARGUMENTS,
}


def name_of(code: int) -> str:
    """Return the name of one of the exchange's codes."""
    try:
        return Code(code).name
    except ValueError:
        return f"CODE_{code}"


def is_retryable(code: int) -> bool:
    """Return whether a command refused with this code may succeed as it is, with a fresh nonce, later."""
    return code in RETRYABLE
