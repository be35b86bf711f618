"""Who trades in a replay: the kinds in their proportions, their money at genesis, and their commands block by block."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.lab.agents.agent import Agent
from holdfast.lab.agents.bidders import Bidder
from holdfast.lab.agents.buyers import Buyer
from holdfast.lab.agents.churners import Churner
from holdfast.lab.agents.hedgers import Hedger
from holdfast.lab.agents.makers import Maker
from holdfast.lab.agents.market import Market, Memory
from holdfast.lab.agents.sellers import Seller
from holdfast.lab.agents.speculators import Speculator
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import USDC_ATOMS, div_nearest
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.custody.messages import Deposit
from holdfast.protocol.genesis import GenesisAccount
from holdfast.protocol.ledger.state import ASSET_NAMES, USDC
from holdfast.state.draft import Draft

# The share of each kind in a hundred; makers and bidders are few whatever the crowd. The last kind takes the rest.
_PERCENT: Final[tuple[tuple[type[Agent], int], ...]] = (
    (Maker, 3),
    (Bidder, 4),
    (Speculator, 20),
    (Seller, 16),
    (Hedger, 22),
    (Buyer, 28),
    (Churner, 0),
)
_FEW_MAX: Final = {"maker": 10, "bidder": 12}
_LEAST: Final = {"maker": 2}
# Kept out of the shares, so that the smallest crowd has somebody of every kind.
_ROOM: Final = 5
KINDS: Final = tuple(kind.kind for kind, _ in _PERCENT)
AGENTS_MIN: Final = 10
AGENTS_MAX: Final = 5_000
# Every so many blocks the custodian credits somebody with what has arrived.
_DEPOSIT_EVERY: Final = 30


class Submission(NamedTuple):
    """A transaction on its way, and who sends it."""

    agent_index: int
    tx: bytes


class Population:
    """All agents of a run."""

    def __init__(self, seed: int, count: int) -> None:
        """Create `count` agents; their accounts stand in the same order in genesis."""
        self.agents: tuple[Agent, ...] = tuple(_create(seed, count))
        self.custodian = SigningKey(sha256(b"holdfast replay custodian %d" % seed))
        self._memory = Memory()
        self._deposits = 0
        sizes = Counter(agent.kind for agent in self.agents)
        # An agent's turn comes every so many blocks.
        self._periods = {agent.kind: max(1, sizes[agent.kind] // agent.acts_per_block) for agent in self.agents}

    def genesis_accounts(self) -> tuple[GenesisAccount, ...]:
        """Return the accounts that stand in genesis, with their money."""
        return tuple(GenesisAccount(agent.key.public_key, agent.deposits) for agent in self.agents)

    def starting_money(self) -> dict[str, dict[str, int]]:
        """Return what each kind starts with: how many agents, and atoms by asset."""
        totals: dict[str, dict[str, int]] = {
            kind: {"agents": 0, **{f"{name.lower()}_atoms": 0 for name in ASSET_NAMES}} for kind in KINDS
        }
        for agent in self.agents:
            row = totals[agent.kind]
            row["agents"] += 1
            for asset_id, amount in agent.deposits:
                row[f"{ASSET_NAMES[asset_id].lower()}_atoms"] += amount
        return totals

    def count_kinds(self, account_ids: Iterable[int]) -> dict[str, int]:
        """Return how many of some accounts are of each kind, kinds without any left out."""
        kinds = {agent.account_id: agent.kind for agent in self.agents}
        counts = Counter(kinds[account_id] for account_id in account_ids if account_id in kinds)
        return {kind: counts[kind] for kind in KINDS if counts[kind]}

    def act(self, draft: Draft, height: int, time_ms: int, domain: bytes) -> list[Submission]:
        """Return the commands of everybody whose turn it is, signed, in the agents' order."""
        market = Market(draft, height, time_ms, self._memory)
        if not market.is_open:
            return []
        submissions = [
            Submission(agent.index, agent.sign(domain, command))
            for agent in self.agents
            if (height + agent.rank) % self._periods[agent.kind] == 0
            for command in agent.decide(market)
        ]
        if height % _DEPOSIT_EVERY == 0:
            submissions.append(self._credit(domain))
        return submissions

    def _credit(self, domain: bytes) -> Submission:
        """Return the custodian's deposit for the next agent in turn."""
        agent = self.agents[self._deposits * 7 % len(self.agents)]
        self._deposits += 1
        command = Deposit(agent.key.public_key, USDC, 250 * USDC_ATOMS)
        return Submission(agent.index, sign_command(self.custodian, domain, INSURANCE_FUND, self._deposits, command))


def _create(seed: int, count: int) -> list[Agent]:
    agents: list[Agent] = []
    for kind, percent in _PERCENT:
        size = max(_LEAST.get(kind.kind, 1), div_nearest((count - _ROOM) * percent, 100))
        size = min(size, _FEW_MAX.get(kind.kind, size))
        if kind is _PERCENT[-1][0]:
            size = count - len(agents)
        first = len(agents)
        agents.extend(kind(seed, first + rank, rank) for rank in range(size))
    return agents
