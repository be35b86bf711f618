"""What the gateway needs of the exchange behind it. Shapes only: whoever has these methods can be served."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol

from holdfast.consensus.messages import CheckpointCertificate
from holdfast.node.application import CheckTxResponse, QueryResponse, TxResult
from holdfast.primitives.codec import Record
from holdfast.protocol.machine import Receipt
from holdfast.state.draft import Draft

Json = Mapping[str, object]


class CommitEvent(Protocol):
    """One committed block, with what became of it."""

    @property
    def height(self) -> int: ...
    @property
    def time_ms(self) -> int: ...
    @property
    def app_hash(self) -> bytes: ...
    @property
    def txs(self) -> tuple[bytes, ...]: ...
    @property
    def receipts(self) -> tuple[Receipt, ...]: ...
    @property
    def events(self) -> tuple[Record, ...]: ...


class View(Protocol):
    """The committed state of one height at one validator; good only while `Backend.reading` is open."""

    @property
    def draft(self) -> Draft: ...
    @property
    def height(self) -> int: ...
    @property
    def time_ms(self) -> int: ...
    @property
    def app_hash(self) -> bytes: ...
    @property
    def validator(self) -> int: ...


class ValidatorStatus(Protocol):
    """How one validator is. `status` is `running`, `catching-up`, `syncing`, `paused`, `down` or `halted: why`."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def public_key(self) -> bytes: ...
    @property
    def power(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def height(self) -> int: ...
    @property
    def app_hash(self) -> bytes: ...
    @property
    def restarts(self) -> int: ...
    @property
    def round(self) -> int: ...
    @property
    def mempool_size(self) -> int: ...


class StoredBlock(Protocol):
    """A decided block's canonical bytes."""

    @property
    def data(self) -> bytes: ...


class Outcome(Protocol):
    """What a decided block came to: a result a transaction, and all events of the block."""

    @property
    def height(self) -> int: ...
    @property
    def time_ms(self) -> int: ...
    @property
    def app_hash(self) -> bytes: ...
    @property
    def results(self) -> Sequence[TxResult]: ...
    @property
    def events(self) -> bytes: ...


class Backend(Protocol):
    """A running exchange. Every method may be called from any thread."""

    @property
    def chain_id(self) -> str: ...
    @property
    def genesis_hash(self) -> bytes: ...
    @property
    def block_interval_ms(self) -> int: ...

    def submit(self, tx: bytes) -> Future[CheckTxResponse]:
        """Offer a transaction; a cancelled future says that nobody knows whether it was taken."""

    def reading(self) -> AbstractContextManager[View]:
        """Hold the committed state of one height, shortly. Refuses: NoValidatorError."""

    def query(self, path: str, data: bytes) -> QueryResponse:
        """Answer as the application does: `row` takes a key's bytes, and gives its value and proof."""

    def on_commit(self, callback: Callable[[CommitEvent], None]) -> None:
        """Call back after each durable commit, in a thread that must not be kept."""

    def statuses(self) -> Sequence[ValidatorStatus]:
        """Return how every validator is."""

    def block_at(self, height: int) -> StoredBlock | None:
        """Return a decided block, None where it is not kept."""

    def outcome_at(self, height: int) -> Outcome | None:
        """Return what a decided block came to, None where it is not kept."""

    def checkpoint_at(self, height: int) -> CheckpointCertificate | None:
        """Return the validators' checkpoint of a height, None where there is none, or not yet."""

    def now_ms(self) -> int:
        """Return this exchange's time, UTC unless it is a devnet that was advanced."""


class DevControls(Protocol):
    """What only a devnet's operator may do. Each returns what it has done; ValueError says why it cannot."""

    def fault(self, spec: str) -> Json:
        """Inject a fault, written as for `replay`."""

    def heal(self, number: int | None = None) -> Json:
        """End one fault, or every fault that is on."""

    def advance(self, by_ms: int) -> Json:
        """Make blocks, a minute apart, until so much time has passed."""

    def price(self, asset: str, *, factor: float | None, price: float | None) -> Json:
        """Move a venue price by a factor or to a level."""

    def deposit(self, owner_key: bytes, asset_id: int, amount_atoms: int) -> bytes:
        """Return the custodian's signed deposit, to be submitted like any transaction."""

    def status(self) -> Json:
        """Return what is going on."""
