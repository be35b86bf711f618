"""Traders of a replay: seeded agents of seven kinds, who see a replica's committed state and send signed commands.

    market       what an agent sees: marks, books, margins, the listed chain
    agent        what every agent is: a key, an account, a random stream of its own, a rhythm
    makers speculators buyers sellers hedgers bidders churners    the kinds
    population   who is there, with which money, and a block's worth of their signed commands

Integers only, and each agent draws from its own stream: the same seed and the same states give the same commands on
every machine. An agent knows only what is public in the committed state and what is its own.
"""

from holdfast.lab.agents.agent import Agent
from holdfast.lab.agents.market import Market
from holdfast.lab.agents.population import KINDS, Population

__all__ = ["KINDS", "Agent", "Market", "Population"]
