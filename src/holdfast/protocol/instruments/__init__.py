"""Instruments: what can be traded, listed and retired by rule.

European options and dated futures on BTC and ETH, named like Deribit's linear books, all expiring at 08:00 UTC. Which
expiries exist follows from the calendar, which strikes exist from where the price has been; nothing is listed by hand.
An instrument goes when it is settled and empty. This module knows neither prices nor money.
"""
