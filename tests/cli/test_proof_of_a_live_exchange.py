"""A proof from a running exchange of four validators, fetched and checked by command as the README says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from tests.support.devnet import LiveDevnet


@pytest.fixture(scope="module")
def live() -> Iterator[LiveDevnet]:
    with LiveDevnet(validators=4) as running:
        yield running


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)), prog_name="holdfast", catch_exceptions=False)
    return result.exit_code, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("balances", "1000,0"), "account 1000 holds "),
        (("balances", "999999,0"), "account 999999 holds no USDC"),
        (("accounts", "1000"), "row 1000 of table accounts is owner_key "),
        (("chain", "0"), "row 0 of table chain is chain_id "),
        (("margin_params", "0"), "row 0 of table margin_params is "),
    ],
)
def test_query_then_verify__row_of_a_live_exchange__is_proven(
    live: LiveDevnet, tmp_path: Path, row: tuple[str, str], words: str
) -> None:
    proof, genesis = tmp_path / "proof.json", tmp_path / "genesis"
    genesis.write_bytes(live.devnet.ground.genesis)
    code, out = call("query", "proof", *row, "-o", proof, "--url", live.url)
    assert code == 0, out
    code, out = call("verify-proof", proof, "--genesis", genesis)
    assert code == 0, out
    assert out.startswith(f"PROVEN: {words}")
    assert call("verify-proof", proof, "--genesis-hash", live.devnet.cluster.genesis_hash.hex())[0] == 0
    assert call("verify-proof", proof)[0] == 3
    file = json.loads(proof.read_bytes())
    assert len(file["signatures"]) >= 3
    proof.write_text(json.dumps({**file, "height": file["height"] + 1}), encoding="utf-8")
    assert call("verify-proof", proof, "--genesis", genesis)[0] == 1
