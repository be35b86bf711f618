"""What `holdfast up` says once it is ready: where everything is, and what to type next."""

from typing import TypedDict

from rich.console import Console

from holdfast.client.demo import demo_key, demo_seed
from holdfast.lab.devnet.run import Devnet
from holdfast.lab.market.accounts import DEMO_ACCOUNTS
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.state import BTC


class AccountLine(TypedDict):
    """One demo account."""

    name: str
    account_id: int
    public_key: str
    private_key: str
    usdc: int


class ValidatorLine(TypedDict):
    """One validator."""

    name: str
    public_key: str
    power: int


class About(TypedDict):
    """All of it; `--json` prints this."""

    api: str
    ws: str
    metrics: str
    chain_id: str
    genesis_hash: str
    height: int
    block_interval_ms: int
    persistence: str
    margin: str
    validators: list[ValidatorLine]
    accounts: list[AccountLine]
    example: str


def describe(devnet: Devnet, port: int) -> About:
    """Return what there is to know of a running devnet."""
    about, host = devnet.ground.about, devnet.settings.host
    return About(
        api=f"http://{host}:{port}/api/v2",
        ws=f"ws://{host}:{port}/ws/api/v2",
        metrics=f"http://{host}:{port}/metrics",
        chain_id=about.chain_id,
        genesis_hash=about.genesis_hash,
        height=devnet.cluster.height,
        block_interval_ms=about.block_interval_ms,
        persistence=devnet.persistence,
        margin=devnet.ground.margin,
        validators=[
            ValidatorLine(name=one.name, public_key=one.public_key.hex(), power=one.power)
            for one in devnet.cluster.statuses()
        ],
        accounts=[
            AccountLine(
                name=account.name,
                account_id=account.account_id,
                public_key=demo_key(account.name).public_key.hex(),
                private_key=demo_seed(account.name).hex(),
                usdc=sum(atoms for _, atoms in account.deposits) // USDC_ATOMS,
            )
            for account in DEMO_ACCOUNTS
        ],
        example=_example(devnet),
    )


def _example(devnet: Devnet) -> str:
    """Return the nearest future on BTC, which the makers quote first."""
    with devnet.cluster.reading() as view:
        futures = [
            one for _, one in view.draft[INSTRUMENTS].items() if (one.kind, one.underlying) == (Kind.FUTURE, BTC)
        ]
        return min(futures, key=lambda one: one.expiry_ms).name if futures else "BTC_USDC-27MAR26"


def show_banner(about: About, console: Console) -> None:
    """Print it for people."""
    url = about["api"].removesuffix("/api/v2")
    option = "" if url == "http://127.0.0.1:8080" else f" --url {url}"
    names = ", ".join(line["name"] for line in about["validators"])
    rhythm = f"a block every {about['block_interval_ms']} ms, at height {about['height']}"
    console.print(f"[bold]Holdfast[/bold]  {about['chain_id']}, {rhythm}", highlight=False, soft_wrap=True)
    for label, value in (
        ("API", f"{about['api']}   {about['ws']}"),
        ("Metrics", about["metrics"]),
        ("Validators", f"{len(about['validators'])} of power {about['validators'][0]['power']}: {names}"),
        ("Genesis", about["genesis_hash"]),
        ("Persistence", about["persistence"]),
        ("Margin", f"{about['margin']} ranges"),
    ):
        console.print(f"  {label:<12}{value}", highlight=False, soft_wrap=True)
    console.print("\n  Demo accounts. [bold]Their keys are public[/bold]: anybody can make them, for play only.")
    for account in about["accounts"]:
        money = f"account {account['account_id']}  {account['usdc']:,} USDC"
        console.print(f"    {account['name']}  {money}  key {account['private_key']}", highlight=False, soft_wrap=True)
    console.print("\n  Try, in a second terminal:")
    for line in (
        f"holdfast query chain BTC{option}",
        f"holdfast order place buy 0.1 {about['example']} --account demo-1{option}",
        f"holdfast query margin --account demo-1{option}",
        f"holdfast dev crash 3 --for 20s{option}",
    ):
        console.print(f"    {line}", highlight=False, soft_wrap=True)
    console.print("\n  Ctrl-C stops it; starting again with the same data continues.", highlight=False)
