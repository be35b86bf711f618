"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

URL: Final = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--url", envvar="HOLDFAST_URL", help="The node's address.", metavar="URL")]
AccountName = Annotated[
    str | None,
    typer.Option(
        "--account",
        envvar="HOLDFAST_ACCOUNT",
        help="Whose key signs: a name of the keystore, or demo-1 to demo-4 on a devnet.",
        metavar="NAME",
        show_default=False,
    ),
]
AccountId = Annotated[
    int | None,
    typer.Option("--account-id", help="Another account than the key's own: a subaccount.", min=1, metavar="ID"),
]
AnyAccountId = Annotated[
    int | None, typer.Option("--account-id", help="An account by its id; anybody may read it.", min=1, metavar="ID")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
KeystoreFolder = Annotated[
    Path | None, typer.Option("--keystore", help="The folder of keys.", metavar="DIR", show_default=False)
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="A file whose first line is the key's passphrase.", metavar="FILE", show_default=False
    ),
]
Timeout = Annotated[
    float,
    typer.Option("--timeout", help="Seconds to wait for the end of a command.", min=0.1, max=3600, metavar="SECONDS"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command; sign and send nothing.")]

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 failed; 2 bad input; 3 key, passphrase or right missing; 4 refused by the exchange; "
    "5 no node answers; 6 the chain does not advance."
)
