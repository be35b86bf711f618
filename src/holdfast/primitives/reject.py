"""Refusals as data: one global, append-only list of codes, in bands of one thousand a module.

    Malformed          bytes that are not canonical; raised by the codec only
    RejectedError      a well-formed command that the rules refuse; carries a stable code, which is hashed, and detail
                       for people, which is not

A refusal leaves no trace in the state beyond the nonce that an authentic command has used up.
"""

from enum import IntEnum, unique


@unique
class Code(IntEnum):
    """Stable result codes. Numbers are never reused or changed; 0 is success."""

    OK = 0

    # 1000s: admission, before a command is looked at
    BAD_ENCODING = 1001
    TX_TOO_LARGE = 1002
    BAD_SIGNATURE = 1003
    NONCE_USED = 1004
    NONCE_TOO_OLD = 1005
    NONCE_TOO_FAR = 1006
    ACCOUNT_UNKNOWN = 1007
    SIGNER_UNKNOWN = 1008
    SESSION_EXPIRED = 1009
    SCOPE_MISSING = 1010
    MEMPOOL_FULL = 1011
    UNSUPPORTED_HERE = 1015

    # 2000s: accounts
    KEY_NOT_ACCEPTABLE = 2001
    KEY_IN_USE = 2002
    SESSIONS_FULL = 2003
    SESSION_MISSING = 2004
    SESSION_EXPIRY_INVALID = 2005
    SUBACCOUNTS_FULL = 2006
    NOT_OWNER = 2007
    SCOPES_INVALID = 2008

    # 3000s: ledger and collateral
    NOT_CUSTODIAN = 3001
    ASSET_UNKNOWN = 3002
    AMOUNT_NOT_POSITIVE = 3003
    AMOUNT_TOO_LARGE = 3004
    BALANCE_SHORT = 3005
    WITHDRAWABLE_SHORT = 3006
    VAULT_SHORT = 3007
    COLLATERAL_CAP = 3008
    TRANSFER_TO_SELF = 3009
    TRANSFER_NOT_FAMILY = 3010

    # 4000s: instruments
    INSTRUMENT_UNKNOWN = 4001
    INSTRUMENT_EXPIRED = 4002
    INSTRUMENT_HALTED = 4003

    # 5000s: oracle
    ORACLE_FORBIDS_RISK = 5001
    ORACLE_FORBIDS_ACTION = 5002
    NO_MARK = 5003
    USDC_DEPEGGED = 5004

    # 6000s: trading
    SIZE_NOT_POSITIVE = 6001
    SIZE_TOO_LARGE = 6002
    PRICE_NOT_POSITIVE = 6003
    PRICE_TOO_LARGE = 6004
    NOTIONAL_TOO_SMALL = 6005
    ORDERS_FULL = 6006
    POSITIONS_FULL = 6007
    BOOK_FULL = 6008
    POST_ONLY_WOULD_CROSS = 6009
    REDUCE_ONLY_WOULD_INCREASE = 6010
    FOK_NOT_FILLED = 6011
    ORDER_UNKNOWN = 6012
    ORDER_NOT_YOURS = 6013
    ORDER_FLAGS_CONFLICT = 6016
    AMEND_NO_CHANGE = 6017
    PROTECTION_INVALID = 6018
    QUOTE_NOT_PROTECTED = 6019
    NO_LIQUIDITY = 6020

    # 7000s: margin
    MARGIN_INITIAL_SHORT = 7001
    CASH_SHORT = 7002
    LOTS_TOO_MANY = 7003

    # 8000s: liquidation
    ACCOUNT_IN_LIQUIDATION = 8001
    AUCTION_UNKNOWN = 8002
    AUCTION_FROZEN = 8003
    AUCTION_INCENTIVE_LOW = 8004
    FRACTION_INVALID = 8005
    BIDDER_IS_SELLER = 8006


class Malformed(Exception):  # noqa: N818 -- the name of the family in the error model
    """Bytes that are not the canonical encoding of anything we accept."""


class RejectedError(Exception):
    """A command that the rules refuse."""

    def __init__(self, code: Code, **detail: int | str) -> None:
        """Keep the stable code, and the detail that names the field and the mend."""
        super().__init__(code)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        """Return the code's name and its details on one line."""
        return " ".join([self.code.name, *(f"{name}={value}" for name, value in sorted(self.detail.items()))])
