"""The client's commands against a running devnet: what they print, what they refuse, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.client import Exchange, Journal
from holdfast.client.journal import Entry
from tests.support.devnet import LiveDevnet

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="call")
def _call(live: LiveDevnet, home: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    assert home.exists()
    monkeypatch.setenv("HOLDFAST_URL", live.url)

    def call(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments), prog_name="holdfast")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


@pytest.fixture(name="name")
def _name(live: LiveDevnet) -> str:
    with Exchange(live.url) as exchange:
        return exchange.instruments("BTC", "future")[0].instrument_name


@pytest.fixture(name="mark")
def _mark(live: LiveDevnet, name: str) -> int:
    with Exchange(live.url) as exchange:
        return int(exchange.ticker(name).mark_price or 0)


def result_of(out: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(out)
    return found


def test_order__from_placing_to_positions__names_ids_heights_and_app_hashes(call: Call, name: str, mark: int) -> None:
    code, out, err = call("order", "place", "sell", "0.05", name, "--price", str(mark), "--account", "demo-1", "--json")
    placed = result_of(out)
    assert (code, placed["state"], placed["code"]) == (0, "committed", 0)
    assert "public demo key" in err
    assert isinstance(placed["order"], dict)
    order_id = placed["order"]["order_id"]
    code, out, _ = call("query", "orders", "--account", "demo-1", "--json")
    assert order_id in [one["order_id"] for one in json.loads(out)["result"]]
    code, out, _ = call("query", "book", name, "--json")
    assert [mark, 0.05] in json.loads(out)["asks"]
    code, out, _ = call("order", "place", "buy", "0.05", name, "--price", str(mark), "--account", "demo-2")
    assert code == 0
    for words in ("order id", "filled: buy 0.05", "height", "app hash", "fee"):
        assert words in out
    code, out, _ = call("query", "positions", "--account", "demo-2", "--json")
    told = json.loads(out)
    assert [one["size"] for one in told["result"] if one["instrument_name"] == name] == [0.05]
    assert len(told["app_hash"]) == 64
    code, out, _ = call("query", "margin", "--account", "demo-2", "--json")
    assert json.loads(out)["initial_margin"] > 0
    code, out, _ = call("query", "trades", "--account", "demo-2", "--count", "1", "--json")
    assert json.loads(out)["result"][0]["liquidity"] == "T"
    assert call("query", "trades", name)[0] == 0
    code, out, _ = call("query", "ranges")
    assert (code, "16.00 %" in out) == (0, True)
    code, out, _ = call("query", "ranges", "--json")
    assert [one["range_ppm"] for one in json.loads(out)["result"]] == [160_000, 180_000]
    assert call("query", "order", str(order_id))[0] == 0
    code, out, _ = call("query", "tx", str(placed["tx_hash"]), "--json")
    assert json.loads(out)["height"] == placed["height"]


def test_amend_cancel_quote__an_open_order__is_changed_and_taken_back(call: Call, name: str, mark: int) -> None:
    low = str(mark * 8 // 10)
    _, out, _ = call("order", "place", "buy", "0.02", name, "--price", low, "--account", "demo-1", "--json")
    order = result_of(out)["order"]
    assert isinstance(order, dict)
    order_id = str(order["order_id"])
    code, out, _ = call("order", "amend", order_id, "--amount", "0.01", "--account", "demo-1", "--json")
    amended = result_of(out)["order"]
    assert isinstance(amended, dict)
    assert (code, amended["order_id"], amended["amount"]) == (0, order_id, 0.01)
    assert call("order", "cancel", order_id, "--account", "demo-1")[0] == 0
    code, out, err = call("order", "cancel", order_id, "--account", "demo-1")
    assert (code, out) == (4, "")
    assert "holdfast order cancel: ORDER_UNKNOWN" in err
    assert "it is filled or cancelled, or never was" in err
    high = str(mark * 12 // 10)
    quote = ["order", "quote", name, "--bid", low, "--ask", high, "--amount", "0.01", "--account", "demo-3"]
    code, _, err = call(*quote)
    assert (code, "set a protection first" in err) == (4, True)
    assert call(*quote, "--protection", "5")[0] == 0
    code, out, _ = call("order", "cancel-all", "--account", "demo-3")
    assert (code, "2 taken back" in out) == (0, True)


def test_dry_run__a_command__is_printed_and_nothing_is_sent(call: Call, home: Path, name: str, mark: int) -> None:
    arguments = ["order", "place", "buy", "0.25", name, "--price", str(mark), "--account", "nobody", "--dry-run"]
    code, out, _ = call(*arguments)
    assert (code, "not sent" in out, "lots 25" in out) == (0, True, True)
    code, out, _ = call(*arguments, "--json")
    told = result_of(out)
    assert (told["command"], told["lots"], told["price_ticks"], told["side"]) == ("PlaceOrder", 25, mark, 0)
    assert not (home / "journal.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["place", "buy", "0.015", "NAME", "--price", "100"], 2, "the nearest are 0.01 and 0.02"),
        (["place", "buy", "0.01", "NAME", "--price", "100.5"], 2, "the nearest are 100 and 101"),
        (["place", "hold", "0.01", "NAME", "--price", "100"], 2, "side 'hold' is not known; choose one of buy, sell"),
        (["place", "buy", "0.01", "BTC-27MAR26"], 2, "no instrument 'BTC-27MAR26' is listed; did you mean"),
        (["cancel", "abc"], 2, "order id 'abc' is not a number"),
        (["amend", "999999999", "--price", "5"], 4, "no order 999999999 is open or in this node's index"),
        (["amend", "1"], 2, "nothing to change; give --amount, --price or both"),
        (["place", "buy", "9999", "NAME"], 4, "NO_LIQUIDITY"),
    ],
)
def test_order__what_cannot_be__is_one_line_with_the_mend(
    call: Call, name: str, arguments: list[str], code: int, words: str
) -> None:
    given = [name if argument == "NAME" else argument for argument in arguments]
    found, out, err = call("order", *given, "--account", "demo-4")
    assert (found, out) == (code, "")
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1
    assert words in lines[0]


def test_account__opened_by_a_deposit__trades_under_its_own_key(
    call: Call, home: Path, name: str, mark: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("account", "create", "alice")[0] == 0
    low = str(mark // 2)
    code, _, err = call("order", "place", "buy", "0.01", name, "--price", low, "--account", "alice")
    assert (code, "open one with: holdfast account deposit 10000 --account alice" in err) == (3, True)
    code, out, _ = call("account", "deposit", "10000", "--account", "alice")
    assert (code, "committed" in out) == (0, True)
    _, out, _ = call("account", "list", "--json")
    (known,) = json.loads(out)["keys"][0]["accounts"]
    assert (known["chain_id"], known["role"]) == ("holdfast-dev-7", "owner")
    assert call("order", "place", "buy", "0.01", name, "--price", low, "--account", "alice")[0] == 0
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "wrong")
    code, _, err = call("order", "cancel-all", "--account", "alice")
    assert (code, err.startswith("holdfast order cancel-all: wrong passphrase for key 'alice'")) == (3, True)
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "open sesame")
    assert call("account", "create", "bot")[0] == 0
    assert call("account", "session", "bot", "--account", "alice")[0] == 0
    assert call("order", "cancel-all", "--account", "bot")[0] == 0
    code, _, err = call("account", "withdraw", "1", "--account", "bot")
    assert (code, "NOT_OWNER" in err) == (3, True)
    assert call("account", "session", "bot", "--revoke", "--account", "alice")[0] == 0
    code, _, err = call("account", "withdraw", "999999", "--account", "alice")
    assert (code, "take less, or close positions and orders first" in err) == (4, True)
    assert call("account", "withdraw", "12.5", "--account", "alice")[0] == 0
    assert call("account", "create", "alice-2")[0] == 0
    assert call("account", "rotate", "alice-2", "--account", "alice")[0] == 0
    assert call("account", "withdraw", "1", "--account", "alice")[0] == 3
    assert call("account", "withdraw", "1", "--account", "alice-2")[0] == 0
    code, out, _ = call("query", "account", "--account", "alice-2", "--json")
    told = json.loads(out)
    assert (code, told["account_id"]) == (0, known["account_id"])
    assert all(entry.state for entry in Journal(home / "journal.jsonl").read())


def test_journal__a_command_left_open__is_told_and_ended(call: Call, home: Path, live: LiveDevnet) -> None:
    with Exchange(live.url) as exchange:
        trust = exchange.trust()
        signer = exchange.account(1_001).owner_key
    lost = Entry(
        tx_hash="ab" * 32,
        tx="00",
        account_id=1_001,
        signer=signer,
        nonce=exchange_nonce(live, 1_001, signer),
        chain_id=trust.chain_id,
        genesis_hash=trust.genesis_hash.hex(),
    )
    Journal(home / "journal.jsonl").begin(lost)
    code, _, err = call("order", "cancel-all", "--account", "demo-2")
    assert (code, "an earlier command is unknown (abababababababab)" in err) == (0, True)
    code, out, _ = call("order", "recover", "--account", "demo-2", "--json")
    told = json.loads(out)
    assert (code, [one["state"] for one in told]) == (0, ["rejected"])
    code, out, _ = call("order", "recover", "--account", "demo-2", "--json")
    assert json.loads(out) == []


def exchange_nonce(live: LiveDevnet, account_id: int, signer: str) -> int:
    with Exchange(live.url) as exchange:
        return exchange.next_nonce(account_id, signer)


def test_query__each_view__prints_and_names_its_state(call: Call, name: str, tmp_path: Path) -> None:
    proof = str(tmp_path / "proof.json")
    for arguments in (
        ["status"],
        ["validators"],
        ["chain", "BTC"],
        ["chain", "ETH", "--json"],
        ["book", name],
        ["ticker", name],
        ["account", "--account", "demo-1"],
        ["block"],
        ["proof", "balances", "--account", "demo-1", "-o", proof],
    ):
        code, out, err = call("query", *arguments)
        assert (code, out != "") == (0, True), (arguments, err)
        assert "height" in out or arguments[0] == "block"
    assert json.loads(Path(proof).read_text())["table"] == "balances"
    _, out, _ = call("query", "chain", "BTC", "--json")
    told = json.loads(out)["result"]
    assert told["futures"][0]["instrument_name"] == name
    nearest = told["expiries"][0]
    _, out, _ = call("query", "chain", "BTC", "--expiry", nearest, "--json")
    assert {one["instrument_name"].split("-")[1] for one in json.loads(out)["result"]["options"]} == {nearest}
    code, _, err = call("query", "chain", "BTC", "--expiry", "1JAN20")
    assert (code, "choose one of" in err) == (2, True)
    code, _, err = call("query", "block", "999999")
    assert (code, "block 999999 is not kept here" in err) == (2, True)
    code, out, _ = call("query", "tx", "ab" * 32, "--json")
    assert (code, json.loads(out)["state"]) == (1, "unknown")


def test_watch__a_number_of_messages__ends_by_itself(call: Call, name: str) -> None:
    code, out, _ = call("watch", "blocks", "--count", "3", "--json")
    heights = [json.loads(line)["seq"] for line in out.splitlines()]
    assert (code, heights) == (0, list(range(heights[0], heights[0] + 3)))
    for arguments in (["book", name], ["ticker", name], ["account", "--account", "demo-1"]):
        assert call("watch", *arguments, "--count", "1")[0] == 0
    code, _, err = call("watch", "book", "NOTHING", "--count", "1")
    assert (code, "there is no channel 'book.NOTHING.100ms'" in err) == (2, True)


def test_chain__names__are_alone_one_a_line_quoted_first(call: Call, name: str, mark: int) -> None:
    assert call("order", "place", "buy", "0.01", name, "--price", str(mark // 2), "--account", "demo-1")[0] == 0
    code, out, err = call("query", "chain", "btc", "--names")
    names = out.splitlines()
    assert (code, err, names[0]) == (0, "", name)
    assert len(names) == len(set(names))
    assert all(one.startswith("BTC_USDC-") for one in names)
    futures = [one for one in names if one.count("-") == 1]
    assert names[: len(futures)] == futures
    assert call("order", "cancel-all", "--account", "demo-1")[0] == 0


def test_views__nothing_to_show__say_none(call: Call) -> None:
    code, out, _ = call("query", "orders", "--account", "demo-4")
    assert (code, out.splitlines()[0]) == (0, "none")
    assert out.splitlines()[1].startswith("height ")
    assert call("order", "recover", "--account", "demo-4")[1] == "no command is open\n"


def test_views__of_money__name_the_unit(call: Call) -> None:
    _, out, _ = call("query", "margin", "--account", "demo-4")
    assert "equity              1000000 USDC" in out


def test_quote__refused_by_the_exchange__names_side_code_and_mend(call: Call, name: str, mark: int) -> None:
    assert call("order", "place", "sell", "0.01", name, "--price", str(mark), "--account", "demo-1")[0] == 0
    asked = ("--bid", str(mark + 1), "--ask", str(mark + 9), "--protection", "5", "--account", "demo-3")
    code, _, err = call("order", "quote", name, *asked)
    assert code == 0
    assert "note: bid refused: POST_ONLY_WOULD_CROSS; choose a price that meets nobody" in err
    assert "ask refused" not in err
    for owner in ("demo-1", "demo-3"):
        assert call("order", "cancel-all", "--account", owner)[0] == 0


def test_dev__status_and_refusals__are_read_by_people(call: Call) -> None:
    code, out, _ = call("dev", "price", "btc", "-10%")
    assert (code, "factor  0.9" in out, "_ppm" in out) == (0, True, False)
    code, out, _ = call("dev", "status")
    assert code == 0
    assert "until healed" in out
    assert "{" not in out
    code, _, err = call("dev", "price", "DOGE", "5")
    assert (code, "is not one of BTC, ETH, USDC, USDT" in err) == (2, True)
    code, _, err = call("dev", "crash", "9")
    assert (code, "Write crash:validator=" in err) == (2, True)
    assert call("dev", "advance", "0s")[0] == 2
    assert call("dev", "heal")[0] == 0


def test_proof__into_a_file_whose_name_is_no_text__is_told_without_a_traceback(call: Call, tmp_path: Path) -> None:
    code, out, err = call("query", "proof", "balances", "1000,0", "--json", "-o", f"{tmp_path}/p\udcff.json")
    assert (code, json.loads(out)["table"]) == (0, "balances"), err


@pytest.mark.parametrize("currency", ["DOGE", "usdc", ""])
def test_chain__of_what_is_no_underlying__names_those_that_there_are(call: Call, currency: str) -> None:
    code, out, err = call("query", "chain", currency)
    assert (code, out) == (2, "")
    assert err.endswith("choose one of BTC, ETH\n") or "PARAM_INVALID: currency" in err


def test_url__with_tls_where_there_is_none__says_what_to_write(call: Call, live: LiveDevnet) -> None:
    code, _, err = call("query", "status", "--url", live.url.replace("http:", "https:"))
    assert code == 5
    assert err.endswith("(it speaks no TLS); write the address with http://\n")
