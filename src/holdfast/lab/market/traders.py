"""All traders of a live exchange, and what they send when they see a committed state."""

from random import Random
from typing import Final

from holdfast.client.commands import sign_command
from holdfast.lab.agents.agent import Agent
from holdfast.lab.agents.market import Market, Memory
from holdfast.lab.market.accounts import MAKER_NAMES, TAKER_NAMES, Custodian, Nonces, list_accounts
from holdfast.lab.market.makers import LiveMaker
from holdfast.lab.market.takers import LiveTaker
from holdfast.primitives.crypto import sha256
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.messages import Command
from holdfast.state.draft import Draft

# Orders of takers at a turn: one and a half on average.
ORDERS_LEAST: Final = 1
ORDERS_MOST: Final = 2
# Every so many turns the custodian tops up who has less than half of what it began with.
TOP_UP_EVERY: Final = 60


class Traders:
    """Makers and takers, whose `act` is called about once a second.

    Their accounts are those of `genesis_accounts`. What they know between two calls is only a convenience: everything
    that matters is read from the state, so that a new process goes on with an old chain.
    """

    def __init__(self, seed: int, nonces: Nonces) -> None:
        """Take the accounts; `nonces` are shared with whoever else signs with the custodian's key."""
        self.makers = tuple(LiveMaker(seed, one, rank) for rank, one in enumerate(list_accounts(MAKER_NAMES)))
        self.takers = tuple(LiveTaker(seed, one, rank) for rank, one in enumerate(list_accounts(TAKER_NAMES)))
        for maker in self.makers:
            maker.peers = tuple(other.account_id for other in self.makers if other is not maker)
        self._nonces = nonces
        self._custodian = Custodian(nonces)
        self._random = Random(int.from_bytes(sha256(b"holdfast market takers %d" % seed)))
        self._memory = Memory()
        self._height = -1
        self._turns = 0

    def act(self, draft: Draft, height: int, time_ms: int, domain: bytes) -> list[bytes]:
        """Return the signed commands of this turn, in the order in which they are to be submitted.

        A height at which they have acted gives nothing, nor does a state without marks.
        """
        if height <= self._height:
            return []
        market = Market(draft, height, time_ms, self._memory)
        if not market.is_open:
            return []
        self._height = height
        self._turns += 1
        txs = [self._sign(draft, domain, maker, one) for maker in self.makers for one in maker.decide(market)]
        for _ in range(self._random.randrange(ORDERS_LEAST, ORDERS_MOST + 1)):
            taker = self.takers[self._random.randrange(len(self.takers))]
            txs.extend(self._sign(draft, domain, taker, one) for one in taker.decide(market))
        if self._turns % TOP_UP_EVERY == 0:
            txs.extend(self._top_up(market, draft, domain))
        return txs

    def _sign(self, draft: Draft, domain: bytes, agent: Agent, command: Command) -> bytes:
        nonce = self._nonces.take(draft, agent.account_id, agent.key.public_key)
        return sign_command(agent.key, domain, agent.account_id, nonce, command)

    def _top_up(self, market: Market, draft: Draft, domain: bytes) -> list[bytes]:
        txs = []
        for agent in (*self.makers, *self.takers):
            start_atoms = dict(agent.deposits)[USDC]
            missing = start_atoms - market.equity_atoms(agent.account_id)
            if 2 * missing > start_atoms:
                txs.append(self._custodian.deposit(draft, domain, agent.key.public_key, USDC, missing))
        return txs
