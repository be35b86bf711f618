"""Who is in genesis: four demo accounts for everybody, the traders of the market, and the custodian who credits money.

All keys follow from fixed public texts, so they protect nothing: they are for play. The accounts' ids follow from their
order in genesis, where `genesis_accounts` must come first.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Final, NamedTuple

from holdfast.client.commands import sign_command
from holdfast.client.demo import demo_seed
from holdfast.client.signing import SigningKey
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.accounts.rules import get_nonce_window
from holdfast.protocol.accounts.state import FIRST_USER_ACCOUNT, INSURANCE_FUND
from holdfast.protocol.custody.messages import Deposit
from holdfast.protocol.genesis import GenesisAccount
from holdfast.protocol.ledger.state import USDC
from holdfast.state.draft import Draft

DEMO_NAMES: Final = tuple(f"demo-{number}" for number in range(1, 5))
DEMO_ATOMS: Final = 1_000_000 * USDC_ATOMS
MAKER_NAMES: Final = ("maker-1", "maker-2")
MAKER_ATOMS: Final = 25_000_000 * USDC_ATOMS
TAKER_NAMES: Final = tuple(f"taker-{number}" for number in range(1, 7))
TAKER_ATOMS: Final = 2_000_000 * USDC_ATOMS
_CUSTODIAN_TEXT: Final = b"holdfast devnet custodian: this key is public"


class PublicAccount(NamedTuple):
    """An account whose key everybody can make."""

    name: str
    account_id: int
    seed: bytes  # the private key
    deposits: tuple[tuple[int, int], ...]

    @property
    def key(self) -> SigningKey:
        """Return the account's key."""
        return SigningKey(self.seed)


def _list_accounts() -> tuple[PublicAccount, ...]:
    money = (
        *((name, DEMO_ATOMS) for name in DEMO_NAMES),
        *((name, MAKER_ATOMS) for name in MAKER_NAMES),
        *((name, TAKER_ATOMS) for name in TAKER_NAMES),
    )
    return tuple(
        PublicAccount(name, FIRST_USER_ACCOUNT + place, demo_seed(name), ((USDC, atoms),))
        for place, (name, atoms) in enumerate(money)
    )


ACCOUNTS: Final = _list_accounts()
DEMO_ACCOUNTS: Final = ACCOUNTS[: len(DEMO_NAMES)]


def list_accounts(names: Sequence[str]) -> tuple[PublicAccount, ...]:
    """Return the accounts of names."""
    return tuple(account for account in ACCOUNTS if account.name in names)


def genesis_accounts() -> tuple[GenesisAccount, ...]:
    """Return the accounts that stand first in genesis, with their money."""
    return tuple(GenesisAccount(account.key.public_key, account.deposits) for account in ACCOUNTS)


def make_custodian() -> SigningKey:
    """Return the custodian's key of a devnet."""
    return SigningKey(sha256(_CUSTODIAN_TEXT))


class Nonces:
    """Next nonces of keys that several parts of a process sign with: never one twice, also after a restart.

    What the state has seen used counts, so that a new process goes on where the last one's commands ended.
    """

    def __init__(self) -> None:
        """Start with nothing given out."""
        self._given: dict[tuple[int, bytes], int] = {}
        self._lock = Lock()

    def take(self, draft: Draft, account_id: int, signer: bytes) -> int:
        """Return the next nonce of a key for an account."""
        window = get_nonce_window(draft, account_id, signer)
        with self._lock:
            nonce = max(self._given.get((account_id, signer), 0), 0 if window is None else window.highest) + 1
            self._given[account_id, signer] = nonce
        return nonce


class Custodian:
    """The devnet's custodian, who credits whatever is asked for."""

    def __init__(self, nonces: Nonces) -> None:
        """Share the nonces with whoever else signs with the key."""
        self.key = make_custodian()
        self._nonces = nonces

    def deposit(self, draft: Draft, domain: bytes, owner_key: bytes, asset_id: int, amount_atoms: int) -> bytes:
        """Return the transaction that credits an owner's main account, and opens it where there is none."""
        nonce = self._nonces.take(draft, INSURANCE_FUND, self.key.public_key)
        return sign_command(self.key, domain, INSURANCE_FUND, nonce, Deposit(owner_key, asset_id, amount_atoms))
