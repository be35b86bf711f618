"""The volatility surface, and the marks and risk rows that come from it.

A surface is the median, parameter by parameter, of the reports whose own surface is free of arbitrage; where the median
is not, the admissible report nearest to it is taken, so that volatility never freezes. Every block reprices every live
instrument: a mark with its Greeks, and 32 scenario rows. The risk array over them is derived. This module knows neither
accounts nor settlement; what a settlement average has already fixed is told to it.
"""
