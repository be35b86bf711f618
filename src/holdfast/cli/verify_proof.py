"""`holdfast verify-proof`: trust nobody, check what a proof file says of the state."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.cli.show import one_line
from holdfast.client.proofs import (
    FILE_BYTES_MAX,
    NotProvenError,
    ProofFormError,
    Statement,
    TrustedChain,
    verify_proof,
)

EXIT_PROVEN: Final = 0
EXIT_NOT_PROVEN: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_NOBODY_TRUSTED: Final = 3
_GENESIS_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
_HASH_HEX: Final = 64

_HELP: Final = """Check a proof of one row of the state, or of its absence, without any node.

FILE is what `holdfast query proof` writes, or - for standard input. The way through the tree, every signature and the
power behind them are checked. Whose word it is, is for you to say: by --genesis, the file that the chain began from
(`genesis` in a data directory), or by --genesis-hash alone, where the proof carries its genesis. Without either the
proof is only consistent: anybody can make one with keys of their own.

\b
Example:
  holdfast query proof balances 1000,0 -o proof.json
  holdfast verify-proof proof.json --genesis holdfast-data/genesis

Exit codes: 0 proven; 1 not proven; 2 the file, or what was given with it, cannot be used; 3 consistent, but you have
not said which validators you trust."""


def check(
    file: Annotated[Path, typer.Argument(help="A proof file, or -.", metavar="FILE")],
    genesis: Annotated[
        Path | None, typer.Option(help="The genesis of the chain that you trust.", metavar="FILE")
    ] = None,
    genesis_hash: Annotated[
        str | None, typer.Option(help="The SHA-256 of that genesis, in hex.", metavar="HEX")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Check a proof file; `_HELP` is what a user reads."""
    what = ""
    try:
        trusted = _read_trust(genesis, genesis_hash)
        what = f"{file}: "
        statement = verify_proof(_read(file, FILE_BYTES_MAX), trusted)
    except ProofFormError as error:
        _end("unusable", EXIT_BAD_INPUT, f"{what}{error}", as_json=as_json)
    except NotProvenError as error:
        _end("not proven", EXIT_NOT_PROVEN, f"{what}not proven: {error}", as_json=as_json)
    code = EXIT_PROVEN if statement.is_trusted else EXIT_NOBODY_TRUSTED
    typer.echo(_to_json(statement, code) if as_json else _to_words(statement))
    raise typer.Exit(code)


check.__doc__ = _HELP


def _read_trust(genesis: Path | None, genesis_hash: str | None) -> TrustedChain | None:
    if genesis is not None and genesis_hash is not None:
        raise ProofFormError("--genesis and --genesis-hash: give one of them")
    if genesis is not None:
        try:
            return TrustedChain.from_genesis(_read(genesis, _GENESIS_FILE_BYTES_MAX))
        except ProofFormError as error:
            raise ProofFormError(f"--genesis {genesis}: {error}") from None
    if genesis_hash is None:
        return None
    try:
        trusted = bytes.fromhex(genesis_hash)
    except ValueError:
        trusted = b""
    if len(genesis_hash) != _HASH_HEX or len(trusted) != _HASH_HEX // 2:
        raise ProofFormError("--genesis-hash: it takes 64 hex digits, as `holdfast query status` shows them")
    return TrustedChain.from_genesis_hash(trusted)


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(bytes_max + 1)
        with path.open("rb") as stream:
            return stream.read(bytes_max + 1)
    except OSError as error:
        raise ProofFormError(f"{error.strerror}; name a file that can be read") from None


def _end(verdict: str, code: int, message: str, *, as_json: bool) -> NoReturn:
    line = one_line(message)
    if as_json:
        typer.echo(json.dumps({"verdict": verdict, "exit_code": code, "reason": line}))
    else:
        typer.echo(f"holdfast verify-proof: {line}", err=True)
    raise typer.Exit(code)


def _to_words(statement: Statement) -> str:
    verdict = "PROVEN" if statement.is_trusted else "CONSISTENT, BUT NOT PROVEN"
    trust = (
        f"by the validators of the genesis that you gave, {statement.genesis_hash.hex()}"
        if statement.is_trusted
        else "consistent, but you have not said which validators you trust: give --genesis or --genesis-hash"
    )
    power = f"power {statement.power_signed} of {statement.power_total}; more than two thirds is needed"
    lines = (
        f"{verdict}: {statement.words}",
        f"  when    after block {statement.height} of {ascii(statement.chain_id)[1:-1]}, {_utc(statement.time_ms)}",
        f"  row     {statement.table or 'of an unknown table'}, key {json.dumps(statement.key)}",
        f"  state   app hash {statement.app_hash.hex()}",
        f"  signed  by {len(statement.signers)} of {statement.validators} validators, {power}",
        f"  trust   {trust}",
    )
    return "\n".join(lines)


def _to_json(statement: Statement, code: int) -> str:
    content = statement._asdict() | {
        "genesis_hash": statement.genesis_hash.hex(),
        "app_hash": statement.app_hash.hex(),
        "signers": list(statement.signers),
    }
    verdict = "proven" if statement.is_trusted else "consistent"
    return json.dumps({"verdict": verdict, "exit_code": code, **content})


def _utc(time_ms: int) -> str:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
