"""`holdfast risk`: what a portfolio needs, under the exchange's own rules and under the models that venues publish."""

import typer

from holdfast.cli import risk_backtest, risk_compare, risk_fit, risk_margin, risk_scenarios, risk_whatif

risk = typer.Typer(
    name="risk",
    help="Margin by the exchange's own rules and by published models; scenarios, fits of chains, backtests.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
risk.command("margin", help=risk_margin.HELP)(risk_margin.margin)
risk.command("scenarios", help=risk_scenarios.HELP)(risk_scenarios.scenarios)
risk.command("whatif", help=risk_whatif.HELP)(risk_whatif.whatif)
risk.command("compare", help=risk_compare.HELP)(risk_compare.compare)
risk.command("fit", help=risk_fit.HELP)(risk_fit.fit)
risk.command("backtest", help=risk_backtest.HELP)(risk_backtest.backtest)


@risk.callback()
def _risk() -> None:
    """Ask what a portfolio needs; each command has its own --help with an example."""
