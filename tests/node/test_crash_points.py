"""Four replicas of the exchange whose disks fail at every operation, or have rotted: nothing acknowledged is lost."""

import errno
from collections import Counter

import pytest

from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.world import NodeFailedError, derive_random
from holdfast.node.blockstore import BlockStore
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.frames import DamagedFileError
from holdfast.node.store import StoreError
from holdfast.node.version import VersionError
from holdfast.node.wal import SignLog
from tests.support.exchange_network import ExchangeNetwork

VICTIM = 1
EMPTY, HEAVY = 0, 6
Network = ExchangeNetwork


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be cut often, so that cutting and pruning happen within a few heights."""
    for owner in (BlockStore, SignLog):
        defaults = owner.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "segment_bytes", 6_000)


def fail_and_return(network: Network, operations: int, error: int | None) -> str:
    """Let the victim's disk fail once; bring it back; return why it stopped."""
    before = network.replica(VICTIM).height
    network.disk(VICTIM).fail_after(operations, error=error)
    assert network.run_while_up(VICTIM)
    node = network.world.node(VICTIM)
    reason = "" if node is None else node.halt_reason
    assert bool(reason) == (error is not None)
    network.world.crash(VICTIM)
    network.world.start(VICTIM)
    assert network.replica(VICTIM).height >= before
    assert network.replica(VICTIM).halt_reason == ""
    assert not any(event == "equivocation_found" for event, _ in network.lines)
    return reason


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("error", [None, errno.EIO, errno.ENOSPC], ids=["power", "EIO", "ENOSPC"])
@pytest.mark.parametrize("load", [EMPTY, HEAVY], ids=["empty", "heavy"])
def test_disk_fails_at_every_operation__restart__is_level_again_and_has_every_order(
    load: int, error: int | None
) -> None:
    network = Network(snapshot_every=3, keep_blocks=5)
    network.run_to(4)
    reasons: Counter[str] = Counter()
    # Three heights are some thirty operations, and one of them has a snapshot.
    every = 5 if error is not None else 1 if load == HEAVY else 3
    for operations in range(0, 36, every):
        network.order(0, load)
        reasons[fail_and_return(network, operations, error).partition(":")[2]] += 1
        network.run_to(network.top() + 2)
    if error is not None:
        assert all("failed" in reason for reason in reasons)
        assert {reason.split()[0] for reason in reasons} >= {"write", "sync"}
    assert network.replica(VICTIM).app_hash == network.replica(0).app_hash


def test_power_fails_at_every_operation_of_heavy_blocks__every_accepted_order_is_in_the_chain_once() -> None:
    network = Network(snapshot_every=5)
    network.run_to(4)
    for operations in range(0, 40, 3):
        network.order(VICTIM, 12)
        network.order(0, 12)
        fail_and_return(network, operations, None)
        network.run_to(network.top() + 2)
    network.run_to(network.top() + 3)
    included = Counter(network.included(0))
    assert max(included.values()) == 1
    lost = [tx for tx in network.accepted if tx not in included]
    # What only the victim had taken, and not yet passed on, may be lost with its memory: it was never committed.
    assert len(lost) <= 12 * 14
    assert network.included(VICTIM) == network.included(0)


@pytest.mark.usefixtures("small_segments")
def test_all_fail_at_once__again_and_again__the_chain_goes_on() -> None:
    network = Network(snapshot_every=3, keep_blocks=5)
    network.run_to(4)
    random = derive_random(1, "all")
    for _ in range(12):
        top = network.top()
        network.order(0, 5)
        for index in range(4):
            network.disk(index).fail_after(random.randrange(30))
        network.world.run_until(network.world.now_ms + 180_000)
        for index in range(4):
            network.world.crash(index)
        network.world.start_all()
        assert max(node.height for _, node in network.world.nodes()) >= top
        network.run_to(network.top() + 2)
    assert network.included(0)[-3:] == network.included(3)[-3:]


@pytest.mark.usefixtures("small_segments")
def test_power_fails_at_every_operation_of_a_restore__comes_back_without_signing_twice() -> None:
    network = Network(snapshot_every=3)
    network.run_to(8)
    for operations in range(16):
        network.world.crash(VICTIM)
        network.world.wipe(VICTIM)
        network.state_sync.add(VICTIM)
        network.world.start(VICTIM)
        network.disk(VICTIM).fail_after(operations)
        network.run_while_up(VICTIM)
        network.state_sync.discard(VICTIM)
        network.restart(VICTIM)
        network.run_to(network.top() + 4)
    assert any(event == "snapshot_restored" for event, _ in network.lines)
    assert not any(event == "equivocation_found" for event, _ in network.lines)


def test_wiped_replica__comes_back_by_snapshot_and_earns_the_right_to_sign_again() -> None:
    network = Network(snapshot_every=4)
    network.run_to(10)
    network.world.crash(VICTIM)
    network.world.wipe(VICTIM)
    network.run_to(14)
    network.state_sync.add(VICTIM)
    network.world.start(VICTIM)
    network.run_to(20)
    (restored,) = [fields for event, fields in network.lines if event == "snapshot_restored"]
    assert int(restored["height"]) >= 8
    settled = [fields for event, fields in network.lines if event == "signing_settled"]
    assert settled[-1]["validator"] == VICTIM
    assert int(settled[-1]["from_height"]) > 14
    stored = network.replica(0).block_at(20)
    assert stored is not None
    assert {vote.validator_index for vote in stored.votes} >= {VICTIM} or len(stored.votes) == 3
    assert network.apps[VICTIM].fingerprint() == network.apps[0].fingerprint()
    network.restart(VICTIM)
    assert network.replica(VICTIM).height >= 20


# Rot


def grown() -> Network:
    network = Network(snapshot_every=4)
    network.run_to(3)
    for _ in range(5):
        network.order(0, 10)
        network.run_to(network.top() + 2)
    return network


def open_all(disk: SimulatedDisk, network: Network) -> str:
    """Open every file as a start does; return what came of it. Demands that nothing wrong is given out."""
    whole = network.replica(0)
    try:
        app = ExchangeApplication(disk, lambda _height, _draft: b"", rebuilds=False)
        store = BlockStore(disk)
        log = SignLog(disk)
        log.begin(whole.height + 1)
    except (StoreError, VersionError, DamagedFileError):
        return "detected"
    assert app.info().app_hash == (whole.app_hash_at(app.height) if app.height else b"")
    served = 0
    for height in range(1, whole.height + 1):
        stored, outcome = store.load(height), store.outcome(height)
        original = whole.block_at(height)
        assert original is not None
        assert stored is None or stored.data == original.data
        assert outcome is None or outcome == whole.outcome_at(height)
        served += stored is not None and outcome is not None
    for info in app.list_snapshots():
        if info in network.apps[0].list_snapshots():
            for chunk in range(info.chunks):
                given = app.load_snapshot_chunk(info.height, info.format, chunk)
                assert given in (b"", network.apps[0].load_snapshot_chunk(info.height, info.format, chunk))
    if app.height > store.last:
        return "detected"
    if served == whole.height and app.height == whole.height and not app.damage:
        return "harmless"
    return "repaired"


def copied(disk: SimulatedDisk) -> SimulatedDisk:
    copy = SimulatedDisk(derive_random(7, "copy"))
    for name in disk.names():
        copy.replace(name, disk.read(name))
    return copy


def test_flipped_bits__in_every_file_of_a_stopped_replica__are_never_served() -> None:
    network = grown()
    disk = network.disk(VICTIM)
    assert open_all(copied(disk), network) == "harmless"
    random = derive_random(1, "flips")
    outcomes: Counter[str] = Counter()
    by_file: dict[str, Counter[str]] = {}
    for name in disk.names():
        for _ in range(24):
            rotten = copied(disk)
            rotten.flip_bit(name, random.randrange(8 * disk.size(name)))
            outcome = open_all(rotten, network)
            outcomes[outcome] += 1
            by_file.setdefault(name.rstrip("0123456789"), Counter())[outcome] += 1
    assert outcomes["detected"] > 0
    assert outcomes["repaired"] > 0
    # Only files that a fresh start makes anew, and the older of two snapshots with its log, may rot unseen.
    for kind in ("blocks-", "signed-", "format"):
        assert by_file[kind]["harmless"] == 0


def test_flipped_bits__of_a_replica_that_starts_again__are_repaired_and_the_roots_stay_equal() -> None:
    network = grown()
    random = derive_random(2, "flips")
    resynced = 0
    for _ in range(20):
        network.world.crash(VICTIM)
        disk = network.disk(VICTIM)
        name = random.choice([name for name in disk.names() if disk.size(name)])
        disk.flip_bit(name, random.randrange(8 * disk.size(name)))
        halted = False
        try:
            network.world.start(VICTIM)
            halted = bool(network.replica(VICTIM).halt_reason)
        except NodeFailedError:
            halted = True
        if halted:
            resynced += 1
            network.restart(VICTIM)
        network.order(0, 3)
        network.run_to(network.top() + 3)
        assert network.replica(VICTIM).status == "running"
    assert resynced > 0
    assert not any(event == "equivocation_found" for event, _ in network.lines)
