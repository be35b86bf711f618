"""What a replay leaves for an audit: a data directory with the genesis and one validator's block log."""

from pathlib import Path
from typing import Final

from holdfast.lab.replay_nodes import Nodes
from holdfast.lab.replay_settings import ReplayInputError, ReplayPlan
from holdfast.node.blockstore import PREFIX
from holdfast.node.disk import FileDisk
from holdfast.node.home import FORMAT, About, Home, HomeError
from holdfast.node.version import check_version
from holdfast.primitives import codec
from holdfast.primitives.crypto import sha256

# A data directory's interval is bounded by what a live chain may have; a replay's may be longer, and binds nobody.
_INTERVAL_MAX_MS: Final = 60_000


def open_kept(directory: Path) -> Home:
    """Take an empty directory for a replay's chain, before the replay.

    Refuses: ReplayInputError, for one that holds anything or cannot be written.
    """
    home = Home(directory)
    try:
        found = home.open()
    except HomeError as error:
        raise ReplayInputError(f"--keep {error}".replace("with --data", "with --keep")) from None
    except OSError as error:
        raise ReplayInputError(f"--keep {directory}: {error.strerror}; choose another directory") from None
    if found is not None:
        home.close()
        raise ReplayInputError(f"--keep {directory}: holds a chain already; choose another directory")
    return home


def keep_chain(home: Home, nodes: Nodes, plan: ReplayPlan) -> None:
    """Write the genesis, and the block log of the validator that came furthest."""
    index = max(nodes.world.nodes(), key=lambda pair: (pair[1].height, -pair[0]), default=(0, None))[0]
    genesis = codec.encode(nodes.genesis)
    home.create(
        About(
            format=FORMAT,
            chain_id=nodes.genesis.chain_id,
            genesis_hash=sha256(genesis).hex(),
            genesis_time_ms=plan.start_ms,
            validators=plan.settings.validators,
            block_interval_ms=min(plan.settings.interval_ms, _INTERVAL_MAX_MS),
            seed=plan.settings.seed,
        ),
        genesis,
        (),
    )
    source, target = nodes.world.disk(index), FileDisk(home.store(index))
    check_version(target)
    for name in source.names():
        if name.startswith(PREFIX):
            target.replace(name, source.read(name))
    target.close()
