"""Backups: taken under load they are consistent, restored they go on, and a restored key does not sign too early."""

from pathlib import Path
from threading import Event, Thread

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app as cli
from holdfast.consensus.messages import NIL, Vote, VoteKind
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.lab.solo import Solo, make_key
from holdfast.node.backup import BackupError, backup, check_store, restore, restore_validator
from holdfast.node.blockstore import BlockStore, StoredBlock
from holdfast.node.disk import FileDisk
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.home import About, Home, HomeError, KeyPair
from holdfast.node.replica_tip import genesis_tip
from holdfast.node.wal import SignLog
from holdfast.primitives.crypto import sha256
from tests.support.exchange_network import INTERVAL_MS, ExchangeNetwork

VICTIM = 2


def ignore(_name: str) -> None:
    pass


def lay_out(network: ExchangeNetwork, root: Path) -> Home:
    """Make a data directory of a network's chain and keys, with no stores yet."""
    home = Home(root)
    root.mkdir()
    about = About(
        format=1,
        chain_id="solo",
        genesis_hash=sha256(network.solo.genesis).hex(),
        genesis_time_ms=network.chain.genesis_time_ms,
        validators=4,
        block_interval_ms=INTERVAL_MS,
        seed=1,
    )
    pairs = [
        KeyPair(sha256(f"holdfast lab key validator {index}".encode()), make_key(f"validator {index}").public_key)
        for index in range(4)
    ]
    home.create(about, network.solo.genesis, pairs)
    return home


def unload(network: ExchangeNetwork, home: Home, *who: int) -> None:
    """Write the files of stopped replicas into a data directory."""
    for index in who or range(4):
        folder = home.store(index)
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for name in network.disk(index).names():
            (folder / name).write_bytes(network.disk(index).read(name))


def load(network: ExchangeNetwork, home: Home, *who: int) -> None:
    """Put the files of a data directory on the disks of stopped replicas."""
    for index in who or range(4):
        disk = network.disk(index)
        disk.wipe()
        for path in sorted(home.store(index).iterdir()):
            disk.replace(path.name, path.read_bytes())


def stop_all(network: ExchangeNetwork) -> None:
    for index in range(4):
        network.world.crash(index)


@pytest.fixture
def network() -> ExchangeNetwork:
    network = ExchangeNetwork(snapshot_every=4)
    network.run_to(3)
    network.order(0, 6)
    network.run_to(10)
    return network


def test_whole__restored_into_an_empty_folder__goes_on_from_there(network: ExchangeNetwork, tmp_path: Path) -> None:
    home = lay_out(network, tmp_path / "data")
    unload(network, home)
    copied = backup(home.root, tmp_path / "backup", None, ignore)
    assert [one.height for one in copied] == [node.height for _, node in network.world.nodes()]
    restored = restore(tmp_path / "backup", tmp_path / "again", ignore)
    assert restored == copied
    again = Home(tmp_path / "again")
    assert again.read_about() == home.read_about()
    assert [again.read_key(index) for index in range(4)] == [home.read_key(index) for index in range(4)]
    for name in network.disk(0).names():
        assert (again.store(0) / name).read_bytes() == (home.store(0) / name).read_bytes()
    stop_all(network)
    load(network, again)
    network.world.start_all()
    network.run_to(16)
    assert not any(event == "equivocation_found" for event, _ in network.lines)


def test_whole__taken_while_in_use_at_different_moments__goes_on_from_the_highest_without_a_contradiction(
    network: ExchangeNetwork, tmp_path: Path
) -> None:
    home = lay_out(network, tmp_path / "data")
    for index in range(4):
        network.run_to(11 + 2 * index)
        unload(network, home, index)
    user = Home(home.root)
    assert user.hold()
    copied = backup(home.root, tmp_path / "backup", None, ignore)
    user.close()
    heights = [one.height for one in copied]
    assert heights == sorted(heights)
    assert heights[0] < heights[3]
    network.run_to(heights[3] + 5)
    stop_all(network)
    restored = restore(tmp_path / "backup", tmp_path / "again", ignore)
    assert [one.height for one in restored] == [heights[3]] * 4
    load(network, Home(tmp_path / "again"))
    # What was under way is gone with the blocks that are given up.
    network.world.run_until(network.world.now_ms + 2_000)
    network.lines.clear()
    network.known = {height: found for height, found in network.known.items() if height <= heights[3]}
    network.world.start_all()
    assert [node.height for _, node in network.world.nodes()] == [heights[3]] * 4
    network.run_to(heights[3] + 8)
    told = {event for event, _ in network.lines}
    assert not told & {"equivocation_found", "signing_unsettled", "own_key_signed_elsewhere", "halted"}


def test_one_validator__restored_beside_others_that_went_on__signs_nothing_until_it_has_caught_up(
    network: ExchangeNetwork, tmp_path: Path
) -> None:
    home = lay_out(network, tmp_path / "data")
    unload(network, home)
    backup(home.root, tmp_path / "backup", [VICTIM], ignore)
    network.run_to(18)
    stop_all(network)
    unload(network, home)
    top = max(BlockStore(network.disk(index)).last for index in range(4))
    found, aside = restore_validator(tmp_path / "backup", home.root, VICTIM, ignore)
    assert (found.validator, found.height) == (VICTIM, 10)
    assert aside is not None
    assert (aside / "sign-from").exists()
    assert not (home.store(VICTIM) / "sign-from").exists()
    load(network, home)
    network.lines.clear()
    network.world.start_all()
    assert network.replica(VICTIM).height == 10
    network.run_to(top + 8)
    (settled,) = [fields for event, fields in network.lines if event == "signing_settled"]
    assert settled["validator"] == VICTIM
    first = int(settled["from_height"])
    assert first > top + 1
    for height in range(top + 1, first):
        stored = network.replica(0).block_at(height)
        assert stored is not None
        assert VICTIM not in {vote.validator_index for vote in stored.votes}
    log = SignLog(network.disk(VICTIM))
    assert all(height <= 10 + 1 or height >= first for height in log._earlier)
    assert not any(event == "equivocation_found" for event, _ in network.lines)


@pytest.mark.parametrize("damage", ["blocks-", "state-log-", "snapshot-"])
def test_backup__of_damaged_files__is_refused_or_falls_back_and_leaves_nothing_half(
    network: ExchangeNetwork, tmp_path: Path, damage: str
) -> None:
    home = lay_out(network, tmp_path / "data")
    unload(network, home)
    for path in home.store(1).iterdir():
        if path.name.startswith(damage):
            data = bytearray(path.read_bytes())
            data[len(data) - 300] ^= 1
            path.write_bytes(data)
    if damage == "state-log-":
        assert backup(home.root, tmp_path / "out", None, ignore)
        assert check_store(tmp_path / "out" / "validator-1" / "store", 1).height == 10
        return
    with pytest.raises(BackupError, match="validator-1"):
        backup(home.root, tmp_path / "out", None, ignore)
    assert not (tmp_path / "out").exists()


def test_restore__of_what_does_not_fit__is_refused_in_one_line(network: ExchangeNetwork, tmp_path: Path) -> None:
    home = lay_out(network, tmp_path / "data")
    unload(network, home)
    backup(home.root, tmp_path / "backup", [0, 1], ignore)
    with pytest.raises(BackupError, match="holds no validator 2"):
        restore(tmp_path / "backup", tmp_path / "again", ignore)
    with pytest.raises(BackupError, match="holds no validator 3"):
        restore_validator(tmp_path / "backup", home.root, 3, ignore)
    with pytest.raises(HomeError, match="validators 0 to 3"):
        restore_validator(tmp_path / "backup", home.root, 4, ignore)
    with pytest.raises(BackupError, match="not an empty folder"):
        backup(home.root, tmp_path / "backup", None, ignore)
    with pytest.raises(HomeError, match="absent"):
        restore(tmp_path / "nowhere", tmp_path / "again", ignore)
    other = ExchangeNetwork(accounts=5)
    elsewhere = lay_out(other, tmp_path / "other")
    with pytest.raises(BackupError, match="not the chain of the backup"):
        restore_validator(tmp_path / "backup", elsewhere.root, 0, ignore)
    running = Home(home.root)
    running.open()
    with pytest.raises(HomeError, match="in use by process"):
        restore_validator(tmp_path / "backup", home.root, 0, ignore)
    running.close()
    assert not (tmp_path / "again").exists()


class Writer:
    """One validator's three logs, written as a replica does, as fast as they go."""

    def __init__(self, folder: Path) -> None:
        self.solo = Solo(2)
        self.disk = FileDisk(folder)
        self.solo.app = ExchangeApplication(self.disk, self.solo.report, snapshot_every=3, rebuilds=False)
        self.solo.app.init_chain(self.solo.genesis)
        self.blocks = BlockStore(self.disk, segment_bytes=20_000)
        self.signed = SignLog(self.disk, segment_bytes=2_000)
        self.tip = genesis_tip(ValidatorSet([Validator(bytes(31) + b"1", 10)]), 1)
        self.is_over = Event()

    def run(self) -> None:
        while not self.is_over.is_set():
            self.step()

    def step(self) -> None:
        height = self.tip.height + 1
        self.signed.begin(height)
        self.signed.keep_vote(Vote(VoteKind.PREVOTE, height, 0, NIL, 0, 1, bytes(64)), None)
        response = self.solo.propose()
        self.tip = self.tip._replace(height=height, app_hash=response.app_hash)
        self.blocks.save(StoredBlock(b"block", ()), self.tip, response.tx_results, response.events)
        retain = self.solo.app.commit().retain_height
        self.blocks.prune(max(retain, height - 9))


def test_backup__of_a_store_that_is_written_to__is_consistent(tmp_path: Path) -> None:
    network = ExchangeNetwork()
    home = lay_out(network, tmp_path / "data")
    writer = Writer(home.store(0))
    for _ in range(4):
        writer.step()
    thread = Thread(target=writer.run)
    thread.start()
    try:
        heights = []
        for number in range(12):
            (copied,) = backup(home.root, tmp_path / f"out-{number}", [0], ignore)
            store = tmp_path / f"out-{number}" / "validator-0" / "store"
            log = SignLog(FileDisk(store))
            # Between two segments, all that was signed is committed and forgotten.
            assert not log._earlier or max(log._earlier) >= copied.height
            heights.append(copied.height)
    finally:
        writer.is_over.set()
        thread.join()
    assert heights == sorted(heights)
    assert heights[-1] > heights[0]


def test_commands__backup_and_restore__tell_what_they_did(network: ExchangeNetwork, tmp_path: Path) -> None:
    home = lay_out(network, tmp_path / "data")
    unload(network, home)
    run = CliRunner().invoke
    done = run(cli, ["backup", str(home.root), str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    assert "validator 3: height 10" in done.output
    done = run(cli, ["restore", str(tmp_path / "b"), str(tmp_path / "again"), "--json"])
    assert done.exit_code == 0
    assert '"height": 10' in done.output
    done = run(cli, ["restore", str(tmp_path / "b"), str(home.root), "--validator", "1"])
    assert "signs again once it has caught up" in done.output
    done = run(cli, ["backup", str(tmp_path / "nowhere"), str(tmp_path / "c")])
    assert done.exit_code == 2
    assert "Traceback" not in done.output
