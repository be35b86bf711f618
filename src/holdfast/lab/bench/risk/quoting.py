"""What quoting a whole chain on both sides costs a market maker."""

from holdfast.lab.bench.risk.duel import Checked, Contender, Duel, Taken, ensure_equal
from holdfast.lab.bench.risk.rows import Size
from holdfast.risk.quoting import QuotingCost, make_chain, quoting_cost


def quoting(_size: Size) -> Duel[QuotingCost, QuotingCost]:
    """Hold the initial margin of protected quotes, over their notional, against that of unprotected ones."""
    cost = quoting_cost(make_chain())

    def compare(own: QuotingCost, _: QuotingCost) -> Checked:
        ensure_equal(
            "margin is positive, and protection only lowers it", condition=0 < own.initial <= own.initial_unprotected
        )
        quoted = f"{own.quotes:,} quotes of {own.instruments:,} options, {own.notional:,.0f} USD at the index"
        exposed = f"of which {own.protected_notional:,.0f} USD may fill before all go"
        margins = f"{own.initial:,.0f} USD of initial margin, {own.initial_unprotected:,.0f} USD without protection"
        return Checked(f"{quoted}, {exposed}: {margins}")

    return Duel(
        Contender("with protection", lambda: Taken(cost, cost.share)),
        lambda: Contender("without", lambda: Taken(cost, cost.share_unprotected)),
        compare,
    )
