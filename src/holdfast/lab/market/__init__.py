"""The market of a live exchange, all of it from one seed: prices, venues, each validator's reports, and traders.

    path        a jump-diffusion price path a feed, asked for at any moment
    venues      six venues a feed on that path, with their faults
    reporter    each validator's oracle reports from those venues
    accounts    demo accounts, traders and custodian: their keys, and their money in genesis
    makers takers traders    who trades, and what they send when they see a committed state
    rehearsal   all of it on one application without consensus

It must not know of nodes' insides, threads or clocks: whoever runs it says what time it is and hands its commands on.
"""

from holdfast.lab.market.accounts import DEMO_ACCOUNTS, Custodian, Nonces, genesis_accounts, make_custodian
from holdfast.lab.market.path import PricePath
from holdfast.lab.market.reporter import make_report_sources
from holdfast.lab.market.traders import Traders
from holdfast.lab.market.venues import MarketVenues

__all__ = [
    "DEMO_ACCOUNTS",
    "Custodian",
    "MarketVenues",
    "Nonces",
    "PricePath",
    "Traders",
    "genesis_accounts",
    "make_custodian",
    "make_report_sources",
]
