"""`holdfast verify-proof`: plain words, four exit codes, one line for whatever is wrong."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.protocol.ledger.state import BALANCES
from tests.support.proof_files import BALANCE, CASES, GENESIS, GENESIS_HASH, forged, genesis, made, text


def call(*arguments: object, given: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app, ["verify-proof", *map(str, arguments)], prog_name="holdfast", input=given, catch_exceptions=False
    )
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "proof.json").write_bytes(text(made(BALANCE)))
    (tmp_path / "bare.json").write_bytes(text(made(BALANCE, with_genesis=False)))
    (tmp_path / "absent.json").write_bytes(text(made(CASES["absent beside a leaf"])))
    (tmp_path / "forged.json").write_bytes(forged())
    (tmp_path / "wrong.json").write_bytes(text({**made(BALANCE), "height": 78}))
    (tmp_path / "genesis").write_bytes(GENESIS)
    (tmp_path / "other-genesis").write_bytes(genesis((1, 1, 1)))
    return tmp_path


def test_help__has_an_example_and_the_exit_codes() -> None:
    code, out, _ = call("--help")
    told = " ".join(out.split())
    assert code == 0
    assert "holdfast verify-proof proof.json --genesis holdfast-data/genesis" in told
    assert "0 proven; 1 not proven; 2 the file, or what was given with it, cannot be used; 3 consistent" in told


@pytest.mark.parametrize("name", ["proof.json", "bare.json"])
def test_trusted_genesis__true_file__says_what_is_proven(folder: Path, name: str) -> None:
    code, out, err = call(folder / name, "--genesis", folder / "genesis")
    assert (code, err) == (0, "")
    assert out.startswith("PROVEN: account 1000 holds 12.5 USDC (12500000 atoms)\n")
    assert "after block 77 of holdfast-test, 2026-09-21" in out
    assert "4 of 4 validators, power 40 of 40" in out
    assert GENESIS_HASH.hex() in out


def test_genesis_hash__of_the_genesis_in_the_file__proves(folder: Path) -> None:
    assert call(folder / "proof.json", "--genesis-hash", GENESIS_HASH.hex())[0] == 0
    code, out, err = call(folder / "bare.json", "--genesis-hash", GENESIS_HASH.hex())
    assert (code, out) == (2, "")
    assert "give the genesis itself" in err


def test_nobody_trusted__says_so_and_has_its_own_code(folder: Path) -> None:
    for name in ("proof.json", "forged.json"):
        code, out, _ = call(folder / name)
        assert code == 3
        assert out.startswith("CONSISTENT, BUT NOT PROVEN")
        assert "you have not said which validators you trust" in out


def test_absence__is_proven(folder: Path) -> None:
    code, out, _ = call(folder / "absent.json", "--genesis", folder / "genesis")
    assert code == 0
    assert "holds no ETH" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["wrong.json"], 1, "wrong.json: not proven: signatures: that of validator 0 does not verify"),
        (["forged.json", "--genesis", "genesis"], 1, "another chain"),
        (["proof.json", "--genesis", "other-genesis"], 1, "another chain"),
        (["proof.json", "--genesis-hash", "00" * 32], 1, "another chain"),
        (["absent"], 2, "absent: No such file or directory; name a file that can be read"),
        (["."], 2, "name a file that can be read"),
        (["genesis"], 2, "genesis: it is not JSON"),
        (["proof.json", "--genesis", "absent"], 2, "--genesis absent: No such file"),
        (["proof.json", "--genesis", "proof.json"], 2, "--genesis proof.json: genesis: these bytes"),
        (["proof.json", "--genesis-hash", "12"], 2, "--genesis-hash: it takes 64 hex digits"),
        (["proof.json", "--genesis-hash", "z" * 64], 2, "--genesis-hash: it takes 64 hex digits"),
        (["proof.json", "--genesis-hash", " " * 64], 2, "--genesis-hash: it takes 64 hex digits"),
        (["proof.json", "--genesis", "genesis", "--genesis-hash", "00" * 32], 2, "give one of them"),
    ],
)
def test_what_is_wrong__is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(folder)
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert err.startswith("holdfast verify-proof: ")
    assert err.count("\n") == 1
    found, out, err = call(*arguments, "--json")
    assert (found, err) == (code, "")
    assert json.loads(out)["verdict"] == {1: "not proven", 2: "unusable"}[code]


def test_json__has_verdict_and_statement(folder: Path) -> None:
    code, out, _ = call(folder / "proof.json", "--genesis", folder / "genesis", "--json")
    told = json.loads(out)
    assert (code, told["verdict"], told["exit_code"]) == (0, "proven", 0)
    assert (told["table"], told["key"], told["value"]) == ("balances", [1_000, 0], 12_500_000)
    assert (told["height"], told["chain_id"], told["signers"]) == (77, "holdfast-test", [0, 1, 2, 3])
    assert call(folder / "proof.json", "--json")[0] == 3


def test_standard_input__is_read(folder: Path) -> None:
    file = text(made(BALANCES.encode_key((2_001, 0))))
    code, out, _ = call("-", "--genesis", folder / "genesis", given=file)
    assert code == 0
    assert "account 2001 holds 0.002001 USDC" in out
