"""Public accounts of a devnet, and nonces that no restart gives out twice."""

from concurrent.futures import ThreadPoolExecutor

from holdfast.lab.market.accounts import (
    DEMO_ACCOUNTS,
    MAKER_NAMES,
    TAKER_NAMES,
    Custodian,
    Nonces,
    genesis_accounts,
    list_accounts,
    make_custodian,
)
from holdfast.lab.market.rehearsal import Rehearsal
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.accounts.state import ACCOUNTS, INSURANCE_FUND
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import USDC


def test_accounts__genesis__has_them_under_their_ids_and_keys() -> None:
    draft = Rehearsal(1).draft()
    accounts = (*DEMO_ACCOUNTS, *list_accounts(MAKER_NAMES), *list_accounts(TAKER_NAMES))
    assert [account.name for account in accounts[:4]] == ["demo-1", "demo-2", "demo-3", "demo-4"]
    assert [account.account_id for account in accounts] == list(range(1_000, 1_000 + len(accounts)))
    assert len(genesis_accounts()) == len(accounts)
    for account in accounts:
        assert draft[ACCOUNTS][account.account_id].owner_key == account.key.public_key
    assert [get_cash(draft, account.account_id) for account in DEMO_ACCOUNTS] == [1_000_000 * USDC_ATOMS] * 4


def test_custodian__deposit__opens_an_account_and_goes_on_after_a_restart() -> None:
    chain = Rehearsal(1)
    key = make_custodian().public_key
    chain.block(Custodian(Nonces()).deposit(chain.draft(), chain.domain, DEMO_ACCOUNTS[0].key.public_key, USDC, 5))
    # A new process knows only what the state tells.
    custodian = Custodian(Nonces())
    first, second = (
        custodian.deposit(chain.draft(), chain.domain, DEMO_ACCOUNTS[1].key.public_key, USDC, 7) for _ in (1, 2)
    )
    response = chain.block(first, second)
    assert [result.code for result in response.tx_results[-2:]] == [0, 0]
    assert get_cash(chain.draft(), 1_000) == 1_000_000 * USDC_ATOMS + 5
    assert get_cash(chain.draft(), 1_001) == 1_000_000 * USDC_ATOMS + 14
    assert Nonces().take(chain.draft(), INSURANCE_FUND, key) == 4


def test_nonces__many_threads__give_each_number_once() -> None:
    chain = Rehearsal(1)
    nonces, draft = Nonces(), chain.draft()
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: nonces.take(draft, 1_000, b"\x01" * 32), range(400)))
    assert sorted(taken) == list(range(1, 401))
