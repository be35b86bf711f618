"""Oracle: from validators' attested reports to one price a feed, and how far that price may be trusted.

A price is the exact power-weighted median of the reports of more than two thirds of power. What it may be used for is
its status: LIVE, DEGRADED, SUSPECT, STALE, HALTED, and the action matrix over them. A doubtful price gives a status,
never a clamped price; every age and window is the larger of a time and a number of blocks. This module does not know
what depends on its prices; the surface parameters of a report are taken up by the surface module.
"""
