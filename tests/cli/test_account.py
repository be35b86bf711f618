"""Keys on the command line: made, listed, and refused in one line; nothing here needs a node."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.client.demo import DEMO_NAMES, demo_key, demo_seed
from holdfast.primitives.crypto import sha256

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "open sesame")
    for name in ("HOLDFAST_URL", "HOLDFAST_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), prog_name="holdfast")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_create__then_list__shows_the_key_without_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = call("account", "create", "alice", "--json")
    made = json.loads(out)
    assert (code, err, made["name"]) == (0, "", "alice")
    assert Path(made["file"]) == tmp_path / "keys" / "alice.json"
    monkeypatch.delenv("HOLDFAST_PASSPHRASE")
    code, out, _ = call("account", "list", "--json")
    assert code == 0
    assert json.loads(out)["keys"] == [{"name": "alice", "public_key": made["public_key"], "accounts": []}]
    code, out, _ = call("account", "list")
    assert code == 0
    assert made["public_key"] in out


def test_list__the_demo_keys__are_those_of_the_public_text() -> None:
    _, out, _ = call("account", "list", "--json")
    shown = {one["name"]: one["public_key"] for one in json.loads(out)["demo"]}
    assert shown == {name: demo_key(name).public_key.hex() for name in DEMO_NAMES}
    assert demo_seed("demo-1") == sha256(b"holdfast public demo key demo-1")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create", "Alice"], 2, "key name 'Alice'"),
        (["create", "demo-1"], 2, "demo-1 is the name of a public demo account; choose another"),
        (["create", "bob", "--passphrase-file", "missing"], 3, "--passphrase-file missing: No such file"),
        (["deposit", "10", "--account", "carol"], 2, "make it: holdfast account create carol"),
        (["deposit", "10"], 2, "give --account NAME or set HOLDFAST_ACCOUNT (known: demo-1, demo-2, demo-3, demo-4)"),
        (["deposit", "10", "--account", "demo-1", "--url", NOWHERE], 5, "no node answers at http://127.0.0.1:9"),
        (["deposit", "10", "--account", "demo-1", "--url", "localhost"], 2, "--url 'localhost' is not an address"),
        (["withdraw", "10", "--account", "demo-1", "--url", NOWHERE], 5, "start one with `holdfast up`"),
    ],
)
def test_account__what_cannot_be__is_one_line_with_the_mend(arguments: list[str], code: int, words: str) -> None:
    found, out, err = call("account", *arguments)
    assert (found, out) == (code, "")
    assert err.startswith(f"holdfast account {arguments[0]}: ")
    assert words in err
    assert err.count("\n") == 1


def test_create__the_same_name_twice__keeps_the_first_key() -> None:
    call("account", "create", "alice")
    before = call("account", "list", "--json")
    code, _, err = call("account", "create", "alice")
    assert (code, "exists" in err) == (2, True)
    assert call("account", "list", "--json") == before


def test_create__a_passphrase_file__is_read_to_the_end_of_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOLDFAST_PASSPHRASE")
    (tmp_path / "pass").write_text("secret\r\nnext line")
    assert call("account", "create", "alice", "--passphrase-file", str(tmp_path / "pass"))[0] == 0
    (tmp_path / "pass").write_text("secret")
    code, _, err = call("account", "create", "bob")
    assert (code, "set HOLDFAST_PASSPHRASE or give --passphrase-file" in err) == (3, True)


def test_list__a_keystore_that_others_may_read__is_refused_with_the_mend(tmp_path: Path) -> None:
    call("account", "create", "alice")
    (tmp_path / "keys" / "alice.json").chmod(0o644)
    code, _, err = call("account", "list")
    assert (code, "run: chmod 600" in err) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["order", "place", "buy", "1", "BTC_USDC-27MAR26", "--url", NOWHERE, "--account", "demo-1"], 5),
        (["order", "cancel", "17", "--url", NOWHERE, "--account", "demo-1"], 5),
        (["query", "status", "--url", NOWHERE], 5),
        (["query", "tx", "17", "--url", NOWHERE], 2),
        (["query", "proof", "--url", NOWHERE], 2),
        (["watch", "blocks", "--url", NOWHERE], 5),
        (["order", "place"], 2),
        (["query", "nothing"], 2),
    ],
)
def test_commands__without_a_node_or_with_bad_input__end_with_their_exit_code(arguments: list[str], code: int) -> None:
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert "Traceback" not in err


def test_json__an_error__is_told_to_machines_too() -> None:
    code, out, err = call("query", "status", "--url", NOWHERE, "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["error"]["type"], told["error"]["retryable"]) == (5, 5, "Unreachable", True)
    assert err.count("\n") == 1


COMMANDS = [
    *(["account", name] for name in "create list deposit withdraw transfer subaccount session rotate".split()),
    *(["order", name] for name in "place amend cancel cancel-all quote recover".split()),
    *(
        ["query", name]
        for name in "status book chain ticker ranges account positions margin orders order trades".split()
    ),
    *(["query", name] for name in "validators block tx proof".split()),
    *(["watch", name] for name in "book ticker trades blocks account".split()),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help__of_each_command__has_an_example_of_it(command: list[str]) -> None:
    code, out, _ = call(*command, "--help")
    assert code == 0
    assert f"Example: holdfast {' '.join(command)}" in " ".join(out.split())


def test_list__one_file_is_damaged__shows_the_others_and_ends_with_what_is_wrong(tmp_path: Path) -> None:
    assert call("account", "create", "alice")[0] == 0
    broken = tmp_path / "keys" / "broken.json"
    broken.write_text("{")
    broken.chmod(0o600)
    code, out, err = call("account", "list")
    assert (code, "alice" in out, "demo-1" in out) == (3, True, True)
    assert "broken.json is damaged" in err
